"""The command line as a user runs it: a subprocess, real files, a small model."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

import splitnest
from splitnest.weights import save

RECIPE = """\
base: mask_rcnn_resnest50_fpn_1x_coco.mmdet
name: small
weights: null
model:
  fpn_channels: 16
  box_channels: 16
  box_features: 32
  mask_channels: 16
  backbone: {depth: 14, planes: 16}
input: {short_side: 64, long_side: 96}
data.classes: [circle, square]
"""

CLASSIFIER: dict[str, Any] = {
    "base": "resnest50_imagenet.official",
    "name": "small",
    "weights": None,
    "published": {},
    "model": {"backbone": {"depth": 14, "planes": 8, "stem_width": 8, "stem_stride": 1}},
    "input": {"size": 32, "crop": "timm", "crop_fraction": 1.0},
    "data": {"classes": "folders"},
    "train": {"batch_size": 6, "length": 6, "learning_rate": 0.05, "warmup_epochs": 1, "workers": 0,
              "evaluate_every": 0, "mixup": 0, "policy": None, "drop_block": 0},
}  # fmt: skip
"""A recipe that learns folders of colours."""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs ``splitnest`` in an empty folder and checks the exit code."""

    def call(*arguments: str | Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "splitnest", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "SPLITNEST_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, f"exit code {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return call


@pytest.fixture(scope="session")
def small_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recipe file of a small Mask R-CNN of two classes."""
    path = tmp_path_factory.mktemp("small") / "small.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="session")
def small_checkpoint(small_recipe: Path) -> Path:
    """Return a checkpoint of that model, which carries its recipe."""
    predictor = splitnest.load(small_recipe, weights=None, device="cpu")
    path = small_recipe.with_suffix(".safetensors")
    save.save(predictor.module, predictor.recipe, path)
    return path


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """Return a small picture file."""
    path = tmp_path / "photograph.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


class CocoFolder:
    """A data set of two photographs, one of them with two objects, that a test may spoil before it is written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.content: dict[str, Any] = {
            "images": [
                {"id": 7, "file_name": "a.png", "height": 40, "width": 60},
                {"id": 9, "file_name": "b.png", "height": 40, "width": 60},
            ],
            "annotations": [
                {"id": 1, "image_id": 7, "category_id": 3, "bbox": [5, 5, 20, 10], "area": 200, "iscrowd": 0,
                 "segmentation": [[5, 5, 25, 5, 25, 15, 5, 15]]},
                {"id": 2, "image_id": 7, "category_id": 5, "bbox": [30, 10, 10, 10], "area": 100, "iscrowd": 0,
                 "segmentation": [[30, 10, 40, 10, 40, 20, 30, 20]]},
            ],
            "categories": [{"id": 3, "name": "circle"}, {"id": 5, "name": "square"}],
        }  # fmt: skip

    def write(self) -> Path:
        """Write photographs and annotations in COCO's layout; return the root."""
        (self.root / "val2017").mkdir(parents=True)
        (self.root / "annotations").mkdir()
        rng = np.random.default_rng(1)
        for name in ("a.png", "b.png"):
            Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(self.root / "val2017" / name)
        (self.root / "annotations" / "instances_val2017.json").write_text(json.dumps(self.content))
        return self.root


@pytest.fixture
def coco(tmp_path: Path) -> CocoFolder:
    """Return a data set that is still to be written."""
    return CocoFolder(tmp_path / "coco")


class Server(ThreadingHTTPServer):
    """Serves one content under every name but ``absent*``; may drop the first connection midway.

    Attributes:
        ranges: The Range header of each request, "" where there was none.
    """

    def __init__(self, content: bytes, drop_after: int | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.drop_after = content, drop_after
        self.ranges: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if "absent" in self.path:
            self.send_error(404)
            return
        header = self.headers.get("Range", "")
        self.server.ranges.append(header)
        start = int(header.removeprefix("bytes=").rstrip("-") or 0)
        body, total = self.server.content[start:], len(self.server.content)
        self.send_response(206 if header else 200)
        self.send_header("Content-Length", str(len(body)))
        if header:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.end_headers()
        dropped, self.server.drop_after = self.server.drop_after, None
        self.wfile.write(body[:dropped])

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


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
