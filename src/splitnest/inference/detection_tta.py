"""Test-time augmentation of detection: several sizes and horizontal flips of an image.

The protocol is detectron2's (``GeneralizedRCNNWithTTA``), by which the authors of ResNeSt published. Boxes are detected
in every view, united and suppressed by NMS; then masks are predicted for the remaining boxes in every view and
averaged.

Shapes: D detections of an image or view.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import islice
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splitnest.data.images.normalize import normalize, resize_image
from splitnest.models.detection.boxes import rescale
from splitnest.models.detection.postprocess import Selected
from splitnest.models.detection.rcnn import RCNN, Features
from splitnest.recipe import DetectionInput
from splitnest.structures import Detections
from splitnest.structures.batch import Batch, collate

SHORT_SIDES = (400, 500, 600, 700, 800, 900, 1000, 1100, 1200)
"""Short sides of the views in pixels (``TEST.AUG.MIN_SIZES`` of detectron2 and of all its ResNeSt configurations)."""

LONG_SIDE = 4000
"""Maximum long side of the views in pixels (``TEST.AUG.MAX_SIZE``)."""

PUBLISHED_SHORT_SIDE = 800
"""Short side in pixels of the input of the models that ``SHORT_SIDES`` were published for."""


class View(NamedTuple):
    """Resized and possibly flipped version of an image.

    Attributes:
        pixels: uint8 RGB ``[h, w, 3]``.
        flipped: Whether it is flipped horizontally.
        original_size: (height, width) of the original image.
    """

    pixels: NDArray[np.uint8]
    flipped: bool
    original_size: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the view."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def to_original(self, boxes: Tensor) -> Tensor:
        """Return boxes ``[D, 4]`` of the view in pixels of the original image."""
        return rescale(self._flip(boxes), self.size, self.original_size)

    def from_original(self, boxes: Tensor) -> Tensor:
        """Return boxes ``[D, 4]`` of the original image in pixels of the view."""
        return self._flip(rescale(boxes, self.original_size, self.size))

    def masks_to_original(self, masks: Tensor) -> Tensor:
        """Return masks ``[D, 28, 28]`` inside boxes of the view as masks inside boxes of the original image."""
        return masks.flip(-1) if self.flipped else masks

    def _flip(self, boxes: Tensor) -> Tensor:
        if not self.flipped:
            return boxes
        x1, y1, x2, y2 = boxes.unbind(-1)
        return torch.stack((self.size[1] - x2, y1, self.size[1] - x1, y2), dim=-1)


class DetectionTTA:
    """Detection with test-time augmentation.

    Views are made from the image after it was resized for the network, not from the original image. Views of one batch
    are padded to one size, which changes detections near borders: the published metrics are of batches of three. Memory
    holds the features of one batch; in return, a model with masks processes every view twice.

    Args:
        model: Detector in evaluation mode.
        input_cfg: Section ``input`` of its recipe.
        short_sides: Short sides of the views in pixels.
        long_side: Maximum long side of the views in pixels.
        flip: Whether to add the horizontal flip of each view.
        batch_size: Number of views of a batch (3 in ``GeneralizedRCNNWithTTA``).

    Raises:
        ValueError: There are no views.
    """

    def __init__(
        self,
        model: RCNN,
        input_cfg: DetectionInput,
        short_sides: Sequence[int] = SHORT_SIDES,
        long_side: int = LONG_SIDE,
        *,
        flip: bool = True,
        batch_size: int = 3,
    ) -> None:
        if not short_sides or batch_size < 1:
            raise ValueError(f"{len(short_sides)} sizes in batches of {batch_size} are no views")
        self.model, self.input_cfg = model, input_cfg
        self.sizes = [input_cfg.model_copy(update={"short_side": s, "long_side": long_side}) for s in short_sides]
        self.flip, self.batch_size = flip, batch_size

    @classmethod
    def published(cls, model: RCNN, input_cfg: DetectionInput) -> Self:
        """Return the published views, scaled for a model with another short side than the published 800 pixels."""
        scale = input_cfg.short_side / PUBLISHED_SHORT_SIDE
        return cls(model, input_cfg, [round(side * scale) for side in SHORT_SIDES], round(LONG_SIDE * scale))

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8], resize: bool = True) -> Detections:
        """Detect in an image, in pixels of the original image.

        Args:
            image: uint8 RGB ``[H, W, 3]``.
            resize: Whether to resize the image as the recipe says before views are made.
        """
        size_hw, post = (image.shape[0], image.shape[1]), self.model.post
        if resize:
            image = resize_image(image, self.input_cfg)
        detected = [selected for views in self._batches(image, size_hw) for selected in self._detect(views)]
        # detectron2's score threshold of 1e-8 here has no effect: scores of each view exceed 0.05 already.
        best = post.best(Selected(*(torch.cat(parts) for parts in zip(*detected, strict=True))))
        masks = best.boxes.new_zeros(len(best.boxes), 0, 0)
        if self.model.has_masks and len(best.boxes):
            masks = reduce(torch.add, (self._sum_masks(views, best) for views in self._batches(image, size_hw)))
            masks = masks / (len(self.sizes) * (2 if self.flip else 1))
        # Boxes are in pixels of the original image already, and only clipped here.
        return self.model.to_detections(*post.to_original(best, masks, size_hw, size_hw), size_hw)

    def _batches(self, image: NDArray[np.uint8], original_size: tuple[int, int]) -> Iterator[list[View]]:
        views = self._views(image, original_size)
        while batch := list(islice(views, self.batch_size)):
            yield batch

    def _views(self, image: NDArray[np.uint8], original_size: tuple[int, int]) -> Iterator[View]:
        for input_cfg in self.sizes:
            pixels = resize_image(image, input_cfg)
            yield View(pixels, False, original_size)
            if self.flip:
                yield View(pixels[:, ::-1], True, original_size)

    def _detect(self, views: Sequence[View]) -> list[Selected]:
        """Return the detections of each view, in pixels of the original image."""
        batch, features = self._features(views)
        model = self.model
        scored = model.score(features, model.propose(features, batch.sizes), batch.sizes)
        selected = model.select(scored, batch.sizes, batch.sizes)
        return [Selected(v.to_original(s.boxes), s.scores, s.labels) for v, s in zip(views, selected, strict=True)]

    def _sum_masks(self, views: Sequence[View], selected: Selected) -> Tensor:
        """Return the sum over ``views`` of the mask probabilities ``[D, 28, 28]`` of the detections."""
        _, features = self._features(views)
        masks = self.model.masks(features, [selected._replace(boxes=v.from_original(selected.boxes)) for v in views])
        return torch.stack([v.masks_to_original(m) for v, m in zip(views, masks, strict=True)]).sum(0)

    def _features(self, views: Sequence[View]) -> tuple[Batch, Features]:
        like = next(self.model.parameters())
        dtype = torch.promote_types(like.dtype, torch.float32)  # preprocessing is never in half precision
        images = [normalize(view.pixels, self.input_cfg, dtype) for view in views]
        batch = collate(images, divisor=self.input_cfg.divisor).to(like.device, like.dtype)
        return batch, self.model.extract_features(batch.images)
