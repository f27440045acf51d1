"""From a photograph to what a network takes at evaluation: crop or resize, then normalise."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splitnest.data.resize import fit_size, resize_opencv, resize_pillow
from splitnest.recipe.inputs import ClassificationInput, DetectionInput, Input, SemanticInput

OFFICIAL_MARGIN = 32
"""The official crop is ``size / (size + 32)`` of the short side (``ECenterCrop`` of the ResNeSt repository)."""


def prepare(
    image: NDArray[np.uint8],
    facts: ClassificationInput | DetectionInput | SemanticInput,
    resize: bool = True,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return one photograph as a network takes it, neither padded nor batched.

    Args:
        image: uint8 RGB ``[H, W, 3]``.
        facts: ``input`` of the network's recipe.
        resize: Crop and resize as the recipe says; False takes the pixels as they are.
        dtype: Of the result, and of its arithmetic.

    Returns:
        ``[3, h, w]``.
    """
    if resize:
        image = crop_centre(image, facts) if isinstance(facts, ClassificationInput) else resize_whole(image, facts)
    return normalise(image, facts, dtype)


def resize_whole(image: NDArray[np.uint8], facts: DetectionInput | SemanticInput) -> NDArray[np.uint8]:
    """Resize a photograph ``[H, W, 3]`` to the limits of a network, by its source's rule and filter."""
    size_hw = fit_size((image.shape[0], image.shape[1]), facts.short_side, facts.long_side, facts.resize)
    return resize_opencv(image, size_hw) if facts.resize == "opencv" else resize_pillow(image, size_hw)


def crop_centre(image: NDArray[np.uint8], facts: ClassificationInput) -> NDArray[np.uint8]:
    """Return the square ``[size, size, 3]`` at the centre of a photograph, by its source's rule and filter."""
    crop = _crop_official if facts.crop == "official" else _crop_timm
    return crop(image, facts)


def normalise(image: NDArray[np.uint8], facts: Input, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the pixels, uint8 RGB ``[H, W, 3]``, as ``[3, H, W]`` in the network's order of channels.

    They are divided by 255 where ``pixel_range`` is 1, then ``(pixel - mean) / std``, as torchvision, mmdetection and
    detectron2 compute it. It is all done in ``dtype``: gradients of deep backbones in float64 show, in the second
    digit, an input that was rounded to float32.
    """
    channels = image[..., ::-1] if facts.channels == "BGR" else image
    pixels = torch.from_numpy(channels.transpose(2, 0, 1).copy(order="C")).to(dtype)
    if facts.pixel_range == 1:
        pixels /= 255
    kept = torch.float32 if facts.float32_statistics else dtype
    mean, std = (torch.tensor(values, dtype=kept).to(dtype).view(3, 1, 1) for values in (facts.mean, facts.std))
    return pixels.sub_(mean).div_(std)


def _crop_official(image: NDArray[np.uint8], facts: ClassificationInput) -> NDArray[np.uint8]:
    """Crop the centre, then resize it; rounding is half to even, of the near edge first and then of the far one."""
    side = facts.size / (facts.size + OFFICIAL_MARGIN) * min(image.shape[:2])
    (top, bottom), (left, right) = (_centred(length, side) for length in image.shape[:2])
    return resize_pillow(image[top:bottom, left:right], (facts.size, facts.size), facts.interpolation)


def _centred(length: int, side: float) -> tuple[int, int]:
    start = round((length - side) / 2)
    return start, max(start + 1, round(start + side))


def _crop_timm(image: NDArray[np.uint8], facts: ClassificationInput) -> NDArray[np.uint8]:
    """Resize the short side to ``floor(size / crop_fraction)``, then crop the centre, rounding half to even."""
    short = math.floor(facts.size / facts.crop_fraction)
    height, width = image.shape[:2]
    new_height = short if height <= width else int(short * height / width)
    new_width = short if width <= height else int(short * width / height)
    resized = resize_pillow(image, (new_height, new_width), facts.interpolation)
    top, left = round((new_height - facts.size) / 2), round((new_width - facts.size) / 2)
    return resized[top : top + facts.size, left : left + facts.size]
