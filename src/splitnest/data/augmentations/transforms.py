"""Transforms of torchvision v2 by the names of ``train.augment``; no other name is ever looked up."""

from typing import Any

from torchvision import tv_tensors
from torchvision.transforms import v2

from splitnest.data.augmentations.view import Fill
from splitnest.recipe.augmentation import Augmentation

PIXEL_TRANSFORMS: dict[str, type[v2.Transform]] = {
    "color_jitter": v2.ColorJitter,
    "gaussian_blur": v2.GaussianBlur,
    "gaussian_noise": v2.GaussianNoise,
    "random_grayscale": v2.RandomGrayscale,
    "random_posterize": v2.RandomPosterize,
    "random_solarize": v2.RandomSolarize,
    "random_autocontrast": v2.RandomAutocontrast,
    "random_equalize": v2.RandomEqualize,
    "random_invert": v2.RandomInvert,
    "random_adjust_sharpness": v2.RandomAdjustSharpness,
    "random_erasing": v2.RandomErasing,
}
"""Transforms that change pixels only."""

GEOMETRIC_TRANSFORMS: dict[str, type[v2.Transform]] = {
    "random_affine": v2.RandomAffine,
    "random_perspective": v2.RandomPerspective,
    "random_vertical_flip": v2.RandomVerticalFlip,
}
"""Transforms that move pixels and ground truth alike."""

TRANSFORMS = PIXEL_TRANSFORMS | GEOMETRIC_TRANSFORMS

WITH_FILL = ("random_affine", "random_perspective")
"""Transforms that need a color of pixels outside the image."""

OWN_PROBABILITY = (
    *("random_grayscale", "random_posterize", "random_solarize", "random_autocontrast", "random_equalize"),
    *("random_invert", "random_adjust_sharpness", "random_erasing", "random_perspective", "random_vertical_flip"),
)
"""Transforms that draw by a probability themselves."""


def build_transform(augmentation: Augmentation, fill: Fill) -> v2.Transform:
    """Return the transform of an entry of ``train.augment``, without its probability.

    Args:
        augmentation: Entry with the name of a transform of torchvision.
        fill: Color of pixels outside the image.
    """
    arguments: dict[str, Any] = augmentation.model_dump()
    name, _ = arguments.pop("type"), arguments.pop("p")
    if name in OWN_PROBABILITY:
        arguments["p"] = 1.0
    if name in WITH_FILL:
        arguments["fill"] = {tv_tensors.Image: list(fill), "others": 0}
    if name == "random_affine":
        arguments["interpolation"] = v2.InterpolationMode.BILINEAR
    return TRANSFORMS[name](**arguments)
