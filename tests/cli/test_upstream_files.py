"""Checkpoints as training tools write them, of both generations, on the command line without another word."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from helpers import upstream_files
from helpers.command_line import Run
from helpers.upstream_configs import CLASSES
from helpers.upstream_files import KEYPOINTS, LABEL


def result_of(folder: Path) -> Mapping[str, Any]:
    """Return the result of the only image of a prediction."""
    (image,) = json.loads((folder / "results.json").read_text())["images"]
    return image["result"]


def check(kind: str, result: Mapping[str, Any]) -> None:
    """Check that every label of a result is the second class, by its name."""
    if kind.startswith("mmseg"):
        assert [row["name"] for row in result["segments"]] == [CLASSES[LABEL]]
    elif kind.startswith("mmpose"):
        (person,) = result["people"]
        assert person["name"] == ("fish" if kind == "mmpose 1" else "person")
        assert result["keypoint_names"] == list(KEYPOINTS)
    else:
        expected = "class 2" if kind == "detectron2" else CLASSES[LABEL]  # detectron2 stores no names
        assert result["detections"]
        assert {row["name"] for row in result["detections"]} == {expected}


@pytest.mark.parametrize("kind", upstream_files.CONTENTS)
def test_predict_and_convert(kind: str, run: Run, image_file: Path, tmp_path: Path) -> None:
    file = upstream_files.write(kind, tmp_path)
    assert "fit" in run("info", file.name).stdout.splitlines()[-1]
    run("predict", file.name, image_file)
    result = result_of(tmp_path / "predictions")
    check(kind, result)
    run("convert", file.name, "--out", "own.safetensors")
    run("predict", "own.safetensors", image_file, "--out", "again", "--no-pictures")
    assert result_of(tmp_path / "again") == result


@pytest.mark.parity
@pytest.mark.parametrize("kind", ["mmpose 0", "mmseg 1", "mmdet 3", "detectron2"])
def test_export(kind: str, run: Run, image_file: Path, tmp_path: Path) -> None:
    file = upstream_files.write(kind, tmp_path)
    assert f"written to {file.stem}.onnx" in run("export", file.name).stdout
    run("predict", f"{file.stem}.onnx", image_file, "--no-pictures")
    check(kind, result_of(tmp_path / "predictions"))
