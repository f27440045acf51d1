"""The section Networks of the page on extending: its code runs."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from helpers.own_networks import SEMANTIC
from helpers.pages import Part, blocks, parts
from helpers.paths import ROOT
from helpers.tiny_detector import CONTENT as DETECTION
from splitnest.zoo import load_recipe

PAGE = ROOT / "docs" / "extending.md"
MAX_LINES = 60


def section(title: str) -> list[Part]:
    """Return the blocks of Python in a section of the page."""
    headings = [part for part in parts(PAGE) if part.language == "" and part.text.startswith("## ")]
    (start,) = (part.line for part in headings if part.text == f"## {title}")
    end = next((part.line for part in headings if part.line > start), 10**9)
    return [block for block in blocks(PAGE, "python") if start < block.line < end]


def camvid(folder: Path) -> dict[str, Any]:
    """Return a recipe of random label maps in the layout of ``examples/camvid.yaml``."""
    rng = np.random.default_rng(0)
    content = yaml.safe_load((ROOT / "examples" / "camvid.yaml").read_text())
    for name, number in itertools.product(("train", "trainannot", "val", "valannot"), range(4)):
        (folder / name).mkdir(exist_ok=True)
        shape, values = ((64, 96), 12) if name.endswith("annot") else ((64, 96, 3), 256)
        Image.fromarray(rng.integers(0, values, shape, np.uint8)).save(folder / name / f"{number}.png")
    content["data"]["root"] = str(folder)
    content["input"] = {"short_side": 64, "long_side": 96}
    content["train"] |= {"crop_size": [48, 64], "iterations": 2, "warmup_iterations": 0, "evaluate_every": 2}
    return {**content, "train": {**content["train"], "workers": 0}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working directory with the recipes that the page names."""
    monkeypatch.chdir(tmp_path)
    detector = {**DETECTION, "train": {**DETECTION["train"], "epochs": 1}}
    segmentor = {**SEMANTIC, "train": {**SEMANTIC["train"], "iterations": 2}}
    for name, content in (("my_detector", detector), ("my_segmentor", segmentor), ("camvid", camvid(tmp_path))):
        Path(f"{name}.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


@pytest.mark.parametrize("block", section("Networks"), ids=str)
def test_code_runs(block: Part, folder: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile(block.text, str(block), "exec"), names)
    run = names.get("run")
    if run is not None:
        assert (run.folder / "metrics.csv").is_file()
        assert names.get("predictor") is not None or "evaluate" in block.text


def upernet() -> Part:
    (block,) = (block for block in section("Networks") if "UPerHead" in block.text)
    return block


def test_upernet_is_short() -> None:
    assert len(upernet().text.splitlines()) <= MAX_LINES


@pytest.mark.parity
def test_upernet_trains_and_evaluates_on_camvid(folder: Path, shared_data: Callable[[str], Path]) -> None:
    content = yaml.safe_load(Path("camvid.yaml").read_text())
    content["data"]["root"] = str(shared_data("camvid"))
    Path("camvid.yaml").write_text(yaml.safe_dump(content))
    names: dict[str, Any] = {}
    exec(compile(upernet().text, "docs/extending.md", "exec"), names)
    run = names["run"]
    assert 0 < run.metrics["miou"] < 1


def test_recipes_on_the_page_name_models_of_timm(folder: Path) -> None:
    (block,) = (block for block in blocks(PAGE, "yaml") if "timm" in block.text)
    for base in ("my_detector.yaml", "my_segmentor.yaml"):
        Path("own.yaml").write_text(f"base: {base}\n{block.text}")
        assert load_recipe(Path("own.yaml")).model.backbone.model_dump()["timm"] == "convnext_tiny"
