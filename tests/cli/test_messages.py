"""Wrong arguments that newcomers give: the message says what is wrong and what to do."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.command_line import CocoFolder, Run
from helpers.small_networks import OFFICIAL, foreign_state
from splitnest import zoo
from splitnest.models.build import build_model
from splitnest.recipe import overrides


@pytest.fixture
def folder(tmp_path: Path, small_checkpoint: Path, small_recipe: Path) -> Path:
    """Return a folder with an image, a recipe, a dataset, a file of another tool, and a run folder."""
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "photo.png")
    shutil.copy(small_recipe, tmp_path / "mine.yaml")
    CocoFolder(tmp_path / "coco").write()
    (tmp_path / "run").mkdir()
    shutil.copy(small_checkpoint, tmp_path / "run" / "best.pt")
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [circle, square]\n")
    (tmp_path / "d2.yaml").write_text("SOLVER: {BASE_LR: 0.02}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("val run", "There is no command 'val'. Use 'splitnest eval'."),
        ("detekt", "Use 'splitnest predict'."),
        ("trian mine.yaml", "Use 'splitnest train'."),
        ("nonsense", "'splitnest' has list, info, predict"),
        ("data verify mine.yaml", "'splitnest data' has check, show, convert, split, merge, stats."),
        ("predict photo.png mine.yaml", "photo.png is an image. Give the model before the images"),
        (
            "predict data.yaml photo.png",
            "is a dataset description of YOLO, not a recipe. Write a recipe",
        ),
        ("train d2.yaml", "is a part of a configuration of detectron2, without MODEL"),
        ("predict own_config.py photo.png", "own_config.py does not exist. No published model is called"),
        ("eval coco/annotations/instances_val2017.json", "is an annotation file of COCO"),
        ("train run", "run is a run folder. Add --resume"),
        ("predict mine.yaml photo.png --weights none --conf 0.3", "has no option --conf. Use --score."),
        ("predict mine.yaml photo.png --batch 3", "has no option --batch. Use --batch-size."),
        ("predict mine.yaml photo.png --imgsz 640", "key of the recipe (input.size or input.short_side"),
        ("predict --model mine.yaml photo.png", "SOURCE is missing. MODEL is an argument: write it without --model"),
        ("bench --model mine.yaml", "MODEL is an argument: write it without --model."),
        ("predict mine.yaml --source photo.png", "SOURCE is an argument"),
        ("predict mine.yaml photo.png --output x", "has no option --output. Use --out."),
        ("predict run photo.png --detector-weights x", "--detector-weights has no effect without --detector."),
        ("eval mine.yaml data.root=coco", "Give a checkpoint (weights, --weights), or none for random weights."),
        ("predict mine.yaml photo.png --nms 0.6", "It is a key of the recipe (model.nms)"),
        ("predict mine.yaml photo.png --zoom 3", "Its options are --weights, "),
        ("train mine.yaml --epochs 3", "write train.epochs=3."),
        ("train mine.yaml --lr=0.1", "write train.lr=0.1."),
        ("train mine.yaml --data.root coco", "write data.root=coco."),
        ("train mine.yaml --workers", "write train.workers=VALUE."),
        (
            "train mine.yaml coco",
            "'coco' is not an override. Write key=value without blanks, for example data.root=",
        ),
        ("train mine.yaml train.lr 0.1", "for example train.lr=VALUE."),
        ("train mine.yaml device=cuda", "There is no key 'device'; use the option --device."),
        ("train mine.yaml lr=0.1", "There is no key 'lr'; use train.lr."),
        ("predict run photo.png --device meta", "There is no device 'meta'. Use auto"),
        ("predict run photo.png --device gpu", "There is no device 'gpu'. Use auto"),
        ("predict run photo.png --precision half", "'half' is not one of"),
        ("predict run photo.png --tile big", "--tile is 'big'. Give a side in pixels, such as 1024, or HEIGHTxWIDTH."),
        ("predict run photo.png --tile 16", "tile is 16, smaller than 32 pixels"),
        ("predict run photo.png --tile 64 --overlap 1", "overlap is 1.0. Give the fraction of a tile"),
        ("predict run photo.png --overlap 0.2", "overlap has no effect without tile."),
        ("eval run data.root=coco --tile 64 --tta", "Tiles have no test-time augmentation. Omit tile or tta."),
        ("eval run --results coco", "--results coco is a folder. Give a file name with the suffix .json."),
        ("demo --out photo.png", "A part of its path is a file: write to another path."),
        ("export run --out x.engine", "x.engine has no known export format. Use the suffix .onnx or .pt2."),
    ],
)
def test_wrong_usage(run: Run, folder: Path, arguments: str, message: str) -> None:
    code = 5 if arguments.startswith("demo") else 4 if "eval mine.yaml" in arguments else 2
    error = run(*arguments.split(), code=code).stderr
    assert message in error or message in " ".join(error.split())  # typer breaks lines
    assert not list(folder.glob("predictions/*")) + list(folder.glob("runs*"))


@pytest.mark.parametrize("value", ["coco", "absent.txt", "mine.yaml/train.txt"])
def test_file_that_cannot_be_read(run: Run, folder: Path, value: str) -> None:
    error = run("eval", "run", "data.root=coco", f"data.val_annotations=../{value}", code=3).stderr
    assert f"{value} cannot be read: " in error
    assert {
        "coco": "it is a folder, and a COCO annotation file is a file. Give the path of the file.",
        "absent.txt": "it does not exist. Check the path of a COCO annotation file.",
        "mine.yaml/train.txt": "a part of its path is a file, not a folder.",
    }[value] in error


@pytest.mark.parametrize(
    "command",
    [
        "info run",
        "predict run photo.png --device cpu",
        "predict mine.yaml photo.png --device cpu --weights run",
        "eval run data.root=coco --device cpu",
        "bench run photo.png --rounds 1 --device cpu",
        "convert run --out x.safetensors",
        "data check run data.root=coco --split val",
    ],
)
def test_run_folder_stands_for_its_best_checkpoint(run: Run, folder: Path, command: str) -> None:
    assert "note: run is a run folder; best.pt in it is used" in run(*command.split()).stderr


def test_checkpoint_without_a_recipe_names_the_models_that_fit(run: Run, tmp_path: Path) -> None:
    """Of a published model, of one with other classes, and of none."""
    for name, changes, message in (
        ("fits.pth", {}, "fit resnest14d_imagenet.timm. Shapes do not tell"),
        ("classes.pth", {"data.classes": ["a", "b"]}, "fit resnest14d_imagenet.timm, with other classes"),
        ("other.pth", {"data.classes": ["a", "b"], "model.backbone.stem_width": 4}, "fit no published model"),
    ):
        recipe = overrides.apply(zoo.get("resnest14d"), changes)
        torch.save(foreign_state(build_model(recipe).state_dict(), OFFICIAL), tmp_path / name)
        error = run("predict", name, "x.png", code=4).stderr
        assert f"{name} has neither a recipe nor a configuration" in error
        assert message in error
        assert "--config" in error
