"""Lists of annotation files and folders in recipes, through the command line: train, resume, check, evaluate."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import splitnest
from helpers.command_line import Run
from helpers.detection_files import write_image, write_recipe, write_xml
from helpers.small_segmentor import RECIPE
from helpers.tiny_training import assert_equal_tensors, interrupted, state_dict_of


def test_voc_years_are_checked_and_trained(run: Run, tmp_path: Path) -> None:
    years = ("VOC2007", "VOC2012")
    for year, label in zip(years, ("cat", "dog"), strict=True):
        for name in ("000001", "000002"):
            write_image(tmp_path / year / f"JPEGImages/{name}.jpg")
            write_xml(tmp_path / year / f"Annotations/{name}.xml", label)
        (tmp_path / year / "ImageSets/Main").mkdir(parents=True)
        (tmp_path / year / "ImageSets/Main/trainval.txt").write_text("000001\n000002")
    data = {
        "format": "voc",
        "root": str(tmp_path),
        "classes": "file",
        "train_images": [f"{year}/JPEGImages" for year in years],
        "train_annotations": [f"{year}/ImageSets/Main/trainval.txt" for year in years],
    }
    recipe = write_recipe(tmp_path, data=data)
    shown = run("data", "check", recipe).stdout
    assert "and 1 more" in shown
    assert "4, 0 without instances" in shown
    finished = run("train", recipe, "--out", "whole").stdout
    assert "trainval.txt and 1 more: 4 of 4 images with 4 of 4 annotations" in finished
    (tmp_path / "VOC2012/Annotations/000002.xml").write_text("<annotation>")
    assert str(tmp_path / "VOC2012/Annotations/000002.xml") in run("data", "check", recipe, code=3).stderr


def test_folders_of_label_maps_are_trained_resumed_and_evaluated(run: Run, tmp_path: Path) -> None:
    rng, parts = np.random.default_rng(0), ("north", "south")
    for part in parts:
        for kind, pixels in (("images", rng.integers(0, 256, (32, 48, 3), np.uint8)), ("maps", np.eye(32, 48))):
            (tmp_path / part / kind).mkdir(parents=True)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / part / kind / "1.png")
    data = {**RECIPE["data"], "root": str(tmp_path)}
    for split in ("train", "val"):
        data |= {f"{split}_images": [f"{part}/images" for part in parts]}
        data |= {f"{split}_annotations": [f"{part}/maps" for part in parts]}
    recipe = tmp_path / "small.yaml"
    train = {**RECIPE["train"], "save_every": 1}
    recipe.write_text(yaml.safe_dump({**RECIPE, "data": data, "train": train}))
    run("train", recipe, "--out", "whole", "--device", "cpu")
    with interrupted(1), pytest.raises(KeyboardInterrupt):
        splitnest.train(recipe, out=tmp_path / "run", device="cpu")
    run("train", "run", "--resume", "--device", "cpu")
    assert_equal_tensors(state_dict_of(tmp_path / "whole/last.pt"), state_dict_of(tmp_path / "run/last.pt"))
    arguments = ("eval", "whole/last.pt", "--results", "out")
    assert "miou" in run(*arguments).stdout
    written = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")]
    assert {"north/images/1.png", "south/images/1.png"} <= set(written)
    Image.fromarray(np.full((32, 48), 9, np.uint8)).save(tmp_path / "south/maps/1.png")
    assert "south/maps/1.png has value 9" in run(*arguments, code=3).stderr
    stderr = run(*arguments, "data.val_annotations=north/maps", code=2).stderr
    assert "val_images is a list: give as many val_annotations" in stderr
