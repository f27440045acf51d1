"""Lists that limit a split: order, names, annotations, and wrong lists, for every task."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.tool_exports import Annotated, Instance, write_coco, write_images, write_labelme, write_voc
from splitnest.data.classification.open import open_dataset as open_classification
from splitnest.data.detection.open import open_dataset
from splitnest.data.formats.annotation_columns import from_rows
from splitnest.data.formats.coco import read_coco
from splitnest.data.formats.image_lists import _gathered, limited_annotations, listed_rows
from splitnest.data.semantic.open import open_dataset as open_semantic
from splitnest.errors import DataError
from splitnest.recipe.data import CocoData, ImageFolderData, LabelmeData, VocData
from splitnest.recipe.label_map_data import LabelMapFolderData
from splitnest.structures.categories import from_names

FIG, DATE = Instance("fig", (5.0, 5.0, 40.0, 30.0)), Instance("date", (1.0, 2.0, 9.0, 8.0))
TRIANGLE = Instance("fig", (5.0, 6.0, 25.0, 30.0), ((5.0, 6.0), (25.0, 7.0), (15.0, 30.0)))
IMAGES = (
    Annotated("a.png", 60, 40, (FIG, TRIANGLE)),
    Annotated("b.png", 50, 40),
    Annotated("c.png", 40, 40, (DATE, TRIANGLE)),
)


def test_empty_lists_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n \n")
    with pytest.raises(DataError, match=r"list\.txt lists no images"):
        listed_rows(tmp_path / "list.txt", ["a.png"])


def test_names_of_other_places(tmp_path: Path) -> None:
    names = ["x/a.png", "b.png", "b.jpg"]
    (tmp_path / "list.txt").write_text("/home/anna/x/a.jpg\nC:\\fruit\\b.jpg\n\n./b.png\n")
    assert listed_rows(tmp_path / "list.txt", names).tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png\nd.png\n", r"line 2: d\.png is not one of the 2 images: a\.png, b\.png"),
        ("a.png\n./a.png\n", r"line 2: \./a\.png is listed before, in line 1"),
        (b"\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_wrong_lists_are_rejected(tmp_path: Path, text: str | bytes, message: str) -> None:
    (tmp_path / "list.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        listed_rows(tmp_path / "list.txt", ["a.png", "b.png"])
    with pytest.raises(DataError, match=r"absent\.txt cannot be read: it does not exist"):
        listed_rows(tmp_path / "absent.txt", ["a.png"])


def test_annotations_follow_their_images(tmp_path: Path) -> None:
    write_images(tmp_path, IMAGES)
    file = read_coco(write_coco(tmp_path / "a.json", IMAGES))
    (tmp_path / "list.txt").write_text("c\na\n")
    limited = limited_annotations(file, tmp_path / "list.txt")
    assert limited.file_names == ("c.png", "a.png")
    assert limited.sizes_hw.tolist() == [[40, 40], [40, 60]]
    assert limited.ids.tolist() == [3, 4, 1, 2]
    assert limited.image_index.tolist() == [0, 0, 1, 1]
    for row, old in enumerate((2, 3, 0, 1)):
        np.testing.assert_array_equal(limited.boxes_xywh[row], file.boxes_xywh[old])
        assert [p.tolist() for p in limited.segmentations.of(row)] == [
            p.tolist() for p in file.segmentations.of(old)  # type: ignore[union-attr]  # polygons
        ]  # fmt: skip


@given(st.lists(st.integers(0, 4), max_size=12), st.data())
def test_rows_of_any_lengths_are_gathered(lengths: list[int], data: st.DataObject) -> None:
    rows = np.array(data.draw(st.permutations(range(len(lengths)))), np.int64)[: data.draw(st.integers(0, 12))]
    ends = np.cumsum(np.array(lengths, np.int64))
    values = np.arange(sum(lengths))
    index, new_ends = _gathered(ends, rows)
    expected = [
        values[end - length : end] for end, length in zip(ends[rows], np.array(lengths, int)[rows], strict=True)
    ]
    np.testing.assert_array_equal(values[index], np.concatenate([np.zeros(0, int), *expected]))
    np.testing.assert_array_equal(new_ends, np.cumsum([len(each) for each in expected], dtype=np.int64))


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    file = from_rows("x", [(1, "a.png", 40, 60)], [(1, "fig")], [])
    (tmp_path / "list.txt").write_text("a.png\n")
    assert limited_annotations(file, tmp_path / "list.txt").file_names == ("a.png",)


def test_all_formats_give_the_images_in_the_order_of_the_list(tmp_path: Path) -> None:
    write_images(tmp_path, IMAGES)
    write_coco(tmp_path / "a.json", IMAGES)
    write_labelme(tmp_path / "labelme", IMAGES)
    write_voc(tmp_path / "voc", IMAGES)
    (tmp_path / "list.txt").write_text("c.png\na.png\n")
    keys = {"root": str(tmp_path), "classes": ("date", "fig"), "train_images": ".", "train_list": "list.txt"}
    model = from_names(["date", "fig"])
    sections = (
        CocoData(**keys, train_annotations="a.json"),
        LabelmeData(**keys, format="labelme", train_annotations="labelme"),
        VocData(**keys, format="voc", train_annotations="voc"),
    )
    for data in sections:
        dataset = open_dataset(data, "train", model)  # type: ignore[arg-type]  # sections of detection
        assert [dataset.name(index) for index in range(len(dataset))] == ["c.png", "a.png"]
        np.testing.assert_allclose(dataset[0].boxes[0], [1, 2, 9, 8])


def test_lists_of_several_parts_name_images_below_the_common_folder(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        write_images(tmp_path / folder, IMAGES)
        write_coco(tmp_path / f"{folder}.json", IMAGES)
    (tmp_path / "list.txt").write_text("y/a.png\nx/c.png\n")
    data = CocoData(
        root=str(tmp_path), classes=("date", "fig"), train_images=("x", "y"),
        train_annotations=("x.json", "y.json"), train_list="list.txt",
    )  # fmt: skip
    dataset = open_dataset(data, "train", from_names(["date", "fig"]))
    assert [dataset.name(index) for index in range(len(dataset))] == ["y/a.png", "x/c.png"]


def test_image_folders_and_label_maps(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        write_images(tmp_path / "photos" / name, IMAGES)
    write_images(tmp_path / "maps", IMAGES)
    (tmp_path / "list.txt").write_text("dog/b.png\ncat/a.png\n")
    (tmp_path / "maps.txt").write_text("c\n")
    keys = {"root": str(tmp_path), "classes": ("cat", "dog"), "val_images": "photos"}
    images = open_classification(ImageFolderData(**keys, val_list="list.txt"), "val", from_names(["cat", "dog"]))
    assert images.labels.tolist() == [1, 0]
    keys |= {"val_images": "maps", "val_annotations": "maps"}
    maps = open_semantic(
        LabelMapFolderData(**keys, format="folders", val_list="maps.txt"), "val", from_names(["cat", "dog"])
    )
    assert len(maps) == 1
    assert maps.name(0).endswith("c.png")


def test_list_of_a_panoptic_dataset(tmp_path: Path) -> None:
    from PIL import Image

    from splitnest.data.detection.panoptic import CocoPanoptic

    write_images(tmp_path, IMAGES[:1] + IMAGES[:1])
    write_images(tmp_path, [Annotated("b.png", 60, 40)])
    content = {
        "images": [{"id": n, "file_name": name, "height": 40, "width": 60} for n, name in ((1, "a.png"), (2, "b.png"))],
        "annotations": [
            {"image_id": n, "file_name": name, "segments_info": [{"id": n, "category_id": n}]}
            for n, name in ((1, "a.png"), (2, "b.png"))
        ],
        "categories": [{"id": 1, "name": "cat", "isthing": 1}, {"id": 2, "name": "sky", "isthing": 0}],
    }
    (tmp_path / "p").mkdir()
    for number, name in ((1, "a.png"), (2, "b.png")):
        Image.new("RGB", (60, 40), (number, 0, 0)).save(tmp_path / "p" / name)
    (tmp_path / "p.json").write_text(json.dumps(content))
    (tmp_path / "list.txt").write_text("b.png\n")
    dataset = CocoPanoptic(tmp_path, tmp_path / "p.json", image_list=tmp_path / "list.txt")
    assert len(dataset) == 1
    assert dataset.labels(0).ids.tolist() == [2]
