"""What a network is given: size, crop or resize, statistics."""

from typing import ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from splitnest.recipe.strict import Strict

Triple = tuple[float, float, float]
PositiveTriple = tuple[PositiveFloat, PositiveFloat, PositiveFloat]


class Input(Strict):
    """What a network was trained to see.

    Attributes:
        mean, std: Statistics in the order of the channels that the network takes, in the unit of ``pixel_range``.
        float32_statistics: They are rounded to float32 even where pixels are float64: gradients of deep backbones show
            it in the third digit.
        channels: Order of the channels that the network takes.
        pixel_range: Largest pixel value: 255, or 1 where pixels are divided by 255 first.
    """

    mean: Triple
    std: PositiveTriple
    float32_statistics: ClassVar[bool] = False
    channels: Literal["RGB", "BGR"] = "RGB"
    pixel_range: Literal[1, 255] = 255


class ClassificationInput(Input):
    """A square centre crop.

    Attributes:
        size: Side of the network's input in pixels.
        crop: ``official`` crops ``short * size / (size + 32)`` pixels and resizes; ``timm`` resizes the short side to
            ``floor(size / crop_fraction)`` and crops.
        crop_fraction: timm's crop percentage.
        interpolation: Pillow's filter.
    """

    size: PositiveInt
    crop: Literal["official", "timm"] = "official"
    crop_fraction: float = Field(0.875, gt=0, le=1)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"


class DetectionInput(Input):
    """The whole photograph, resized so that neither limit is passed, padded at the right and below.

    Attributes:
        short_side, long_side: Limits in pixels.
        resize: Whose bilinear filter: OpenCV's (no antialias) or Pillow's.
        divisor: Height and width are padded with zeros to a multiple of it, after normalisation.
    """

    short_side: PositiveInt = 800
    long_side: PositiveInt = 1333
    resize: Literal["opencv", "pillow"] = "opencv"
    divisor: PositiveInt = 32


class SemanticInput(Input):
    """The whole photograph, resized with OpenCV's bilinear filter so that neither limit is passed; not padded.

    Attributes:
        short_side, long_side: Limits in pixels.
        window: Height and width of the parts that a larger image is seen in, one after the other; None for the whole
            at once.
        stride: Pixels from one such part to the next, down and right; None for their size. Where they overlap, they
            are averaged.
    """

    float32_statistics: ClassVar[bool] = True  # the recordings of mmsegmentation, whose preprocessor holds them so
    short_side: PositiveInt
    long_side: PositiveInt = 2048
    window: tuple[PositiveInt, PositiveInt] | None = None
    stride: tuple[PositiveInt, PositiveInt] | None = None

    @model_validator(mode="after")
    def _windows_leave_no_gaps(self) -> Self:
        if self.stride is None:
            return self
        if self.window is None:
            raise ValueError("stride is from one window to the next: give window, too")
        if any(step > side for step, side in zip(self.stride, self.window, strict=True)):
            raise ValueError(
                f"stride {self.stride} is larger than window {self.window}: pixels between would be left out"
            )
        return self

    @property
    def resize(self) -> Literal["opencv"]:
        """Whose bilinear filter."""
        return "opencv"


class PoseInput(Input):
    """An affine crop around each person.

    Attributes:
        height, width: Size of the network's input in pixels.
        padding: Factor by which a person's box is widened.
        flip_test: Average the heatmaps of a crop and of its mirror image, as for the published numbers.
        shift_heatmap: Move those of the mirror image by a cell first, as for the published numbers.
    """

    float32_statistics: ClassVar[bool] = True  # the recordings of mmpose, whose preprocessor holds them so
    height: int = Field(ge=32, multiple_of=32)
    width: int = Field(ge=32, multiple_of=32)
    padding: float = Field(1.25, ge=1)
    flip_test: bool = True
    shift_heatmap: bool = True
