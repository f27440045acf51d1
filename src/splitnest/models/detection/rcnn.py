"""Faster and Mask R-CNN: backbone, feature pyramid, proposals, box heads, mask heads.

Shapes: N images, P proposals of an image, D detections of an image, K classes, M cells of a side of a mask.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from splitnest.models.base import Forward, Model, size_tensor
from splitnest.models.detection import box_head, fixed_shapes, mask_head
from splitnest.models.detection.boxes import rescale
from splitnest.models.detection.mask_head import paste_masks
from splitnest.models.detection.postprocess import PostProcessor, Selected
from splitnest.models.detection.regions import Regions
from splitnest.models.detection.roi_heads import RoIHeads, Scored
from splitnest.models.detection.roi_losses import POSITIVE_FRACTION
from splitnest.models.detection.rpn import RPN, ProposalRules
from splitnest.models.detection.rpn_loss import RPNLoss
from splitnest.structures import Detections, Result
from splitnest.structures.batch import Batch
from splitnest.structures.categories import Categories

Features = Mapping[str, Tensor]


class RawDetections(NamedTuple):
    """Output of ``RCNN.forward``: detections padded to ``max_detections``, in pixels of the batch.

    Attributes:
        boxes: ``[N, D, 4]``, zero in the padding.
        scores: ``[N, D]``, zero in the padding.
        labels: int64 ``[N, D]``.
        masks: Mask probabilities inside the boxes, ``[N, D, 28, 28]``; ``[N, D, 0, 0]`` of a model without masks.
        counts: int64 ``[N]``, number of detections of each image.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor
    counts: Tensor


@dataclass(frozen=True)
class RPNTraining:
    """Loss of the proposals, and the selection of those that the second stage trains on.

    Attributes:
        loss: Loss of the region proposal network.
        rules: Selection of these proposals.
    """

    loss: RPNLoss
    rules: ProposalRules


