"""Checkpoints that do not fit, are harmful, or cannot be downloaded."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from helpers.command_line import RECIPE, Run, Server


class Harmful:
    """Pickles into a call that leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return (open, (str(self.trace), "w"))


def test_truncated_file(run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    path.write_bytes(small_checkpoint.read_bytes()[:20000])
    assert "half.safetensors" in run("predict", small_checkpoint, image_file, "--weights", path, code=4).stderr


def test_file_of_another_model(run: Run, small_checkpoint: Path, image_file: Path) -> None:
    error = run("predict", "resnest14d", image_file, "--weights", small_checkpoint, code=4).stderr
    assert small_checkpoint.name in error


def test_file_without_recipe(run: Run, image_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "foreign.pth"
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    assert "has neither a recipe nor a configuration" in run("predict", path, image_file, code=4).stderr


@pytest.mark.parametrize("kind", ["pkl", "pth"])
def test_code_in_a_pickle_does_not_run(
    run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path, kind: str
) -> None:
    trace, path = tmp_path / "executed", tmp_path / f"harmful.{kind}"
    content = {"model": Harmful(trace)}
    if kind == "pkl":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    assert path.name in run("predict", small_checkpoint, image_file, "--weights", path, code=4).stderr
    assert not trace.exists()


def test_download(
    run: Run, serve: Callable[..., Server], small_checkpoint: Path, image_file: Path, tmp_path: Path
) -> None:
    """A dropped connection is resumed. A wrong hash and a missing file have messages of their own."""
    content = small_checkpoint.read_bytes()
    server = serve(content, drop_after=len(content) // 2)
    digest = hashlib.sha256(content).hexdigest()
    recipe = tmp_path / "remote.yaml"

    def weights(name: str, sha256: str) -> None:
        recipe.write_text(f"{RECIPE}weights: {{url: '{server.url}/{name}', sha256: '{sha256}'}}\n")

    weights("model.safetensors", digest[:8])
    run("predict", recipe, image_file)
    assert any(header.startswith("bytes=") for header in server.ranges)
    requests = len(server.ranges)
    run("predict", recipe, image_file)
    assert len(server.ranges) == requests  # from the cache

    weights("other.safetensors", "00000000")
    error = run("predict", recipe, image_file, code=4).stderr
    assert "00000000" in error
    assert digest[:8] in error
    assert not list((tmp_path / "home").rglob("other.safetensors"))

    weights("absent.safetensors", digest[:8])
    error = run("predict", recipe, image_file, code=4).stderr
    assert f"{server.url}/absent.safetensors" in error
    assert str(tmp_path / "home") in error
