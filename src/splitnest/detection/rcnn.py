"""Faster and Mask R-CNN: backbone, pyramid, proposals, box heads, mask heads.

Shapes: N images, P proposals of an image, D detections of an image, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from splitnest.batch import Batch, InstanceMask, Instances
from splitnest.data.categories import Categories
from splitnest.detection import box_head, mask_head
from splitnest.detection.boxes import DeltaCoder
from splitnest.detection.postprocess import Found, PostProcessor
from splitnest.detection.roi_align import RoIPooler
from splitnest.detection.roi_loss import Regions, RegionSampler, box_losses, mask_loss, mask_targets, nothing
from splitnest.detection.rpn import RPN
from splitnest.detection.rpn_loss import RPNLoss
from splitnest.model import Model
from splitnest.results import Detections, Result

MASK_SIZE = 2 * mask_head.POOLED
"""Cells of a side of a mask."""


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
    """What a detector is trained on.

    Attributes:
        rpn: Loss of the proposals.
        sampler: Chooses the regions that the heads are trained on.
        num_per_level: Anchors of a level and image that proposals are made of.
        num_proposals: Proposals of an image that the sampler chooses from.
        mask_min_side: Least side in pixels of a region when polygons are scaled to its mask.
    """

    rpn: RPNLoss
    sampler: RegionSampler
    num_per_level: int
    num_proposals: int
    mask_min_side: float


class RCNN(Model):
    """A two-stage detector.

    Args:
        backbone: Maps images to c2 to c5.
        neck: Maps those to p2 to p6.
        rpn: Proposes regions.
        pooler: Pools them.
        box_heads: One head.
        box_coders: Decodes the deltas of each head.
        mask_heads: One head, or none for boxes alone.
        post: Chooses the detections.
        criterion: What is trained on.
        categories: What the labels mean.
    """

    def __init__(
        self,
        backbone: nn.Module,
        neck: nn.Module,
        rpn: RPN,
        pooler: RoIPooler,
        box_heads: Sequence[nn.Module],
        box_coders: Sequence[DeltaCoder],
        mask_heads: Sequence[nn.Module],
        post: PostProcessor,
        criterion: Criterion,
        categories: Categories,
    ) -> None:
        super().__init__()
        self.backbone, self.neck, self.rpn, self.pooler = backbone, neck, rpn, pooler
        self.box_heads, self.mask_heads = nn.ModuleList(box_heads), nn.ModuleList(mask_heads)
        self.box_coders = tuple(box_coders)
        self.post, self.criterion = post, criterion
        self.categories = categories

    def forward(self, images: Tensor) -> RawDetections:
        """Detect in normalised images ``[N, 3, H, W]``, all of them without padding."""
        sizes = [(images.shape[2], images.shape[3])] * len(images)
        levels = self.neck(self.backbone(images))
        found = self.detect(levels, sizes, sizes)
        masks = self.masks(levels, found)
        boxes, scores, labels = (torch.stack([self._pad(p) for p in parts]) for parts in zip(*found, strict=True))
        counts = torch.tensor([len(f.scores) for f in found], device=images.device)
        return RawDetections(boxes, scores, labels, torch.stack([self._pad(p) for p in masks]), counts)

    def predict(self, batch: Batch) -> list[Result]:
        """Detect in a batch; boxes and masks are in the frame of each photograph."""
        levels = self.neck(self.backbone(batch.images))
        found = self.detect(levels, batch.sizes, batch.original_sizes)
        masks = self.masks(levels, found)
        return [
            self._result(*of_image) for of_image in zip(found, masks, batch.sizes, batch.original_sizes, strict=True)
        ]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss_rpn_cls``, ``loss_rpn_box``, ``loss_cls``, ``loss_box`` and, with masks, ``loss_mask``.

        Their sum is what is minimised. Which anchors and regions are sampled is drawn from torch's random numbers.

        Raises:
            ValueError: The batch has no ground truth, or a model with masks gets objects without.
        """
        if batch.instances is None:
            raise ValueError("a batch needs instances, its ground truth, for a loss")
        levels = self.neck(self.backbone(batch.images))
        predictions = self.rpn(levels)
        losses = self.criterion.rpn(predictions, batch.sizes, batch.instances)
        counts = {"num_per_level": self.criterion.num_per_level, "num_proposals": self.criterion.num_proposals}
        proposals = self.rpn.propose(predictions, batch.sizes, **counts)
        regions = [self.criterion.sampler(p.boxes, o) for p, o in zip(proposals, batch.instances, strict=True)]
        losses |= self._box_loss(levels, regions, batch.instances)
        if self.mask_heads:
            losses |= self._mask_loss(levels, regions, batch.instances)
        return losses

    def detect(
        self,
        levels: Mapping[str, Tensor],
        sizes: Sequence[tuple[int, int]],
        original_sizes: Sequence[tuple[int, int]],
    ) -> list[Found]:
        """Return the detections of each image, in the frame that ``post`` suppresses them in."""
        proposals = [p.boxes for p in self.rpn.propose(self.rpn(levels), sizes)]
        counts = [len(boxes) for boxes in proposals]
        logits, deltas = self.box_heads[0](self.pooler(levels, proposals, box_head.POOLED))
        boxes = self.box_coders[0].decode(deltas, torch.cat(proposals)).unflatten(1, (-1, 4))  # [P, K or 1, 4]
        scores = logits.softmax(1)[:, :-1]  # [P, K]
        of_images = zip(boxes.split(counts), scores.split(counts), sizes, original_sizes, strict=True)
        return [self.post.select(*of_image) for of_image in of_images]

    def masks(self, levels: Mapping[str, Tensor], found: Sequence[Found]) -> list[Tensor]:
        """Return the mask probabilities ``[D, 28, 28]`` of each image; ``[D, 0, 0]`` of a model without masks."""
        boxes, labels = [f.boxes for f in found], torch.cat([f.labels for f in found])
        if not self.mask_heads:
            return [b.new_zeros(len(b), 0, 0) for b in boxes]
        logits = self.mask_heads[0](self.pooler(levels, boxes, mask_head.POOLED), labels)
        return list(logits.sigmoid().split([len(b) for b in boxes]))

    def _box_loss(
        self, levels: Mapping[str, Tensor], regions: Sequence[Regions], instances: Sequence[Instances]
    ) -> dict[str, Tensor]:
        head = self.box_heads[0]
        if not any(len(r.boxes) for r in regions):
            return {"loss_cls": nothing(head), "loss_box": nothing(head)}
        logits, deltas = head(self.pooler(levels, [r.boxes for r in regions], box_head.POOLED))
        return box_losses(logits, deltas, regions, instances, self.box_coders[0])

    def _mask_loss(
        self, levels: Mapping[str, Tensor], regions: Sequence[Regions], instances: Sequence[Instances]
    ) -> dict[str, Tensor]:
        head = self.mask_heads[0]
        if not any(len(r.objects) for r in regions):
            return {"loss_mask": nothing(head)}
        positives = [r.boxes[: len(r.objects)] for r in regions]
        labels: list[Tensor] = []
        masks: list[InstanceMask] = []
        for of_image, objects in zip(regions, instances, strict=True):
            if objects.masks is None:
                raise ValueError("a model with masks needs masks in its ground truth")
            labels.append(objects.labels[of_image.objects])
            masks.extend(objects.masks[index] for index in of_image.objects.tolist())
        logits = head(self.pooler(levels, positives, mask_head.POOLED), torch.cat(labels))
        targets = mask_targets(masks, torch.cat(positives), MASK_SIZE, self.criterion.mask_min_side)
        return mask_loss(logits, targets.to(logits.dtype))

    def _result(self, found: Found, masks: Tensor, size: tuple[int, int], original: tuple[int, int]) -> Detections:
        found, masks = self.post.to_photograph(found, masks, size, original)
        return Detections(
            boxes=found.boxes.float().cpu().numpy(),
            scores=found.scores.float().cpu().numpy(),
            labels=found.labels.cpu().numpy(),
            masks=mask_head.paste_masks(masks, found.boxes, original).cpu().numpy() if self.mask_heads else None,
            image_size=original,
            categories=self.categories,
        )

    def _pad(self, part: Tensor) -> Tensor:
        padded = part.new_zeros(self.post.max_detections, *part.shape[1:])
        padded[: len(part)] = part
        return padded
