"""Photographs with one class each, in every form that they come in."""

from pathlib import Path

import numpy as np
import pytest
from image_tree import COLORS, recipe_of, write, write_classes

from splitnest.build import build_categories
from splitnest.data import categories
from splitnest.data.image_check import check_images
from splitnest.data.image_folders import complete_classes, open_image_labels
from splitnest.data.image_labels import read_class_folders, read_class_list
from splitnest.errors import DataError, UsageError

IMAGENET = categories.named("imagenet")
COLOR_CLASSES = categories.from_names(COLORS)


def test_no_photographs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        read_class_folders(tmp_path / "absent", COLOR_CLASSES)
    for empty in (tmp_path / "empty", tmp_path / "classes" / "red"):
        empty.mkdir(parents=True)
    with pytest.raises(DataError, match="empty has no photographs"):
        read_class_folders(tmp_path / "empty", COLOR_CLASSES)
    with pytest.raises(DataError, match="classes has no photographs"):
        read_class_folders(tmp_path / "classes", COLOR_CLASSES)
    (tmp_path / "list.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"list\.txt has no photographs"):
        read_class_list(tmp_path / "empty", tmp_path / "list.txt", COLOR_CLASSES)


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 2})
    write(tmp_path / "train" / "red" / "deeper" / "down" / "x.jpg")
    write(tmp_path / "train" / ".cache" / "hidden.png")
    (tmp_path / "train" / "red" / "notes.txt").write_text("not a photograph")
    dataset = read_class_folders(tmp_path / "train", COLOR_CLASSES)
    names = [dataset.name(index) for index in range(len(dataset))]
    assert names == [f"{c}/train{n}.png" for c in ("blue", "green") for n in (0, 1)] + [
        "red/train0.png", "red/train1.png", "red/deeper/down/x.jpg",
    ]  # fmt: skip
    assert dataset.labels.tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert dataset.read(6).shape == (36, 40, 3)
    assert dataset.problems == []


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        (["n02504458", "n01440764"], [0, 386]),  # by WordNet id, of ImageNet
        (["tench", "African_elephant"], [386, 0]),  # by name, whatever the spelling
        (["7", "10", "0"], [0, 10, 7]),  # by index, as ImageNet-V2
    ],
)
def test_folders_of_imagenet(tmp_path: Path, folders: list[str], labels: list[int]) -> None:
    for name in folders:
        write(tmp_path / name / "1.JPEG")
    dataset = read_class_folders(tmp_path, IMAGENET)
    assert dataset.labels.tolist() == labels
    assert len(dataset.problems) == 1
    assert f"no photograph of {1000 - len(folders)} of the 1000 classes" in dataset.problems[0]


def test_ids_are_those_of_the_names() -> None:
    from splitnest.data.imagenet_ids import IDS

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


def test_folders_that_are_no_classes(tmp_path: Path) -> None:
    write(tmp_path / "red" / "1.png")
    write(tmp_path / "purple" / "1.png")
    with pytest.raises(DataError, match=r"has 'purple', which is no class of the model; it has 3: blue, green, red"):
        read_class_folders(tmp_path, COLOR_CLASSES)
    (tmp_path / "purple").rename(tmp_path / "Red")
    with pytest.raises(DataError, match="has two folders of red: Red and red"):
        read_class_folders(tmp_path, COLOR_CLASSES)


