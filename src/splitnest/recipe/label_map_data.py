"""Data section of a recipe for semantic segmentation: images with label maps."""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from splitnest.recipe.data import SceneData, with_default_format
from splitnest.recipe.file_data import FileData
from splitnest.recipe.keypoints import Color


class LabelMapData(FileData):
    """Images with label maps: PNG files of the same size with the class of each pixel.

    Attributes:
        palette: RGB color of each class index, for drawing; None uses the colors of the class table, or distinct ones.
    """

    palette: tuple[Color, ...] | None = None

    @property
    def num_unlabeled_colors(self) -> int:
        """Number of palette entries behind those of the classes."""
        return 0

    @model_validator(mode="after")
    def _check_palette_size(self) -> Self:
        if self.palette is None:
            return self
        if not 0 <= len(self.palette) - self.num_classes <= self.num_unlabeled_colors:
            raise ValueError(
                f"palette has {len(self.palette)} colors for {self.num_classes} classes: give one for each class, in "
                f"label order, and one more where ignore_label is {self.num_classes}"
            )
        return self


class CityscapesData(LabelMapData):
    """Cityscapes: a folder for each city below ``leftImg8bit/<split>`` and ``gtFine/<split>``."""

    format: Literal["cityscapes"]


class Ade20kData(LabelMapData):
    """ADE20K scene parsing: label maps with 0 for unlabeled pixels and classes from 1."""

    format: Literal["ade20k"]


class LabelMapFolderData(LabelMapData):
    """Folders of images and of label maps with the same file names.

    Attributes:
        label_maps: Pixel values of the label maps: class indices, or the colors of ``palette``.
        ignore_label: Index of unlabeled pixels, besides 255 (65535 from 256 classes on). The palette may list its color
            behind those of the classes.
        ignore_colors: RGB colors of unlabeled pixels, for label maps of colors.
        reduce_zero_label: Whether label maps of indices have 0 for unlabeled pixels and classes from 1.
    """

    format: Literal["folders"]
    label_maps: Literal["indices", "colors"] = "indices"
    ignore_label: int | None = Field(None, ge=0, le=65_535)
    ignore_colors: tuple[Color, ...] = ()
    reduce_zero_label: bool = False

    @model_validator(mode="after")
    def _check_reduce_zero_label(self) -> Self:
        if self.reduce_zero_label and (self.label_maps == "colors" or self.ignore_label is not None):
            raise ValueError("reduce_zero_label is for label_maps indices without an ignore_label")
        return self

    @property
    def num_unlabeled_colors(self) -> int:
        """Number of palette entries behind those of the classes."""
        return int(self.ignore_label == self.num_classes)

    @model_validator(mode="after")
    def _check_colors(self) -> Self:
        if self.label_maps == "indices":
            if self.ignore_colors:
                raise ValueError(
                    "ignore_colors has no effect with label_maps indices: set ignore_label, or label_maps=colors"
                )
            return self
        if self.palette is None:
            raise ValueError("label_maps colors needs the color of each class in palette")
        repeated = [color for color, count in Counter(self.palette).items() if count > 1]
        if repeated:
            raise ValueError(f"palette lists {repeated[0]} more than once")
        if labeled := [color for color in self.ignore_colors if color in self.palette[: self.num_classes]]:
            raise ValueError(f"ignore_colors lists {labeled[0]}, which is the color of a class in palette")
        return self


SemanticData = Annotated[
    CityscapesData | Ade20kData | LabelMapFolderData | SceneData,
    Field(discriminator="format"),
    with_default_format("folders"),
]
