"""Several folders of images and label maps as one dataset."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splitnest.data.semantic.dataset import SemanticDataset
from splitnest.data.semantic.open import open_dataset
from splitnest.errors import DataError
from splitnest.recipe.label_map_data import CityscapesData, LabelMapFolderData
from splitnest.structures.categories import from_names
from splitnest.structures.class_tables import class_table

CLASSES = ("sky", "road", "car")
BOTH: dict[str, Any] = {
    "train_images": ["a/images", "b/images"],
    "train_annotations": ["a/masks", "b/masks"],
}


def save(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, np.uint8)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part, label in (("a", 0), ("b", 2)):
        for name in ("1", "2"):
            save(tmp_path / part / "images" / f"{name}.png", np.full((2, 3, 3), label))
            save(tmp_path / part / "masks" / f"{name}.png", np.full((2, 3), label))
    return tmp_path


def opened(root: Path, **values: Any) -> SemanticDataset:
    data = LabelMapFolderData(format="folders", root=str(root), classes=CLASSES, **{**BOTH, **values})
    return open_dataset(data, "train", from_names(CLASSES))


def test_several_folders_are_one_dataset(root: Path) -> None:
    save(root / "b" / "masks" / "9.png", [[0]])
    dataset = opened(root)
    assert [dataset.name(index) for index in range(4)] == [
        "a/images/1.png",
        "a/images/2.png",
        "b/images/1.png",
        "b/images/2.png",
    ]
    assert [dataset.labels(index).max() for index in range(4)] == [0, 0, 2, 2]
    assert np.array_equal(dataset.read(3), np.full((2, 3, 3), 2))
    assert dataset.inputs == (str(root / "a/images"), str(root / "b/images"))
    assert dataset.problems == [f"label map without an image: not read: 1, 9.png in {root / 'b/images'}"]
    (root / "b" / "masks" / "1.png").unlink()
    assert dataset.check_files() == ["b/images/1.png"]


def test_faults_name_the_folder(root: Path) -> None:
    with pytest.raises(DataError, match=r"a/images/1\.png is listed by both .*a/images and .*a/images"):
        opened(root, train_images="a/images")
    with pytest.raises(DataError, match="c is not a folder"):
        opened(root, train_images=["a/images", "c"])
    (root / "empty").mkdir()
    with pytest.raises(DataError, match="empty has no images"):
        opened(root, train_images=["a/images", "empty"])
    save(root / "b" / "masks" / "1.png", np.full((2, 3), 7))
    with pytest.raises(DataError, match=r"b/masks/1\.png has value 7"):
        opened(root).labels(2)


def test_cityscapes_with_label_ids_beside_training_ids(tmp_path: Path) -> None:
    """Each folder has the kind of label maps that it has."""
    for part, kind, value in (("a", "labelTrainIds", 13), ("b", "labelIds", 26)):
        save(tmp_path / part / "images" / "x" / "x_1_leftImg8bit.png", np.zeros((2, 3, 3)))
        save(tmp_path / part / "masks" / "x" / f"x_1_gtFine_{kind}.png", np.full((2, 3), value))
    data = CityscapesData(format="cityscapes", root=str(tmp_path), classes="cityscapes", **BOTH)
    dataset = open_dataset(data, "train", class_table("cityscapes"))
    assert [dataset.categories.names[dataset.labels(index).max()] for index in (0, 1)] == ["car", "car"]
