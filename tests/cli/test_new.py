"""new, and train on a dataset without a recipe: recipes of all formats, the same trainings, and bad data."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers.command_line import Run
from helpers.tool_exports import (
    Annotated,
    Instance,
    write_coco,
    write_cvat,
    write_images,
    write_label_studio,
    write_labelme,
    write_yolo_labels,
)
from splitnest.zoo import load_recipe

SMALL = (
    "model.backbone.planes=16", "model.fpn_channels=16", "model.box_fc_channels=16", "model.mask_channels=16",
    "train.iterations=2", "train.batch_size=2", "train.warmup_iterations=1", "train.evaluate_every=0",
    "train.workers=0", "train.precision=fp32", "input.short_side=64", "input.long_side=96", "train.short_sides=[64]",
    "train.long_side=96",
)  # fmt: skip
"""Values for two steps of a very small Mask R-CNN."""


def triangle(label: str, x: float, y: float) -> Instance:
    return Instance(label, (x, y, x + 32, y + 24), ((x, y), (x + 32, y + 8), (x + 16, y + 24)))


IMAGES = tuple(
    Annotated(f"{number}.png", 64, 64, (triangle("fig", 4 * number, 8), triangle("date", 8, 2 * number)))
    for number in range(6)
)


def coco(root: Path) -> None:
    write_images(root / "images", IMAGES)
    write_coco(root / "annotations.json", IMAGES, first_id=70)


def roboflow(root: Path) -> None:
    write_images(root / "train", IMAGES)
    write_coco(root / "train/_annotations.coco.json", IMAGES)


def labelme(root: Path) -> None:
    write_images(root, IMAGES)
    write_labelme(root, IMAGES)


def cvat(root: Path) -> None:
    write_images(root / "images", IMAGES)
    write_cvat(root / "annotations.xml", IMAGES[::-1], ["date", "fig"])


def label_studio(root: Path) -> None:
    write_images(root / "upload", IMAGES)
    write_label_studio(root / "export.json", IMAGES[2:] + IMAGES[:2])


def yolo(root: Path) -> None:
    write_images(root / "images", IMAGES)
    write_yolo_labels(root / "labels", IMAGES, ["date", "fig"])
    (root / "data.yaml").write_text("train: images\nval: images\nnames: [date, fig]\n")


WRITERS: tuple[Callable[[Path], None], ...] = (coco, roboflow, labelme, cvat, label_studio, yolo)


def test_no_dataset(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for command in ("new", "train"):
        assert "empty is empty. Give the folder of a dataset" in run(command, "empty", code=3).stderr
    assert not list(tmp_path.glob("*.yaml"))
    assert not (tmp_path / "runs").exists()


def test_recipes_of_all_formats_are_equal_and_train_alike(run: Run, tmp_path: Path) -> None:
    recipes, losses = {}, {}
    for write in WRITERS:
        name = write.__name__
        write(tmp_path / name / "fruit")
        out = tmp_path / f"{name}.yaml"
        done = run("new", tmp_path / name / "fruit", "--out", out)
        assert f"next: splitnest train {out}" in done.stdout
        assert "polygons or masks: 6 images for training, 12 instances, no validation split" in done.stdout
        recipe = load_recipe(out).model_dump()
        data = recipe.pop("data")
        lists = [Path(data[f"{split}_list"]).read_text() for split in ("train", "val")]
        recipes[name] = recipe, data["classes"], lists
        run("train", out, "--out", tmp_path / f"run_{name}", *SMALL)
        rows = (tmp_path / f"run_{name}/metrics.jsonl").read_text()
        losses[name] = [line for line in rows.splitlines() if '"loss"' in line]
    first = recipes["coco"]
    assert first[1] == ("date", "fig")
    assert sorted("".join(first[2]).split()) == [image.name for image in IMAGES]
    for name, recipe in recipes.items():
        assert recipe == first, name
    values = {name: loss_values(rows) for name, rows in losses.items()}
    for name in ("roboflow", "labelme", "cvat", "label_studio", "yolo"):  # 64 pixels: fractions are exact
        np.testing.assert_array_equal(values[name], values["coco"], err_msg=name)


def loss_values(rows: list[str]) -> list[float]:
    import json

    return [value for row in rows for key, value in sorted(json.loads(row).items()) if key.startswith("loss")]


def test_training_on_a_dataset_writes_the_recipe_into_the_run_folder(run: Run, tmp_path: Path) -> None:
    labelme(tmp_path / "fruit")
    assert "iterations" in run("train", "fruit", "--dry-run", *SMALL).stdout
    assert not (tmp_path / "runs").exists()
    done = run("train", "fruit", *SMALL)
    (folder,) = (tmp_path / "runs").iterdir()
    assert "labelme, polygons or masks: 6 images" in done.stderr
    assert f"last checkpoint: {Path('runs') / folder.name / 'last.pt'}" in done.stdout
    assert {"dataset.yaml", "dataset_train.txt", "dataset_val.txt", "recipe.yaml"} <= {p.name for p in folder.iterdir()}
    assert "# " in (folder / "dataset.yaml").read_text()
    assert "resuming after step 2 of 2" in run("train", folder, "--resume").stdout


def test_new_keeps_other_files(run: Run, tmp_path: Path) -> None:
    labelme(tmp_path / "fruit")
    run("new", "fruit")
    before = {path.name: path.read_bytes() for path in tmp_path.glob("fruit*") if path.is_file()}
    assert set(before) == {"fruit.yaml", "fruit_train.txt", "fruit_val.txt"}
    run("new", "fruit")  # identical
    (tmp_path / "fruit.yaml").write_text("my own")
    assert "fruit.yaml exists with another content" in run("new", "fruit", code=2).stderr
    assert (tmp_path / "fruit.yaml").read_text() == "my own"
    run("new", "fruit", "--force")
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    run("new", "fruit", "--out", "fruit/0.png/x.yaml", code=5)


def test_base_of_another_task(run: Run, tmp_path: Path) -> None:
    labelme(tmp_path / "fruit")
    done = run("new", "fruit", "--base", "resnest50_imagenet.official", code=2)
    assert "is a model of classification, but the annotations are of instance" in done.stderr
    assert "No published model is called" in run("new", "fruit", "--base", "nothing", code=2).stderr


def test_published_base_without_weights_is_said(run: Run, tmp_path: Path) -> None:
    labelme(tmp_path / "fruit")
    name = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"
    done = run("new", "fruit", "--base", name, http_proxy="http://127.0.0.1:9", https_proxy="http://127.0.0.1:9")
    assert "neither in the cache nor can be downloaded, so the training starts from scratch" in done.stdout
    train = load_recipe(tmp_path / "fruit.yaml").train
    assert train is not None
    assert train.init_from is None
    (tmp_path / "home/weights").mkdir(parents=True)
    weights = load_recipe_of(name)
    (tmp_path / "home/weights" / weights).write_bytes(b"")
    run("new", "fruit", "--base", name, "--force")
    train = load_recipe(tmp_path / "fruit.yaml").train
    assert train is not None
    assert train.init_from == name


def load_recipe_of(name: str) -> str:
    from splitnest import zoo
    from splitnest.weights.fetch import file_name

    weights = zoo.get(name).weights
    assert weights is not None
    return file_name(weights.url)


def two_formats(root: Path) -> None:
    labelme(root / "labelme")
    cvat(root / "cvat")


def other_classes(root: Path) -> None:
    roboflow(root)
    write_images(root / "valid", IMAGES[:1])
    images = [Annotated("0.png", 64, 64, (triangle("kiwi", 1, 2),))]
    write_coco(root / "valid/_annotations.coco.json", images)


def other_machine(root: Path) -> None:
    yolo(root)
    (root / "data.yaml").write_text("train: /home/anna/a/b\nval: /home/anna/a/c\nnames: [date, fig]\n")


def empty_folder_of_yolo(root: Path) -> None:
    yolo(root)
    (root / "more").mkdir()
    (root / "data.yaml").write_text("train: images\nval: more\nnames: [date, fig]\n")


def empty_coco_file(root: Path) -> None:
    roboflow(root)
    write_coco(root / "valid/_annotations.coco.json", [])


def empty_split(root: Path) -> None:
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            write_images(root / split / name, IMAGES[:2])
    shutil.rmtree(root / "val/cat")
    shutil.rmtree(root / "val/dog")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda root: write_images(root, IMAGES[:2]), "data has 2 images, and no annotations that are known"),
        (two_formats, "data has several formats: labelme (labelme) and CVAT (cvat/annotations.xml). Give the file"),
        (other_classes, "The splits have different classes: only validation has 'kiwi' (1 times), and training has"),
        (other_machine, "data.yaml: train is /home/anna/a/b, a path of another machine: neither it nor an end of it"),
        (empty_split, "The validation split is empty: "),
        (empty_folder_of_yolo, "data/more has no images. Add images, or remove the split from data.yaml, so that"),
        (empty_coco_file, "valid/_annotations.coco.json has no annotated images. Add images with annotations, or"),
    ],
)
def test_bad_data(run: Run, tmp_path: Path, write: Callable[[Path], None], message: str) -> None:
    write(tmp_path / "data")
    for command in ("new", "train"):
        assert message in run(command, "data", code=3).stderr
    assert not (tmp_path / "data.yaml").exists()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda root: root.mkdir(), "data is empty. Give the folder of a dataset"),
        (lambda root: write_images(root, IMAGES[:2]), "data has 2 images, and no annotations that are known"),
        (two_formats, "data has several formats: labelme (labelme) and CVAT (cvat/annotations.xml). Give the file"),
        (other_machine, "Images are in images. Write their folder relative to data.yaml, as in train: images."),
    ],
)
def test_bad_data_of_data_commands(run: Run, tmp_path: Path, write: Callable[[Path], None], message: str) -> None:
    write(tmp_path / "data")
    for command in (
        ("stats", "data"), ("convert", "data", "out", "--to", "coco"), ("split", "data", "out"),
        ("merge", "data", "data", "out"),
    ):  # fmt: skip
        assert message in run("data", *command, code=3).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (other_classes, "the splits have different classes: only val has 'kiwi'"),
        (empty_split, "the val split is empty and left out: "),
        (empty_folder_of_yolo, "the val split is empty and left out: "),
        (empty_coco_file, "the val split is empty and left out: "),
    ],
)
def test_splits_that_are_converted_with_a_note(
    run: Run, tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    write(tmp_path / "data")
    assert message in run("data", "split", "data", "out").stderr.replace("\n", " ")
    assert message in run("data", "stats", "data").stderr.replace("\n", " ")
    assert (tmp_path / "out/.splitnest").exists()
