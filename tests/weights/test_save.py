"""Our own checkpoints, the report of a loaded one, and the memory that loading needs."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from helpers.small_networks import OFFICIAL, ROWS, build_network, foreign_state, has_state, small_recipe
from splitnest import zoo
from splitnest.errors import OutputError, UsageError
from splitnest.models.build import build_model
from splitnest.recipe import overrides
from splitnest.recipe.serialization import from_json
from splitnest.weights.load import load
from splitnest.weights.read import read
from splitnest.weights.save import save


@pytest.mark.parametrize("row", ROWS)
def test_save_and_read_back(row: str, tmp_path: Path) -> None:
    recipe, path = small_recipe(row), tmp_path / "new folder" / "own.safetensors"
    module = build_network(recipe)
    save(module, recipe, path)
    checkpoint = read(path)
    assert checkpoint.recipe_json is not None
    assert from_json(checkpoint.recipe_json) == recipe
    assert has_state(module, checkpoint.state)
    copy = build_model(recipe)
    assert load(copy, path).layout == "splitnest"
    assert has_state(copy, module.state_dict())
    assert [file.name for file in path.parent.iterdir()] == ["own.safetensors"]


def test_unwritable_file_is_an_error(tmp_path: Path) -> None:
    recipe = small_recipe("official")
    with pytest.raises(UsageError, match=r"ends in \.safetensors"):
        save(build_model(recipe), recipe, tmp_path / "own.pth")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        save(build_model(recipe), recipe, tmp_path / "file" / "own.safetensors")
    taken = tmp_path / "own.safetensors"
    taken.mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        save(build_model(recipe), recipe, taken)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "own.safetensors"]


def test_report_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    state = build_network(small_recipe("official", ("a", "b", "c"))).state_dict()
    torch.save({**foreign_state(state, OFFICIAL), "layer4.0.dropblock1.i": torch.zeros(1), "epoch": 3}, path)
    report = load(build_model(small_recipe("official")), path, allow_class_change=True)
    assert str(report).splitlines() == [
        f"{path} (official layout)",
        "module         tensors   values",
        "backbone.stem       18      607  loaded",
        "backbone.c2         33    2,453  loaded",
        "backbone.c3         33    8,325  loaded",
        "backbone.c4         33   28,261  loaded",
        "backbone.c5         33  103,461  loaded",
        "fc                   2      514  random weights: 3 classes in the file, 2 in the model",
        "layer4.0             1        1  dropped: schedule of DropBlock, which acts in training only",
        "epoch                1        0  dropped: not a tensor",
    ]


MEASURE = """
import ctypes, gc, sys
from pathlib import Path
import numpy, safetensors
from splitnest import zoo
from splitnest.device import on_meta
from splitnest.models.build import build_model
from splitnest.recipe import overrides
from splitnest.weights import load

def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

def measured(recipe, path):
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = memory("VmRSS")
    with on_meta():
        module = build_model(recipe)
    load.load(module, path)
    return (memory("VmHWM") - before) / path.stat().st_size

recipe = zoo.get(sys.argv[1])
for path in Path(sys.argv[2]).glob("small-*"):  # libraries are mapped when they are first used
    measured(overrides.apply(recipe, {"model.backbone.planes": 8}), path)
for path in map(Path, sys.argv[3:]):
    print(path.name, measured(recipe, path))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_peak_memory(tmp_path: Path) -> None:
    row = "resnest14d_imagenet.timm"  # 42 MB
    small = overrides.apply(zoo.get(row), {"model.backbone.planes": 8})
    prefixes = {"small-": build_model(small), "": build_model(zoo.get(row))}
    for prefix, module in prefixes.items():
        state = module.state_dict()
        torch.save(state, tmp_path / f"{prefix}zip")
        torch.save(state, tmp_path / f"{prefix}legacy", _use_new_zipfile_serialization=False)
        with (tmp_path / f"{prefix}pickle").open("wb") as file:
            pickle.dump({"model": {key: tensor.numpy() for key, tensor in state.items()}}, file)
        save(module, zoo.get(row), tmp_path / f"{prefix}own.safetensors")
    paths = [tmp_path / name for name in ("zip", "legacy", "pickle", "own.safetensors")]
    command = [sys.executable, "-c", MEASURE, row, str(tmp_path), *map(str, paths)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(lines) == 4
    assert max(float(line.split()[1]) for line in lines) < 2.2, lines
