"""Entries of ``train.augment``: augmentations besides those that a task has keys for, in the order of the list.

``type`` is the name in snake case of a transform of torchvision v2, whose arguments are the other keys, or of one of
the augmentations of several images here. The name of a type alone stands for its defaults:
``augment: [large_scale_jitter, copy_paste]``.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, model_validator

from splitnest.recipe.base import Section
from splitnest.recipe.limits import Side

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveRange = tuple[PositiveFloat, PositiveFloat]


class Augmentation(Section):
    """Fields of every augmentation.

    Attributes:
        type: Name of the augmentation.
        p: Probability with which an image is augmented.
    """

    ranges: ClassVar[tuple[str, ...]] = ()
    """Fields with a minimum and a maximum."""

    type: str
    p: Fraction = 0.5

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        for name in self.ranges:
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} [{low:g}, {high:g}]: give the minimum first")
        return self


class ColorJitter(Augmentation):
    """Random brightness, contrast, saturation and hue.

    Attributes:
        brightness, contrast, saturation: Half of the range of the factor, which is uniform around 1.
        hue: Half of the range of the shift, as a fraction of the color circle.
    """

    type: Literal["color_jitter"] = "color_jitter"
    brightness: Fraction = 0.4
    contrast: Fraction = 0.4
    saturation: Fraction = 0.4
    hue: float = Field(0.0, ge=0, le=0.5)


class GaussianBlur(Augmentation):
    """Gaussian blur.

    Attributes:
        kernel_size: Side of the kernel in pixels, odd.
        sigma: Minimum and maximum standard deviation in pixels.
    """

    ranges = ("sigma",)
    type: Literal["gaussian_blur"] = "gaussian_blur"
    kernel_size: Annotated[int, Field(ge=1, le=101)] = 5
    sigma: PositiveRange = (0.1, 2.0)

    @model_validator(mode="after")
    def _check_kernel_size(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} is even. Give an odd one")
        return self


class GaussianNoise(Augmentation):
    """Gaussian noise of each pixel and channel.

    Attributes:
        sigma: Standard deviation, as a fraction of the range of pixel values.
    """

    type: Literal["gaussian_noise"] = "gaussian_noise"
    sigma: Fraction = 0.05


class RandomGrayscale(Augmentation):
    """Conversion to gray."""

    type: Literal["random_grayscale"] = "random_grayscale"


class RandomPosterize(Augmentation):
    """Reduction of the bits of each channel.

    Attributes:
        bits: Number of bits that are kept.
    """

    type: Literal["random_posterize"] = "random_posterize"
    bits: Annotated[int, Field(ge=1, le=8)] = 4


class RandomSolarize(Augmentation):
    """Inversion of bright pixel values.

    Attributes:
        threshold: Minimum value that is inverted, from 0 to 255.
    """

    type: Literal["random_solarize"] = "random_solarize"
    threshold: float = Field(128.0, ge=0, le=255)


class RandomAutocontrast(Augmentation):
    """Stretching of each channel to the whole range of values."""

    type: Literal["random_autocontrast"] = "random_autocontrast"


class RandomEqualize(Augmentation):
    """Histogram equalization of each channel."""

    type: Literal["random_equalize"] = "random_equalize"


class RandomInvert(Augmentation):
    """Inversion of all pixel values."""

    type: Literal["random_invert"] = "random_invert"


class RandomAdjustSharpness(Augmentation):
    """Sharpening or smoothing.

    Attributes:
        sharpness_factor: 0 smooths, 1 keeps the image, 2 sharpens.
    """

    type: Literal["random_adjust_sharpness"] = "random_adjust_sharpness"
    sharpness_factor: float = Field(2.0, ge=0, le=100)


class RandomErasing(Augmentation):
    """Random erasing (Zhong et al. 2017): a random rectangle gets one value. Ground truth is not changed.

    Attributes:
        scale: Minimum and maximum area of the rectangle, as a fraction of the image.
        ratio: Minimum and maximum aspect ratio of the rectangle.
        value: Value of the erased pixels, from 0 to 255.
    """

    ranges = ("scale", "ratio")
    type: Literal["random_erasing"] = "random_erasing"
    scale: tuple[Fraction, Fraction] = (0.02, 0.33)
    ratio: PositiveRange = (0.3, 3.3)
    value: float = Field(0.0, ge=0, le=255)


class RandomAffine(Augmentation):
    """Random rotation, shift, scale and shear around the center of the image.

    Attributes:
        degrees: Maximum rotation in degrees, in both directions.
        translate: Maximum shift along x and y, as a fraction of the width and height.
        scale: Minimum and maximum scale.
        shear: Maximum shear in degrees along x, in both directions.
    """

    ranges = ("scale",)
    type: Literal["random_affine"] = "random_affine"
    degrees: float = Field(10.0, ge=0, le=180)
    translate: tuple[Fraction, Fraction] = (0.1, 0.1)
    scale: PositiveRange = (0.9, 1.1)
    shear: float = Field(0.0, ge=0, lt=90)


class RandomPerspective(Augmentation):
    """Random perspective transform.

    Attributes:
        distortion_scale: Maximum shift of the corners, as a fraction of half of the sides.
    """

    type: Literal["random_perspective"] = "random_perspective"
    distortion_scale: Fraction = 0.3


class RandomVerticalFlip(Augmentation):
    """Vertical flip."""

    type: Literal["random_vertical_flip"] = "random_vertical_flip"


class LargeScaleJitter(Augmentation):
    """Large-scale jitter (Ghiasi et al. 2021): a random resize, then a crop or padding to the size before it.

    Attributes:
        scale: Minimum and maximum factor of the resize.
    """

    ranges = ("scale",)
    type: Literal["large_scale_jitter"] = "large_scale_jitter"
    p: Fraction = 1.0
    scale: tuple[Annotated[float, Field(ge=0.01, le=10)], Annotated[float, Field(ge=0.01, le=10)]] = (0.1, 2.0)


class CopyPaste(Augmentation):
    """Copy-paste (Ghiasi et al. 2021): a random subset of the instances of a second image is pasted, without blending.

    Attributes:
        min_instances, max_instances: Minimum and maximum number of instances that are pasted.
        placement: ``random`` flips the second image at random and moves it to a random place; ``same`` does not, as
            where both images were cropped and flipped before (mmdetection).
        min_visible: Number of pixels; an instance ends if no more of it remain visible, and its box moves.
        max_box_shift: Maximum shift of each side of its box in pixels with which such an instance remains; one without
            visible pixels ends.
    """

    type: Literal["copy_paste"] = "copy_paste"
    min_instances: Annotated[int, Field(ge=0, le=1000)] = 1
    max_instances: Annotated[int, Field(ge=1, le=1000)] = 100
    placement: Literal["random", "same"] = "random"
    min_visible: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    max_box_shift: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _check_instances(self) -> Self:
        if self.min_instances > self.max_instances:
            raise ValueError(f"min_instances {self.min_instances} is more than max_instances {self.max_instances}")
        return self


class Pad(Augmentation):
    """Padding at the right and bottom to a minimum size.

    Attributes:
        size: Minimum height and width in pixels.
        value: Value of the padding, from 0 to 255.
    """

    type: Literal["pad"] = "pad"
    p: Fraction = 1.0
    size: tuple[Side, Side]
    value: float = Field(0.0, ge=0, le=255)


class Mosaic(Augmentation):
    """Mosaic (Bochkovskiy et al. 2020): four images in tiles around a random center, each covers its tile.

    Attributes:
        center: Minimum and maximum position of the center, as a fraction of each side.
    """

    ranges = ("center",)
    type: Literal["mosaic"] = "mosaic"
    center: tuple[Annotated[float, Field(gt=0, lt=1)], Annotated[float, Field(gt=0, lt=1)]] = (0.25, 0.75)


def _from_name(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


def _checked_list(entries: Sequence[Augmentation]) -> Sequence[Augmentation]:
    names = Counter(entry.type for entry in entries)
    for name, count in names.items():
        if count > 1:
            raise ValueError(f"{name} is listed {count} times. List it once")
    return entries


_ByName = (Field(discriminator="type"), BeforeValidator(_from_name))
_Pixels = (
    ColorJitter
    | GaussianBlur
    | GaussianNoise
    | RandomGrayscale
    | RandomPosterize
    | RandomSolarize
    | RandomAutocontrast
    | RandomEqualize
    | RandomInvert
    | RandomAdjustSharpness
    | RandomErasing
)
_Geometry = RandomAffine | RandomPerspective

PoseAugmentation = Annotated[_Pixels | _Geometry, *_ByName]
"""Augmentations of crops of persons: a mirror image would swap left and right keypoints."""

ClassificationAugmentation = Annotated[_Pixels | _Geometry | RandomVerticalFlip, *_ByName]
SemanticAugmentation = Annotated[_Pixels | _Geometry | RandomVerticalFlip | LargeScaleJitter | Mosaic, *_ByName]
DetectionAugmentation = Annotated[
    _Pixels | _Geometry | RandomVerticalFlip | LargeScaleJitter | Mosaic | CopyPaste | Pad, *_ByName
]
Once = AfterValidator(_checked_list)
"""Validator of a list of augmentations, each of which occurs once."""
