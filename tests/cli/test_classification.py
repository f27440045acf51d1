"""Classification on the command line: folders and lists, training, evaluation, prediction, errors."""

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from helpers.command_line import CLASSIFIER, Run

COLORS = {"blue": (20, 30, 200), "red": (210, 30, 20), "very dark": (15, 12, 10)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write images of three classes in two splits, and a recipe."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 10), ("val", 3)):
        for name, color in COLORS.items():
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.array(color) + rng.integers(-10, 11, (36, 40, 3))
                path = tmp_path / split / name / f"{name[:3]}{split}{number}.png"
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(CLASSIFIER))
    return tmp_path


def test_train_evaluate_predict(run: Run, folder: Path) -> None:
    done = run("train", "small.yaml", f"data.root={folder}", "train.epochs=12", "--out", "run1")
    assert "best.pt, top1 100.00" in done.stdout
    assert (folder / "run1" / "confusion_matrix.png").stat().st_size > 1000
    text = run("eval", "run1/best.pt", "--batch-size", "4", "--results", "results").stdout
    assert "top1" in text
    assert "100.00" in text
    assert "very dark" in text
    rows = list(csv.DictReader((folder / "results" / "predictions.csv").open()))
    assert [row["true_class"] for row in rows] == [row["class_1"] for row in rows]
    out = run("predict", "run1/best.pt", "val/very dark", "--out", "out").stdout
    assert "vertrain0.png" not in out
    assert "verval0.png: very dark" in out
    # a flat folder, and a list of file and class names
    flat = folder / "flat"
    flat.mkdir()
    for path in (folder / "val").glob("*/*.png"):
        path.rename(flat / path.name)
    lines = [f"{path.name} {next(c for c in COLORS if c[:3] == path.name[:3])}" for path in flat.iterdir()]
    (folder / "list.txt").write_text("\n".join(lines))
    listed = ("data.val_images=flat", "data.val_annotations=list.txt")
    assert "100.00" in run("eval", "run1/best.pt", *listed).stdout


def test_published_metrics_are_printed(run: Run, folder: Path) -> None:
    """Images of ImageNet classes are in folders named by WordNet ids."""
    (folder / "val").rename(folder / "names")
    for name, id_ in zip(COLORS, ("n01440764", "n01443537", "n02123045"), strict=True):
        (folder / "val").mkdir(exist_ok=True)
        (folder / "names" / name).rename(folder / "val" / id_)
    done = run("eval", "resnest14d_imagenet.timm", "--weights", "none", f"data.root={folder}", "input.size=64",
               "--batch-size", "9")  # fmt: skip
    assert "75.516" in done.stdout
    assert "top5" in done.stdout
    assert "has no images of 997 of the 1000 classes" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "small.yaml", "data.root=.", "data.val_images=flat"), 3, "flat is not a folder"),
        (("eval", "small.yaml", "--weights", "none", "data.root=.", "--tta"), 2, "no test-time augmentation"),
        (
            ("data", "check", "small.yaml", "data.root=.", "data.format=coco"),
            2,
            "data.format should be one of 'folders', 'label_studio'",
        ),
    ],
)
def test_errors(run: Run, folder: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    assert message in run(*arguments, code=code).stderr


def test_truncated_image_is_named(run: Run, folder: Path) -> None:
    path = folder / "train" / "red" / "redtrain1.png"
    path.write_bytes(path.read_bytes()[:50])
    assert "redtrain1.png" in run("data", "check", "small.yaml", f"data.root={folder}", code=3).stderr
