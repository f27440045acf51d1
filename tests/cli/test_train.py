"""train, its dry run and its resume; data check; bad training data."""

from pathlib import Path

import numpy as np
import pytest

from helpers.command_line import RECIPE, CocoFolder, Run
from splitnest.training.train import train

TRAINING = """\
  train_images: val2017
  train_annotations: annotations/instances_val2017.json
  val_images: val2017
  val_annotations: annotations/instances_val2017.json
train:
  batch_size: 2
  iterations: 3
  schedule: multi_step
  lr: 0.001
  warmup_iterations: 0
  evaluate_every: 0
  save_every: 1
  init_from: null
  short_sides: [64]
  long_side: 96
  workers: 0
  keep_empty_images: true
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Return a recipe that trains a small Mask R-CNN for three steps."""
    path = tmp_path / "train.yaml"
    text = RECIPE.replace("data.classes: [circle, square]", "data:\n  classes: [circle, square]")
    path.write_text(text.replace("{depth: 14, planes: 16}", "{depth: 14, planes: 16, frozen_stages: 0}") + TRAINING)
    return path


def test_train_resume_eval_predict(run: Run, recipe: Path, coco: CocoFolder, tmp_path: Path) -> None:
    root = f"data.root={coco.write()}"
    assert "step" in run("train", recipe, root, "--dry-run").stdout
    folder = tmp_path / "run"
    done = run("train", recipe, root, "--out", folder)
    assert f"last checkpoint: {folder / 'last.pt'}" in done.stdout
    names = {
        "recipe.yaml",
        "environment.txt",
        "init_from.txt",
        "metrics.csv",
        "metrics.jsonl",
        "curves.png",
        "predictions.jpg",
        "index.html",
        "last.pt",
    }
    assert names <= {path.name for path in folder.iterdir()}
    assert "box_ap" in run("eval", folder / "last.pt", root).stdout
    run("predict", folder / "last.pt", coco.root / "val2017")
    assert "resuming after step 3 of 3" in run("train", folder, "--resume").stdout
    assert "has a run already. Resume it" in run("train", recipe, root, "--out", folder, code=2).stderr


def test_dry_run_refuses_what_training_would(run: Run, recipe: Path, coco: CocoFolder, tmp_path: Path) -> None:
    train = ("train", recipe, f"data.root={coco.write()}", "--dry-run")
    (tmp_path / "damaged.pth").write_bytes(b"no checkpoint")
    (tmp_path / "curves.png").touch()
    for options, code, named in (
        (["train.init_from=no_such_file.pth"], 2, "no_such_file.pth is neither a file nor a model"),
        (["train.init_from=damaged.pth"], 4, "damaged.pth is not a checkpoint"),
        (["--device", "meta"], 2, "There is no device 'meta'"),
        (["--out", "."], 2, "would be replaced: curves.png"),
        (["--resume"], 2, "has no run of small with a checkpoint"),
        (["--devices", "4"], 2, "is less than one image for each of 4 processes"),
    ):
        assert named in run(*train, *options, code=code).stderr
    assert {path.name for path in tmp_path.iterdir()} == {"train.yaml", "coco", "damaged.pth", "curves.png"}


def test_key_given_twice_is_an_error(run: Run, recipe: Path) -> None:
    recipe.write_text(recipe.read_text() + "  lr: 0.5\n")
    number = len(recipe.read_text().splitlines())
    assert f"train.yaml, line {number}: the key 'lr' is in line" in run("train", recipe, "--dry-run", code=2).stderr


def test_data_check(run: Run, recipe: Path, coco: CocoFolder) -> None:
    root = f"data.root={coco.write()}"
    text = run("data", "check", recipe, root).stdout
    assert "circle" in text
    assert "2, 1 without instances" in text
    run("data", "check", recipe, root, "--split", "test", code=2)
    (coco.root / "val2017" / "a.png").unlink()
    run("data", "check", recipe, root, code=3)


@pytest.mark.parametrize(
    ("how", "code", "named"),
    [
        ("empty", 3, "no images"),
        ("no annotation", 3, "annotation"),
        ("other classes", 3, "triangle"),
        ("batch too large", 2, "batch"),
        ("no schedule", 2, "train"),
    ],
)
def test_bad_training_data(how: str, code: int, named: str, recipe: Path, coco: CocoFolder) -> None:
    """The function that the command line calls is tested."""
    values = {}
    match how:
        case "empty":
            coco.content["images"], coco.content["annotations"] = [], []
        case "no annotation":
            coco.content["annotations"] = []
            values = {"train.keep_empty_images": False}
        case "other classes":
            coco.content["categories"][0]["name"] = "triangle"
        case "batch too large":
            values = {"train.batch_size": 64}
        case "no schedule":
            values = {"train": None}
    from splitnest.errors import SplitnestError

    with pytest.raises(SplitnestError, match=f"(?i){named}") as caught:
        train(recipe, {"data.root": str(coco.write()), **values}, out=coco.root / "run", device="cpu")
    assert caught.value.exit_code == code
    assert not (coco.root / "run" / "last.pt").exists()


def test_batch_without_instances(recipe: Path, coco: CocoFolder, tmp_path: Path) -> None:
    """Images without ground truth take part if the recipe says so, and every loss is finite."""
    coco.content["annotations"] = coco.content["annotations"][:1]
    values = {"data.root": str(coco.write())}
    trained = train(recipe, values, out=tmp_path / "run", device="cpu")
    rows = np.genfromtxt(trained.folder / "metrics.csv", delimiter=",", names=True)
    assert np.isfinite(rows["loss"]).all()
