"""Data section of a recipe from the datasets of an OpenMMLab configuration."""

from pathlib import PurePosixPath
from typing import Any

from splitnest.upstream.section import Section

COCO = {
    "val_images": "val2017",
    "val_annotations": "annotations/instances_val2017.json",
    "train_images": "train2017",
    "train_annotations": "annotations/instances_train2017.json",
}
"""Files of COCO 2017, relative to its root."""

COCO_PERSONS = {
    "val_images": "val2017",
    "val_annotations": "annotations/person_keypoints_val2017.json",
    "val_detections": "auto",
    "train_images": "train2017",
    "train_annotations": "annotations/person_keypoints_train2017.json",
}

PUBLISHED_BOXES = "COCO_val2017_detections_AP_H_56_person.json"
"""File of the person boxes of the published protocol."""

CITYSCAPES = {
    "format": "cityscapes",
    "val_images": "leftImg8bit/val",
    "val_annotations": "gtFine/val",
    "train_images": "leftImg8bit/train",
    "train_annotations": "gtFine/train",
}

ADE20K = {
    "format": "ade20k",
    "val_images": "images/validation",
    "val_annotations": "annotations/validation",
    "train_images": "images/training",
    "train_annotations": "annotations/training",
}

_IMAGES = ("img", "img_path", "img_prefix", "img_dir")
_LABEL_MAPS = ("seg_map_path", "ann_dir")


def dataset(config: Section, split: str) -> Section:
    """Return the dataset of a split, the first one inside datasets that repeat or join others.

    Args:
        config: Configuration in the form of mmengine.
        split: ``train`` or ``test``; without a test dataset, that of validation.
    """
    loader = config.section(f"{split}_dataloader", None)
    if loader is None and split == "test":
        loader = config.section("val_dataloader", None)
    found: Section = (loader or Section({}, "")).section("dataset", {})
    for _ in range(5):
        joined = found.sections("datasets") if found.is_list("datasets") else []
        inner = joined[0] if joined else found.section("dataset", None)
        if inner is None:
            break
        found = inner
    return found


def detection_data(config: Section, is_coco: bool) -> dict[str, Any]:
    """Return paths of a detection dataset: those that the configuration names, or those of COCO."""
    paths = _paths(config, "ann_file")
    kind = dataset(config, "test").text("type", "")
    if kind in ("VOCDataset", "XMLDataset"):
        return {"format": "voc"}
    return paths or (COCO if is_coco and kind == "CocoDataset" else {})


def semantic_data(config: Section, table: Any, reduce_zero_label: bool) -> dict[str, Any]:
    """Return format and paths of a dataset of label maps; Cityscapes and ADE20K have layouts of their own."""
    if table == "cityscapes":
        return CITYSCAPES
    if table == "ade20k":
        return ADE20K
    return {**_paths(config, *_LABEL_MAPS), "format": "folders", "reduce_zero_label": reduce_zero_label}


def pose_data(config: Section, is_coco: bool) -> dict[str, Any]:
    """Return paths of a keypoint dataset: those that the configuration names, or those of COCO."""
    paths: dict[str, Any] = _paths(config, "ann_file")
    boxes = dataset(config, "test").raw("bbox_file")
    if paths and isinstance(boxes, str) and boxes.endswith(PUBLISHED_BOXES):
        paths["val_detections"] = "auto"
    return paths or (COCO_PERSONS if is_coco else {})


def _paths(config: Section, *annotations: str) -> dict[str, str]:
    """Return images and annotations of both splits, relative to the data root."""
    found: dict[str, str] = {}
    for split, ours in (("train", "train"), ("test", "val")):
        section = dataset(config, split)
        prefix = section.section("data_prefix", {}) if isinstance(section.raw("data_prefix"), dict) else section
        root = section.text("data_root", "") if isinstance(section.raw("data_root", ""), str) else ""
        for key, names in ((f"{ours}_images", _IMAGES), (f"{ours}_annotations", annotations)):
            for holder in (prefix, section):
                value = next((v for name in names if isinstance(v := holder.raw(name), str) and v), None)
                path = None if value is None else _relative(value, root)
                if path is not None:
                    found.setdefault(key, path)
    complete = {"val_images", "val_annotations"} <= found.keys()
    return found if complete else {}


def _relative(path: str, root: str) -> str | None:
    """Return a path relative to the data root; None for one that lies elsewhere."""
    relative = PurePosixPath(path.removeprefix(root) if root else path)
    if relative.is_absolute():
        relative = PurePosixPath(str(relative).lstrip("/")) if root and path.startswith(root) else relative
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        return None
    return str(relative)
