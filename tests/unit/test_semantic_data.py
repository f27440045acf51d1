"""Photographs with a class for every pixel: trees of files, what their values mean, and what is wrong with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from splitnest.data.categories import Categories, from_names, named, with_colors
from splitnest.data.dataset import open_dataset
from splitnest.data.label_code import LabelCode
from splitnest.data.scenes import CATEGORIES, Scenes
from splitnest.data.scenes.semantic import SceneSemantic
from splitnest.data.semantic import SemanticDataset, open_semantic
from splitnest.errors import DataError, UsageError
from splitnest.evaluation.semantic import SemanticEvaluator
from splitnest.recipe import Data
from splitnest.recipe.data import SceneData
from splitnest.results import SemanticSegmentation

CLASSES = ("sky", "road", "car")
PATHS = {
    "train_images": "images",
    "train_annotations": "masks",
    "val_images": "images",
    "val_annotations": "masks",
}
CITYSCAPES = {
    "format": "cityscapes",
    "classes": "cityscapes",
    "train_images": "leftImg8bit/train",
    "train_annotations": "gtFine/train",
}


def save(path: Path, values: Any, mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.array(values, None if mode == "I;16" else np.uint8))
    if mode == "P":
        image = Image.frombytes("P", image.size, image.tobytes())
        image.putpalette([9, 9, 9, 200, 0, 0])
    image.save(path)
    return path


def photograph(path: Path, height: int = 2, width: int = 3) -> Path:
    return save(path, np.random.default_rng(0).integers(0, 256, (height, width, 3)))


def opened(root: Path, categories: Categories | None = None, split: Any = "train", **data: Any) -> SemanticDataset:
    facts = Data(**{"root": str(root), "format": "folders", "classes": CLASSES, **PATHS, **data})
    if categories is None:
        categories = named(facts.classes) if isinstance(facts.classes, str) else from_names(facts.classes)
    return open_semantic(facts, split, categories)


@pytest.mark.parametrize("format", ["folders", "ade20k", "cityscapes"])
def test_no_photographs(tmp_path: Path, format: str) -> None:
    (tmp_path / "masks").mkdir()
    classes = "cityscapes" if format == "cityscapes" else CLASSES
    with pytest.raises(DataError, match=r"images is not a folder\. Give the folder of the photographs"):
        opened(tmp_path, format=format, classes=classes)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "notes.txt").touch()
    with pytest.raises(DataError, match=r"images holds no photographs of the layout that data\.format names"):
        opened(tmp_path, format=format, classes=classes)


def test_drawn_scenes() -> None:
    assert len(SceneSemantic(Scenes(0))) == 0
    data = Data(format="scenes", classes=CATEGORIES.names, scenes=SceneData(train_count=2, val_count=1, seed=7))
    scenes = Scenes(2, seed=7)
    dataset = open_semantic(data, "train", CATEGORIES)
    assert (len(dataset), dataset.categories, dataset.problems) == (2, CATEGORIES, [])
    for index, scene in enumerate(scenes):
        np.testing.assert_array_equal(dataset.read(index), scene.image)
        np.testing.assert_array_equal(dataset.labels(index), scene.semantic)
    assert not np.array_equal(open_semantic(data, "val", CATEGORIES).read(0), scenes[0].image)
    backwards = Categories(CATEGORIES.items[::-1])
    np.testing.assert_array_equal(SceneSemantic(scenes, backwards).labels(0), 13 - scenes[0].semantic)
    with pytest.raises(DataError, match="scenes does not have the classes of the model"):
        SceneSemantic(scenes, from_names(CLASSES))


def test_folders_of_class_indices(tmp_path: Path) -> None:
    pixels = photograph(tmp_path / "images" / "b.jpg"), photograph(tmp_path / "images" / "a.png", 1, 3)
    save(tmp_path / "masks" / "b.png", [[0, 1, 2], [2, 255, 9]])
    save(tmp_path / "masks" / "a.png", [[1, 0, 1]], "P")
    dataset = opened(tmp_path, ignore_label=9)
    assert [dataset.name(index) for index in range(len(dataset))] == ["a.png", "b.jpg"]
    assert (dataset.source, dataset.has_annotations, dataset.check_files()) == (str(tmp_path / "images"), True, [])
    np.testing.assert_array_equal(dataset.read(1), np.array(Image.open(pixels[0])))
    assert dataset.labels(0).tolist() == [[1, 0, 1]]
    assert dataset.labels(1).tolist() == [[0, 1, 2], [2, 255, 255]]
    assert dataset.labels(1).dtype == np.uint8
    assert [dataset.image_id(index) for index in (0, 1)] == [0, 1]


def test_a_label_that_is_ignored_may_be_that_of_a_class(tmp_path: Path) -> None:
    photograph(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.png", [[0, 1, 2], [0, 1, 2]])
    assert opened(tmp_path, ignore_label=0).labels(0).tolist() == [[255, 1, 2]] * 2


def test_more_classes_than_8_bits(tmp_path: Path) -> None:
    photograph(tmp_path / "images" / "a.png", 1, 3)
    save(tmp_path / "masks" / "a.png", np.array([[0, 299, 65535]], np.uint16), "I;16")
    labels = opened(tmp_path, classes=tuple(map(str, range(300)))).labels(0)
    assert (labels.tolist(), labels.dtype) == ([[0, 299, 65535]], np.uint16)


def test_folders_of_colours(tmp_path: Path) -> None:
    palette = [[255, 0, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]]
    photograph(tmp_path / "images" / "a.jpg")
    save(tmp_path / "masks" / "a.png", [[palette[0], palette[3], palette[1]], [palette[2]] * 3])
    assert opened(tmp_path, label_maps="colors", palette=palette, ignore_label=3).labels(0).tolist() == [
        [0, 255, 1],
        [2, 2, 2],
    ]
    with pytest.raises(DataError) as caught:
        opened(tmp_path, label_maps="colors", palette=[[255, 0, 0], [0, 1, 255], [7, 8, 9]]).labels(0)
    assert str(caught.value) == (
        f"{tmp_path / 'masks' / 'a.png'} has colour (255, 255, 255) in 3 of 6 pixels, colour (0, 0, 0) in 1 of "
        f"6 pixels, colour (0, 0, 255) in 1 of 6 pixels, which data.palette lacks. Mend the file, or data.palette."
    )
    with pytest.raises(DataError, match=r"a\.png has colours \(RGB\), not one number a pixel\. Set .* data\.palette"):
        opened(tmp_path).labels(0)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"palette": [[0, 0, 0]] * 2}, "palette has 2 colours for 3 classes"),
        ({"palette": [[n, 0, 0] for n in range(4)]}, "palette has 4 colours for 3 classes"),
        ({"palette": [[n, 0, 0] for n in range(4)], "ignore_label": 7}, "one more where ignore_label is 3"),
        ({"palette": [[0, 0, 0]] * 3, "label_maps": "colors"}, r"palette has \(0, 0, 0\) more than once"),
        ({"label_maps": "colors"}, "label_maps colors needs format folders, and in palette"),
        ({"palette": [[0, 0, 256]]}, "less than or equal to 255"),
        ({"palette": [[0, 0, 0]], "format": "coco"}, "format coco has no palette"),
    ],
)
def test_wrong_palettes(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Data(**{"format": "folders", "classes": CLASSES, **values})


def test_classes_get_the_colours_of_a_palette() -> None:
    colored = with_colors(from_names(CLASSES), [(1, 2, 3), (4, 5, 6), (7, 8, 9), (0, 0, 0)])
    assert [category.color for category in colored] == [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    assert (colored.names, colored.ids) == (CLASSES, (1, 2, 3))


def test_a_label_outside_the_class_range(tmp_path: Path) -> None:
    photograph(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.png", [[0, 3, 4], [3, 5, 6]])
    with pytest.raises(DataError) as caught:
        opened(tmp_path, ignore_label=11).labels(0)
    assert str(caught.value) == (
        f"{tmp_path / 'masks' / 'a.png'} has value 3 in 2 of 6 pixels, value 4 in 1 of 6 pixels, value 5 in 1 of 6 "
        f"pixels and 1 more, but the values of classes, and of pixels without a label, are 0 to 2, 11, 255. "
        f"Mend the file, or data.classes and data.ignore_label."
    )


def test_a_label_map_of_another_size(tmp_path: Path) -> None:
    photograph(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.png", [[0, 1], [0, 1], [0, 1]])
    with pytest.raises(DataError, match=r"masks/a\.png is 2 x 3 pixels, but its photograph .*a\.png is 3 x 2 upright"):
        opened(tmp_path).labels(0)


def test_a_missing_label_map(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        photograph(tmp_path / "images" / name)
    save(tmp_path / "masks" / "b.png", np.zeros((2, 3)))
    dataset = opened(tmp_path)
    assert dataset.check_files() == ["a.png"]
    assert dataset.problems == ["a.png: it has no label map"]
    with pytest.raises(DataError, match=r"images/a\.png has no label map: .*masks/a\.png does not exist"):
        dataset.labels(0)
    assert dataset.labels(1).tolist() == [[0] * 3] * 2


def test_damaged_files(tmp_path: Path) -> None:
    photograph(tmp_path / "images" / "a.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").write_text("no image")
    with pytest.raises(DataError, match=r"masks/a\.png cannot be read as an image"):
        opened(tmp_path).labels(0)
    photograph(tmp_path / "images" / "a.jpg")
    with pytest.raises(DataError, match=r"images holds a\.jpg and a\.png, which have one name\. Take one away"):
        opened(tmp_path)


def test_a_test_set(tmp_path: Path) -> None:
    photograph(tmp_path / "images" / "a.png")
    dataset = opened(tmp_path, split="val", val_annotations=None)
    assert (len(dataset), dataset.has_annotations, dataset.problems) == (1, False, [])
    with pytest.raises(DataError, match="has no label maps"):
        dataset.labels(0)
    with pytest.raises(UsageError, match=r"data\.train_annotations is not set: give the folder of the label maps"):
        opened(tmp_path, train_annotations=None)


def test_wrong_recipes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.format coco has no class for every pixel"):
        opened(tmp_path, format="coco")
    with pytest.raises(UsageError, match=r"data\.root is not set"):
        open_semantic(Data(classes=CLASSES, format="folders"), "val", from_names(CLASSES))
    with pytest.raises(UsageError, match=r"data\.val_images is not set"):
        opened(tmp_path, split="val", val_images=None)


def test_a_detector_cannot_have_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.format folders has no objects"):
        open_dataset(Data(root=str(tmp_path), format="folders", classes=CLASSES, **PATHS), "val", from_names(CLASSES))


def cityscapes_tree(root: Path, ids: np.ndarray, **maps: np.ndarray) -> None:
    """A photograph of each of two cities; the second has the maps turned upside down."""
    for city, turn in (("aachen", 1), ("bonn", -1)):
        stem = f"{city}/{city}_000000_000019"
        photograph(root / "leftImg8bit" / "train" / f"{stem}_leftImg8bit.png", *ids.shape)
        for kind, values in {"labelIds": ids, **maps}.items():
            save(root / "gtFine" / "train" / f"{stem}_gtFine_{kind}.png", values[::turn])


def test_cityscapes_label_ids(tmp_path: Path) -> None:
    ids = np.append(np.arange(34), [255, 7]).reshape(4, 9)
    cityscapes_tree(tmp_path, ids)
    dataset = opened(tmp_path, **CITYSCAPES)
    assert dataset.name(1) == "bonn/bonn_000000_000019_leftImg8bit.png"
    labels = dataset.labels(0)
    np.testing.assert_array_equal(dataset.labels(1), labels[::-1])
    # cityscapesScripts: the train ids of label ids 0 to 33
    train_ids = [255] * 7 + [0, 1, 255, 255, 2, 3, 4, 255, 255, 255, 5, 255, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255]
    train_ids += [255, 16, 17, 18]
    assert labels.ravel().tolist() == [*train_ids, 255, 0]


def test_cityscapes_train_ids_are_preferred(tmp_path: Path) -> None:
    ids, train_ids = np.full((2, 12), 7), np.append(np.arange(19), [255] * 5).reshape(2, 12)
    cityscapes_tree(tmp_path, ids, labelTrainIds=train_ids)
    np.testing.assert_array_equal(opened(tmp_path, **CITYSCAPES).labels(0), train_ids)
    one = tmp_path / "gtFine/train/bonn/bonn_000000_000019_gtFine_labelTrainIds.png"
    save(one, np.full((2, 12), 19))
    with pytest.raises(DataError, match=r"has value 19 in 24 of 24 pixels, but .* are 0 to 18, 255\."):
        opened(tmp_path, **CITYSCAPES).labels(1)
    one.unlink()
    assert (opened(tmp_path, **CITYSCAPES).labels(0) == 0).all()


def test_cityscapes_errors(tmp_path: Path) -> None:
    cityscapes_tree(tmp_path, np.full((2, 2), 34))
    with pytest.raises(DataError, match=r"has value 34 in 4 of 4 pixels, but .* are 0 to 33, 255\."):
        opened(tmp_path, **CITYSCAPES).labels(0)
    with pytest.raises(DataError, match="Cityscapes does not have the classes of the model"):
        opened(tmp_path, **{**CITYSCAPES, "classes": CLASSES})
    (tmp_path / "gtFine/train/bonn/bonn_000000_000019_gtFine_labelIds.png").unlink()
    dataset = opened(tmp_path, **CITYSCAPES)
    assert dataset.check_files() == ["bonn/bonn_000000_000019_leftImg8bit.png"]


def test_cityscapes_names_are_enough(tmp_path: Path) -> None:
    cityscapes_tree(tmp_path, np.full((2, 2), 33))
    dataset = opened(tmp_path, from_names(named("cityscapes").names), **CITYSCAPES)
    assert (dataset.labels(0) == 18).all()
    assert dataset.categories.ids == named("cityscapes").ids


def test_ade20k_values_count_from_1(tmp_path: Path) -> None:
    photograph(tmp_path / "images" / "a.jpg", 1, 4)
    save(tmp_path / "masks" / "a.png", [[0, 1, 150, 255]])
    data = {"format": "ade20k", "classes": "ade20k"}
    assert opened(tmp_path, **data).labels(0).tolist() == [[255, 0, 149, 255]]
    save(tmp_path / "masks" / "a.png", [[0, 1, 151, 255]])
    with pytest.raises(DataError, match=r"has value 151 in 1 of 4 pixels, but .* are 0 to 150, 255\."):
        opened(tmp_path, **data).labels(0)


def test_values_of_any_type() -> None:
    code = LabelCode({0: 0, 70_000: 1}, np.dtype(np.uint8))
    assert code.decode(np.array([[0, 70_000]], np.int32), Path("a.png")).tolist() == [[0, 1]]
    with pytest.raises(DataError, match="value -1 in 1 of 2 pixels"):
        code.decode(np.array([[0, -1]], np.int32), Path("a.png"))
    assert code.decode(np.zeros((0, 3), np.uint8), Path("a.png")).shape == (0, 3)


def test_real_photographs_of_ade20k(shared_data: Callable[[str], Path]) -> None:
    root = shared_data("ade20k_sample")
    dataset = opened(root, format="ade20k", classes="ade20k", train_annotations="annotations")
    assert len(dataset) == 3
    names = {dataset.categories[label].name for label in np.unique(dataset.labels(2)).tolist() if label != 255}
    assert {"wall", "building", "sky"} <= names
    raw = np.array(Image.open(root / "annotations" / "ADE_val_00000003.png"))
    assert ((dataset.labels(2) == 255) == (raw == 0)).all()
    for index in range(3):
        assert dataset.labels(index).shape == dataset.read(index).shape[:2]


def measured_as_truth(dataset: SemanticDataset) -> dict[str, float]:
    """Evaluate what a data set says itself; pixels without a label may be given any class."""
    evaluator = SemanticEvaluator(dataset)
    for index in range(len(dataset)):
        labels = dataset.labels(index)
        labels = np.where(labels == 255, 0, labels).astype(labels.dtype)
        size = (labels.shape[0], labels.shape[1])
        evaluator.update(index, SemanticSegmentation(labels, image_size=size, categories=dataset.categories))
    return evaluator.compute()


def test_ground_truth_given_as_prediction_is_perfect(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    cityscapes_tree(tmp_path, np.append(np.arange(34), [255, 7]).reshape(4, 9))
    ade20k = opened(shared_data("ade20k_sample"), format="ade20k", classes="ade20k", train_annotations="annotations")
    for dataset in (opened(tmp_path, **CITYSCAPES), ade20k):
        assert measured_as_truth(dataset) == {"miou": 1.0, "macc": 1.0, "pixel_accuracy": 1.0}


def test_real_photographs_of_camvid(shared_data: Callable[[str], Path]) -> None:
    names = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"]
    paths = {"val_images": "val", "val_annotations": "valannot"}
    dataset = opened(shared_data("camvid"), split="val", classes=names, ignore_label=11, **paths)
    assert len(dataset) == 34
    assert dataset.check_files() == []
    assert set(np.unique(dataset.labels(0)).tolist()) <= {*range(11), 255}
    with pytest.raises(DataError, match=r"value 11 in \d+ of 172800 pixels, but .* are 0 to 10, 255\."):
        opened(shared_data("camvid"), split="val", classes=names, **paths).labels(0)
