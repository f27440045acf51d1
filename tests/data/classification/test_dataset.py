"""Classification datasets: class folders, lists of images and classes, and the dataset check."""

from pathlib import Path

import numpy as np
import pytest

from helpers.image_tree import COLORS, recipe_of, write, write_classes
from splitnest.data.classification.check import check_dataset
from splitnest.data.classification.dataset import ClassificationDataset
from splitnest.data.classification.open import open_dataset, with_folder_classes
from splitnest.data.formats.image_folders import read_class_folders, read_class_list
from splitnest.errors import DataError, UsageError
from splitnest.models.build import build_categories
from splitnest.structures.categories import Categories, from_names
from splitnest.structures.class_tables import class_table

IMAGENET = class_table("imagenet")
COLOR_CLASSES = from_names(COLORS)


def from_folders(root: Path, categories: Categories = COLOR_CLASSES) -> ClassificationDataset:
    return ClassificationDataset(root, read_class_folders(root, categories), categories)


def names_of(dataset: ClassificationDataset) -> list[str]:
    return [dataset.name(index) for index in range(len(dataset))]


def test_images_are_required(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        read_class_folders(tmp_path / "absent", COLOR_CLASSES)
    for empty in (tmp_path / "empty", tmp_path / "classes" / "red"):
        empty.mkdir(parents=True)
    with pytest.raises(DataError, match="empty has no images"):
        read_class_folders(tmp_path / "empty", COLOR_CLASSES)
    with pytest.raises(DataError, match="classes has no images"):
        read_class_folders(tmp_path / "classes", COLOR_CLASSES)
    (tmp_path / "list.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"list\.txt has no images"):
        read_class_list(tmp_path / "empty", tmp_path / "list.txt", COLOR_CLASSES)


def test_each_folder_is_a_class(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 2})
    write(tmp_path / "train" / "red" / "deeper" / "down" / "x.jpg")
    write(tmp_path / "train" / ".cache" / "hidden.png")
    (tmp_path / "train" / "red" / "notes.txt").write_text("not an image")
    dataset = from_folders(tmp_path / "train")
    assert names_of(dataset) == [f"{c}/train{n}.png" for c in ("blue", "green") for n in (0, 1)] + [
        "red/train0.png", "red/train1.png", "red/deeper/down/x.jpg",
    ]  # fmt: skip
    assert dataset.labels.tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert dataset.read(6).shape == (36, 40, 3)
    assert dataset.problems == []


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        (["n02504458", "n01440764"], [0, 386]),  # WordNet ids
        (["tench", "African_elephant"], [386, 0]),  # names, with underscores instead of blanks
        (["7", "10", "0"], [0, 10, 7]),  # indices, as in ImageNet-V2
    ],
)
def test_imagenet_folders_are_ids_names_or_indices(tmp_path: Path, folders: list[str], labels: list[int]) -> None:
    for name in folders:
        write(tmp_path / name / "1.JPEG")
    dataset = from_folders(tmp_path, IMAGENET)
    assert dataset.labels.tolist() == labels
    assert len(dataset.problems) == 1
    assert f"no images of {1000 - len(folders)} of the 1000 classes" in dataset.problems[0]


def test_wordnet_ids_match_the_class_names() -> None:
    from splitnest.data.formats.imagenet_ids import IDS

    pairs = dict(zip(IDS, IMAGENET.names, strict=True))
    assert len(pairs) == 1000
    assert list(IDS) == sorted(IDS)
    for id_, name in (
        ("n01440764", "tench"),
        ("n02123045", "tabby"),
        ("n02504458", "African elephant"),
        ("n03388043", "fountain"),
        ("n04254680", "soccer ball"),
        ("n07873807", "pizza"),
        ("n15075141", "toilet tissue"),
    ):
        assert pairs[id_] == name


def test_unknown_and_repeated_class_folders_are_rejected(tmp_path: Path) -> None:
    write(tmp_path / "red" / "1.png")
    write(tmp_path / "purple" / "1.png")
    with pytest.raises(
        DataError, match=r"has 'purple', which is not a class of the model\. Its 3 classes are blue, green, red"
    ):
        read_class_folders(tmp_path, COLOR_CLASSES)
    (tmp_path / "purple").rename(tmp_path / "Red")
    with pytest.raises(DataError, match="has two folders of class red: Red and red"):
        read_class_folders(tmp_path, COLOR_CLASSES)


def test_images_without_class_folders_have_no_annotations(tmp_path: Path) -> None:
    write(tmp_path / "b.png")
    write(tmp_path / "a.png")
    dataset = from_folders(tmp_path)
    assert not dataset.has_annotations
    assert names_of(dataset) == ["a.png", "b.png"]
    assert dataset.problems == []


