"""Batch size that fills the memory of a device."""

from pathlib import Path
from typing import Any

import pytest
import torch

import splitnest
from helpers.image_tree import recipe_of, write_classes
from splitnest.errors import UsageError
from splitnest.recipe import overrides, required_training
from splitnest.recipe.serialization import dump_yaml
from splitnest.training import auto_batch_size
from splitnest.training.auto_batch_size import with_batch_size
from splitnest.training.memory import USABLE_FRACTION, estimate_memory
from splitnest.training.train import plan

CPU = torch.device("cpu")
AUTO: dict[str, Any] = {"train.batch_size": "auto", "train.lr_batch_size": 16, "data.classes": ["a", "b", "c"]}


def batch_size(memory: float | None, samples: int = 1000, processes: int = 1, **train: Any) -> int | str:
    """Return the batch size for a memory in bytes."""
    recipe = overrides.apply(recipe_of(None), {**AUTO, "train": train})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(auto_batch_size, "total_memory", lambda _: None if memory is None else int(memory))
        return required_training(with_batch_size(recipe, samples, CPU, processes)).batch_size


def test_number_is_kept() -> None:
    recipe = recipe_of(None)
    assert with_batch_size(recipe, 0, CPU) is recipe


def test_batch_fills_the_memory() -> None:
    step = {n: sum(estimate_memory(overrides.apply(recipe_of(None), {**AUTO, "train.batch_size": n}))) for n in (8, 16)}
    assert batch_size(step[8] / USABLE_FRACTION * 1.01) == 8
    assert batch_size(step[16] / USABLE_FRACTION * 0.95) == 8
    assert batch_size(step[16] / USABLE_FRACTION * 1.01) == 16
    assert batch_size(step[8] / USABLE_FRACTION * 1.01, accumulate=3) == 24
    assert batch_size(2 * step[8] / USABLE_FRACTION * 1.01, processes=2) == 16  # which share the memory
    assert batch_size(1e15) == 512  # of 1000 samples
    assert batch_size(1e15, samples=64) == 64


def test_no_memory_and_no_samples_are_errors() -> None:
    for values in ({"memory": 1e6}, {"memory": 1e15, "samples": 0}):
        with pytest.raises(UsageError, match="not even one image for each forward pass fits"):
            batch_size(**values)
    with pytest.raises(UsageError, match="the memory of this system is unknown"):
        batch_size(None)
    with pytest.raises(UsageError, match="batch_size auto needs lr_batch_size"):
        overrides.apply(recipe_of(None), {"train.batch_size": "auto"})
    with pytest.raises(UsageError, match=r"train\.batch_size should"):
        overrides.apply(recipe_of(None), {"train.batch_size": "much"})


def test_training_stores_the_number_and_resumes_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(tmp_path, {"train": 4, "val": 2})
    (tmp_path / "small.yaml").write_text(dump_yaml(recipe_of(None)))
    values = {**AUTO, "data.root": str(tmp_path), "train.epochs": 2, "data.classes": "folders"}
    out = tmp_path / "run"
    assert "2 steps of 8 images" in plan(tmp_path / "small.yaml", values)
    splitnest.train(tmp_path / "small.yaml", values, out=out, device="cpu")
    assert "train.batch_size=auto: 8, 8 in each forward pass; learning rate 0.025" in capsys.readouterr().out
    assert "batch_size: 8" in (out / "recipe.yaml").read_text()
    monkeypatch.setattr(auto_batch_size, "total_memory", lambda _: 1)  # of another machine
    for recipe in (tmp_path / "small.yaml", out):
        resumed = splitnest.train(recipe, values if recipe != out else None, True, out=out, device="cpu")
        assert resumed.last == out / "last.pt"
