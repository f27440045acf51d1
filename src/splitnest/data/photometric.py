"""SSD's random changes of colour, as mmsegmentation makes them (``PhotoMetricDistortion``): 8 bits after each."""

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import functional as F

MAX_BRIGHTNESS = 32.0
"""Grey levels that are added or taken away."""

FACTORS = 0.5, 1.5
"""Of contrast, and of saturation."""

MAX_HUE = 18
"""In OpenCV's unit, of which a full circle has 180."""


def distort(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change brightness, contrast, saturation and hue, each with probability 1/2; contrast second or last.

    Args:
        pixels: uint8 RGB ``[H, W, 3]``, never changed.
        rng: The only source of randomness.
    """
    if _coin(rng):
        pixels = levels(1, rng.uniform(-MAX_BRIGHTNESS, MAX_BRIGHTNESS))[pixels]
    contrast_last = _coin(rng)
    if not contrast_last and _coin(rng):
        pixels = levels(rng.uniform(*FACTORS))[pixels]
    if _coin(rng):
        pixels = saturate(pixels, levels(rng.uniform(*FACTORS)))
    if _coin(rng):
        pixels = rotate_hue(pixels, int(rng.integers(-MAX_HUE, MAX_HUE)))  # without the upper end, as there
    if contrast_last and _coin(rng):
        pixels = levels(rng.uniform(*FACTORS))[pixels]
    return pixels


def _coin(rng: np.random.Generator) -> bool:
    return bool(rng.integers(2))


def levels(factor: float, offset: float = 0) -> NDArray[np.uint8]:
    """Return what becomes of each grey level, ``[256]``; fractions are dropped, as there."""
    return np.clip(np.arange(256, dtype=np.float32) * factor + offset, 0, 255).astype(np.uint8)


def saturate(pixels: NDArray[np.uint8], levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Change the saturation in HSV, where it has 8 bits: the distances of channels from the largest one grow or shrink.

    Args:
        pixels: uint8 RGB ``[H, W, 3]``.
        levels: What becomes of each saturation, ``[256]``.
    """
    value = pixels.max(axis=2)
    span = value - pixels.min(axis=2)
    saturation = np.rint(span * (np.float32(255) / np.maximum(value, 1))).astype(np.uint8)
    scale = levels[saturation].astype(np.float32) / np.maximum(saturation, 1)
    largest = value[..., None].astype(np.float32)
    return np.rint(largest - (largest - pixels) * scale[..., None]).clip(0, 255).astype(np.uint8)


def rotate_hue(pixels: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Turn the hue of uint8 RGB ``[H, W, 3]`` by ``step`` of 180 parts of the circle."""
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
    return F.adjust_hue(image, step / 180).permute(1, 2, 0).numpy()