@pytest.mark.parametrize(
    "lines",
    [
        ["ILSVRC2012_val_00000001.JPEG 65", "ILSVRC2012_val_00000002.JPEG 970"],  # Caffe's val.txt
        ["ImageId,PredictionString", "ILSVRC2012_val_00000002,n09193705 1 2 3 4 n09193705 5 6 7 8",
         "ILSVRC2012_val_00000001,n01751748 85 1 499 272"],  # Kaggle's LOC_val_solution.csv
        ["ILSVRC2012_val_00000001.JPEG\tn01751748\t0\t32\t44\t62",
         "ILSVRC2012_val_00000002.JPEG\tn09193705\t0\t0\t1\t1"],  # Tiny ImageNet's val_annotations.txt
        ["file,class", "./ILSVRC2012_val_00000001.JPEG,sea snake", "ILSVRC2012_val_00000002.JPEG,alp"],
        ["ILSVRC2012_val_00000001.JPEG sea snake", "", "ILSVRC2012_val_00000002.JPEG alp"],
    ],
)  # fmt: skip
def test_list_of_images_and_classes(tmp_path: Path, lines: list[str]) -> None:
    for number in (1, 2, 3):
        write(tmp_path / "val" / f"ILSVRC2012_val_0000000{number}.JPEG")
    (tmp_path / "val.txt").write_text("\n".join(lines) + "\n")
    images = read_class_list(tmp_path / "val", tmp_path / "val.txt", IMAGENET)
    assert images.labels is not None
    assert dict(zip(images.names, images.labels, strict=True)) == {
        "ILSVRC2012_val_00000001.JPEG": 65,
        "ILSVRC2012_val_00000002.JPEG": 970,
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("490", r"line 2, has only '490'.+development kit numbers classes in another order"),
        ("a.png", r"line 2, has only 'a\.png'\. Write an image name and a class in each line"),
        ("z.png 1", r"line 2, has z\.png, which is not in .+val\. Add the image"),
        ("b.png 3", "line 2, has class 3, but classes range from 0 to 2"),
        ("b.png purple", "line 2, has 'purple', which is not a class of the model"),
        ("a.png 2", r"line 2: a\.png is listed before"),
    ],
)
def test_wrong_lines_of_a_list_are_rejected(tmp_path: Path, line: str, message: str) -> None:
    for name in ("a", "b"):
        write(tmp_path / "val" / f"{name}.png")
    (tmp_path / "val.txt").write_text(f"a.png 0\n{line}\n")
    with pytest.raises(DataError, match=message):
        read_class_list(tmp_path / "val", tmp_path / "val.txt", COLOR_CLASSES)


def test_unreadable_lists_are_rejected(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"absent\.txt cannot be read"):
        read_class_list(tmp_path, tmp_path / "absent.txt", COLOR_CLASSES)
    with pytest.raises(DataError, match=r"a\.png is not UTF-8 text"):
        read_class_list(tmp_path, tmp_path / "a.png", COLOR_CLASSES)


def test_classes_from_folder_names(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 1, "val": 1})
    recipe = with_folder_classes(recipe_of(tmp_path))
    assert recipe.data.classes == ("blue", "green", "red")
    assert with_folder_classes(recipe) is recipe
    only_val = with_folder_classes(recipe_of(tmp_path, **{"data.train_images": None}))
    assert only_val.data.classes == ("blue", "green", "red")
    assert open_dataset(recipe.data, "val", build_categories(recipe)).labels.tolist() == [0, 1, 2]
    (tmp_path / "flat").mkdir()
    with pytest.raises(DataError, match=r"flat has no folders, so data\.classes=folders gives no classes"):
        with_folder_classes(recipe_of(tmp_path, **{"data.train_images": "flat"}))
    with pytest.raises(UsageError, match=r"data\.root is not set"):
        with_folder_classes(recipe_of(None))


def test_formats_of_other_tasks_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.format should .*'folders', 'label_studio', not 'voc'"):
        recipe_of(tmp_path, **{"data.format": "voc"})


def test_check_counts_images_and_lists_anomalies_and_faults(tmp_path: Path) -> None:
    for name in ("red/1.png", "red/2.png", "green/3.png"):
        write(tmp_path / name, size_wh=(20, 10 + ord(name[-5])))
    (tmp_path / "red" / "again.png").write_bytes((tmp_path / "red" / "1.png").read_bytes())
    (tmp_path / "green" / "also.png").write_bytes((tmp_path / "red" / "2.png").read_bytes())
    (tmp_path / "green" / "broken.png").write_bytes((tmp_path / "red" / "2.png").read_bytes()[:60])
    report = check_dataset(from_folders(tmp_path))
    assert report.counts == {"blue": 0, "green": 3, "red": 3}
    assert (report.smallest, report.largest) == ((59, 20), (61, 20))
    assert report.anomalies == {
        "class without images": ("blue",),
        "same pixels in several classes": ("green/also.png, red/2.png",),
        "same pixels several times in a class": ("red/1.png, red/again.png",),
    }
    assert len(report.faults) == 1
    assert "broken.png" in report.faults[0]


def test_names_are_stored_in_one_array(tmp_path: Path) -> None:
    """Worker processes share an array; a list of strings would be copied when its reference counts change."""
    write(tmp_path / "red" / "schön.png")
    dataset = from_folders(tmp_path)
    assert dataset._names.dtype.kind == "S"
    assert dataset.name(0) == "red/schön.png"
    assert isinstance(dataset.read(0), np.ndarray)
