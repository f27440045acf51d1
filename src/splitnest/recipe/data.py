"""Data section of a recipe: location, annotation format and classes of a dataset.

``format`` selects the section's type, so a key that the format does not use is an error.
"""

import re
from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from splitnest.errors import first_few
from splitnest.recipe.base import Section
from splitnest.recipe.class_tables import CLASS_TABLES, ClassTable
from splitnest.recipe.keypoints import Keypoints, KeypointTable
from splitnest.recipe.limits import Length

FOLDERS = "folders"
"""Value of ``data.classes`` that takes the sorted names of the image folders as classes."""

FILE = "file"
"""Value of ``data.classes`` that takes the classes of the annotation files."""

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Paths = str | Names
ClassNames = ClassTable | Names


def normalized_class_name(name: str) -> str:
    """Return a class name in lower case, with single blanks for runs of blanks, underscores and hyphens."""
    return re.sub(r"[\s_-]+", " ", name).strip().lower()


class Data(Section):
    """Fields of every dataset.

    Attributes:
        root: Folder that all paths are relative to; None until the user gives it.
        classes: Name of a class table (``coco``, ``cityscapes``, ``lvis_v1``, ...), or the class names in label order;
            thing classes of a panoptic dataset.
    """

    root: str | None = None
    classes: ClassNames

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 for those of folders or files that have not been read yet."""
        return CLASS_TABLES.get(self.classes, 0) if isinstance(self.classes, str) else len(self.classes)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Class names that the recipe lists itself; None for a class table."""
        return self.classes if isinstance(self.classes, tuple) else None

    @property
    def stuff_classes(self) -> str | tuple[str, ...] | None:
        """Stuff classes of a panoptic dataset; None for any other."""
        return None

    @property
    def num_stuff(self) -> int:
        """Number of stuff classes; 0 for a dataset that is not panoptic."""
        stuff = self.stuff_classes
        return CLASS_TABLES[stuff] if isinstance(stuff, str) else len(stuff or ())

    def has_split(self, split: Split) -> bool:
        """Return whether the recipe names images for a split."""
        return getattr(self, f"{split}_images", None) is not None

    @model_validator(mode="after")
    def _check_distinct_classes(self) -> Self:
        names = [name for table in (self.classes, self.stuff_classes) if isinstance(table, tuple) for name in table]
        if repeated := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"{first_few([*map(repr, repeated)])} is listed more than once among the classes")
        return self


class FileData(Data):
    """Dataset of image and annotation files.

    Attributes:
        train_images, val_images: Image folder of each split, or a list of folders; None for a recipe without the split.
        train_annotations, val_annotations: Annotation file or folder of each split, as the format defines it, or a list
            that makes one dataset: one for each image folder, or several for one.
        train_list, val_list: Text file with the names of the images of the split, one in a line, relative to the image
            folder (of several, to the folder that all are in), in the order that they are read in; None takes all.
    """

    train_list: str | None = None
    val_list: str | None = None
    train_images: Paths | None = None
    train_annotations: Paths | None = None
    val_images: Paths | None = None
    val_annotations: Paths | None = None

    def parts(self, split: Split) -> list[Self]:
        """Return the sections of the parts of a split, each with single paths; only one where nothing is a list."""
        lists = {key: value for key in self._path_keys(split) if isinstance(value := getattr(self, key), tuple)}
        count = max(map(len, lists.values()), default=1)
        return [self.model_copy(update={key: value[part] for key, value in lists.items()}) for part in range(count)]

    def _path_keys(self, split: Split) -> tuple[str, ...]:
        keys = (f"{split}_images", f"{split}_annotations", f"{split}_instances")
        return tuple(key for key in keys if key in type(self).model_fields)

    @model_validator(mode="after")
    def _check_lists(self) -> Self:
        for split in SPLITS:
            values = {key: getattr(self, key) for key in self._path_keys(split)}
            lengths = {
                key: len(value) if isinstance(value, tuple) else 0
                for key, value in values.items()
                if isinstance(value, tuple) or (value is not None and key != f"{split}_images")
            }
            one = next((key for key, length in lengths.items() if length), None)
            other = next((key for key, length in lengths.items() if one and length != lengths[one]), None)
            if one and other:
                hint = ", or one folder for all" if one == f"{split}_images" else ""
                raise ValueError(f"{one} is a list: give as many {other}{hint}")
        return self


class DetectionFileData(FileData):
    """Dataset of image and annotation files for detection.

    Attributes:
        format: Name of the format, which is that of its module in ``data/formats``.
        classes: Same as ``Data.classes``; ``file`` takes the classes of the annotation files: COCO's categories with
            annotations, the names in VOC's XML files, the names of YOLO's ``data.yaml``, or those of the instances of
            other formats.
    """

    format: str
    classes: ClassNames | Literal["file"]  # type: ignore[assignment]  # wider than in other sections


