"""Test-time augmentation of semantic segmentation: several sizes and horizontal flips of an image.

The protocol is that of mmsegmentation 0.x (``MultiScaleFlipAug``), by which the published metrics were measured: each
view is resized from the original image, and the class probabilities of all views are averaged at its size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.data.images.normalize import normalize, resize_image
from splitnest.models.layers.logit_rows import Rows, flipped
from splitnest.models.segmentation.segmentor import Segmentor
from splitnest.recipe import SemanticInput
from splitnest.structures import SemanticSegmentation

RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""Ratios of the views to the size limits of the recipe (``img_ratios`` of the published configurations)."""


class SemanticTTA:
    """Semantic segmentation with test-time augmentation.

    For each view only the logits at the resolution of the decode head are stored, 1/64 of its pixels (1/16 for
    DeepLabV3+). Probabilities are computed a few rows at a time, so memory is that of the largest view plus a little
    for each other.

    Args:
        model: Segmentor in evaluation mode.
        input_cfg: Section ``input`` of its recipe.
        ratios: Ratios of the views to the size limits of ``input_cfg``.
        flip: Whether to add the horizontal flip of each view.

    Raises:
        ValueError: There are no ratios.
    """

    def __init__(
        self, model: Segmentor, input_cfg: SemanticInput, ratios: Sequence[float] = RATIOS, *, flip: bool = True
    ) -> None:
        if not ratios:
            raise ValueError("test-time augmentation needs at least one ratio")
        self.model, self.input_cfg, self.ratios, self.flip = model, input_cfg, tuple(ratios), flip

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8], resize: bool = True) -> SemanticSegmentation:
        """Segment an image.

        Args:
            image: uint8 RGB ``[H, W, 3]``.
            resize: Whether the ratios scale the size limits of the recipe; False scales the sides of the image.
        """
        size_hw = image.shape[0], image.shape[1]
        short, long = (self.input_cfg.short_side, self.input_cfg.long_side) if resize else sorted(size_hw)
        views: list[Rows] = []
        for ratio in self.ratios:
            limits = {"short_side": max(1, int(short * ratio)), "long_side": max(1, int(long * ratio))}
            pixels = resize_image(image, self.input_cfg.model_copy(update=limits))
            views.append(self._rows(pixels))
            if self.flip:
                views.append(flipped(self._rows(pixels[:, ::-1])))
        return self.model.to_result(views, size_hw)

    def _rows(self, pixels: NDArray[np.uint8]) -> Rows:
        like = next(self.model.parameters())
        tensor = normalize(pixels, self.input_cfg, torch.promote_types(like.dtype, torch.float32))
        (rows,) = self.model.rows(tensor[None].to(like.device, like.dtype))
        return rows
