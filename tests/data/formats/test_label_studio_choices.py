"""Choices of Label Studio as classes of images: JSON, JSON-MIN, several choices, and regions beside them."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers import image_tree
from splitnest.data.classification.dataset import ClassificationDataset
from splitnest.data.editing.convert import convert
from splitnest.data.editing.open import open_dataset
from splitnest.data.formats.label_studio_choices import read_choices
from splitnest.data.recognition.recognize import recognize
from splitnest.errors import DataError, UsageError
from splitnest.tasks import task_of
from splitnest.training.starting_recipe.machine import Machine
from splitnest.training.starting_recipe.new import new_recipe

CLASSES = ("cat", "dog", "cat", "dog", "cat", "dog", "cat", "dog")


def choice(*names: str) -> dict[str, Any]:
    return {"type": "choices", "from_name": "kind", "to_name": "image", "value": {"choices": [*names]}}


def task(number: int, *results: dict[str, Any]) -> dict[str, Any]:
    image = f"/data/upload/1/8d2a1b3c-{number}.png"
    return {"id": number, "data": {"image": image}, "annotations": [{"id": number, "result": [*results]}]}


def write(root: Path, tasks: list[dict[str, Any]], count: int = len(CLASSES)) -> Path:
    for number in range(count):
        image_tree.write(root / "images" / f"{number}.png")
    (root / "export.json").write_text(json.dumps(tasks))
    return root


def full(root: Path) -> Path:
    return write(root, [task(number, choice(name)) for number, name in enumerate(CLASSES)])


def json_min(root: Path) -> Path:
    rows = [
        {"id": n, "image": f"/data/upload/1/8d2a1b3c-{n}.png", "choice": name, "annotation_id": n, "lead_time": 1.5}
        for n, name in enumerate(CLASSES)
    ]
    return write(root, rows)


def test_no_choices(tmp_path: Path) -> None:
    write(tmp_path, [])
    assert not read_choices(tmp_path / "export.json", tmp_path / "images").names
    with pytest.raises(DataError, match="no annotations that are known"):
        recognize(tmp_path)
    (tmp_path / "export.json").write_text(json.dumps([task(0), task(1)]))
    with pytest.raises(DataError, match="The training split has 2 images and no instances"):
        recognize(tmp_path)


@pytest.mark.parametrize("export", [full, json_min])
def test_choices_are_classes(tmp_path: Path, export: Any) -> None:
    found = recognize(export(tmp_path / "in"))
    assert (found.format, found.task, found.classes) == ("Label Studio choices", "classification", ("cat", "dog"))
    assert found.data == {"format": "label_studio", "train_images": "images", "train_annotations": "export.json"}
    new = new_recipe("", tmp_path / "x.yaml", machine=Machine(2, None, False), recognized=found)
    new.write()
    recipe, _ = task_of(new.recipe).complete(new.recipe)
    train, val = (task_of(recipe).open_dataset(recipe, split) for split in ("train", "val"))
    assert len(train) + len(val) == len(CLASSES)
    for dataset in (train, val):
        assert isinstance(dataset, ClassificationDataset)
        for index, label in enumerate(dataset.labels.tolist()):
            assert dataset.categories.names[label] == CLASSES[int(dataset.name(index)[0])]
    dataset = open_dataset(tmp_path / "in")
    assert dataset.kind == "classes of images"
    convert(dataset, tmp_path / "out", "class_folders")
    assert sorted(path.name for path in (tmp_path / "out/cat").iterdir()) == ["0.png", "2.png", "4.png", "6.png"]
    with pytest.raises(UsageError, match="label_studio has no place for classes of images"):
        convert(dataset, tmp_path / "x", "label_studio")


def test_taxonomies_and_images_without_a_choice(tmp_path: Path) -> None:
    nested = choice("dog")
    nested["value"]["choices"] = [["animal", "cat"]]
    write(tmp_path, [task(0, nested), task(1, choice("dog")), task(2)])
    choices = read_choices(tmp_path / "export.json", tmp_path / "images")
    assert (choices.names, choices.classes) == (["0.png", "1.png"], ["cat", "dog"])


def test_several_choices(tmp_path: Path) -> None:
    write(tmp_path, [task(0, choice("cat", "dog")), task(1, choice("dog"))])
    with pytest.raises(DataError, match=r"task 0 has the choices cat and dog\. Keep one: a classifier predicts one"):
        recognize(tmp_path)


def test_choices_beside_regions_are_not_learned(tmp_path: Path) -> None:
    size = {"original_width": 40, "original_height": 36}
    value = {"x": 10, "y": 10, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["cat"]}
    region = {**size, "id": "r", "type": "rectanglelabels", "value": value}
    write(tmp_path, [task(0, region, choice("blurred", "dark")), task(1, region)])
    found = recognize(tmp_path)
    assert (found.format, found.task, found.classes) == ("Label Studio", "detection", ("cat",))
