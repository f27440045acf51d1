"""Semantic segmentation on the command line: wrong label maps, palettes, classes other than those of the weights."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import splitnest
from helpers.command_line import Run
from helpers.small_segmentor import RECIPE
from splitnest.weights import save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write two images with label maps of class indices, a recipe, and weights that contain it."""
    rng = np.random.default_rng(0)
    for kind in ("images", "maps"):
        (tmp_path / kind).mkdir()
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 256, (32, 48, 3), np.uint8)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(rng.integers(0, 3, (32, 48), np.uint8)).save(tmp_path / "maps" / f"{name}.png")
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, "data": {**RECIPE["data"], "root": str(tmp_path)}}))
    predictor = splitnest.load(path, weights=None, device="cpu")
    save.save(predictor.module, predictor.recipe, tmp_path / "small.safetensors")
    return tmp_path


def test_label_maps_of_indices_are_drawn_in_the_colors_of_a_palette(run: Run, folder: Path) -> None:
    palette = [[1, 2, 3], [200, 0, 0], [200, 0, 0]]  # for drawing, a color may repeat
    recipe = yaml.safe_load((folder / "small.yaml").read_text())
    recipe["data"]["palette"] = palette
    (folder / "small.yaml").write_text(yaml.safe_dump(recipe))
    assert "miou" in run("eval", "small.yaml", "--weights", "small.safetensors").stdout
    run("predict", "small.yaml", "images/a.png", "--weights", "small.safetensors", "--out", "out")
    with Image.open(folder / "out" / "a_map.png") as colored:
        assert set(map(tuple, np.asarray(colored).reshape(-1, 3).tolist())) <= set(map(tuple, palette))


def test_data_check_prints_a_histogram(run: Run, folder: Path) -> None:
    text = run("data", "check", "small.yaml").stdout
    assert "###" in text
    assert "water" in text


@pytest.mark.parametrize("command", ["eval", "data check"])
@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ("size", "b.png has 8 x 9 pixels, but its image"),
        ("missing", "b.png"),
        ("value", "b.png has value 77 in 4 of 1536 pixels"),
        ("colors", "has several channels (RGB), not class indices"),
        ("floats", "has floating-point pixels"),
    ],
)
def test_label_maps_that_do_not_fit(run: Run, folder: Path, command: str, problem: str, message: str) -> None:
    path = folder / "maps" / "b.png"
    labels = np.asarray(Image.open(path)).copy()
    path.unlink()
    match problem:
        case "size":
            Image.fromarray(labels[:9, :8]).save(path)
        case "value":
            labels[:2, :2] = 77
            Image.fromarray(labels).save(path)
        case "colors":
            Image.fromarray(np.stack([labels] * 3, axis=2)).save(path)
        case "floats":
            Image.fromarray(labels.astype(np.float32)).save(path.with_suffix(".tiff"))
    weights = [] if command == "data check" else ["--weights", "small.safetensors"]
    assert message in " ".join(run(*command.split(), "small.yaml", *weights, code=3).stderr.split())


@pytest.mark.parametrize(
    ("values", "code", "message"),
    [
        (["data.classes=[grass, path]"], 4, "3 classes in the file, 2 in the model"),
        (["data.classes=[path, grass, water]"], 4, "has the classes grass, path, water, not path, grass, water"),
        (["data.label_maps=colors"], 2, "label_maps colors needs the color of each class in palette"),
        (["data.palette=[[0, 0, 0]]"], 2, "palette has 1 colors for 3 classes"),
        (["data.label_maps=colors", "data.palette=[[1, 1, 1], [2, 2, 2], [1, 1, 1]]"], 2, "more than once"),
        (["data.stuff=[sky]"], 2, "data.stuff has no effect with data.format folders"),
        (["input.window=[16, 16]", "input.stride=[32, 16]"], 2, "is larger than window"),
        (["input.stride=[16, 16]"], 2, "set window too"),
        (["train.resize_ratios=[2, 0.5]"], 2, "give the minimum first"),
    ],
)
def test_wrong_values(run: Run, folder: Path, values: list[str], code: int, message: str) -> None:
    error = run("eval", "small.yaml", *values, "--weights", "small.safetensors", code=code).stderr
    assert message in " ".join(error.split())


def test_classes_of_an_openmmlab_file(run: Run, folder: Path) -> None:
    """OpenMMLab's files contain their classes, whose spelling may differ."""
    import torch

    state = splitnest.load(folder / "small.safetensors", device="cpu").module.state_dict()
    for names, code in ((("Grass ", "path", "water"), 0), (("water", "path", "grass"), 4)):
        torch.save({"meta": {"CLASSES": names}, "state_dict": state}, folder / "foreign.pth")
        run("eval", "small.yaml", "--weights", "foreign.pth", code=code)
