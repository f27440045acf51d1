"""Where the data of a recipe is, and what its classes are."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from splitnest.recipe.keypoints import Color, Keypoints
from splitnest.recipe.strict import Strict

CLASS_TABLES: dict[str, int] = {"imagenet": 1000, "coco": 80, "coco_stuff": 53, "cityscapes": 19, "ade20k": 150}
"""Named class tables and their sizes; the names themselves are in ``splitnest.data.categories``."""


OF_FOLDERS = "folders"
"""Stands for the names of the folders of a classifier's photographs, in their order, until they are known."""


def plain_class(name: str) -> str:
    """Return a class name without what spellings differ in: case, and blanks, underscores and hyphens."""
    return re.sub(r"[\s_-]+", " ", name).strip().lower()


class SceneData(Strict):
    """Drawn scenes in place of photographs.

    Attributes:
        train_count, val_count: Number of scenes.
        height, width: Of a scene in pixels.
        seed: Of the scenes for training; those for validation are drawn with the next one.
    """

    train_count: PositiveInt
    val_count: PositiveInt
    height: int = Field(240, ge=64)
    width: int = Field(320, ge=64)
    seed: int = Field(0, ge=0)


class Data(Strict):
    """Where the data set of a recipe is.

    Attributes:
        root: Folder that the other paths are relative to; None until the user gives it.
        classes: A named table (``imagenet``, ``coco``, ``cityscapes``, ``ade20k``) or the class names in order; of a
            panoptic model those of things; of a classifier also ``folders``, the names of the folders, sorted.
        stuff: Of a panoptic model, its classes without instances: ``coco_stuff``, or their names in order.
        format: Form of the boxes and masks of a detector. ``coco``: a JSON file. ``voc``: the annotations are a list of
            names such as ``ImageSets/Main/test.txt``, the XML files are in ``Annotations``. ``yolo``: the annotations
            are a folder of text files; None takes the one called ``labels`` beside the ``images``. ``scenes``: drawn,
            see ``scenes``; no paths. Of a segmentor: ``cityscapes``, ``ade20k``, or ``folders`` of photographs and of
            label maps of the same names. Of a classifier ``folders``, one for each class;
            or photographs in one folder, and as annotations a list of their names and classes.
        label_maps: Of ``folders``, what the label maps hold: class indices, or the colours of ``palette``.
        palette: Of a segmentor, the colour of each class index, red, green and blue, that results are drawn in; None
            for those of the named table, or distinct ones.
        ignore_label: In ``folders``, the index of pixels without a label, besides 255 (65535 from 256 classes on). The
            palette may have its colour behind those of the classes.
        val_images, val_annotations: Folder of photographs, and annotation file or folder.
        train_images, train_annotations: The same for training.
        val_instances, train_instances: Of panoptic data, a COCO file with the same objects as polygons; None takes them
            from the panoptic segments. The annotations are COCO's panoptic JSON, with a folder of PNG files beside it
            that has its name without ``.json``.
        keypoints: Of a pose estimator: ``coco``, the 17 of a person; or what they are; None takes them from the
            annotation file.
        val_detections: Of a pose estimator, whom it looks at in evaluation: a file of COCO detection results. ``auto``
            takes ``person_detection_results/COCO_val2017_detections_AP_H_56_person.json``, with which the published
            numbers were measured, where it is there, and otherwise the boxes of the ground truth; None takes those.
        scenes: How many scenes are drawn, for that format.
    """

    root: str | None = None
    classes: (
        Literal["imagenet", "coco", "cityscapes", "ade20k", "folders"] | Annotated[tuple[str, ...], Field(min_length=1)]
    )
    stuff: Literal["coco_stuff"] | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    format: Literal["coco", "voc", "yolo", "scenes", "cityscapes", "ade20k", "folders"] = "coco"
    label_maps: Literal["indices", "colors"] = "indices"
    palette: tuple[Color, ...] | None = None
    ignore_label: int | None = Field(None, ge=0)
    val_images: str | None = None
    val_annotations: str | None = None
    train_images: str | None = None
    train_annotations: str | None = None
    val_instances: str | None = None
    train_instances: str | None = None
    keypoints: Literal["coco"] | Keypoints | None = None
    val_detections: str | None = None
    scenes: SceneData | None = None

    @model_validator(mode="after")
    def _classes_are_distinct(self) -> Self:
        names = [name for table in (self.classes, self.stuff) if isinstance(table, tuple) for name in table]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(map(repr, twice))} is more than once among classes and stuff")
        return self

    @model_validator(mode="after")
    def _format_has_its_facts(self) -> Self:
        if self.format == "scenes" and self.scenes is None:
            raise ValueError("format scenes needs scenes.train_count and scenes.val_count, the numbers to draw")
        return self

    @model_validator(mode="after")
    def _palette_fits_classes(self) -> Self:
        if self.label_maps == "colors" and (self.palette is None or self.format != "folders"):
            raise ValueError("label_maps colors needs format folders, and in palette the colour of each class")
        if self.palette is None:
            return self
        if self.format not in ("folders", "cityscapes", "ade20k"):
            raise ValueError(f"format {self.format} has no palette: it is for label maps")
        without_label = int(self.ignore_label == self.num_classes)
        if not 0 <= len(self.palette) - self.num_classes <= without_label:
            raise ValueError(
                f"palette has {len(self.palette)} colours for {self.num_classes} classes: give one for each, in their "
                f"order, and one more where ignore_label is {self.num_classes}"
            )
        twice = [color for color in self.palette if self.palette.count(color) > 1]
        if twice and self.label_maps == "colors":
            raise ValueError(f"palette has {twice[0]} more than once")
        return self

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 of folders that were not looked at."""
        return CLASS_TABLES.get(self.classes, 0) if isinstance(self.classes, str) else len(self.classes)

    @property
    def num_stuff(self) -> int:
        """Number of classes without instances; 0 of data that is not panoptic."""
        return CLASS_TABLES[self.stuff] if isinstance(self.stuff, str) else len(self.stuff or ())
