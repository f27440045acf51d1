"""Opening of a dataset of any format as ``Dataset``."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from splitnest.data.editing.dataset import Dataset, DatasetSplit
from splitnest.data.formats.coco import read_coco
from splitnest.data.formats.coco_keypoints import read_keypoint_classes, read_keypoint_definition, read_keypoints
from splitnest.data.formats.voc import read_voc, voc_class_names
from splitnest.data.formats.voc_files import find_annotations
from splitnest.data.formats.yolo import read_yolo, yolo_class_names
from splitnest.errors import DataError
from splitnest.recipe.plain_yaml import read_yaml
from splitnest.structures.categories import from_names
from splitnest.structures.skeleton import Skeleton, complete


def open_dataset(path: Path) -> Dataset:
    """Return the dataset in a file or folder.

    Raises:
        DataError: There is no dataset, or it cannot be read.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist. Give the file or the folder of a dataset.")
    if path.is_file() or list(path.glob("annotations/*.json")) or list(path.glob("*.json")):
        files = [path] if path.is_file() else sorted(path.glob("annotations/*.json")) or sorted(path.glob("*.json"))
        return Dataset(path, "coco", tuple(_coco(file, path) for file in files))
    if (path / "data.yaml").is_file():
        return Dataset(path, "yolo", tuple(_yolo(path)))
    return Dataset(path, "voc", tuple(_voc(path)))


def _coco(file: Path, root: Path) -> DatasetSplit:
    root = root if root.is_dir() else root.parent
    split = re.sub(r"^(instances|person_keypoints|trainval)_?", "", file.stem) or None
    folder = next(f for f in (root / "images" / (split or ""), root / (split or "images"), root) if f.is_dir())
    if not file.name.startswith("person_keypoints"):
        return DatasetSplit(split, read_coco(file), folder)
    names = read_keypoint_classes(file)
    definition = read_keypoint_definition(file, names, required=True)
    assert definition is not None
    skeleton = Skeleton.from_keypoints(complete(definition)[0])
    people = read_keypoints(file, from_names(names), skeleton)
    return DatasetSplit(split, people.file, folder, people.keypoints, skeleton.names, skeleton.pairs)


def _yolo(root: Path) -> Iterator[DatasetSplit]:
    categories = from_names(yolo_class_names(root, root / "labels"))
    content: dict[str, Any] = read_yaml((root / "data.yaml").read_text(encoding="utf-8"), str(root / "data.yaml"))
    for split in ("train", "val", "test"):
        if split in content:
            images = root / content[split]
            labels = Path(root, *("labels" if part == "images" else part for part in Path(content[split]).parts))
            yield DatasetSplit(split, read_yolo(labels, images, categories), images)


def _voc(root: Path) -> Iterator[DatasetSplit]:
    images = root / "JPEGImages"
    folder = find_annotations(root, images)
    lists = {path.stem: path for path in sorted(root.glob("ImageSets/Main/*.txt"))}
    sources: list[tuple[str | None, Path]] = [*lists.items()] or [(None, folder)]
    names = sorted(set().union(*(voc_class_names(source, folder, images) for _, source in sources)))
    for split, source in sources:
        yield DatasetSplit(split, read_voc(source, folder, images, from_names(names)), images)
