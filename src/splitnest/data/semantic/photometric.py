"""Photometric distortion of SSD as mmsegmentation implements it (``PhotoMetricDistortion``), in 8 bits throughout."""

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import functional as F

MAX_BRIGHTNESS = 32.0
"""Maximum change of brightness in gray levels."""

FACTORS = 0.5, 1.5
"""Range of the factors of contrast and saturation."""

MAX_HUE = 18
"""Maximum change of hue in OpenCV's unit, of which a full circle has 180."""


def distort(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Adjust brightness, contrast, saturation and hue, each with probability 1/2; contrast second or last.

    Args:
        pixels: uint8 RGB ``[H, W, 3]``, never changed.
        rng: Random generator.
    """
    if _coin(rng):
        pixels = level_table(1, rng.uniform(-MAX_BRIGHTNESS, MAX_BRIGHTNESS))[pixels]
    contrast_last = _coin(rng)
    if not contrast_last and _coin(rng):
        pixels = level_table(rng.uniform(*FACTORS))[pixels]
    if _coin(rng):
        pixels = adjust_saturation(pixels, level_table(rng.uniform(*FACTORS)))
    if _coin(rng):
        pixels = adjust_hue(pixels, int(rng.integers(-MAX_HUE, MAX_HUE)))  # the upper end is exclusive there too
    if contrast_last and _coin(rng):
        pixels = level_table(rng.uniform(*FACTORS))[pixels]
    return pixels


def _coin(rng: np.random.Generator) -> bool:
    return bool(rng.integers(2))


def level_table(factor: float, offset: float = 0) -> NDArray[np.uint8]:
    """Return ``factor * level + offset`` for each of the 256 levels, clipped and truncated as in mmsegmentation."""
    return np.clip(np.arange(256, dtype=np.float32) * factor + offset, 0, 255).astype(np.uint8)


def adjust_saturation(pixels: NDArray[np.uint8], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Change the saturation in 8-bit HSV: distances of channels from the largest channel are scaled.

    Args:
        pixels: uint8 RGB ``[H, W, 3]``.
        table: New value of each of the 256 saturations.
    """
    value = pixels.max(axis=2)
    span = value - pixels.min(axis=2)
    saturation = np.rint(span * (np.float32(255) / np.maximum(value, 1))).astype(np.uint8)
    scale = table[saturation].astype(np.float32) / np.maximum(saturation, 1)
    largest = value[..., None].astype(np.float32)
    return np.rint(largest - (largest - pixels) * scale[..., None]).clip(0, 255).astype(np.uint8)


def adjust_hue(pixels: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Rotate the hue of uint8 RGB ``[H, W, 3]`` by ``step`` * 2 degrees, as OpenCV's hue has 180 values."""
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
    return F.adjust_hue(image, step / 180).permute(1, 2, 0).numpy()
