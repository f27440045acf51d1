"""Training augmentation of detection: random crops, multi-scale resize, horizontal flip, color jitter."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from splitnest.data.detection.annotated_image import AnnotatedImage
from splitnest.data.images.resize import fit_size
from splitnest.recipe.detection_training import DetectionTraining
from splitnest.recipe.inputs import DetectionInput


def augment(
    image: AnnotatedImage, input_cfg: DetectionInput, train_cfg: DetectionTraining, rng: np.random.Generator
) -> AnnotatedImage:
    """Crop, resize, crop to a size, flip and jitter an image, in this order.

    Args:
        image: Image and its instances; instances outside the crop end without area.
        input_cfg: Section ``input`` of the recipe, which determines the resize filter.
        train_cfg: Section ``train`` of the recipe.
        rng: Random generator.
    """
    if train_cfg.crop is not None:
        image = image.cropped(*_random_window(image, train_cfg.crop, rng))
    short_side = _random_short_side(train_cfg, rng)
    limits = short_side, train_cfg.long_side
    if train_cfg.resize_ratios != (1.0, 1.0):
        ratio = rng.uniform(*train_cfg.resize_ratios)
        limits = max(1, int(short_side * ratio)), max(1, int(train_cfg.long_side * ratio))
    image = image.resized(fit_size(image.size_hw, *limits, input_cfg.resize), input_cfg.resize)
    if train_cfg.crop_size is not None:
        height, width = (min(sides) for sides in zip(image.size_hw, train_cfg.crop_size, strict=True))
        top, left = (
            int(rng.integers(full - part + 1)) for full, part in zip(image.size_hw, (height, width), strict=True)
        )
        image = image.cropped(top, left, height, width)
    if rng.random() < train_cfg.flip:
        image = image.flipped()
    if train_cfg.color_jitter:
        image = replace(image, pixels=_jitter(image.pixels, train_cfg.color_jitter, rng))
    return image


def _random_short_side(train_cfg: DetectionTraining, rng: np.random.Generator) -> int:
    if train_cfg.short_side_sampling == "choice":
        return int(rng.choice(train_cfg.short_sides))
    low, high = sorted((train_cfg.short_sides[0], train_cfg.short_sides[-1]))
    return int(rng.integers(low, high, endpoint=True))


def _random_window(image: AnnotatedImage, min_fraction: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Return (top, left, height, width) of a random crop window inside the image.

    Each side is a fraction of the image's, uniform from ``min_fraction`` to 1. The window contains the center of a
    random instance (detectron2 ``gen_crop_transform_with_instance``).
    """
    fractions = rng.uniform(min_fraction, 1, 2).tolist()
    sides = [max(1, int(side * fraction + 0.5)) for side, fraction in zip(image.size_hw, fractions, strict=True)]
    center_yx = None
    if len(image):
        x1, y1, x2, y2 = image.boxes[rng.integers(len(image))].tolist()
        center_yx = ((y1 + y2) / 2, (x1 + x2) / 2)
    starts = []
    for axis, (full, side) in enumerate(zip(image.size_hw, sides, strict=True)):
        low, high = 0, full - side
        if center_yx is not None:
            low = max(low, int(np.floor(center_yx[axis])) - side)
            high = min(high, int(np.ceil(center_yx[axis])))
        starts.append(int(rng.integers(low, high, endpoint=True)))
    return starts[0], starts[1], sides[0], sides[1]


def _jitter(pixels: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Adjust brightness, contrast and saturation in random order, each by a random factor (torchvision ColorJitter).

    Args:
        pixels: uint8 RGB ``[H, W, 3]``.
        strength: Half of the range of the factors, which are uniform from ``1 - strength`` to ``1 + strength``.
        rng: Random generator.
    """
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    adjustments = (F.adjust_brightness, _adjust_contrast, F.adjust_saturation)
    factors = rng.uniform(1 - strength, 1 + strength, len(adjustments)).tolist()
    for index in rng.permutation(len(adjustments)).tolist():
        image = adjustments[index](image, factors[index])
    return image.permute(1, 2, 0).numpy()


def _adjust_contrast(image: Tensor, factor: float) -> Tensor:
    """Scale the distance of all pixels, uint8 ``[3, H, W]``, from their mean gray level.

    torchvision sums gray levels in float32, whose rounding depends on the number of threads; an integer sum does not.
    """
    gray = F.rgb_to_grayscale(image)
    mean = int(gray.sum(dtype=torch.int64)) / gray.numel()
    return (factor * image + (1 - factor) * mean).clamp(0, 255).to(torch.uint8)
