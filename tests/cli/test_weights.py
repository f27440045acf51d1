"""Checkpoints that do not fit, lie, or cannot be had."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from conftest import RECIPE, Run, Server


class Harmful:
    """Pickles into a call that leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return (open, (str(self.trace), "w"))


def test_truncated(run: Run, small_checkpoint: Path, photograph: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    path.write_bytes(small_checkpoint.read_bytes()[:20000])
    assert "half.safetensors" in run("predict", small_checkpoint, photograph, "--weights", path, code=4).stderr


def test_of_another_model(run: Run, small_checkpoint: Path, photograph: Path) -> None:
    error = run("predict", "resnest14d", photograph, "--weights", small_checkpoint, code=4).stderr
    assert small_checkpoint.name in error


def test_without_a_recipe(run: Run, photograph: Path, tmp_path: Path) -> None:
    path = tmp_path / "foreign.pth"
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    assert "carries no recipe" in run("predict", path, photograph, code=4).stderr


@pytest.mark.parametrize("kind", ["pkl", "pth"])
def test_code_in_a_file_does_not_run(
    run: Run, small_checkpoint: Path, photograph: Path, tmp_path: Path, kind: str
) -> None:
    trace, path = tmp_path / "executed", tmp_path / f"harmful.{kind}"
    content = {"model": Harmful(trace)}
    if kind == "pkl":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    assert path.name in run("predict", small_checkpoint, photograph, "--weights", path, code=4).stderr
    assert not trace.exists()


def test_download(
    run: Run, serve: Callable[..., Server], small_checkpoint: Path, photograph: Path, tmp_path: Path
) -> None:
    """A connection that drops midway is resumed; a wrong hash, a missing file and a placed file are told apart."""
    content = small_checkpoint.read_bytes()
    server = serve(content, drop_after=len(content) // 2)
    digest = hashlib.sha256(content).hexdigest()
    recipe = tmp_path / "remote.yaml"

    def weights(name: str, sha256: str) -> None:
        entry = f"weights: {{url: '{server.url}/{name}', sha256: '{sha256}', layout: splitnest}}\n"
        recipe.write_text(RECIPE.replace("weights: null\n", entry))

    weights("model.safetensors", digest[:8])
    run("predict", recipe, photograph)
    assert any(header.startswith("bytes=") for header in server.ranges)
    requests = len(server.ranges)
    run("predict", recipe, photograph)
    assert len(server.ranges) == requests  # from the cache

    weights("other.safetensors", "00000000")
    error = run("predict", recipe, photograph, code=4).stderr
    assert "00000000" in error
    assert digest[:8] in error
    assert not list((tmp_path / "home").rglob("other.safetensors"))

    weights("absent.safetensors", digest[:8])
    error = run("predict", recipe, photograph, code=4).stderr
    assert f"{server.url}/absent.safetensors" in error
    assert str(tmp_path / "home") in error
