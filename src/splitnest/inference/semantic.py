"""Test-time augmentation of a segmentor: several sizes and mirror images of a photograph, one segmentation.

The protocol is that of mmsegmentation 0.x (``MultiScaleFlipAug``), by which the published numbers were measured: each
view is resized from the photograph itself, and the scores of all views are averaged at the photograph's size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.data.transforms import normalise, resize_whole
from splitnest.layers.rows import Rows, mirrored
from splitnest.recipe import SemanticInput
from splitnest.results import SemanticSegmentation
from splitnest.segmentation.segmentor import Segmentor

RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""Of the published limits of an image (``img_ratios`` of the published configurations)."""


class SemanticTTA:
    """Segments with test-time augmentation.

    Of each view the logits at the network's own resolution are kept, a 64th of its pixels, of DeepLabV3+ a 16th; scores
    are made a few rows at a time. So memory is that of the largest view, and a little for each other.

    Args:
        model: In evaluation mode.
        facts: ``input`` of its recipe.
        ratios: Of the views: the limits of ``facts`` times each of them.
        flip: Also take the mirror image of each view.

    Raises:
        ValueError: There are no views.
    """

    def __init__(
        self, model: Segmentor, facts: SemanticInput, ratios: Sequence[float] = RATIOS, *, flip: bool = True
    ) -> None:
        if not ratios:
            raise ValueError("no ratios are no views")
        self.model, self.facts, self.ratios, self.flip = model, facts, tuple(ratios), flip

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8], resize: bool = True) -> SemanticSegmentation:
        """Segment a photograph.

        Args:
            image: uint8 RGB ``[H, W, 3]``.
            resize: Views are of the sizes that the recipe says; False takes the photograph's own sides for its limits.
        """
        size = image.shape[0], image.shape[1]
        short, long = (self.facts.short_side, self.facts.long_side) if resize else sorted(size)
        views: list[Rows] = []
        for ratio in self.ratios:
            limits = {"short_side": max(1, int(short * ratio)), "long_side": max(1, int(long * ratio))}
            pixels = resize_whole(image, self.facts.model_copy(update=limits))
            views.append(self._rows(pixels))
            if self.flip:
                views.append(mirrored(self._rows(pixels[:, ::-1])))
        return self.model.result(views, size)

    def _rows(self, pixels: NDArray[np.uint8]) -> Rows:
        like = next(self.model.parameters())
        tensor = normalise(pixels, self.facts, torch.promote_types(like.dtype, torch.float32))
        (rows,) = self.model.rows(tensor[None].to(like.device, like.dtype))
        return rows
