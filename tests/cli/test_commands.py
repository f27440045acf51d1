"""list, info, convert, doctor, help, and wrong usage."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import splitnest
from helpers.command_line import Run
from splitnest.cli.commands.list_models import list_models
from splitnest.cli.options import Precision
from splitnest.device import DTYPES
from splitnest.zoo import TASKS


def test_list(run: Run) -> None:
    """In a new interpreter, with a wide margin: benchmarks/startup.py measures the bound of 0.3 s."""
    start = time.perf_counter()
    assert len(run("list", fresh=True).stdout.splitlines()) == 668
    assert time.perf_counter() - start < 3
    (line,) = run("list", "faster*resnest50_fpn*mmdet").stdout.splitlines()
    assert line.split() == ["detection", "faster_rcnn_resnest50_fpn_1x_coco.mmdet"]
    assert len(run("list", "ResNeSt50").stdout.splitlines()) == 22
    nothing = run("list", "rsnest50", "--task", "classification")
    assert nothing.stdout == ""
    assert "of the task classification matches 'rsnest50'. The nearest are resnest50_imagenet" in nothing.stderr
    downloaded = run("list", "--downloaded")
    assert downloaded.stdout == ""
    assert "The weights of none of these 668 models are in " in downloaded.stderr
    lines = run("list", "td-hm_res50*", "--source", "mmpose", "--dataset", "mpii").stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["td-hm_res50_8xb64-210e_mpii-256x256.mmpose"]


def test_wrong_task_names_the_tasks(run: Run) -> None:
    assert "classification" in run("list", "--task", "detecting", code=2).stderr


@pytest.mark.parametrize(
    "command",
    [
        "",
        "list",
        "info",
        "predict",
        "eval",
        "train",
        "convert",
        "export",
        "bench",
        "doctor",
        "demo",
        "data check",
        "weights list",
        "weights get",
        "weights verify",
        "weights mirror",
    ],
)
def test_help_shows_an_example(run: Run, command: str) -> None:
    assert f"Example: splitnest {command}" in " ".join(run(*command.split(), "--help").stdout.split())


@pytest.mark.parametrize(
    ("command", "choices"),
    [
        ("list", "classification|detection|instance|panoptic|semantic|pose"),
        ("predict", "fp32|bf16|fp16"),
        ("eval", "fp32|bf16|fp16"),
        ("bench", "<timm>"),
        ("data check", "train|val"),
    ],
)
def test_help_shows_the_choices(run: Run, command: str, choices: str) -> None:
    text = run(*command.split(), "--help", COLUMNS="200", TERMINAL_WIDTH="200").stdout
    assert choices in "".join(text.split())


def test_choices_are_those_of_the_package() -> None:
    assert get_args(get_args(Precision)[0]) == tuple(DTYPES)
    hint = get_type_hints(list_models)["task"]
    assert get_args(get_args(hint)[0]) == TASKS


def test_help_of_train_has_the_keys_that_everybody_changes(run: Run) -> None:
    text = run("train", "--help").stdout
    for key in ("data.root=", "data.classes=[", "train.epochs=", "train.batch_size=", "train.lr="):
        assert key in text


def test_version(run: Run) -> None:
    assert run("--version").stdout.strip() == f"splitnest {splitnest.__version__}"


def test_info(run: Run) -> None:
    text = run("info", "mask_rcnn_resnest50_fpn_1x_coco.mmdet").stdout
    for shown in ("8a2c3d47", "mask_ap 38.1", "GFLOPs", "rpn_rank_by scores", "instance, 80 classes"):
        assert shown in text
    text = run("info", "fcn_resnest101_d8_ade20k").stdout
    for shown in ("1132.36", "512x2048", "miou_ms_flip 46.16", "semantic, 150 classes"):
        assert shown in text
    text = run("info", "simplebaseline_resnest50_256x192_coco").stdout
    for shown in ("6.68", "256x192", "ap 72.1", "35,925,905", "6e65eece"):
        assert shown in text


def test_unknown_model_names_the_nearest(run: Run) -> None:
    assert "mask_rcnn_resnest50_fpn_1x_coco" in run("info", "mask_rcnn_resnest50_fpn_1x_cocoo", code=2).stderr


def test_misspelled_key_names_the_nearest(run: Run, tmp_path: Path, image_file: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("base: resnest14d_imagenet.timm\nmodel: {backbone: {radx: 1}}\n")
    error = run("predict", recipe, image_file, code=2).stderr
    assert "mine.yaml" in error
    assert "model.backbone.radx" in error
    assert "model.backbone.radix" in error


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("input.short_side=wide", "input.short_side"),
        ("input.shrt_side=600", "input.short_side"),
        ("data.root", "key=value"),
    ],
)
def test_wrong_override(run: Run, small_checkpoint: Path, value: str, named: str) -> None:
    assert named in run("eval", small_checkpoint, value, code=2).stderr


def test_convert(run: Run, tmp_path: Path, small_checkpoint: Path, small_recipe: Path) -> None:
    out = tmp_path / "converted.safetensors"
    text = run("convert", small_checkpoint, "--model", small_recipe, "--out", out).stdout
    assert "backbone" in text
    assert out.read_bytes()[:8] == small_checkpoint.read_bytes()[:8]
    run("convert", small_checkpoint, "--out", out)  # it has its recipe
    run("convert", tmp_path / "absent.pth", "--model", small_recipe, "--out", out, code=4)


def test_doctor(run: Run) -> None:
    text = run("doctor", fresh=True).stdout
    assert "FAIL" not in text
    assert "nms, roi_align and deform_conv2d work" in text


def test_shell_completion(tmp_path: Path) -> None:
    """The completion that bash asks for has the names of models, and the options of a command."""
    script = Path(sys.executable).with_name("splitnest")
    for words, expected in (
        ("info panoptic_fpn_resn", ["panoptic_fpn_resnest200_3x_coco.detectron2"]),
        ("exp", ["explain", "export"]),
    ):
        variables = {"_SPLITNEST_COMPLETE": "complete_bash", "COMP_WORDS": f"splitnest {words}"}
        variables["COMP_CWORD"] = str(len(words.split()))
        done = subprocess.run(
            [script], env={**os.environ, **variables}, capture_output=True, text=True, check=True, timeout=60
        )
        assert set(expected) <= set(done.stdout.split())
