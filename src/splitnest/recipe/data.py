"""Data section of a recipe: location, annotation format and classes of a dataset.

``format`` selects the section's type, so a key that the format does not use is an error.
"""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from splitnest.recipe.file_data import FILE, ClassNames, Data, FileData, Names, Paths, Split
from splitnest.recipe.keypoints import Keypoints, KeypointTable
from splitnest.recipe.limits import Length


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


class LabelStudioChoicesData(FileData):
    """Label Studio: images with one choice each; the annotations are a JSON or JSON-MIN export."""

    format: Literal["label_studio"]


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


class KeypointExportData(FileData):
    """Keypoints of YOLO, labelme, CVAT or Label Studio; annotations as in ``YoloData``, ``LabelmeData``, ``CvatData``
    and ``LabelStudioData``.

    Keypoints are points with the ``group_id`` of a shape in labelme, skeletons in CVAT, points inside a region that is
    their parent in Label Studio, and the numbers after the box in YOLO.

    Attributes:
        keypoints: Same as ``KeypointData.keypoints``, with names: those of the points, or their order in YOLO's lines.
        val_detections: Same as ``KeypointData.val_detections``.
    """

    format: Literal["yolo", "labelme", "cvat", "label_studio"]
    keypoints: KeypointTable | Keypoints
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


ClassificationData = Annotated[
    ImageFolderData | LabelStudioChoicesData,
    Field(discriminator="format"),
    with_default_format("folders"),
]
DetectionData = Annotated[
    CocoData | VocData | YoloData | LabelmeData | CvatData | LabelStudioData | OpenImagesData | SceneData,
    Field(discriminator="format"),
    with_default_format("coco"),
]
PoseData = Annotated[
    KeypointData | KeypointExportData | KeypointSceneData,
    Field(discriminator="format"),
    with_default_format("coco"),
]
