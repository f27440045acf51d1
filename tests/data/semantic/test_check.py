"""Check of a semantic segmentation dataset."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splitnest.cli.commands.data import check
from splitnest.data.scenes import Scenes
from splitnest.data.scenes.semantic import SceneSemantic
from splitnest.data.semantic.check import LabelCount, check_dataset, print_report
from splitnest.data.semantic.dataset import SemanticDataset
from splitnest.data.semantic.open import open_dataset
from splitnest.errors import DataError
from splitnest.recipe.label_map_data import LabelMapFolderData
from splitnest.structures.categories import from_names

PATHS = {"train_images": "images", "train_annotations": "masks", "val_images": "images", "val_annotations": "masks"}


def dataset(root: Path, maps: dict[str, Any], split: Any = "train", **data: Any) -> SemanticDataset:
    for kind in ("images", "masks"):
        (root / kind).mkdir(exist_ok=True)
    for name, values in maps.items():
        labels = np.array(values, np.uint8)
        Image.fromarray(np.zeros((*labels.shape, 3), np.uint8)).save(root / "images" / f"{name}.png")
        Image.fromarray(labels).save(root / "masks" / f"{name}.png")
    data_cfg = LabelMapFolderData(
        **{"root": str(root), "format": "folders", "classes": ("cat", "dog[1]", "cow"), **PATHS, **data}
    )
    return open_dataset(data_cfg, split, from_names(data_cfg.classes))


def test_empty_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    report = check_dataset(SceneSemantic(Scenes(0)))
    assert (report.num_images, report.smallest, report.largest, report.unlabeled) == (0, None, None, 0)
    assert report.faults == ("scenes has no images. Check the path.",)
    print_report(report, "train")
    assert "fault: 1\n  scenes has no images" in capsys.readouterr().out


def test_histogram_of_labels(tmp_path: Path) -> None:
    report = check_dataset(dataset(tmp_path, {"a": [[0, 0, 255], [0, 1, 255]], "b": [[0], [0]]}))
    assert (report.source, report.num_images) == (str(tmp_path / "images"), 2)
    assert (report.smallest, report.largest) == ((2, 1), (2, 3))
    assert report.classes == (LabelCount("cat", 2, 5 / 6), LabelCount("dog[1]", 1, 1 / 6), LabelCount("cow", 0, 0))
    assert report.unlabeled == 2 / 8
    assert report.anomalies == {"class without pixels": ("cow",)}
    assert report.faults == ()
    report.raise_faults()


def test_unreadable_images_and_label_maps_are_faults(tmp_path: Path) -> None:
    checked = dataset(tmp_path, {name: [[0, 1], [2, 0]] for name in "abcde"})
    (tmp_path / "masks" / "a.png").unlink()
    Image.new("L", (2, 2), 7).save(tmp_path / "masks" / "b.png")
    Image.new("L", (3, 2)).save(tmp_path / "masks" / "c.png")
    (tmp_path / "images" / "d.png").write_text("no image")
    report = check_dataset(checked)
    missing, bad, other_size, damaged = report.faults
    assert "a.png has no label map" in missing
    assert "b.png has value 7 in 4 of 4 pixels" in bad
    assert "c.png has 3 x 2 pixels, but its image" in other_size
    assert "d.png cannot be read as an image" in damaged
    assert report.classes == (LabelCount("cat", 1, 0.5), LabelCount("dog[1]", 1, 0.25), LabelCount("cow", 1, 0.25))
    with pytest.raises(DataError, match=r"a\.png has no label map: .* There are 3 more faults\.$"):
        report.raise_faults()


def test_test_set_has_no_labels_to_check(tmp_path: Path) -> None:
    checked = dataset(tmp_path, {"a": [[7]]}, "val", val_annotations=None)
    report = check_dataset(checked)
    assert (report.num_images, report.faults, report.anomalies, report.unlabeled) == (1, (), {}, 0)


def test_report_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_report(check_dataset(dataset(tmp_path, {"a": [[0, 0, 1], [255, 255, 255]]})), "train [odd]")
    text = capsys.readouterr().out
    for part in ("train [odd]", "1 in", "3 x 2", "50.00% of the pixels", "dog[1]", "66.67%", "#" * 20, "##########  "):
        assert part in text
    assert "note: class without pixels: 1\n  cow" in text


def test_command_checks_both_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset(tmp_path, {"a": [[0, 1], [2, 0]]})
    overrides = [f"data.root={tmp_path}", "data.format=folders", "data.classes=[cat, dog, cow]"]
    overrides += [f"data.{key}={value}" for key, value in PATHS.items()]
    check("fcn_resnest101_d8_cityscapes.mmseg", overrides, None)
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines if line.strip() in ("train", "val")] == ["train", "val"]
    with pytest.raises(DataError, match="has value 2 in 1 of 4 pixels"):
        check("fcn_resnest101_d8_cityscapes.mmseg", [*overrides, "data.classes=[cat, dog]"], "val")


def test_real_data(shared_data: Callable[[str], Path]) -> None:
    names = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"]
    paths = {"val_images": "val", "val_annotations": "valannot"}
    data = LabelMapFolderData(
        root=str(shared_data("camvid")), format="folders", classes=names, ignore_label=11, **paths
    )
    report = check_dataset(open_dataset(data, "val", from_names(names)))
    assert (report.num_images, report.smallest, report.largest) == (34, (360, 480), (360, 480))
    assert (report.faults, report.anomalies) == ((), {})
    assert sum(row.fraction for row in report.classes) == pytest.approx(1)
    assert max(report.classes, key=lambda row: row.fraction).name in ("road", "building")
    assert 0 < report.unlabeled < 0.1
