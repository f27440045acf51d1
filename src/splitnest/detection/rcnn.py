"""Faster and Mask R-CNN: backbone, pyramid, proposals, box heads, mask heads.

Shapes: N images, P proposals of an image, D detections of an image, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from splitnest.batch import Batch
from splitnest.data.categories import Categories
from splitnest.detection import padded
from splitnest.detection.boxes import rescale
from splitnest.detection.mask_head import paste_masks
from splitnest.detection.postprocess import Found, PostProcessor
from splitnest.detection.roi_heads import RoIHeads
from splitnest.detection.rpn import RPN
from splitnest.detection.rpn_loss import RPNLoss
from splitnest.model import Model
from splitnest.results import Detections, Result


class RawDetections(NamedTuple):
    """What ``forward`` returns: padded with zeros to ``max_detections``, in pixels of the batch.

    Attributes:
        boxes: ``[N, D, 4]``.
        scores: ``[N, D]``.
        labels: int64 ``[N, D]``.
        masks: Probabilities ``[N, D, 28, 28]`` inside the boxes; ``[N, D, 0, 0]`` of a model without masks.
        counts: int64 ``[N]``, how many of the D are detections.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor
    counts: Tensor


@dataclass(frozen=True)
class Criterion:
    """What proposals are trained on, and how many of them the second stage gets in training.

    Attributes:
        rpn: Loss of the proposals.
        num_per_level: Anchors of a level and image that proposals are made of.
        num_proposals: Proposals of an image.
    """

    rpn: RPNLoss
    num_per_level: int
    num_proposals: int


class RCNN(Model):
    """A two-stage detector.

    Args:
        backbone: Maps images to c2 to c5.
        neck: Maps those to p2 to p6.
        rpn: Proposes regions.
        roi_heads: Classify them, refine their boxes, give their masks.
        post: Chooses the detections.
        criterion: What proposals are trained on.
        categories: What the labels mean.
    """

    def __init__(
        self,
        backbone: nn.Module,
        neck: nn.Module,
        rpn: RPN,
        roi_heads: RoIHeads,
        post: PostProcessor,
        criterion: Criterion,
        categories: Categories,
    ) -> None:
        super().__init__()
        self.backbone, self.neck, self.rpn, self.roi_heads = backbone, neck, rpn, roi_heads
        self.post, self.criterion = post, criterion
        self.categories = categories

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> RawDetections:
        """Detect in normalised images ``[N, 3, H, W]``.

        Args:
            images: A batch.
            sizes: (height, width) of each image in it without padding, ``[N, 2]`` in pixels; None where there is none.
        """
        return self.raw_detections(self.neck(self.backbone(images)), images, sizes)

    def predict(self, batch: Batch) -> list[Result]:
        """Detect in a batch; boxes and masks are in the frame of each photograph."""
        return list(self.detections(self.neck(self.backbone(batch.images)), batch))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss_rpn_cls``, ``loss_rpn_box`` and the losses of ``roi_heads``.

        Their sum is what is minimised. Which anchors and regions are sampled follows from ``batch.seeds``; without
        them it is drawn from torch's random numbers.

        Raises:
            ValueError: The batch has no ground truth, or a model with masks gets objects without.
        """
        return self.instance_losses(self.neck(self.backbone(batch.images)), batch)

    def instance_losses(self, levels: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch whose pyramid is ``levels``."""
        if batch.instances is None:
            raise ValueError("a batch needs instances, its ground truth, for a loss")
        predictions = self.rpn(levels)
        losses = self.criterion.rpn(predictions, batch.sizes, batch.instances, batch.seeds)
        counts = {"num_per_level": self.criterion.num_per_level, "num_proposals": self.criterion.num_proposals}
        proposals = [p.boxes for p in self.rpn.propose(predictions, batch.sizes, **counts)]
        return losses | self.roi_heads.loss(levels, proposals, batch.sizes, batch.instances, batch.seeds)

    def raw_detections(self, levels: Mapping[str, Tensor], images: Tensor, sizes: Tensor | None) -> RawDetections:
        """Detect in the images whose pyramid is ``levels``."""
        if sizes is None:
            dtype = torch.promote_types(images.dtype, torch.float32)  # half precision has not every size
            sizes = torch.tensor([images.shape[2:]], dtype=dtype, device=images.device).expand(images.shape[0], -1)
        proposals = padded.propose(self.rpn, levels, sizes)
        boxes, scores = padded.score(self.roi_heads, levels, proposals, sizes)
        boxes, scores, labels, counts = padded.select(self.post, boxes, scores)
        return RawDetections(boxes, scores, labels, padded.masks(self.roi_heads, levels, boxes, labels), counts)

    def from_raw(self, raw: RawDetections, batch: Batch) -> list[Detections]:
        """Return the detections of a batch that ``raw`` holds, in the frame of each photograph."""
        results = []
        for n, (size, original) in enumerate(zip(batch.sizes, batch.original_sizes, strict=True)):
            count = int(raw.counts[n])
            found = Found(raw.boxes[n, :count], raw.scores[n, :count], raw.labels[n, :count])
            if self.post.nms_at_photograph_scale:  # what follows takes it to be there already
                found = found._replace(boxes=rescale(found.boxes, size, original))
            kept = self.post.to_photograph(found, raw.masks[n, :count], size, original)
            results.append(self.result(*kept, original))
        return results

    def detections(self, levels: Mapping[str, Tensor], batch: Batch) -> list[Detections]:
        """Return the detections of a batch whose pyramid is ``levels``, in the frame of each photograph."""
        found = self.detect(levels, batch.sizes, batch.original_sizes)
        of_images = zip(found, self.masks(levels, found), batch.sizes, batch.original_sizes, strict=True)
        return [self.result(*self.post.to_photograph(*of_image), of_image[-1]) for of_image in of_images]

    def detect(
        self,
        levels: Mapping[str, Tensor],
        sizes: Sequence[tuple[int, int]],
        original_sizes: Sequence[tuple[int, int]],
    ) -> list[Found]:
        """Return the detections of each image, in the frame that ``post`` suppresses them in."""
        proposals = [p.boxes for p in self.rpn.propose(self.rpn(levels), sizes)]
        scored = self.roi_heads.score(levels, proposals, sizes)
        return [self.post.select(*s, *hw) for s, *hw in zip(scored, sizes, original_sizes, strict=True)]

    def masks(self, levels: Mapping[str, Tensor], found: Sequence[Found]) -> list[Tensor]:
        """Return the mask probabilities ``[D, 28, 28]`` of each image; ``[D, 0, 0]`` of a model without masks."""
        return self.roi_heads.masks(levels, [f.boxes for f in found], [f.labels for f in found])

    @property
    def has_masks(self) -> bool:
        """Whether it gives masks."""
        return len(self.roi_heads.mask_heads) > 0

    def result(self, found: Found, masks: Tensor, size_hw: tuple[int, int]) -> Detections:
        """Return detections, and their mask probabilities ``[D, 28, 28]``, of a photograph of ``size_hw``."""
        return Detections(
            boxes=found.boxes.float().cpu().numpy(),
            scores=found.scores.float().cpu().numpy(),
            labels=found.labels.cpu().numpy(),
            masks=paste_masks(masks, found.boxes, size_hw) if self.has_masks else None,
            image_size=size_hw,
            categories=self.categories,
        )
