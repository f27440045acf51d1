"""Several folders of class folders, and several lists, as one dataset."""

from pathlib import Path
from typing import Any

import pytest

from helpers.image_tree import COLORS, recipe_of, write, write_classes
from splitnest.data.classification.dataset import ClassificationDataset
from splitnest.errors import DataError
from splitnest.tasks import task_of


def opened(root: Path, **values: Any) -> ClassificationDataset:
    recipe, _ = task_of(given := recipe_of(root, **values)).complete(given)
    dataset = task_of(recipe).open_dataset(recipe, "train")
    assert isinstance(dataset, ClassificationDataset)
    return dataset


def test_several_folders_are_one_dataset(tmp_path: Path) -> None:
    write_classes(tmp_path, {"north": 1, "south": 2})
    (tmp_path / "south" / "red" / "photo.heic").write_text("no image")
    dataset = opened(tmp_path, **{"data.train_images": ["north", "south"]})
    assert (dataset.categories.names, dataset.labels.tolist()) == (tuple(COLORS), [0, 1, 2, 0, 0, 1, 1, 2, 2])
    assert [dataset.name(index) for index in (0, 3)] == ["north/blue/north0.png", "south/blue/south0.png"]
    assert dataset.read(3).shape == (36, 40, 3)
    assert f"red/photo.heic in {tmp_path / 'south'}" in dataset.problems[0]
    assert dataset.inputs == (str(tmp_path / "north"), str(tmp_path / "south"))


def test_folders_of_other_classes_are_an_error_with_both(tmp_path: Path) -> None:
    write_classes(tmp_path, {"north": 1, "south": 1})
    (tmp_path / "south" / "red").rename(tmp_path / "south" / "Red")
    message = r"north and .*south do not have the same class folders: only .*north has red; only .*south has Red"
    with pytest.raises(DataError, match=message):
        opened(tmp_path, **{"data.train_images": ["north", "south"]})
    listed = opened(tmp_path, **{"data.train_images": ["north", "south"], "data.classes": list(COLORS)})
    assert len(listed) == 6


def test_several_lists_of_one_folder(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / "images" / f"{name}.png")
    (tmp_path / "first.txt").write_text("a red\nb blue\n")
    (tmp_path / "second.txt").write_text("c green\n")
    values = {"data.classes": list(COLORS), "data.train_images": "images"}
    lists = ["second.txt", "first.txt"]
    dataset = opened(tmp_path, **values, **{"data.train_annotations": lists})
    assert ([dataset.name(index) for index in range(3)], dataset.labels.tolist()) == (
        ["c.png", "a.png", "b.png"],
        [1, 2, 0],
    )
    (tmp_path / "second.txt").write_text("c green\na blue\n")
    with pytest.raises(DataError, match=r"a\.png is listed by both .*second\.txt and .*first\.txt"):
        opened(tmp_path, **values, **{"data.train_annotations": lists})
