"""Preprocessing of evaluation images: crop or resize, then normalization."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splitnest.data.images.resize import fit_size, resize_opencv, resize_pillow
from splitnest.recipe.inputs import ClassificationInput, DetectionInput, Input, SemanticInput

OFFICIAL_MARGIN = 32
"""The official crop is ``size / (size + 32)`` of the short side (``ECenterCrop`` of the ResNeSt repository)."""


def resize_image(image: NDArray[np.uint8], input_cfg: DetectionInput | SemanticInput) -> NDArray[np.uint8]:
    """Resize an image ``[H, W, 3]`` to the size limits of a network, with the rounding and filter of its code base."""
    size_hw = (image.shape[0], image.shape[1])
    size_hw = fit_size(size_hw, input_cfg.short_side, input_cfg.long_side, input_cfg.resize)
    return resize_opencv(image, size_hw) if input_cfg.resize == "opencv" else resize_pillow(image, size_hw)


def center_crop(image: NDArray[np.uint8], input_cfg: ClassificationInput) -> NDArray[np.uint8]:
    """Return the center crop ``[size, size, 3]`` of an image, with the rounding and filter of its code base."""
    crop = _official_crop if input_cfg.crop == "official" else _timm_crop
    return crop(image, input_cfg)


def crop_box(size_hw: tuple[int, int], input_cfg: ClassificationInput) -> tuple[float, float, float, float]:
    """Return the box that ``center_crop`` cuts out of an image of this height and width, xyxy in its pixels."""
    if input_cfg.crop == "official":
        (top, bottom), (left, right) = _official_sides(size_hw, input_cfg)
        return left, top, right, bottom
    (height, width), (top, left) = _timm_sides(size_hw, input_cfg)
    down, across = size_hw[0] / height, size_hw[1] / width
    return left * across, top * down, (left + input_cfg.size) * across, (top + input_cfg.size) * down


def normalize(image: NDArray[np.uint8], input_cfg: Input, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return normalized pixels ``[3, H, W]`` in the channel order of the network.

    Pixels are divided by 255 where ``pixel_range`` is 1, then ``(pixel - mean) / std``, as torchvision, mmdetection and
    detectron2 compute it.

    Args:
        image: uint8 RGB ``[H, W, 3]``.
        input_cfg: Section ``input`` of the recipe.
        dtype: Type of the result and of its arithmetic. Gradients of deep backbones in float64 differ in the second
            digit if the input was rounded to float32.
    """
    channels = image[..., ::-1] if input_cfg.channels == "BGR" else image
    pixels = torch.from_numpy(channels.transpose(2, 0, 1).copy(order="C")).to(dtype)
    if input_cfg.pixel_range == 1:
        pixels /= 255
    stored = torch.float32 if input_cfg.float32_statistics else dtype
    statistics = (input_cfg.mean, input_cfg.std)
    mean, std = (torch.tensor(values, dtype=stored).to(dtype).view(3, 1, 1) for values in statistics)
    return pixels.sub_(mean).div_(std)


def denormalize(image: Tensor, input_cfg: Input) -> NDArray[np.uint8]:
    """Return the pixels, uint8 RGB ``[H, W, 3]``, of a normalized image ``[3, H, W]``, rounded and clipped.

    Args:
        image: Image as ``normalize`` returns it.
        input_cfg: Section ``input`` of the recipe.
    """
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (input_cfg.mean, input_cfg.std))
    pixels = (image.float().cpu() * std + mean) * (255 / input_cfg.pixel_range)
    array: NDArray[np.uint8] = pixels.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    return np.ascontiguousarray(array[..., ::-1] if input_cfg.channels == "BGR" else array)


def mean_color(input_cfg: Input) -> tuple[int, int, int]:
    """Return the RGB color from 0 to 255 that is nearest to zero after normalization."""
    r, g, b = denormalize(torch.zeros(3, 1, 1), input_cfg)[0, 0].tolist()
    return r, g, b


def _official_crop(image: NDArray[np.uint8], input_cfg: ClassificationInput) -> NDArray[np.uint8]:
    """Crop the center, then resize."""
    (top, bottom), (left, right) = _official_sides((image.shape[0], image.shape[1]), input_cfg)
    return resize_pillow(image[top:bottom, left:right], (input_cfg.size, input_cfg.size), input_cfg.interpolation)


def _official_sides(
    size_hw: tuple[int, int], input_cfg: ClassificationInput
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return rows and columns of the crop; its start and then its end are rounded half to even."""
    side = input_cfg.size / (input_cfg.size + OFFICIAL_MARGIN) * min(size_hw)
    return _centered(size_hw[0], side), _centered(size_hw[1], side)


def _centered(length: int, side: float) -> tuple[int, int]:
    start = round((length - side) / 2)
    return start, max(start + 1, round(start + side))


def _timm_crop(image: NDArray[np.uint8], input_cfg: ClassificationInput) -> NDArray[np.uint8]:
    """Resize, then crop the center."""
    size_hw, (top, left) = _timm_sides((image.shape[0], image.shape[1]), input_cfg)
    resized = resize_pillow(image, size_hw, input_cfg.interpolation)
    return resized[top : top + input_cfg.size, left : left + input_cfg.size]


def _timm_sides(size_hw: tuple[int, int], input_cfg: ClassificationInput) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size to resize to, whose short side is ``floor(size / crop_fraction)``, and the crop's corner.

    The corner is rounded half to even.
    """
    short = math.floor(input_cfg.size / input_cfg.crop_fraction)
    height, width = size_hw
    new_height = short if height <= width else int(short * height / width)
    new_width = short if width <= height else int(short * width / height)
    corner = round((new_height - input_cfg.size) / 2), round((new_width - input_cfg.size) / 2)
    return (new_height, new_width), corner
