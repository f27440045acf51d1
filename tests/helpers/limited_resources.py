"""Trainings in a process whose memory or file size is limited (not on Windows)."""

import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from helpers.tiny_detector import CONTENT
from helpers.tiny_training import TinyData, new_state, recipe_of, train_config
from helpers.tiny_training import train as train_tiny_model
from splitnest.errors import OutputError, UsageError
from splitnest.structures.batch import Batch
from splitnest.training import checkpoint, loop
from splitnest.training.train import train

FREE_BYTES = 20 * 2**20
"""Memory that a process may allocate in its first step, which needs more."""


def train_with_limited_memory(folder: Path) -> None:
    """Limit the memory of this process before the first step; print exit code and text of the error (Linux)."""
    train_step = loop.train_step

    def limited_step(*arguments: Any) -> Any:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + FREE_BYTES, resource.RLIM_INFINITY))
        return train_step(*arguments)

    loop.train_step = limited_step  # type: ignore[assignment]  # this process ends with it
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(CONTENT))
    size = {"data.height": 320, "data.width": 480, "train.short_sides": [320], "train.long_side": 480}
    try:
        train(path, size, out=folder / "run", device="cpu")
    except UsageError as error:
        print(error.exit_code, error, flush=True)


def train_with_few_descriptors(recipe_file: Path, out: Path, count: int) -> None:
    """Train on the command line, in a process that may have few files open."""
    from splitnest.cli.app import main

    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    sys.argv = ["splitnest", "train", str(recipe_file), "--out", str(out)]
    main()


def predict_with_limited_memory(model: Path, image: Path) -> None:
    """Predict on the command line, in a process that may allocate little more memory than it has (Linux)."""
    from splitnest.cli.app import main

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + FREE_BYTES, resource.RLIM_INFINITY))
    sys.argv = ["splitnest", "predict", "--weights", "none", "--out", str(image.parent / "out"), str(model), str(image)]
    main()


def save_with_limited_file_size(path: Path) -> None:
    """Write a checkpoint, and another one that exceeds a limit on the size of files; print the error."""
    state, _ = new_state(train_config())
    checkpoint.save(state, recipe_of(train_config()), path)
    _limit_file_size(200_000)
    state.model.extra = nn.Linear(1000, 100)
    try:
        checkpoint.save(state, recipe_of(train_config()), path)
    except OutputError as error:
        print(error, flush=True)


class _FillingData(TinyData):
    """Data that limits the size of files before step 4."""

    def steps(self, start: int) -> Iterator[Sequence[Batch]]:
        for step, parts in enumerate(super().steps(start), start):
            if step == 4:
                _limit_file_size(10_000)
            yield parts


def train_with_limited_file_size(folder: Path) -> None:
    """Train, and limit the size of files before step 4; print the error."""
    try:
        train_tiny_model(folder, _FillingData(), save_every=1, iterations=9)
    except OutputError as error:
        print(error, flush=True)


def _limit_file_size(size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
