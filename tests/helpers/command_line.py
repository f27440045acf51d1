"""The command line in processes of its own; small recipes, datasets and a server for its tests."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from helpers.processes import start_function

RECIPE = """\
base: mask_rcnn_resnest50_fpn_1x_coco.mmdet
name: small
model:
  fpn_channels: 16
  box_conv_channels: 16
  box_fc_channels: 32
  mask_channels: 16
  backbone: {depth: 14, planes: 16}
input: {short_side: 64, long_side: 96}
data.classes: [circle, square]
"""

CLASSIFIER: dict[str, Any] = {
    "base": "resnest50_imagenet.official",
    "name": "small",
    "model": {"backbone": {"depth": 14, "planes": 8, "stem_width": 8, "stem_stride": 1}},
    "input": {"size": 32, "crop": "timm", "crop_fraction": 1.0},
    "data": {"classes": "folders"},
    "train": {"batch_size": 6, "epochs": 6, "lr": 0.05, "warmup_epochs": 1, "workers": 0,
              "evaluate_every": 0, "mixup": 0, "policy": None, "drop_block": 0},
}  # fmt: skip
"""Recipe of a small classifier that learns folders of colors."""

Run = Callable[..., subprocess.CompletedProcess[str]]

TIMEOUT = 120
"""Seconds that a command may take."""


def run_splitnest(
    folder: Path, *arguments: str | Path, code: int = 0, fresh: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``splitnest`` in a folder, and check that it ends with an exit code and without a traceback.

    Args:
        folder: Working directory.
        arguments: Arguments of the command line.
        code: Expected exit code.
        fresh: Whether to start a new interpreter. Otherwise the process is forked from one that has imported torch and
            splitnest, which saves two seconds of CPU time.
        environment: Environment variables.
    """
    variables = {"SPLITNEST_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", **environment}
    done = (_run_fresh if fresh else _run_forked)(folder, [str(argument) for argument in arguments], variables)
    assert done.returncode == code, f"exit code {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def _run_fresh(folder: Path, arguments: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "splitnest", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def _run_forked(folder: Path, arguments: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as outputs:
        stdout, stderr = Path(outputs) / "stdout", Path(outputs) / "stderr"
        process = start_splitnest(folder, *arguments, stdout=stdout, stderr=stderr, **environment)
        process.join(TIMEOUT)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(arguments, TIMEOUT, stdout.read_text(), stderr.read_text())
        assert process.exitcode is not None
        return subprocess.CompletedProcess(arguments, process.exitcode, stdout.read_text(), stderr.read_text())


def start_splitnest(folder: Path, *arguments: str, stdout: Path, stderr: Path, **environment: str) -> BaseProcess:
    """Start ``splitnest`` in a folder, in a process that is forked from one that has imported torch and splitnest."""
    return start_function(_splitnest, arguments, folder, environment, stderr, log=stdout)


def _splitnest(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], stderr: Path) -> None:
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT), 2)
    os.environ.update(environment)
    os.chdir(folder)
    torch.set_num_threads(1)
    sys.argv = ["splitnest", *arguments]
    from splitnest.cli.app import main

    main()


def write_bright_and_dark(folder: Path, **train: int) -> Path:
    """Write bright and dark images, and a recipe ``small.yaml`` of their classifier; return the folder.

    Args:
        folder: Folder.
        train: Values of the section ``train``.
    """
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 3)):
        for name, brightness in (("bright", 220), ("dark", 30)):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = brightness + rng.integers(-10, 11, (36, 40, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / name / f"{number}.png")
    recipe = {**CLASSIFIER, "data": {"classes": "folders", "root": str(folder)}}
    recipe["train"] = {**CLASSIFIER["train"], "batch_size": 4, **train}
    (folder / "small.yaml").write_text(yaml.safe_dump(recipe))
    return folder


class CocoFolder:
    """Dataset of two images, one of them with two instances. A test may change it before it is written."""

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
        """Write images and annotations in COCO's layout, and return the root."""
        (self.root / "val2017").mkdir(parents=True)
        (self.root / "annotations").mkdir()
        rng = np.random.default_rng(1)
        for name in ("a.png", "b.png"):
            Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(self.root / "val2017" / name)
        (self.root / "annotations" / "instances_val2017.json").write_text(json.dumps(self.content))
        return self.root


class Server(ThreadingHTTPServer):
    """HTTP server of one content under every name except ``absent*``. It may drop the first connection midway.

    Attributes:
        ranges: Range header of each request, or an empty string.
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
