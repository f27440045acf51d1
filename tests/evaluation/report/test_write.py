"""Report folders of every task: complete, self-contained, and equal however the images were distributed."""

import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splitnest
from helpers.families import FAMILIES, PANOPTIC, load_small
from helpers.python_data import ClassItems, LabelMapItems, PersonItems, SceneItems, SegmentItems
from splitnest.errors import DataError, OutputError, UsageError
from splitnest.evaluation.evaluate import run_evaluation
from splitnest.evaluation.report.files import PAGE_FILE, is_report_folder, read_report

TASKS: dict[str, tuple[type[SceneItems], str, tuple[str, ...]]] = {
    "resnest50_imagenet.official": (
        ClassItems,
        "top1",
        ("Accuracy by class", "Confusion", "Probabilities: calibration"),
    ),
    "mask_rcnn_resnest50_fpn_1x_coco.mmdet": (
        SceneItems,
        "box_ap",
        ("Boxes: types of errors", "Masks: confusion matrix", "Worst images"),
    ),
    PANOPTIC: (SegmentItems, "pq", ("Panoptic quality by class", "Boxes: calibration", "Worst images")),
    "pspnet_resnest101_d8_cityscapes.mmseg": (LabelMapItems, "miou", ("IoU by class", "Confusion", "Worst images")),
    "simplebaseline_resnest50_256x192_coco.mmpose": (PersonItems, "ap", ("OKS by keypoint", "OKS by size")),
}
"""Model of each task, its items, its first metric, and sections of its report."""


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_a_report(name: str, tmp_path: Path) -> None:
    items, metric, sections = TASKS[name]
    predictor = load_small(name)
    data = items(3, 1)
    overrides: dict[str, Any] = {}
    if items is ClassItems:
        predictor = splitnest.load(name, None, "cpu", {**FAMILIES[name], "data.classes": ["<b>cat", "dog", "owl"]})
    (tmp_path / "slices.csv").write_text("image,night,weather\n" + "".join(f"{n},{n},rain\n" for n in names(data)[:2]))
    folder = tmp_path / "report"
    metrics = splitnest.evaluate(predictor, overrides, data=data, report=folder, slices=tmp_path / "slices.csv")
    page = (folder / PAGE_FILE).read_text()
    for section in ("Metrics", *sections):
        assert f"<h2>{section}</h2>" in page, section
    assert not re.search(r"(src|href)=\"(?!#|data:image/jpeg;base64,)", page)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", page)
    assert "<b>cat" not in page
    numbers = json.loads((folder / "report.json").read_text())
    assert numbers["metrics"] == metrics
    assert (numbers["images"], numbers["task"]) == (3, predictor.recipe.task)
    stored = read_report(folder)
    assert stored.metrics == metrics
    again = stored.statistics.metrics(np.ones((1, 3), np.int64))
    assert next(iter(again)) == metric
    for key, values in again.items():
        assert values[0] == pytest.approx(metrics[key], abs=1e-9), key
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json", "statistics.npz"]
    splitnest.evaluate(predictor, data=data, report=folder)  # replaces it


def names(data: SceneItems) -> list[str]:
    return [f"data[{index}]" for index in range(len(data))]


def test_slices_need_a_report() -> None:
    predictor = load_small("faster_rcnn_resnest50_fpn_1x_coco.mmdet")
    with pytest.raises(UsageError, match=r"Slices are shown in a report\. Give its folder too"):
        splitnest.evaluate(predictor, data=SceneItems(1), slices="slices.csv")


def test_files_of_others_are_not_replaced(tmp_path: Path) -> None:
    predictor, data = load_small("faster_rcnn_resnest50_fpn_1x_coco.mmdet"), SceneItems(1)
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(UsageError, match=r"is a file\. Give a folder"):
        splitnest.evaluate(predictor, data=data, report=file)
    with pytest.raises(OutputError, match="cannot be written"):
        splitnest.evaluate(predictor, data=data, report=file / "below")
    for name in (PAGE_FILE, "report.json", "statistics.npz"):
        folder = tmp_path / f"of {name}"
        folder.mkdir()
        (folder / name).write_text("{}")
        with pytest.raises(UsageError, match="exists and is not of a report"):
            splitnest.evaluate(predictor, data=data, report=folder)
        assert [path.name for path in folder.iterdir()] == [name]
    assert data.num_read == 5  # once each time the dataset is opened: nothing was evaluated


def test_damaged_reports_are_errors(tmp_path: Path) -> None:
    run_evaluation(load_small("faster_rcnn_resnest50_fpn_1x_coco.mmdet"), data=SceneItems(2), report=tmp_path / "a")
    folder = tmp_path / "a"
    assert is_report_folder(folder)
    assert not is_report_folder(tmp_path)
    content = {path.name: path.read_bytes() for path in folder.iterdir()}
    stored = dict(np.load(folder / "statistics.npz"))
    for name, broken in (
        ("report.json", content["report.json"][:-20]),
        ("report.json", b'{"format": "splitnest report"}'),
        ("report.json", b'{"format": "splitnest report", "model": "x", "metrics": 5}'),
        ("statistics.npz", content["statistics.npz"][:-20]),
        ("statistics.npz", b""),
        ("statistics.npz", None),
    ):
        if broken is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(broken)
        with pytest.raises(DataError, match=r"damaged or of another version|cannot be read"):
            read_report(folder)
        (folder / name).write_bytes(content[name])
    for change in ({"names": stored["names"][:1]}, {"kinds": np.array(["pixels"])}, {"0.labels": np.full(3, 99)}):
        np.savez(folder / "statistics.npz", **{**stored, **change})
        with pytest.raises(DataError, match="damaged or of another version"):
            read_report(folder)
    np.savez_compressed(folder / "statistics.npz", **stored)
    with pytest.raises(DataError, match="damaged or of another version"):
        read_report(folder)
    np.savez(folder / "statistics.npz", **{**stored, "names": np.array([{}, {}], object)}, allow_pickle=True)
    with pytest.raises(DataError, match="damaged or of another version"):
        read_report(folder)


def test_full_disk_leaves_the_report_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor, data = load_small("faster_rcnn_resnest50_fpn_1x_coco.mmdet"), SceneItems(1)
    splitnest.evaluate(predictor, data=data, report=tmp_path / "r")
    before = {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OutputError, match=r"statistics\.npz cannot be written: No space left on device"):
        splitnest.evaluate(predictor, data=data, report=tmp_path / "r")
    after = {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    assert after == before
