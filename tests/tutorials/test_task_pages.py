"""The commands of the pages of tasks run, with small models in place of the published ones and drawn data."""

import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from helpers.command_line import run_splitnest
from helpers.families import load_small
from helpers.pages import blocks, own_arguments, shell_lines
from helpers.paths import ROOT
from splitnest import zoo
from splitnest.data.scenes import Scenes
from splitnest.weights.save import save

TASKS = ROOT / "docs" / "tasks"
DETECTOR = "faster_rcnn_resnest50_fpn_1x_coco.mmdet"
MODELS = {
    "classification": ["resnest50_imagenet.official"],
    "detection": [DETECTOR],
    "instance": ["mask_rcnn_resnest50_fpn_1x_coco.mmdet"],
    "panoptic": ["panoptic_fpn_resnest200_3x_coco.detectron2"],
    "semantic": ["deeplabv3plus_resnest101_d8_cityscapes.mmseg"],
    "pose": ["simplebaseline_resnest50_256x192_coco.mmpose", DETECTOR],
}
"""Page -> published models that its commands name."""

VERBS = ("Predict", "Evaluate", "Train", "Export", "Serve", "Scan")
NOT_RUN = ("serve", "new", "train", "eval", "data")
"""Commands that need a service, or a dataset of the published classes; the tutorials and ``tests/cli`` run these."""


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of the commands of a page that run here."""
    for block in blocks(page, "sh"):
        for _, words in shell_lines(block):
            arguments = own_arguments(words)
            if arguments is not None and arguments[0] not in NOT_RUN and "runs/" not in " ".join(arguments):
                yield arguments


@pytest.mark.parametrize("task", MODELS)
def test_pages_have_a_section_of_each_verb(task: str) -> None:
    text = (TASKS / f"{task}.md").read_text()
    assert tuple(re.findall(r"^## (.*)$", text, re.M)) == VERBS
    matrix = (ROOT / "docs" / "tasks.md").read_text()
    assert all(f"(tasks/{task}.md#{verb.lower()})" in matrix for verb in VERBS)
    assert set(MODELS[task]) <= set(zoo.TASK_OF)


@pytest.mark.tutorial
@pytest.mark.parametrize("task", MODELS)
def test_commands_run(task: str, tmp_path: Path) -> None:
    run = partial(run_splitnest, tmp_path)
    small = {}
    for name in MODELS[task]:
        predictor = load_small(name)
        small[name] = f"{zoo.TASK_OF[name]}.safetensors"
        save(predictor.module, predictor.recipe, tmp_path / small[name])
    (tmp_path / "images").mkdir()
    for number, scene in enumerate(Scenes(2, (64, 80), seed=1)):
        Image.fromarray(scene.image).save(tmp_path / "images" / f"{number}.png")
    if task == "pose":
        run("predict", "detection.safetensors", "images", "--out", "persons", "--no-pictures")
        shutil.copy(tmp_path / "persons" / "results.json", tmp_path / "people.json")
    for arguments in commands(TASKS / f"{task}.md"):
        run(*(small.get(argument, argument) for argument in arguments))
    assert all((tmp_path / name).is_dir() for name in ("predictions", "from_onnx"))