class CocoData(DetectionFileData):
    """COCO JSON annotations of boxes, instance masks and panoptic segments.

    Attributes:
        stuff: Stuff classes of a panoptic dataset: ``coco_stuff``, or their names in label order. The annotation files
            are then COCO's panoptic JSON, with the PNG folder of the same name beside it.
        train_instances, val_instances: COCO instance annotations of a panoptic dataset, a list where the annotations
            are one; None derives instances from the panoptic segments.
    """

    format: Literal["coco"] = "coco"
    stuff: Literal["coco_stuff"] | Names | None = None
    train_instances: Paths | None = None
    val_instances: Paths | None = None

    @property
    def stuff_classes(self) -> str | tuple[str, ...] | None:
        """Stuff classes of a panoptic dataset."""
        return self.stuff

    @model_validator(mode="after")
    def _check_listed_things(self) -> Self:
        if self.stuff is not None and self.classes == FILE:
            raise ValueError("classes of a panoptic dataset are listed: 'file' does not say which are stuff classes")
        return self


class VocData(DetectionFileData):
    """Pascal VOC: lists of image names such as ``ImageSets/Main/train.txt``, and XML files in ``Annotations``.

    Without lists the annotations are the folder of the XML files, by default the one that is found: ``Annotations``,
    ``annotations`` or similar, or the image folder itself.
    """

    format: Literal["voc"]


class YoloData(DetectionFileData):
    """YOLO text files: the annotations are a folder, by default the one called ``labels`` beside ``images``."""

    format: Literal["yolo"]


class LabelmeData(DetectionFileData):
    """labelme: the annotations are the folder of the JSON files, by default the image folder."""

    format: Literal["labelme"]


class CvatData(DetectionFileData):
    """CVAT: the annotations are an XML file, "CVAT for images 1.1" or "CVAT for video 1.1"."""

    format: Literal["cvat"]


class LabelStudioData(DetectionFileData):
    """Label Studio: the annotations are a JSON or JSON-MIN export."""

    format: Literal["label_studio"]


class OpenImagesData(DetectionFileData):
    """Open Images: the annotations are a CSV file of boxes, with ``class-descriptions-boxable.csv`` beside it."""

    format: Literal["open_images"]


class SceneData(Data):
    """Synthetic scenes that are drawn instead of read.

    Attributes:
        train_count, val_count: Number of scenes of each split.
        height, width: Size of a scene in pixels.
        seed: Seed of the training scenes; validation scenes use the next one.
        stuff: Stuff classes of a panoptic dataset, by name.
    """

    format: Literal["scenes"]
    train_count: Length
    val_count: Length
    height: int = Field(240, ge=64, le=32_768)
    width: int = Field(320, ge=64, le=32_768)
    seed: int = Field(0, ge=0, lt=2**32)
    stuff: Names | None = None

    @property
    def stuff_classes(self) -> tuple[str, ...] | None:
        """Stuff classes of a panoptic dataset."""
        return self.stuff

    def has_split(self, split: Split) -> bool:
        """Return True: both splits are drawn."""
        return True


class ImageFolderData(FileData):
    """Images with one class each: a folder for each class, or a list of image names and classes as annotations.

    Attributes:
        classes: Same as ``Data.classes``; ``folders`` takes the sorted names of the folders.
    """

    format: Literal["folders"] = "folders"
    classes: ClassNames | Literal["folders"]  # type: ignore[assignment]  # wider than in other sections


class KeypointData(FileData):
    """COCO JSON annotations of keypoints.

    Attributes:
        classes: Same as ``Data.classes``; ``file`` takes the categories with keypoints of the annotation file.
        keypoints: Name of a keypoint table (``coco`` for the 17 keypoints of COCO persons, ``mpii``, ...), or a
            description; None reads the annotation file.
        val_detections: COCO detection results with the person boxes for evaluation. ``auto`` uses the file of the
            published protocol (``person_detection_results/COCO_val2017_detections_AP_H_56_person.json``) where it
            exists, and ground-truth boxes otherwise; None uses ground-truth boxes.
    """

    format: Literal["coco"] = "coco"
    classes: ClassNames | Literal["file"]  # type: ignore[assignment]  # wider than in other sections
    keypoints: KeypointTable | Keypoints | None = None
    val_detections: str | None = None


class KeypointSceneData(SceneData):
    """Synthetic scenes with persons.

    Attributes:
        keypoints: Same as ``KeypointData.keypoints``.
    """

    keypoints: KeypointTable | Keypoints | None = None


def with_default_format(default: str) -> BeforeValidator:
    """Return a validator that lets a data section leave out the default format of its task."""
    return BeforeValidator(lambda value: {"format": default, **value} if isinstance(value, dict) else value)


DetectionData = Annotated[
    CocoData | VocData | YoloData | LabelmeData | CvatData | LabelStudioData | OpenImagesData | SceneData,
    Field(discriminator="format"),
    with_default_format("coco"),
]
PoseData = Annotated[KeypointData | KeypointSceneData, Field(discriminator="format"), with_default_format("coco")]