class RCNN(Model):
    """Two-stage detector. ``detect`` is its data flow: propose, score, select, paste.

    Args:
        backbone: Backbone that returns c2 to c5.
        neck: Feature pyramid network.
        rpn: Region proposal network.
        roi_heads: Box heads and mask heads.
        post: Post-processing of scored boxes.
        rpn_training: Training of the proposals.
        categories: Classes of the detections.
    """

    input_names = ("images", "sizes")
    output_names = RawDetections._fields

    def __init__(
        self,
        backbone: nn.Module,
        neck: nn.Module,
        rpn: RPN,
        roi_heads: RoIHeads,
        post: PostProcessor,
        rpn_training: RPNTraining,
        categories: Categories,
    ) -> None:
        super().__init__()
        self.backbone, self.neck, self.rpn, self.roi_heads = backbone, neck, rpn, roi_heads
        self.post, self.rpn_training, self.categories = post, rpn_training, categories

    def detect(self, features: Features, batch: Batch) -> list[Detections]:
        """Return the detections of each image of a batch, in pixels of the original images.

        Args:
            features: Feature pyramid of the batch.
            batch: Images and their sizes.
        """
        proposals = self.propose(features, batch.sizes)
        scored = self.score(features, proposals, batch.sizes)
        selected = self.select(scored, batch.sizes, batch.original_sizes)
        return self.paste(selected, self.masks(features, selected), batch)

    def extract_features(self, images: Tensor) -> dict[str, Tensor]:
        """Return the feature pyramid of normalized images ``[N, 3, H, W]``."""
        features: dict[str, Tensor] = self.neck(self.backbone(images))
        return features

    def propose(self, features: Features, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Return the proposals ``[P, 4]`` of each image, in pixels of the batch."""
        return [proposals.boxes for proposals in self.rpn.propose(self.rpn(features), sizes)]

    def score(self, features: Features, proposals: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Scored]:
        """Return the refined boxes and class scores of the proposals of each image."""
        regions = Regions.from_list(proposals)
        scored = self.roi_heads.score(features, regions, size_tensor(sizes, like=regions.boxes))
        counts = [len(of_image) for of_image in proposals]
        return [Scored(*of_image) for of_image in zip(*(part.split(counts) for part in scored), strict=True)]

    def select(
        self,
        scored: Sequence[Scored],
        sizes: Sequence[tuple[int, int]],
        original_sizes: Sequence[tuple[int, int]],
    ) -> list[Selected]:
        """Return the detections of each image in the frame of NMS, see ``PostProcessor.select``."""
        return [self.post.select(*of_image) for of_image in zip(scored, sizes, original_sizes, strict=True)]

    def masks(self, features: Features, selected: Sequence[Selected]) -> list[Tensor]:
        """Return the mask probabilities ``[D, 28, 28]`` of each image; ``[D, 0, 0]`` of a model without masks."""
        labels = [of_image.labels for of_image in selected]
        regions = Regions.from_list([of_image.boxes for of_image in selected])
        masks = self.roi_heads.masks(features, regions, torch.cat(labels))
        return list(masks.split([len(of_image) for of_image in labels]))

    def paste(self, selected: Sequence[Selected], masks: Sequence[Tensor], batch: Batch) -> list[Detections]:
        """Return the detections of each image in pixels of the original image, with their masks pasted."""
        of_images = zip(selected, masks, batch.sizes, batch.original_sizes, strict=True)
        return [self.to_detections(*self.post.to_original(*of_image), of_image[-1]) for of_image in of_images]

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> RawDetections:
        """Detect in normalized images, with output shapes that do not depend on values.

        Args:
            images: ``[N, 3, H, W]``.
            sizes: (height, width) of each image without padding, ``[N, 2]`` in pixels; None for images without padding.
        """
        return self.forward_features(self.extract_features(images), images, sizes)

    def forward_features(self, features: Features, images: Tensor, sizes: Tensor | None) -> RawDetections:
        """Compute ``forward`` from the feature pyramid of the images."""
        if sizes is None:
            sizes = size_tensor([(images.shape[2], images.shape[3])], like=images).expand(images.shape[0], -1)
        proposals = fixed_shapes.propose(self.rpn, features, sizes)
        scored = self.roi_heads.score(features, proposals, sizes)
        boxes, scores, labels, counts = fixed_shapes.select(self.post, proposals, scored, self.num_regions)
        masks = boxes.new_zeros(*labels.shape, 0, 0)  # ONNX cannot reshape an empty tensor of a dynamic size
        if self.has_masks:
            masks = self.roi_heads.masks(features, Regions.from_padded(boxes), labels.flatten())
            masks = masks.unflatten(0, (-1, labels.shape[1]))
        return RawDetections(boxes, scores, labels, masks, counts)

    def forward_inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return images and sizes of a batch."""
        return batch.images, size_tensor(batch.sizes, like=batch.images)

    def predict(self, batch: Batch) -> list[Result]:
        """Return the detections of each image, in pixels of the original images."""
        return list(self.detect(self.extract_features(batch.images), batch))

    def predict_with(self, forward: Forward, batch: Batch) -> list[Result]:
        """Return the detections of each image, computed from the outputs of ``forward``."""
        return list(self.detections_of(RawDetections(*forward(*self.forward_inputs(batch))), batch))

    def detections_of(self, raw: RawDetections, batch: Batch) -> list[Detections]:
        """Return padded detections as the detections of each image, in pixels of the original images."""
        selected = []
        for n, (size, original_size) in enumerate(zip(batch.sizes, batch.original_sizes, strict=True)):
            count = int(raw.counts[n])
            boxes = raw.boxes[n, :count]
            if self.post.nms_at_original_scale:  # the frame that to_original expects
                boxes = rescale(boxes, size, original_size)
            selected.append(Selected(boxes, raw.scores[n, :count], raw.labels[n, :count]))
        masks = [of_image[: len(found.boxes)] for of_image, found in zip(raw.masks, selected, strict=True)]
        return self.paste(selected, masks, batch)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss_rpn_cls``, ``loss_rpn_box`` and the losses of ``roi_heads``.

        ``batch.seeds`` determine which anchors and regions are sampled; without them torch's global random state does.

        Raises:
            ValueError: The batch has no ground truth, or a model with masks gets instances without.
        """
        return self.loss_of_features(self.extract_features(batch.images), batch)

    def loss_of_features(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Compute ``loss`` from the feature pyramid of the batch."""
        if batch.instances is None:
            raise ValueError("the batch has no instances, the ground truth of the loss")
        predictions, training = self.rpn(features), self.rpn_training
        losses = training.loss(predictions, batch.sizes, batch.instances, batch.seeds)
        proposals = [p.boxes for p in self.rpn.propose(predictions, batch.sizes, training.rules)]
        return losses | self.roi_heads.loss(features, proposals, batch.sizes, batch.instances, batch.seeds)

    @property
    def has_masks(self) -> bool:
        """Whether the model predicts masks."""
        return len(self.roi_heads.mask_heads) > 0

    @property
    def num_regions(self) -> int:  # type: ignore[override]  # the other models have none
        """Number of proposals of an image at most."""
        return self.rpn.rules.post_nms_topk

    @property
    def num_masks(self) -> int:  # type: ignore[override]  # the other models have none
        """Number of masks of an image at most."""
        return self.post.max_detections if self.has_masks else 0

    @property
    def layer_parts(self) -> list[nn.Module]:
        """Backbone, neck, RPN and heads."""
        return [self.backbone, self.neck, self.rpn, *self.roi_heads.box_heads, *self.roi_heads.mask_heads]

    def run_layers(self, images: Tensor, num_regions: int, num_masks: int) -> None:
        """Run every layer on N images with this number of regions and masks."""
        self.run_layers_of(self.extract_features(images), num_regions, num_masks)

    def run_training_layers(self, images: Tensor) -> None:
        """Run every layer with the number of regions that the losses sample."""
        self.run_layers_of(self.extract_features(images), *self.training_regions(len(images)))

    def training_regions(self, num_images: int) -> tuple[int, int]:
        """Return the maximum number of regions that the losses of box heads and of mask heads sample."""
        num_samples = self.roi_heads.samplers[0].num_samples or 0  # later stages of a cascade sample no more
        return num_samples * num_images, int(num_samples * POSITIVE_FRACTION) * num_images

    def run_layers_of(self, features: Features, num_regions: int, num_masks: int) -> None:
        """Run every layer after the feature pyramid."""
        self.rpn(features)
        level = features["p2"]
        for head in self.roi_heads.box_heads:
            head(level.new_empty(num_regions, level.shape[1], box_head.POOLED, box_head.POOLED))
        for head in self.roi_heads.mask_heads:
            pooled = level.new_empty(num_masks, level.shape[1], mask_head.POOLED, mask_head.POOLED)
            head(pooled, level.new_zeros(num_masks, dtype=torch.long))

    def to_detections(self, selected: Selected, masks: Tensor, size_hw: tuple[int, int]) -> Detections:
        """Return detections as a result.

        Args:
            selected: Detections in pixels of the original image.
            masks: Mask probabilities inside their boxes, ``[D, 28, 28]``.
            size_hw: (height, width) of the original image.
        """
        return Detections(
            boxes=selected.boxes.float().cpu().numpy(),
            scores=selected.scores.float().cpu().numpy(),
            labels=selected.labels.cpu().numpy(),
            masks=paste_masks(masks, selected.boxes, size_hw) if self.has_masks else None,
            image_size=size_hw,
            categories=self.categories,
        )
