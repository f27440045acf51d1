"""Check of a detection dataset."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from splitnest.data.detection.check import ClassCount, check_dataset, print_report
from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.scenes import Scenes
from splitnest.data.scenes.detection import SceneDetection
from splitnest.errors import DataError
from splitnest.structures.categories import from_names


def dataset(folder: Path, images: list[str], annotations: list[dict[str, Any]]) -> DetectionDataset:
    rows = [{"id": n, "file_name": name, "height": 300, "width": 400} for n, name in enumerate(images)]
    for name in images:
        Image.new("RGB", (400, 300)).save(folder / name)
    content = {
        "images": rows,
        "annotations": [{"id": id_, "category_id": 3, "image_id": 0, **row} for id_, row in enumerate(annotations, 1)],
        "categories": [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog[1]"}, {"id": 9, "name": "cow"}],
    }
    path = folder / "train.json"
    path.write_text(json.dumps(content))
    return DetectionDataset.from_coco(folder, path)


def test_empty_dataset(tmp_path: Path) -> None:
    report = check_dataset(dataset(tmp_path, [], []))
    assert (report.num_images, report.num_instances, report.num_empty_images) == (0, 0, 0)
    assert report.areas == {"small": 0, "medium": 0, "large": 0}
    assert report.faults == (f"{tmp_path / 'train.json'} lists no images. Check the path.",)


def test_dataset_of_crowd_regions_has_nothing_to_train_on(tmp_path: Path) -> None:
    report = check_dataset(dataset(tmp_path, ["a.png"], [{"bbox": [1, 1, 9, 9], "iscrowd": 1}]))
    assert (report.num_instances, report.num_crowd_regions, report.num_empty_images) == (0, 1, 1)
    with pytest.raises(
        DataError, match=r"train\.json has no instances, so there is nothing to train on\. Check the path\.$"
    ):
        report.raise_faults()


def test_counts_and_anomalies(tmp_path: Path) -> None:
    rows = [
        {"bbox": [0, 0, 10, 10]},
        {"bbox": [0, 0, 40, 40], "category_id": 5},
        {"bbox": [0, 0, 32, 32], "image_id": 1},
        {"bbox": [0, 0, 100, 100]},
        {"bbox": [0, 0, 100, 100]},
        {"bbox": [0, 0, 100, 100], "category_id": 5},
        {"bbox": [390, 0, 20, 20]},
        {"bbox": [5, 5, 0, 20]},
        {"bbox": [5, 5, 50, 20], "iscrowd": 1, "category_id": 9},
    ]
    report = check_dataset(dataset(tmp_path, ["a.png", "b.png", "c.png", "b.png"], rows))
    assert (report.num_images, report.num_empty_images, report.num_instances, report.num_crowd_regions) == (4, 2, 8, 1)
    assert report.areas == {"small": 3, "medium": 2, "large": 3}
    assert report.classes == (ClassCount("cat", 6, 2), ClassCount("dog[1]", 2, 1), ClassCount("cow", 0, 0))
    assert report.anomalies == {
        "its box has no area": ("annotation 8 of a.png",),
        "its box crosses the image border": ("annotation 7 of a.png",),
        "another annotation has the same class and box": ("annotation 5 of a.png",),
        "image listed more than once": ("b.png",),
        "class without instances": ("cow",),
    }
    assert report.faults == ()
    report.raise_faults()


def test_unreadable_images_are_faults(tmp_path: Path) -> None:
    checked = dataset(tmp_path, ["a.png", "b.png", "c.png", "d.png"], [{"bbox": [1, 1, 9, 9]}])
    (tmp_path / "a.png").unlink()
    (tmp_path / "b.png").write_bytes((tmp_path / "c.png").read_bytes()[:200])
    Image.new("RGB", (300, 400)).save(tmp_path / "d.png")
    report = check_dataset(checked)
    missing, damaged, other_size = report.faults
    assert missing == f"{tmp_path / 'a.png'} does not exist. Check the path."
    assert "b.png cannot be read as an image" in damaged
    assert "d.png has 300 x 400 pixels upright" in other_size
    with pytest.raises(DataError, match=r"a\.png does not exist\. Check the path\. There are 2 more faults\.$"):
        report.raise_faults()


def test_report_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = [f"{n}.png" for n in range(7)]
    checked = dataset(tmp_path, images, [{"bbox": [0, 0, 0, 9], "category_id": 5}] * 9)
    for name in images[:6]:
        (tmp_path / name).unlink()
    print_report(check_dataset(checked), "training data [odd]")
    text = capsys.readouterr().out
    for line in (
        "training data [odd]",
        "9, and 0 crowd or difficult regions",
        "dog[1]",
        "note: its box has no area: 9\n  annotation 1 of 0.png\n",
        "and 4 more",
        "fault: 6\n",
    ):
        assert line in text


def test_scenes_have_no_faults() -> None:
    report = check_dataset(SceneDetection(Scenes(4, (96, 128))))
    assert report.faults == ()
    assert report.num_images == 4
    assert sum(row.num_instances for row in report.classes) == report.num_instances == sum(report.areas.values()) > 0


def test_real_data(shared_data: Callable[[str], Path]) -> None:
    root = shared_data("fruits_nuts")
    report = check_dataset(
        DetectionDataset.from_coco(root / "images", root / "trainval.json", from_names(["date", "fig", "hazelnut"]))
    )
    assert (report.num_images, report.num_instances, report.faults, report.anomalies) == (18, 165, (), {})
    assert {row.name: row.num_instances for row in report.classes} == {"date": 71, "fig": 41, "hazelnut": 53}
