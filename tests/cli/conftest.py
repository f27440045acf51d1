"""Fixtures of the command line as a user runs it: a process of its own, real files, a small model."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

import splitnest
from helpers.command_line import RECIPE, CocoFolder, Run, Server, run_splitnest
from splitnest.weights import save


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs ``splitnest`` in an empty folder and checks the exit code."""
    return partial(run_splitnest, tmp_path)


@pytest.fixture(scope="session")
def small_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recipe file of a small Mask R-CNN of two classes."""
    path = tmp_path_factory.mktemp("small") / "small.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="session")
def small_checkpoint(small_recipe: Path) -> Path:
    """Return a checkpoint of that model, which has its recipe."""
    predictor = splitnest.load(small_recipe, weights=None, device="cpu")
    path = small_recipe.with_suffix(".safetensors")
    save.save(predictor.module, predictor.recipe, path)
    return path


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    """Return a small image file."""
    path = tmp_path / "image.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def coco(tmp_path: Path) -> CocoFolder:
    """Return a dataset that is not written yet."""
    return CocoFolder(tmp_path / "coco")


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Return a function that starts a server on this machine."""
    servers = []

    def start(content: bytes, drop_after: int | None = None) -> Server:
        servers.append(Server(content, drop_after))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
