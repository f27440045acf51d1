"""Image files as people have them, through the command line: other formats, hidden files, lists, pipes."""

import json
import os
from pathlib import Path

from helpers import image_tree
from helpers.command_line import CLASSIFIER, Run
from helpers.detection_files import write_image


def test_avif_is_named(run: Run, small_recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.avif").write_bytes(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1")
    told = run("predict", small_recipe, tmp_path / "photo.avif", "--weights", "none", code=3).stderr
    assert "photo.avif cannot be read as an image: it is an AVIF image. Convert it to PNG or JPEG" in told


def test_predicted_folder(run: Run, small_recipe: Path, tmp_path: Path) -> None:
    for name in ("a.jfif", "b.jpe"):
        write_image(tmp_path / "photos" / name)
    (tmp_path / "photos/c.heic").touch()
    (tmp_path / "photos/._a.jpg").touch()
    done = run("predict", small_recipe, tmp_path / "photos", "--weights", "none")
    assert "1 file is not read, since the suffix is not that of an image: c.heic" in done.stderr
    assert "results of 2 images" in done.stdout


def test_class_folders_and_list_with_a_byte_order_mark(run: Run, tmp_path: Path) -> None:
    image_tree.write_classes(tmp_path / "set", {"train": 3, "val": 1})
    (tmp_path / "set/train/red/odd.heic").touch()
    (tmp_path / "set/train/red/._train0.png").touch()
    images = [path.relative_to(tmp_path / "set/val") for path in sorted((tmp_path / "set/val").rglob("*.png"))]
    for path in images:
        (tmp_path / "set/val" / path).rename(tmp_path / f"set/val/{path.parent}.png")
    lines = [f"{path.parent}.png,{path.parent}" for path in images]
    (tmp_path / "set/val.csv").write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    recipe = {**CLASSIFIER, "data": {**CLASSIFIER["data"], "root": str(tmp_path / "set"), "val_annotations": "val.csv"}}
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    shown = run("data", "check", tmp_path / "recipe.yaml").stdout
    assert "not that of an image: not read: 1\n  red/odd.heic" in shown
    assert "9 in " in shown
    assert "3 in " in shown


def test_named_pipes_are_not_waited_for(run: Run, small_recipe: Path, image_file: Path, tmp_path: Path) -> None:
    for name in ("pipe.yaml", "pipe.pth", "pipe.jpg"):
        os.mkfifo(tmp_path / name)
    assert "it is a named pipe" in run("train", tmp_path / "pipe.yaml", code=2).stderr
    assert "it is a named pipe" in run("predict", small_recipe, image_file, "--weights", "pipe.pth", code=4).stderr
    assert "it is a named pipe" in run("predict", small_recipe, "pipe.jpg", "--weights", "none", code=3).stderr
