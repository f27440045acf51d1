"""Test-time augmentation of a detector: several views of a photograph, one result.

The protocol is detectron2's (``GeneralizedRCNNWithTTA``), by which the authors of ResNeSt published. Boxes are found in
every view, united and suppressed; then the mask head looks at those boxes in every view, and its answers are averaged.

Shapes: D detections of a photograph or view.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splitnest.batch import Batch, collate
from splitnest.data.transforms import normalise, resize_whole
from splitnest.detection.boxes import rescale
from splitnest.detection.postprocess import Found
from splitnest.detection.rcnn import RCNN
from splitnest.recipe import DetectionInput
from splitnest.results import Detections

SHORT_SIDES = (400, 500, 600, 700, 800, 900, 1000, 1100, 1200)
"""Of the views (``TEST.AUG.MIN_SIZES`` of detectron2 and of all its ResNeSt configurations)."""

LONG_SIDE = 4000
"""Limit of the views (``TEST.AUG.MAX_SIZE``)."""


class View(NamedTuple):
    """One version of a photograph.

    Attributes:
        pixels: uint8 RGB ``[h, w, 3]``.
        mirrored: Left is right.
        original_size: (height, width) of the photograph.
    """

    pixels: NDArray[np.uint8]
    mirrored: bool
    original_size: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the view."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def to_photograph(self, boxes: Tensor) -> Tensor:
        """Bring ``boxes`` ``[D, 4]`` of the view into the frame of the photograph."""
        return rescale(self._mirror(boxes), self.size, self.original_size)

    def from_photograph(self, boxes: Tensor) -> Tensor:
        """Bring ``boxes`` ``[D, 4]`` of the photograph into the frame of the view."""
        return self._mirror(rescale(boxes, self.original_size, self.size))

    def masks_to_photograph(self, masks: Tensor) -> Tensor:
        """Turn ``masks`` ``[D, 28, 28]`` inside boxes of the view into those inside the photograph's boxes."""
        return masks.flip(-1) if self.mirrored else masks

    def _mirror(self, boxes: Tensor) -> Tensor:
        if not self.mirrored:
            return boxes
        x1, y1, x2, y2 = boxes.unbind(-1)
        return torch.stack((self.size[1] - x2, y1, self.size[1] - x1, y2), dim=-1)


class DetectionTTA:
    """Detects with test-time augmentation.

    Views are made of the photograph after it was resized for the network, not of the photograph itself. Those that go
    through the network together are padded to one size, which moves what it finds near borders: the published numbers
    are of three. Memory holds the feature maps of these alone, however many views there are; in return, a model with
    masks sees every view twice.

    Args:
        model: In evaluation mode.
        facts: ``input`` of its recipe.
        short_sides: Of the views, in pixels.
        long_side: Their limit in pixels.
        flip: Also take the mirror image of each view.
        batch_size: Views that go through the network together (3 in ``GeneralizedRCNNWithTTA``).

    Raises:
        ValueError: There are no views.
    """

    def __init__(
        self,
        model: RCNN,
        facts: DetectionInput,
        short_sides: Sequence[int] = SHORT_SIDES,
        long_side: int = LONG_SIDE,
        *,
        flip: bool = True,
        batch_size: int = 3,
    ) -> None:
        if not short_sides or batch_size < 1:
            raise ValueError(f"{len(short_sides)} sizes of views in batches of {batch_size} are no views")
        self.model, self.facts = model, facts
        self.sizes = [facts.model_copy(update={"short_side": s, "long_side": long_side}) for s in short_sides]
        self.flip, self.batch_size = flip, batch_size

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8], resize: bool = True) -> Detections:
        """Detect in a photograph, in its own frame.

        Args:
            image: uint8 RGB ``[H, W, 3]``.
            resize: Resize it as the recipe says before views are made of it.
        """
        size, post = (image.shape[0], image.shape[1]), self.model.post
        if resize:
            image = resize_whole(image, self.facts)
        found = [f for views in self._batches(image, size) for f in self._detect(views)]
        # detectron2 has a threshold of 1e-8 here, which drops nothing: in each view, scores are over 0.05 already.
        best = post.best(Found(*(torch.cat(parts) for parts in zip(*found, strict=True))))
        masks = best.boxes.new_zeros(len(best.boxes), 0, 0)
        if self.model.has_masks and len(best.boxes):
            masks = reduce(torch.add, (self._mask_total(views, best) for views in self._batches(image, size)))
            masks = masks / (len(self.sizes) * (2 if self.flip else 1))
        return self.model.result(*post.to_photograph(best, masks, size, size), size)

    def _batches(self, image: NDArray[np.uint8], original_size: tuple[int, int]) -> Iterator[list[View]]:
        views = self._views(image, original_size)
        while batch := list(islice(views, self.batch_size)):
            yield batch

    def _views(self, image: NDArray[np.uint8], original_size: tuple[int, int]) -> Iterator[View]:
        for facts in self.sizes:
            pixels = resize_whole(image, facts)
            yield View(pixels, False, original_size)
            if self.flip:
                yield View(pixels[:, ::-1], True, original_size)

    def _detect(self, views: Sequence[View]) -> list[Found]:
        """Return the detections in each view, in the frame of the photograph."""
        batch, levels = self._pyramid(views)
        found = self.model.detect(levels, batch.sizes, batch.sizes)
        return [Found(v.to_photograph(f.boxes), f.scores, f.labels) for v, f in zip(views, found, strict=True)]

    def _mask_total(self, views: Sequence[View], found: Found) -> Tensor:
        """Return the sum over ``views`` of the mask probabilities ``[D, 28, 28]`` of ``found``."""
        _, levels = self._pyramid(views)
        masks = self.model.masks(levels, [found._replace(boxes=v.from_photograph(found.boxes)) for v in views])
        return torch.stack([v.masks_to_photograph(m) for v, m in zip(views, masks, strict=True)]).sum(0)

    def _pyramid(self, views: Sequence[View]) -> tuple[Batch, Mapping[str, Tensor]]:
        like = next(self.model.parameters())
        dtype = torch.promote_types(like.dtype, torch.float32)  # never less than float32 before the network
        images = [normalise(view.pixels, self.facts, dtype) for view in views]
        batch = collate(images, divisor=self.facts.divisor).to(like.device, like.dtype)
        return batch, self.model.neck(self.model.backbone(batch.images))
