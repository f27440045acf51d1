"""Semantic segmentation datasets: file layouts, encodings of label maps, and errors of wrong files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from splitnest import zoo
from splitnest.data.formats.label_maps import LabelEncoding
from splitnest.data.scenes import CATEGORIES, Scenes
from splitnest.data.scenes.semantic import SceneSemantic
from splitnest.data.semantic.dataset import SemanticDataset
from splitnest.data.semantic.open import open_dataset
from splitnest.errors import DataError, UsageError
from splitnest.metrics.semantic import SemanticEvaluator
from splitnest.recipe import overrides
from splitnest.recipe.data import CocoData, SceneData
from splitnest.recipe.label_map_data import SemanticData
from splitnest.structures import SemanticSegmentation
from splitnest.structures.categories import Categories, from_names, with_colors
from splitnest.structures.class_tables import class_table

DATA: TypeAdapter[SemanticData] = TypeAdapter(SemanticData)
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


def save_image(path: Path, height: int = 2, width: int = 3) -> Path:
    return save(path, np.random.default_rng(0).integers(0, 256, (height, width, 3)))


def opened(root: Path, categories: Categories | None = None, split: Any = "train", **data: Any) -> SemanticDataset:
    data_cfg = DATA.validate_python({"root": str(root), "classes": CLASSES, **PATHS, **data})
    if categories is None:
        classes = data_cfg.classes
        categories = class_table(classes) if isinstance(classes, str) else from_names(classes)
    return open_dataset(data_cfg, split, categories)


@pytest.mark.parametrize("format", ["folders", "ade20k", "cityscapes"])
def test_images_are_required(tmp_path: Path, format: str) -> None:
    (tmp_path / "masks").mkdir()
    classes = "cityscapes" if format == "cityscapes" else CLASSES
    with pytest.raises(DataError, match=r"images is not a folder\. Give the folder of the images"):
        opened(tmp_path, format=format, classes=classes)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "notes.txt").touch()
    with pytest.raises(DataError, match=r"images has no images in the layout of data\.format"):
        opened(tmp_path, format=format, classes=classes)


def test_scenes_are_opened_by_a_recipe() -> None:
    assert len(SceneSemantic(Scenes(0))) == 0
    data = SceneData(format="scenes", classes=CATEGORIES.names, train_count=2, val_count=1, seed=7)
    scenes = Scenes(2, seed=7)
    dataset = open_dataset(data, "train", CATEGORIES)
    assert (len(dataset), dataset.categories, dataset.problems) == (2, CATEGORIES, [])
    for index, scene in enumerate(scenes):
        np.testing.assert_array_equal(dataset.read(index), scene.image)
        np.testing.assert_array_equal(dataset.labels(index), scene.semantic)
    assert not np.array_equal(open_dataset(data, "val", CATEGORIES).read(0), scenes[0].image)
    reversed_categories = Categories(CATEGORIES.items[::-1])
    np.testing.assert_array_equal(SceneSemantic(scenes, reversed_categories).labels(0), 13 - scenes[0].semantic)
    with pytest.raises(DataError, match="scenes does not have the classes of the model"):
        SceneSemantic(scenes, from_names(CLASSES))


def test_folders_of_class_indices(tmp_path: Path) -> None:
    pixels = save_image(tmp_path / "images" / "b.jpg"), save_image(tmp_path / "images" / "a.png", 1, 3)
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


def test_ignore_label_may_be_that_of_a_class(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.png", [[0, 1, 2], [0, 1, 2]])
    assert opened(tmp_path, ignore_label=0).labels(0).tolist() == [[255, 1, 2]] * 2


def test_16_bit_labels_of_more_than_255_classes(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "a.png", 1, 3)
    save(tmp_path / "masks" / "a.png", np.array([[0, 299, 65535]], np.uint16), "I;16")
    labels = opened(tmp_path, classes=tuple(map(str, range(300)))).labels(0)
    assert (labels.tolist(), labels.dtype) == ([[0, 299, 65535]], np.uint16)


def test_folders_of_colored_label_maps(tmp_path: Path) -> None:
    palette = [[255, 0, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]]
    save_image(tmp_path / "images" / "a.jpg")
    save(tmp_path / "masks" / "a.png", [[palette[0], palette[3], palette[1]], [palette[2]] * 3])
    assert opened(tmp_path, label_maps="colors", palette=palette, ignore_label=3).labels(0).tolist() == [
        [0, 255, 1],
        [2, 2, 2],
    ]
    ignoring = opened(tmp_path, label_maps="colors", palette=palette[:3], ignore_colors=[palette[3], [9, 9, 9]])
    assert ignoring.labels(0).tolist() == [[0, 255, 1], [2, 2, 2]]
    with pytest.raises(DataError) as caught:
        opened(tmp_path, label_maps="colors", palette=[[255, 0, 0], [0, 1, 255], [7, 8, 9]]).labels(0)
    assert str(caught.value) == (
        f"{tmp_path / 'masks' / 'a.png'} has color (255, 255, 255) in 3 of 6 pixels, color (0, 0, 0) in 1 of "
        f"6 pixels, color (0, 0, 255) in 1 of 6 pixels, which data.palette does not list. Correct the file or "
        f"data.palette, or list the colors of unlabeled pixels in data.ignore_colors."
    )
    with pytest.raises(
        DataError, match=r"a\.png has several channels \(RGB\), not class indices\. Set .* data\.palette"
    ):
        opened(tmp_path).labels(0)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"palette": [[0, 0, 0]] * 2}, "palette has 2 colors for 3 classes"),
        ({"palette": [[n, 0, 0] for n in range(4)]}, "palette has 4 colors for 3 classes"),
        ({"palette": [[n, 0, 0] for n in range(4)], "ignore_label": 7}, "one more where ignore_label is 3"),
        ({"palette": [[0, 0, 0]] * 3, "label_maps": "colors"}, r"palette lists \(0, 0, 0\) more than once"),
        ({"ignore_colors": [[1, 2, 3]]}, "ignore_colors has no effect with label_maps indices"),
        (
            {"palette": [[n, 0, 0] for n in range(3)], "label_maps": "colors", "ignore_colors": [[1, 0, 0]]},
            r"ignore_colors lists \(1, 0, 0\), which is the color of a class",
        ),
        ({"label_maps": "colors"}, "label_maps colors needs the color of each class in palette"),
        ({"palette": [[0, 0, 256]]}, "less than or equal to 255"),
    ],
)
def test_wrong_palettes_are_rejected(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        DATA.validate_python({"classes": CLASSES, **values})
    with pytest.raises(ValidationError, match=r"palette\s+Extra inputs are not permitted"):
        CocoData.model_validate({"classes": CLASSES, "palette": [[0, 0, 0]] * 3})


def test_classes_get_the_colors_of_a_palette() -> None:
    colored = with_colors(from_names(CLASSES), [(1, 2, 3), (4, 5, 6), (7, 8, 9), (0, 0, 0)])
    assert [category.color for category in colored] == [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    assert (colored.names, colored.ids) == (CLASSES, (1, 2, 3))


def test_label_outside_the_class_range_is_rejected(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.png", [[0, 3, 4], [3, 5, 6]])
    with pytest.raises(DataError) as caught:
        opened(tmp_path, ignore_label=11).labels(0)
    assert str(caught.value) == (
        f"{tmp_path / 'masks' / 'a.png'} has value 3 in 2 of 6 pixels, value 4 in 1 of 6 pixels, value 5 in 1 of 6 "
        f"pixels and 1 more, but the values of classes and of unlabeled pixels are 0 to 2, 11, 255. "
        f"Correct the file, or data.classes and data.ignore_label."
    )


def test_label_map_of_another_size_is_rejected(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.png", [[0, 1], [0, 1], [0, 1]])
    with pytest.raises(DataError, match=r"masks/a\.png has 2 x 3 pixels, but its image .*a\.png has 3 x 2 upright"):
        opened(tmp_path).labels(0)


def test_missing_label_map_is_reported(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_image(tmp_path / "images" / name)
    save(tmp_path / "masks" / "b.png", np.zeros((2, 3)))
    dataset = opened(tmp_path)
    assert dataset.check_files() == ["a.png"]
    assert dataset.problems == ["a.png: it has no label map"]
    with pytest.raises(DataError, match=r"images/a\.png has no label map: .*masks/a\.png does not exist"):
        dataset.labels(0)
    assert dataset.labels(1).tolist() == [[0] * 3] * 2


def test_damaged_and_ambiguous_files_are_rejected(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "a.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").write_text("no image")
    with pytest.raises(DataError, match=r"masks/a\.png cannot be read as an image"):
        opened(tmp_path).labels(0)
    save_image(tmp_path / "images" / "a.jpg")
    with pytest.raises(DataError, match=r"images has a\.jpg and a\.png, which have the same name\. Remove one"):
        opened(tmp_path)


def test_test_set_has_no_label_maps(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "a.png")
    dataset = opened(tmp_path, split="val", val_annotations=None)
    assert (len(dataset), dataset.has_annotations, dataset.problems) == (1, False, [])
    with pytest.raises(DataError, match="has no label maps"):
        dataset.labels(0)
    with pytest.raises(UsageError, match=r"data\.train_annotations is not set\. Give the folder of the label maps"):
        opened(tmp_path, train_annotations=None)


def test_wrong_recipes_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.format should be one of .*'folders'.*, not 'coco'"):
        overrides.apply(zoo.get("fcn_resnest101_d8_cityscapes.mmseg"), {"data.format": "coco"})
    with pytest.raises(UsageError, match=r"data\.root is not set"):
        open_dataset(DATA.validate_python({"classes": CLASSES}), "val", from_names(CLASSES))
    with pytest.raises(UsageError, match=r"data\.val_images is not set"):
        opened(tmp_path, split="val", val_images=None)


def test_detector_cannot_have_label_maps() -> None:
    with pytest.raises(UsageError, match=r"data\.format should be one of .*'coco'.*, not 'folders'"):
        overrides.apply(zoo.get("faster_rcnn_resnest50_fpn_1x_coco.mmdet"), {"data.format": "folders"})


def cityscapes_tree(root: Path, ids: np.ndarray, **maps: np.ndarray) -> None:
    """Write an image of each of two cities; the label maps of the second are flipped vertically."""
    for city, step in (("aachen", 1), ("bonn", -1)):
        stem = f"{city}/{city}_000000_000019"
        save_image(root / "leftImg8bit" / "train" / f"{stem}_leftImg8bit.png", *ids.shape)
        for kind, values in {"labelIds": ids, **maps}.items():
            save(root / "gtFine" / "train" / f"{stem}_gtFine_{kind}.png", values[::step])


def test_cityscapes_label_ids(tmp_path: Path) -> None:
    ids = np.append(np.arange(34), [255, 7]).reshape(4, 9)
    cityscapes_tree(tmp_path, ids)
    dataset = opened(tmp_path, **CITYSCAPES)
    assert dataset.name(1) == "bonn/bonn_000000_000019_leftImg8bit.png"
    labels = dataset.labels(0)
    np.testing.assert_array_equal(dataset.labels(1), labels[::-1])
    # training ids of label ids 0 to 33 in cityscapesScripts
    train_ids = [255] * 7 + [0, 1, 255, 255, 2, 3, 4, 255, 255, 255, 5, 255, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255]
    train_ids += [255, 16, 17, 18]
    assert labels.ravel().tolist() == [*train_ids, 255, 0]


def test_cityscapes_training_ids_are_preferred(tmp_path: Path) -> None:
    ids, train_ids = np.full((2, 12), 7), np.append(np.arange(19), [255] * 5).reshape(2, 12)
    cityscapes_tree(tmp_path, ids, labelTrainIds=train_ids)
    np.testing.assert_array_equal(opened(tmp_path, **CITYSCAPES).labels(0), train_ids)
    path = tmp_path / "gtFine/train/bonn/bonn_000000_000019_gtFine_labelTrainIds.png"
    save(path, np.full((2, 12), 19))
    with pytest.raises(DataError, match=r"has value 19 in 24 of 24 pixels, but .* are 0 to 18, 255\."):
        opened(tmp_path, **CITYSCAPES).labels(1)
    path.unlink()
    assert (opened(tmp_path, **CITYSCAPES).labels(0) == 0).all()


def test_wrong_cityscapes_files_are_rejected(tmp_path: Path) -> None:
    cityscapes_tree(tmp_path, np.full((2, 2), 34))
    with pytest.raises(DataError, match=r"has value 34 in 4 of 4 pixels, but .* are 0 to 33, 255\."):
        opened(tmp_path, **CITYSCAPES).labels(0)
    with pytest.raises(DataError, match="Cityscapes does not have the classes of the model"):
        opened(tmp_path, **{**CITYSCAPES, "classes": CLASSES})
    (tmp_path / "gtFine/train/bonn/bonn_000000_000019_gtFine_labelIds.png").unlink()
    dataset = opened(tmp_path, **CITYSCAPES)
    assert dataset.check_files() == ["bonn/bonn_000000_000019_leftImg8bit.png"]


def test_cityscapes_classes_are_matched_by_name(tmp_path: Path) -> None:
    cityscapes_tree(tmp_path, np.full((2, 2), 33))
    dataset = opened(tmp_path, from_names(class_table("cityscapes").names), **CITYSCAPES)
    assert (dataset.labels(0) == 18).all()
    assert dataset.categories.ids == class_table("cityscapes").ids


def test_ade20k_values_count_from_1(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "a.jpg", 1, 4)
    save(tmp_path / "masks" / "a.png", [[0, 1, 150, 255]])
    data = {"format": "ade20k", "classes": "ade20k"}
    assert opened(tmp_path, **data).labels(0).tolist() == [[255, 0, 149, 255]]
    save(tmp_path / "masks" / "a.png", [[0, 1, 151, 255]])
    with pytest.raises(DataError, match=r"has value 151 in 1 of 4 pixels, but .* are 0 to 150, 255\."):
        opened(tmp_path, **data).labels(0)


def test_encoding_decodes_integers_of_any_type() -> None:
    encoding = LabelEncoding({0: 0, 70_000: 1}, np.dtype(np.uint8))
    assert encoding.decode(np.array([[0, 70_000]], np.int32), Path("a.png")).tolist() == [[0, 1]]
    with pytest.raises(DataError, match="value -1 in 1 of 2 pixels"):
        encoding.decode(np.array([[0, -1]], np.int32), Path("a.png"))
    assert encoding.decode(np.zeros((0, 3), np.uint8), Path("a.png")).shape == (0, 3)


def test_real_ade20k_images(shared_data: Callable[[str], Path]) -> None:
    root = shared_data("ade20k_sample")
    dataset = opened(root, format="ade20k", classes="ade20k", train_annotations="annotations")
    assert len(dataset) == 3
    names = {dataset.categories[label].name for label in np.unique(dataset.labels(2)).tolist() if label != 255}
    assert {"wall", "building", "sky"} <= names
    raw = np.array(Image.open(root / "annotations" / "ADE_val_00000003.png"))
    assert ((dataset.labels(2) == 255) == (raw == 0)).all()
    for index in range(3):
        assert dataset.labels(index).shape == dataset.read(index).shape[:2]


def metrics_of_ground_truth(dataset: SemanticDataset) -> dict[str, float]:
    """Evaluate the ground truth of a dataset as predictions; unlabeled pixels may have any class."""
    evaluator = SemanticEvaluator(dataset)
    for index in range(len(dataset)):
        labels = dataset.labels(index)
        labels = np.where(labels == 255, 0, labels).astype(labels.dtype)
        size = (labels.shape[0], labels.shape[1])
        evaluator.update(index, SemanticSegmentation(labels, image_size=size, categories=dataset.categories))
    return evaluator.compute()


def test_ground_truth_as_prediction_is_perfect(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    cityscapes_tree(tmp_path, np.append(np.arange(34), [255, 7]).reshape(4, 9))
    ade20k = opened(shared_data("ade20k_sample"), format="ade20k", classes="ade20k", train_annotations="annotations")
    for dataset in (opened(tmp_path, **CITYSCAPES), ade20k):
        assert metrics_of_ground_truth(dataset) == {"miou": 1.0, "macc": 1.0, "pixel_accuracy": 1.0}


def test_real_camvid_images(shared_data: Callable[[str], Path]) -> None:
    names = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"]
    paths = {"val_images": "val", "val_annotations": "valannot"}
    dataset = opened(shared_data("camvid"), split="val", classes=names, ignore_label=11, **paths)
    assert len(dataset) == 34
    assert dataset.check_files() == []
    assert set(np.unique(dataset.labels(0)).tolist()) <= {*range(11), 255}
    with pytest.raises(DataError, match=r"value 11 in \d+ of 172800 pixels, but .* are 0 to 10, 255\."):
        opened(shared_data("camvid"), split="val", classes=names, **paths).labels(0)