def test_photographs_without_classes(tmp_path: Path) -> None:
    write(tmp_path / "b.png")
    write(tmp_path / "a.png")
    dataset = read_class_folders(tmp_path, COLOR_CLASSES)
    assert not dataset.has_annotations
    assert [dataset.name(index) for index in range(2)] == ["a.png", "b.png"]
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
def test_a_flat_folder_and_a_list(tmp_path: Path, lines: list[str]) -> None:
    for number in (1, 2, 3):
        write(tmp_path / "val" / f"ILSVRC2012_val_0000000{number}.JPEG")
    (tmp_path / "val.txt").write_text("\n".join(lines) + "\n")
    dataset = read_class_list(tmp_path / "val", tmp_path / "val.txt", IMAGENET)
    found = {dataset.name(index): dataset.labels[index] for index in range(len(dataset))}
    assert found == {"ILSVRC2012_val_00000001.JPEG": 65, "ILSVRC2012_val_00000002.JPEG": 970}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("490", r"line 2, holds '490' alone.+development kit have another order"),
        ("a.png", r"line 2, holds 'a.png' alone, but should hold a file and its class"),
        ("z.png 1", r"line 2, names z.png, which is not in .+val\. Add the file"),
        ("b.png 3", "line 2, has class 3, but classes are from 0 to 2"),
        ("b.png purple", "line 2, has 'purple', which is no class of the model"),
        ("a.png 2", r"line 2, has a\.png again"),
    ],
)
def test_lists_that_are_not_understood(tmp_path: Path, line: str, message: str) -> None:
    for name in ("a", "b"):
        write(tmp_path / "val" / f"{name}.png")
    (tmp_path / "val.txt").write_text(f"a.png 0\n{line}\n")
    with pytest.raises(DataError, match=message):
        read_class_list(tmp_path / "val", tmp_path / "val.txt", COLOR_CLASSES)


def test_files_that_are_no_lists(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"absent\.txt cannot be read"):
        read_class_list(tmp_path, tmp_path / "absent.txt", COLOR_CLASSES)
    with pytest.raises(DataError, match=r"a\.png is not UTF-8 text"):
        read_class_list(tmp_path, tmp_path / "a.png", COLOR_CLASSES)


def test_classes_are_those_of_the_folders(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 1, "val": 1})
    recipe = complete_classes(recipe_of(tmp_path))
    assert recipe.data.classes == ("blue", "green", "red")
    assert complete_classes(recipe) is recipe
    only_val = complete_classes(recipe_of(tmp_path, **{"data.train_images": None}))
    assert only_val.data.classes == ("blue", "green", "red")
    assert open_image_labels(recipe.data, "val", build_categories(recipe)).labels.tolist() == [0, 1, 2]
    (tmp_path / "flat").mkdir()
    with pytest.raises(DataError, match="flat holds no folders"):
        complete_classes(recipe_of(tmp_path, **{"data.train_images": "flat"}))
    with pytest.raises(UsageError, match=r"data\.root is not set"):
        complete_classes(recipe_of(None))


def test_other_formats_have_no_class_an_image(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, **{"data.format": "voc"})
    with pytest.raises(UsageError, match=r"data\.format voc has no class an image: .+ must be folders"):
        open_image_labels(recipe.data, "val", COLOR_CLASSES)


def test_what_a_look_finds(tmp_path: Path) -> None:
    for name in ("red/1.png", "red/2.png", "green/3.png"):
        write(tmp_path / name, size_wh=(20, 10 + ord(name[-5])))
    (tmp_path / "red" / "again.png").write_bytes((tmp_path / "red" / "1.png").read_bytes())
    (tmp_path / "green" / "also.png").write_bytes((tmp_path / "red" / "2.png").read_bytes())
    (tmp_path / "green" / "broken.png").write_bytes((tmp_path / "red" / "2.png").read_bytes()[:60])
    report = check_images(read_class_folders(tmp_path, COLOR_CLASSES))
    assert report.counts == {"blue": 0, "green": 3, "red": 3}
    assert (report.smallest, report.largest) == ((59, 20), (61, 20))
    assert report.oddities == {
        "class without a photograph": ("blue",),
        "the same pixels in several classes": ("green/also.png, red/2.png",),
        "the same pixels more than once": ("red/1.png, red/again.png",),
    }
    assert len(report.faults) == 1
    assert "broken.png" in report.faults[0]


def test_a_million_names_are_one_array(tmp_path: Path) -> None:
    """Worker processes share it: lists of strings are copied page by page, as their counters of references change."""
    write(tmp_path / "red" / "schön.png")
    dataset = read_class_folders(tmp_path, COLOR_CLASSES)
    assert dataset._names.dtype.kind == "S"
    assert dataset.name(0) == "red/schön.png"
    assert isinstance(dataset.read(0), np.ndarray)
