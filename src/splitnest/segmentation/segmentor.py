"""Semantic segmentation: a dilated backbone, a decode head, and an auxiliary head in training.

Shapes: N images, K classes, h x w cells, H x W pixels.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.batch import Batch
from splitnest.data.categories import Categories
from splitnest.layers.rows import Placed, Rows, best_classes, joined, resized, whole
from splitnest.model import Model
from splitnest.results import Result, SemanticSegmentation
from splitnest.segmentation.pixel_loss import HardPixelRule, pixel_loss


class Segmentor(Model):
    """Gives every pixel a class.

    Args:
        backbone: Maps images to the maps that the heads see.
        decode_head: Maps those to logits ``[N, K, h, w]``.
        auxiliary_head: The same, for training alone; None for none.
        categories: What the labels mean.
        window: Height and width in pixels of the parts that a larger image is seen in; None for the whole at once.
        stride: Pixels from one such part to the next, down and right.
        auxiliary_weight: Of the loss of ``auxiliary_head``.
        hard_pixels: Which pixels the losses are taken of; None for all.
    """

    def __init__(
        self,
        backbone: nn.Module,
        decode_head: nn.Module,
        auxiliary_head: nn.Module | None,
        categories: Categories,
        *,
        window: tuple[int, int] | None = None,
        stride: tuple[int, int] | None = None,
        auxiliary_weight: float = 0.4,
        hard_pixels: HardPixelRule | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.decode_head, self.auxiliary_head = backbone, decode_head, auxiliary_head
        self.categories, self.window, self.stride = categories, window, stride or window
        self.auxiliary_weight, self.hard_pixels = auxiliary_weight, hard_pixels

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``[N, K, H, W]`` of normalised images ``[N, 3, H, W]``."""
        return F.interpolate(self.logits(images), size=images.shape[-2:], mode="bilinear", align_corners=False)

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits ``[N, K, h, w]`` of each cell."""
        return self.decode_head(self.backbone(images))

    def predict(self, batch: Batch) -> list[Result]:
        """Segment a batch of images of one size; labels are in the frame of each photograph.

        Raises:
            ValueError: Images are padded: what their padding adds would change all of an image.
        """
        size_hw = batch.images.shape[2], batch.images.shape[3]
        if set(batch.sizes) != {size_hw}:
            raise ValueError(f"a segmentor takes images of one size in a batch, not {sorted(set(batch.sizes))}")
        views = self.rows(batch.images)
        return [self.result([rows], size) for rows, size in zip(views, batch.original_sizes, strict=True)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss_decode`` and, with an auxiliary head, ``loss_auxiliary``.

        Raises:
            ValueError: The batch has no ground truth.
        """
        if batch.semantic is None:
            raise ValueError("a batch needs semantic, the class of every pixel, for a loss")
        features = self.backbone(batch.images)
        losses = {"loss_decode": pixel_loss(self.decode_head(features), batch.semantic, self.hard_pixels)}
        if self.auxiliary_head is not None:
            auxiliary = pixel_loss(self.auxiliary_head(features), batch.semantic, self.hard_pixels)
            losses["loss_auxiliary"] = self.auxiliary_weight * auxiliary
        return losses

    def rows(self, images: Tensor) -> list[Rows]:
        """Return the logits of each of ``images`` ``[N, 3, H, W]``, at their size, to be computed row by row."""
        size = images.shape[2], images.shape[3]
        if self.window is None or (self.window[0] >= size[0] and self.window[1] >= size[1]):
            return [resized(whole(logits), size) for logits in self.logits(images)]
        parts: list[list[Placed]] = [[] for _ in images]
        for top, left, height, width in _windows(size, self.window, self.stride or self.window):
            crops = images[..., top : top + height, left : left + width]
            for placed, logits in zip(parts, self.logits(crops), strict=True):
                placed.append(Placed(resized(whole(logits), (height, width)), top, left))
        return [joined(placed, size) for placed in parts]

    def result(self, views: Sequence[Rows], size_hw: tuple[int, int]) -> SemanticSegmentation:
        """Return the best class of each pixel of a photograph of ``size_hw``, of which ``views`` are the logits."""
        labels = best_classes([resized(view, size_hw) for view in views]).cpu().numpy()
        dtype: np.dtype = SemanticSegmentation.label_dtype(self.categories)
        return SemanticSegmentation(labels.astype(dtype), image_size=size_hw, categories=self.categories)


def _windows(
    size_hw: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]
) -> Iterator[tuple[int, int, int, int]]:
    """Yield (top, left, height, width) of windows that cover an image; the last ones are moved back into it."""
    starts = []
    for side, length, step in zip(size_hw, window, stride, strict=True):
        number = max(side - length + step - 1, 0) // step + 1
        starts.append([max(min(n * step, side - length), 0) for n in range(number)])
    height, width = (min(side, length) for side, length in zip(size_hw, window, strict=True))
    for top in starts[0]:
        for left in starts[1]:
            yield top, left, height, width
