"""data show: a page of training samples for every task, and what it refuses."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from helpers import image_tree
from helpers.command_line import CLASSIFIER, Run

SCENES = ["person", "car", "house", "tree", "boat", "bird", "ball", "balloon"]
STUFF = ["sky", "mountain", "ground", "water", "road", "wall"]
DATA: dict[str, Any] = {"format": "scenes", "train_count": 4, "val_count": 1, "height": 64, "width": 96}
DETECTION: dict[str, Any] = {
    "name": "small",
    "input": {"short_side": 64, "long_side": 96},
    "train": {"batch_size": 2, "iterations": 1, "schedule": "cosine", "short_sides": [64], "long_side": 96},
}
RECIPES: dict[str, dict[str, Any]] = {
    "detection": {
        "base": "faster_rcnn_resnest50_fpn_1x_coco.mmdet",
        **DETECTION,
        "data": {**DATA, "classes": SCENES},
    },
    "instance": {"base": "mask_rcnn_resnest50_fpn_1x_coco.mmdet", **DETECTION, "data": {**DATA, "classes": SCENES}},
    "panoptic": {
        "base": "panoptic_fpn_resnest200_3x_coco.detectron2",
        **DETECTION,
        "data": {**DATA, "classes": SCENES, "stuff": STUFF},
    },
    "semantic": {
        "base": "fcn_resnest101_d8_cityscapes.mmseg",
        "name": "small",
        "input": {"short_side": 64, "long_side": 96},
        "data": {**DATA, "classes": [*SCENES, *STUFF]},
        "train": {"batch_size": 2, "iterations": 1, "crop_size": [64, 64]},
    },
    "pose": {
        "base": "simplebaseline_resnest50_256x192_coco.mmpose",
        "name": "small",
        "input": {"height": 64, "width": 64},
        "data": {**DATA, "train_count": 12},
        "train": {"batch_size": 2, "epochs": 1, "schedule": "cosine"},
    },
    "classification": {**CLASSIFIER, "data": {"classes": "folders", "root": "images"}},
}
LISTS: dict[str, list[Any]] = {
    "detection": ["mosaic", "random_affine"],
    "instance": ["large_scale_jitter", {"type": "copy_paste", "p": 1}, "random_erasing"],
    "panoptic": [{"type": "mosaic", "p": 1}, {"type": "copy_paste", "p": 1}],
    "semantic": [{"type": "mosaic", "p": 1}, "large_scale_jitter", "color_jitter"],
    "pose": [{"type": "random_affine", "p": 1}, "gaussian_blur"],
    "classification": ["random_perspective", "random_erasing", "gaussian_noise"],
}
TEXTS = {
    "detection": r"96 x 64: (\d+ \w+(, )?)+",
    "instance": r"96 x 64: (\d+ \w+(, )?)+",
    "panoptic": r"96 x 64: \d+ things and \d+ stuff",
    "semantic": r"64 x 64: (\w+ \d+%(, )?)+",
    "pose": r"64 x 64: \d+ of 17 keypoints labeled",
    "classification": r"32 x 32: (\w+ \d+%(, )?)+",
}


def write_recipe(folder: Path, task: str, **train: Any) -> Path:
    recipe = RECIPES[task] | {"train": {**RECIPES[task]["train"], "init_from": None, "warmup_iterations": 0, **train}}
    if task == "classification":
        recipe["train"] |= {"cutmix": 1.0}
        image_tree.write_classes(folder / "images", {"train": 4})
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def pictures(page: Path) -> list[tuple[Image.Image, str]]:
    """Return the pictures of a page with the text below them."""
    figures = re.findall(r'base64,([^"]+)">.*?<span>(.*?)</span>', page.read_text())
    return [(Image.open(io.BytesIO(base64.b64decode(image))), text) for image, text in figures]


@pytest.mark.parametrize("task", RECIPES)
def test_page_shows_augmented_samples_of_every_task(run: Run, tmp_path: Path, task: str) -> None:
    recipe = write_recipe(tmp_path, task, augment=LISTS[task])
    stdout = run("data", "show", recipe, "--out", "page.html", "--count", "3").stdout
    assert re.search(r"3 samples of \d+ in an epoch: page\.html", stdout)
    shown = pictures(tmp_path / "page.html")
    assert len(shown) == 3
    for image, text in shown:
        assert re.fullmatch(TEXTS[task], text), text
        assert text.startswith(f"{image.width} x {image.height}: ")
    first = (tmp_path / "page.html").read_bytes()
    assert b"http" not in first.replace(b"http-equiv", b"")
    run("data", "show", recipe, "--out", "page.html", "--count", "3")  # replaces its own page by an equal one
    assert (tmp_path / "page.html").read_bytes() == first


def test_no_list_and_more_samples_than_an_epoch_has(run: Run, tmp_path: Path) -> None:
    run("data", "show", write_recipe(tmp_path, "instance"), "--count", "5")
    assert "train.augment is empty" in (tmp_path / "samples.html").read_text()
    assert len(pictures(tmp_path / "samples.html")) == 5


def test_bad_use_is_a_plain_error(run: Run, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "instance")
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    for arguments, code, message in (
        (["--out", "mine.html"], 2, "mine.html is a file that splitnest did not write"),
        (["--out", "small.yaml"], 2, "did not write"),
        (["--out", "small.yaml/page.html"], 5, "cannot be written"),
        (["--count", "0"], 2, "--count"),
        (["train.augment=[cutmix]"], 2, "train.augment[0].type should be one of"),
        (["data.classes=[a, b]"], 3, "classes"),
    ):
        assert message in run("data", "show", recipe, *arguments, code=code).stderr.replace("\n", " ")
    assert (tmp_path / "mine.html").read_text() == "<p>mine</p>"
    recipe.write_text(yaml.safe_dump({"base": "resnest50_imagenet.official", "train": None}))
    assert "has no section 'train'" in run("data", "show", recipe, code=2).stderr


def test_text_of_files_is_escaped(run: Run, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "classification")
    for index, path in enumerate(sorted((tmp_path / "images" / "train").glob("*/*"))):
        path.rename(path.with_name(f"<script>{index}&.png"))
    run("data", "show", recipe, "--count", "2")
    page = (tmp_path / "samples.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
