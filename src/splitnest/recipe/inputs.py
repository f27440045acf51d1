"""Input section of a recipe: size, crop or resize rule, and pixel statistics of the network's input."""

from typing import ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from splitnest.recipe.base import Section
from splitnest.recipe.limits import Side

Triple = tuple[float, float, float]
PositiveTriple = tuple[PositiveFloat, PositiveFloat, PositiveFloat]


class Input(Section):
    """Normalization of the network's input.

    Attributes:
        mean, std: Mean and standard deviation of each channel, in the order of ``channels`` and the unit of
            ``pixel_range``.
        channels: Channel order of the network's input.
        pixel_range: Maximum pixel value: 255, or 1 where pixels are divided by 255 first.
        float32_statistics: Whether the statistics are rounded to float32 even for float64 pixels, as the preprocessors
            of mmsegmentation and mmpose hold them. Gradients of deep backbones differ in the third digit otherwise.
    """

    float32_statistics: ClassVar[bool] = False
    mean: Triple
    std: PositiveTriple
    channels: Literal["RGB", "BGR"] = "RGB"
    pixel_range: Literal[1, 255] = 255


class ClassificationInput(Input):
    """Square center crop.

    Attributes:
        size: Side of the input in pixels.
        crop: ``official`` crops ``short_side * size / (size + 32)`` pixels and resizes the crop to ``size``; ``timm``
            resizes the short side to ``floor(size / crop_fraction)`` and crops ``size`` pixels.
        crop_fraction: timm's crop percentage, as a fraction.
        interpolation: Interpolation of Pillow's resize.
    """

    size: Side
    crop: Literal["official", "timm"] = "official"
    crop_fraction: float = Field(0.875, gt=0, le=1)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the network's input in pixels."""
        return self.size, self.size


class DetectionInput(Input):
    """Whole image, resized to the largest size within two limits, and padded at the right and bottom.

    Attributes:
        short_side, long_side: Maximum length of the short and of the long side in pixels.
        resize: Library whose bilinear resize is reproduced: OpenCV (no antialiasing) or Pillow.
        divisor: Height and width are padded with zeros to a multiple of it, after normalization.
    """

    short_side: Side = 800
    long_side: Side = 1333
    resize: Literal["opencv", "pillow"] = "opencv"
    divisor: Side = 32

    @property
    def size_hw(self) -> tuple[int, int]:
        """Nominal height and width of the padded input in pixels."""
        return self.padded(self.short_side), self.padded(self.long_side)

    def padded(self, side: int) -> int:
        """Return a side in pixels rounded up to a multiple of ``divisor``."""
        return -(-side // self.divisor) * self.divisor


class SemanticInput(Input):
    """Whole image, resized with OpenCV's bilinear filter to the largest size within two limits; not padded.

    Attributes:
        short_side, long_side: Maximum length of the short and of the long side in pixels.
        window: Crop size (height, width) of sliding-window inference; None processes the whole image.
        stride: Stride (vertical, horizontal) of the sliding window in pixels; None uses the window size. Logits are
            averaged where windows overlap.
    """

    float32_statistics: ClassVar[bool] = True
    short_side: Side
    long_side: Side = 2048
    window: tuple[Side, Side] | None = None
    stride: tuple[Side, Side] | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Nominal height and width of the network's input in pixels."""
        return self.short_side, self.long_side

    @property
    def resize(self) -> Literal["opencv"]:
        """Library whose bilinear resize is reproduced."""
        return "opencv"

    @model_validator(mode="after")
    def _check_stride(self) -> Self:
        if self.stride is None:
            return self
        if self.window is None:
            raise ValueError("stride is that of the sliding window: set window too")
        if any(step > side for step, side in zip(self.stride, self.window, strict=True)):
            raise ValueError(f"stride {self.stride} is larger than window {self.window}: pixels would be skipped")
        return self


class PoseInput(Input):
    """Affine crop around a person box.

    Attributes:
        height, width: Size of the network's input in pixels.
        padding: Factor by which the sides of the person box are multiplied.
        udp: Whether the crop is that of UDP (Huang et al. 2020): the region reaches from the center of its first pixel
            to that of its last.
        flip_test: Whether the heatmaps of a crop and of its horizontal flip are averaged, as in the published protocol.
        shift_heatmap: Whether the heatmaps of the flipped crop are shifted by one cell, as in the published protocol.
    """

    float32_statistics: ClassVar[bool] = True
    height: int = Field(ge=32, le=32_768, multiple_of=32)
    width: int = Field(ge=32, le=32_768, multiple_of=32)
    padding: float = Field(1.25, gt=0, le=10)
    udp: bool = False
    flip_test: bool = True
    shift_heatmap: bool = True

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the network's input in pixels."""
        return self.height, self.width
