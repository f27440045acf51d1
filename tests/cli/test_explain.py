"""explain: a picture or the values of a heat map, and plain refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.command_line import Run


def test_a_detection_is_explained(run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path) -> None:
    options = ("--detection", "1", "--level", "c4", "--out", tmp_path / "new" / "heat.json")
    done = run("explain", small_checkpoint, image_file, *options)
    assert done.stdout.startswith("Grad-CAM of detection 1: ")
    values = json.loads((tmp_path / "new" / "heat.json").read_text())
    assert values["image_size"] == [40, 60]
    assert np.shape(values["grid"]) == (4, 6)
    assert len(values["box"]) == 4


def test_eigencam(run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path) -> None:
    done = run("explain", small_checkpoint, image_file, "--method", "eigencam")
    assert done.stdout == "EigenCAM, c5: heat.png\n"
    with Image.open(tmp_path / "heat.png") as picture:
        assert picture.width == 448


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--class", "circel"), "The model has no class 'circel'. Did you mean 'circle'?"),
        (("--detection", "1000"), "There is no detection 1000. The image has"),
        (("--detection", "0", "--class", "circle"), "Both a class and a detection are given."),
        (("--method", "lime"), "'lime' is not one of"),
        (("--level", "p2"), "'p2' is not one of"),
        (("--out", "image.png"), "image.png"),
        (("--out", "heat.xyz"), "heat.xyz has no suffix of a picture"),
    ],
)
def test_wrong_usage(
    run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    before = image_file.read_bytes()
    error = run("explain", small_checkpoint, image_file, *options, code=2).stderr
    assert message in " ".join(error.split())
    assert image_file.read_bytes() == before
    assert not (tmp_path / "heat.png").exists()


def test_a_file_of_others_is_not_replaced(run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "heat.png")
    error = run("explain", small_checkpoint, image_file, code=2).stderr
    assert "heat.png exists, and splitnest did not write it." in error
