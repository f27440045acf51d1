"""First recipes of one dataset in all formats."""

from pathlib import Path

import numpy as np

from helpers import datasets
from helpers.datasets import instance_of
from splitnest.data.editing.convert import convert
from splitnest.data.editing.dataset import unified_classes
from splitnest.data.editing.open import open_dataset
from splitnest.data.recognition.recognize import recognize
from splitnest.data.writers.labeled_image import LabeledImage
from splitnest.structures.categories import from_names
from splitnest.training.starting_recipe.machine import Machine
from splitnest.training.starting_recipe.new import new_recipe


def test_copies_of_a_dataset_make_equal_recipes(tmp_path: Path) -> None:
    """The same classes, split, values and annotations in all formats; VOC has no masks, and boxes of whole pixels."""
    size_hw = 46, 61
    polygon = np.array([10.25, 5.5, 40.75, 8, 22, 30.125])
    shapes = [[instance_of(n % 2, [polygon + n]), instance_of((n + 1) % 3, [polygon / 2 + n / 3])] for n in range(9)]
    source = tmp_path / "source"
    datasets.write_images(source, [f"{n}.jpg" for n in range(9)], size_hw)
    images = [LabeledImage(f"{n}.jpg", size_hw, tuple(each), source / f"{n}.jpg") for n, each in enumerate(shapes)]
    datasets.write_dataset(tmp_path / "coco", "coco", images, from_names(["date", "fig", "nut"]))
    copies = {"coco": open_dataset(tmp_path / "coco")}
    for format in ("roboflow", "yolo", "labelme", "cvat", "label_studio", "voc"):
        convert(copies["coco"], tmp_path / format, format)
        copies[format] = open_dataset(tmp_path / format)
    first, recipes = datasets.images_of(copies["coco"]), {}
    for format, copy in copies.items():
        found = recognize(tmp_path / format)
        new = new_recipe("", tmp_path / f"{format}.yaml", machine=Machine(2, None, False), recognized=found)
        recipe = new.recipe.model_dump()
        data = recipe.pop("data")
        lists = [text for path, text in new.files.items() if path.suffix == ".txt"]
        recipes[format] = {**recipe, "name": ""}, data["classes"], lists
        assert found.task == ("detection" if format == "voc" else "instance")
        for name, image in datasets.images_of(copy).items():
            names = tuple(unified_classes(each.splits).names for each in (copies["coco"], copy))
            tolerance = 0.5 if format == "voc" else 1e-6
            datasets.assert_equal_images(first[name], image, names, boxes=tolerance, masks=format != "voc")
    assert sum(len(text.split()) for text in recipes["coco"][2]) == 9
    for format, (recipe, classes, lists) in recipes.items():
        assert (classes, lists) == recipes["coco"][1:], format
        if format != "voc":
            assert recipe == recipes["coco"][0], format
