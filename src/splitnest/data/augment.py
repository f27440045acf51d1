"""Random changes of a photograph and its objects for training: crop, size, mirror image, colour."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from splitnest.data.labelled import Labelled
from splitnest.data.resize import fit_size
from splitnest.recipe.inputs import DetectionInput
from splitnest.recipe.training import DetectionTraining


def augment(labelled: Labelled, facts: DetectionInput, train: DetectionTraining, rng: np.random.Generator) -> Labelled:
    """Crop, resize, mirror and recolour a photograph, in this order.

    Args:
        labelled: The photograph and its objects; objects that are then outside have no area.
        facts: ``input`` of the recipe: whose filter resizes.
        train: ``train`` of the recipe: how much is changed.
        rng: The only source of randomness.
    """
    if train.crop is not None:
        labelled = labelled.cropped(*_window(labelled, train.crop, rng))
    short_side = _short_side(train, rng)
    labelled = labelled.resized(fit_size(labelled.size_hw, short_side, train.long_side, facts.resize), facts.resize)
    if rng.random() < train.flip:
        labelled = labelled.mirrored()
    if train.color_jitter:
        labelled = replace(labelled, pixels=_jitter(labelled.pixels, train.color_jitter, rng))
    return labelled


def _short_side(train: DetectionTraining, rng: np.random.Generator) -> int:
    if train.short_side_sampling == "choice":
        return int(rng.choice(train.short_sides))
    low, high = sorted((train.short_sides[0], train.short_sides[-1]))
    return int(rng.integers(low, high, endpoint=True))


def _window(labelled: Labelled, least: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Return (top, left, height, width) of a random window.

    Each of its sides is a share of the photograph's, uniform from ``least`` to 1. It is placed at random where it lies
    inside the photograph and holds the centre of one object (detectron2 ``gen_crop_transform_with_instance``).
    """
    shares = rng.uniform(least, 1, 2).tolist()
    sides = [max(1, int(side * share + 0.5)) for side, share in zip(labelled.size_hw, shares, strict=True)]
    centre_yx = None
    if len(labelled):
        x1, y1, x2, y2 = labelled.boxes[rng.integers(len(labelled))].tolist()
        centre_yx = ((y1 + y2) / 2, (x1 + x2) / 2)
    starts = []
    for axis, (whole, side) in enumerate(zip(labelled.size_hw, sides, strict=True)):
        low, high = 0, whole - side
        if centre_yx is not None:
            low = max(low, int(np.floor(centre_yx[axis])) - side)
            high = min(high, int(np.ceil(centre_yx[axis])))
        starts.append(int(rng.integers(low, high, endpoint=True)))
    return starts[0], starts[1], sides[0], sides[1]


def _jitter(pixels: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change brightness, contrast and saturation in random order, each by a factor around 1 (torchvision ColorJitter).

    Args:
        pixels: uint8 RGB ``[H, W, 3]``.
        strength: Factors are uniform from ``1 - strength`` to ``1 + strength``.
        rng: Source of randomness.
    """
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    adjustments = (F.adjust_brightness, _adjust_contrast, F.adjust_saturation)
    factors = rng.uniform(1 - strength, 1 + strength, len(adjustments)).tolist()
    for which in rng.permutation(len(adjustments)).tolist():
        image = adjustments[which](image, factors[which])
    return image.permute(1, 2, 0).numpy()


def _adjust_contrast(image: Tensor, factor: float) -> Tensor:
    """Scale the distance of all pixels, uint8 ``[3, H, W]``, from their mean grey.

    torchvision's sums greys as float32, which depends on the number of threads; a sum of integers does not.
    """
    grey = F.rgb_to_grayscale(image)
    mean = int(grey.sum(dtype=torch.int64)) / grey.numel()
    return (factor * image + (1 - factor) * mean).clamp(0, 255).to(torch.uint8)
