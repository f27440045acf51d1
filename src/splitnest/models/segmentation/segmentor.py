"""Semantic segmentor: a dilated backbone, a decode head, and an auxiliary head in training.

Shapes: N images, K classes, h x w cells of the logits, H x W pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.models.base import Forward, Model, check_one_size
from splitnest.models.class_loss import ClassLoss
from splitnest.models.layers.logit_rows import Placed, Rows, best_classes, joined, resized, whole
from splitnest.models.segmentation.ocr_head import OCRHead
from splitnest.models.segmentation.pixel_loss import PixelMiner, pixel_loss
from splitnest.structures import Result, SemanticSegmentation
from splitnest.structures.batch import Batch
from splitnest.structures.categories import Categories
from splitnest.structures.windows import sliding_windows


class Segmentor(Model):
    """Semantic segmentor.

    Args:
        backbone: Backbone that returns the feature maps of the heads.
        decode_head: Head that returns the logits ``[N, K, h, w]``.
        auxiliary_head: Head of the auxiliary loss, whose logits are the object regions of an ``OCRHead``; or None.
        categories: Classes.
        window: Crop size (height, width) of sliding-window inference; None processes the whole image.
        stride: Stride (vertical, horizontal) of the sliding window in pixels; None uses the window size.
        auxiliary_weight: Weight of the auxiliary loss.
        ohem: Online hard example mining of pixels; None uses all pixels.
        align_corners: Whether resizing of logits maps the corner cells to the corner pixels.
        class_weights: Weight of each class in the losses; None weighs all the same.
        class_loss: Loss of each labeled pixel; None for the cross entropy.
    """

    output_names = ("logits",)

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
        ohem: PixelMiner | None = None,
        align_corners: bool = False,
        class_weights: Sequence[float] | None = None,
        class_loss: ClassLoss | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.decode_head, self.auxiliary_head = backbone, decode_head, auxiliary_head
        self.categories, self.window, self.stride = categories, window, stride or window
        self.auxiliary_weight, self.ohem = auxiliary_weight, ohem
        self.align_corners, self.class_weights, self.class_loss = align_corners, class_weights, class_loss

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``[N, K, H, W]`` of normalized images ``[N, 3, H, W]``."""
        size, logits = images.shape[-2:], self.logits(images)
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=self.align_corners)

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits ``[N, K, h, w]`` at the resolution of the decode head."""
        return self._decode(self.backbone(images))

    def predict(self, batch: Batch) -> list[Result]:
        """Return the class of each pixel of the original images; all images have one size.

        Raises:
            ValueError: The images have different sizes.
        """
        return self.predict_with(self.logits, batch)

    def predict_with(self, forward: Forward, batch: Batch) -> list[Result]:
        """Return the class of each pixel of the original images.

        Args:
            forward: Function that returns logits of any resolution.
            batch: Images of one size.
        """
        check_one_size(batch, "segmentor")
        views = self.rows(batch.images, forward)
        return [self.to_result([rows], size) for rows, size in zip(views, batch.original_sizes, strict=True)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss_decode`` and, with an auxiliary head, ``loss_auxiliary``.

        Raises:
            ValueError: The batch has no ground truth.
        """
        if batch.semantic is None:
            raise ValueError("the batch has no semantic labels, the ground truth of the loss")
        features = self.backbone(batch.images)
        rules: dict[str, Any] = {
            "ohem": self.ohem,
            "align_corners": self.align_corners,
            "class_weights": self.class_weights,
            "class_loss": self.class_loss,
        }
        auxiliary = None if self.auxiliary_head is None else self.auxiliary_head(features)
        logits = self._decode(features, auxiliary)
        losses = {"loss_decode": pixel_loss(logits, batch.semantic, **rules)}
        if auxiliary is not None:
            loss = pixel_loss(auxiliary, batch.semantic, **rules)
            losses["loss_auxiliary"] = self.auxiliary_weight * loss
        return losses

    def _decode(self, features: Mapping[str, Tensor], auxiliary: Tensor | None = None) -> Tensor:
        """Return the logits of the decode head; those of the auxiliary head are computed if needed and not given."""
        if not isinstance(self.decode_head, OCRHead):
            return self.decode_head(features)
        if auxiliary is None:
            assert self.auxiliary_head is not None
            auxiliary = self.auxiliary_head(features)
        return self.decode_head(features, auxiliary)

    def rows(self, images: Tensor, logits: Callable[[Tensor], Tensor] | None = None) -> list[Rows]:
        """Return the logits of each of ``images`` ``[N, 3, H, W]`` at their size, computed a few rows at a time.

        Args:
            images: Normalized images.
            logits: Function from images to logits; None uses ``self.logits``.
        """
        compute = logits or self.logits
        size = images.shape[2], images.shape[3]
        if self.window is None or (self.window[0] >= size[0] and self.window[1] >= size[1]):
            return [self.resized(whole(of_image), size) for of_image in compute(images)]
        parts: list[list[Placed]] = [[] for _ in images]
        for top, left, height, width in sliding_windows(size, self.window, self.stride or self.window):
            crops = images[..., top : top + height, left : left + width]
            for placed, of_image in zip(parts, compute(crops), strict=True):
                placed.append(Placed(self.resized(whole(of_image), (height, width)), top, left))
        return [joined(placed, size) for placed in parts]

    def resized(self, rows: Rows, size_hw: tuple[int, int]) -> Rows:
        """Return logits resized bilinearly to this height and width."""
        return resized(rows, size_hw, align_corners=self.align_corners)

    def to_result(self, views: Sequence[Rows], size_hw: tuple[int, int]) -> SemanticSegmentation:
        """Return the best class of each pixel of an original image.

        Args:
            views: Logits of one or several views of the image.
            size_hw: (height, width) of the original image.
        """
        labels = best_classes([self.resized(view, size_hw) for view in views]).cpu().numpy()
        dtype: np.dtype = SemanticSegmentation.label_dtype(self.categories)
        return SemanticSegmentation(labels.astype(dtype), image_size=size_hw, categories=self.categories)

    @property
    def layer_parts(self) -> list[nn.Module]:
        """Backbone, decode head and, if that needs it, the auxiliary head."""
        parts = [self.backbone, self.decode_head]
        if isinstance(self.decode_head, OCRHead) and self.auxiliary_head is not None:
            parts.append(self.auxiliary_head)
        return parts

    def run_training_layers(self, images: Tensor) -> None:
        """Run the losses of both heads, without mining, which depends on values and keeps no activations."""
        self.ohem = None
        sizes = ((images.shape[2], images.shape[3]),) * len(images)
        labels = images.new_zeros(len(images), *sizes[0], dtype=torch.uint8)
        self.loss(Batch(images, sizes, sizes, semantic=labels))
