"""Panoptic dataset of COCO files: instances, segments, and errors of wrong files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.panoptic_tree import CLASSES, PIXELS, ROWS, instances, write, write_png
from splitnest.data.detection.panoptic import CocoPanoptic, PanopticDataset
from splitnest.errors import DataError
from splitnest.structures.boxes import xywh_to_xyxy
from splitnest.structures.categories import from_names, things_of, with_stuff
from splitnest.structures.class_tables import class_table
from splitnest.structures.masks import rle_to_mask
from splitnest.structures.panoptic_labels import UNLABELED


def test_file_without_images(tmp_path: Path) -> None:
    dataset = CocoPanoptic(tmp_path, write(tmp_path, images=[], annotations=[]), CLASSES)
    assert (len(dataset), dataset.panoptic_categories, dataset.check_files()) == (0, CLASSES, [])


def test_instances_are_derived_from_thing_segments(tmp_path: Path) -> None:
    dataset = CocoPanoptic(tmp_path, write(tmp_path), CLASSES)
    assert isinstance(dataset, PanopticDataset)
    assert (dataset.image_ids, dataset.panoptic_categories, dataset.problems) == ([4, 2], CLASSES, [])
    assert dataset.categories == things_of(CLASSES) == from_names(["cat", "dog"])
    sample = dataset[0]
    assert sample.labels.tolist() == [1, 0, 0]
    assert sample.boxes.tolist() == [[2, 1, 4, 3], [0, 1, 2, 3], [4, 2, 5, 3]]
    assert sample.areas.tolist() == [4, 4, 1]
    assert sample.iscrowd.tolist() == [False, False, True]
    for segmentation, id_ in zip(sample.segmentations, (300, 70_000, 9), strict=True):
        assert isinstance(segmentation, dict)
        np.testing.assert_array_equal(rle_to_mask(segmentation), id_ == PIXELS)
    assert len(dataset[1].labels) == 0
    np.testing.assert_array_equal(dataset.labels(0).segments, PIXELS)
    assert dataset.labels(0).labels.tolist() == [1, 3, 0, 0]
    assert len(dataset.labels(1)) == 0


def test_instances_from_a_separate_file(tmp_path: Path) -> None:
    dataset = CocoPanoptic(tmp_path, write(tmp_path), CLASSES, instances(tmp_path))
    assert dataset.image_ids == [4, 2]
    assert [len(dataset[index].labels) for index in (0, 1)] == [1, 0]
    assert (dataset[0].labels.tolist(), dataset[0].boxes.tolist()) == ([1], [[1, 0, 4, 3]])
    assert dataset.cite(0) == "annotation 1 of 4.jpg"
    assert dataset.labels(0).labels.tolist() == [1, 3, 0, 0]


def test_classes_of_file_and_model_are_matched(tmp_path: Path) -> None:
    mixed = [{**row, "id": 90 - int(row["id"]) * 10} for row in (ROWS[2], ROWS[0], ROWS[3], ROWS[1])]
    none = {"images": [], "annotations": [], "categories": mixed}
    path = write(tmp_path, **none)
    of_file = CocoPanoptic(tmp_path, path).panoptic_categories
    assert [(c.id, c.name, c.is_thing) for c in of_file] == [
        (70, "dog", True),
        (80, "cat", True),
        (50, "sea", False),
        (60, "sky", False),
    ]
    same = with_stuff(from_names(["dog", "cat"]), ["sea", "sky"])
    assert CocoPanoptic(tmp_path, path, same).panoptic_categories.ids == of_file.ids
    with pytest.raises(DataError, match=r"only the file has cat, sky\. Set data\.classes and data\.stuff to"):
        CocoPanoptic(tmp_path, path, with_stuff(from_names(["dog"]), ["sea"]))
    with pytest.raises(DataError, match=r"sky is a stuff class in .*train\.json \('isthing'\), but a thing class"):
        CocoPanoptic(tmp_path, path, with_stuff(from_names(["dog", "cat", "sky"]), ["sea"]))


def test_file_with_a_subset_of_the_coco_classes(tmp_path: Path) -> None:
    rows = [{"id": 17, "name": "cat", "isthing": 1}, {"id": 187, "name": "sky-other-merged", "isthing": 0}]
    segments = [{"id": 300, "category_id": 17}, {"id": 7, "category_id": 187}]
    annotation = {"image_id": 1, "file_name": "4.png", "segments_info": segments}
    image = {"id": 1, "file_name": "4.jpg", "height": 3, "width": 5}
    path = write(tmp_path, images=[image], annotations=[annotation], categories=rows)
    write_png(tmp_path / "train" / "4.png", np.where(np.isin(PIXELS, (7, 300)), PIXELS, 0))
    table = with_stuff(class_table("coco"), class_table("coco_stuff"))
    dataset = CocoPanoptic(tmp_path, path, table)
    assert dataset.panoptic_categories == table
    assert dataset.labels(0).labels.tolist() == [15, 119]
    assert dataset[0].labels.tolist() == [15]


def test_test_set_has_no_segments(tmp_path: Path) -> None:
    path = write(tmp_path)
    content = json.loads(path.read_text())
    del content["annotations"]
    (tmp_path / "test.json").write_text(json.dumps(content))
    dataset = CocoPanoptic(tmp_path, tmp_path / "test.json", CLASSES)
    assert not dataset.has_annotations
    assert len(dataset[0].labels) == 0
    with pytest.raises(DataError, match=r"test\.json has no annotations"):
        dataset.labels(0)


def annotation(*segments: dict[str, Any], image_id: int = 4) -> dict[str, Any]:
    return {"image_id": image_id, "file_name": f"{image_id}.png", "segments_info": list(segments)}


CAT = {"id": 5, "category_id": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"annotations": [annotation()]}, r"image 2\.jpg has no annotation"),
        (
            {"annotations": [annotation(image_id=9)]},
            r"annotation 9\.png belongs to image 9, which the file does not",
        ),
        ({"annotations": [annotation(), annotation()]}, "annotated image id 4 occurs more than once"),
        (
            {"annotations": [annotation(CAT, {**CAT, "id": 6, "category_id": 8}), annotation(image_id=2)]},
            r"segment 6 of 4\.png has category 8, which",
        ),
        ({"annotations": [annotation(CAT, CAT)]}, r"annotations\[0\] .image_id 4, .*the segment id 5 occurs more than"),
        ({"annotations": [annotation({**CAT, "id": 0})]}, "id 0, which must be from 1 to 16777215"),
        ({"annotations": [annotation({"id": 5})]}, r"annotations\[0\] .* has no key 'category_id'"),
        ({"annotations": [{"image_id": 4, "bbox": [1, 1, 1, 1]}]}, r"annotations\[0\] .* has no key 'segments_info'"),
        ({"categories": [{"id": 1, "name": "cat"}]}, r"categories\[0\] .* has no key 'isthing'"),
    ],
)
def test_invalid_json_is_rejected(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        CocoPanoptic(tmp_path, write(tmp_path, **content))


def test_pngs_that_do_not_match_are_rejected(tmp_path: Path) -> None:
    path = write(tmp_path)
    dataset = CocoPanoptic(tmp_path, path, CLASSES, instances(tmp_path))
    png = tmp_path / "train" / "4.png"
    write_png(png, PIXELS + (PIXELS == 9))
    message = r"4\.png does not match .*train\.json: pixels have the id 10 without a segment and no pixels have the id"
    with pytest.raises(DataError, match=message):
        dataset.labels(0)
    write_png(png, PIXELS.T)
    with pytest.raises(DataError, match=r"4\.png has 3 x 5 pixels, but .*train\.json gives 5 x 3"):
        dataset.labels(0)
    png.unlink()
    assert [Path(path).name for path in dataset.check_files()] == ["4.png"]
    with pytest.raises(DataError, match=r"4\.png does not exist"):
        dataset.labels(0)
    with pytest.raises(DataError, match=r"4\.png does not exist"):
        CocoPanoptic(tmp_path, path, CLASSES)


def test_png_folder_may_be_one_level_up(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "annotations").mkdir()
    path = path.rename(tmp_path / "annotations" / "train.json")
    assert len(CocoPanoptic(tmp_path, path).labels(0)) == 4  # as in detectron2
    (tmp_path / "train").rename(tmp_path / "pngs")
    with pytest.raises(
        DataError, match=r"PNG files of .*train\.json are neither in .*annotations/train nor in .*/train\. Put"
    ):
        CocoPanoptic(tmp_path, path)


def test_files_of_different_images_are_rejected(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(DataError, match=r"instances\.json does not list 4\.jpg, which .*train\.json lists"):
        CocoPanoptic(tmp_path, path, CLASSES, instances(tmp_path, (2,)))
    with pytest.raises(DataError, match=r"train\.json does not list 5\.jpg, which .*instances\.json lists"):
        CocoPanoptic(tmp_path, path, CLASSES, instances(tmp_path, (2, 4, 5)))
    with pytest.raises(DataError, match=r"4\.jpg has 50 x 3 pixels in .*instances\.json, but 5 x 3 in .*train\.json"):
        CocoPanoptic(tmp_path, path, CLASSES, instances(tmp_path, width=50))


def test_real_images(shared_data: Callable[[str], Path]) -> None:
    """Areas are those of the official file. Stuff labels were looked up by hand: positions among the 53 names."""
    table = with_stuff(class_table("coco"), class_table("coco_stuff"))
    root = shared_data("coco_panoptic_sample")
    dataset = CocoPanoptic(root / "input_images", root / "panoptic_examples.json", table)
    assert (dataset.panoptic_categories, dataset.categories, dataset.check_files()) == (table, class_table("coco"), [])
    official = json.loads((root / "panoptic_examples.json").read_text())
    for index, (image, row) in enumerate(zip(official["images"], official["annotations"], strict=True)):
        labels = dataset.labels(index)
        assert dataset.image_ids[index] == image["id"] == row["image_id"]
        segments = row["segments_info"]
        assert labels.ids.tolist() == [segment["id"] for segment in segments]
        assert [table.ids[label] for label in labels.labels] == [segment["category_id"] for segment in segments]
        assert labels.iscrowd.tolist() == [segment["iscrowd"] == 1 for segment in segments]
        areas = [info["area"] for info in labels.to_result(table).segments_info]
        assert areas == [segment["area"] for segment in segments]
        sample, things = dataset[index], [segment for segment in segments if segment["category_id"] <= 90]
        assert sample.areas.tolist() == [segment["area"] for segment in things]
        boxes = xywh_to_xyxy(np.array([segment["bbox"] for segment in things]))
        np.testing.assert_array_equal(sample.boxes, boxes)
    stuff_labels = [
        dict(zip(*np.unique(dataset.labels(n).stuff_labels(80), return_counts=True), strict=True)) for n in (0, 1)
    ]
    tree, sky, grass, gravel = 37, 40, 46, 11
    assert stuff_labels[0] == {0: 56502, tree: 130762, sky: 8204, grass: 75100, UNLABELED: 427 * 640 - 270568}
    assert stuff_labels[1] == {0: 67983, gravel: 11074, tree: 91045, sky: 12912, grass: 40197, UNLABELED: 7189}
