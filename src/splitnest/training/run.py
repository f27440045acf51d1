"""The folder of a training run, and what a run leaves behind."""

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import splitnest
from splitnest.data.training_set import required_training
from splitnest.errors import UsageError
from splitnest.files import kept, remove_parts, replacing
from splitnest.processes import is_first
from splitnest.recipe import Recipe
from splitnest.training import checkpoint
from splitnest.training.metrics import MetricsLog, Row, headline
from splitnest.training.state import TrainingState
from splitnest.visualize.curves import Panel, draw_curves

RUNS = Path("runs")
"""Where the folders of runs are made, in the working folder."""

OTHERS = ("images_per_second", "data_wait", "learning_rate", "gradient_norm", "step", "epoch")
"""Columns of the log that are neither losses nor metrics."""


@dataclass(frozen=True)
class Run:
    """A training that is done.

    Attributes:
        folder: All that it wrote.
        metrics: Of the best evaluation, from 0 to 1; empty where there was no data to evaluate on.
        last: The checkpoint after the last step. ``splitnest.load`` takes both.
        best: That of the best evaluation; None where there was none.
    """

    folder: Path
    metrics: dict[str, float]
    last: Path
    best: Path | None


class RunFolder:
    """Writes the files of a run; of several processes the first one does, for all of them.

    What a process that was killed left of an unfinished file is removed.

    Args:
        path: The folder; it exists.
        recipe: What is trained.
        done: Steps that were done before.

    Raises:
        UsageError: A file cannot be written.
    """

    def __init__(self, path: Path, recipe: Recipe, done: int = 0) -> None:
        self.path, self._recipe = path, recipe
        self.last, self.best = path / "last.pt", path / "best.pt"
        if is_first():
            with _writing(path):
                for checkpoint_file in (self.last, self.best):
                    remove_parts(checkpoint_file)
                self._log = MetricsLog(path, done)

    def log(self, row: Row) -> None:
        """Add a row to ``metrics.csv`` and ``metrics.jsonl``."""
        if not is_first():
            return
        with _writing(self.path):
            self._log.append(row)

    def save_last(self, state: TrainingState) -> None:
        """Write ``last.pt``, from which the training can go on, and ``curves.png``; collective.

        The newest of the checkpoints before it are kept.
        """
        checkpoint.save(state, self._recipe, self.last, keep=required_training(self._recipe).keep)
        if not is_first():
            return
        with _writing(self.path):
            if panels := _panels(self._log.rows):
                self.picture("curves.png", draw_curves(panels))

    def save_best(self, state: TrainingState) -> None:
        """Write ``best.pt``, the evaluated model alone; collective."""
        checkpoint.save(state, self._recipe, self.best, resumable=False)

    def text(self, name: str, text: str) -> None:
        """Write a text file."""
        if not is_first():
            return
        with _writing(self.path), replacing(self.path / name) as file:
            file.write(text.encode())

    def picture(self, name: str, pixels: np.ndarray) -> None:
        """Write a picture, uint8 ``[H, W, 3]``; its format is told by the name."""
        if not is_first():
            return
        with _writing(self.path), replacing(self.path / name) as file:
            Image.fromarray(pixels).save(file, Image.registered_extensions()[Path(name).suffix], quality=90)

    def result(self, state: TrainingState) -> Run:
        """Return what there is after the last step."""
        return Run(self.path, state.best, self.last, self.best if state.best else None)


def new_folder(recipe: Recipe, out: Path | None = None) -> Path:
    """Make the folder of a new run and return it: ``out``, or ``runs/<name>-<date>-<time>``.

    Raises:
        UsageError: There is a run in ``out`` already, or the folder cannot be made.
    """
    if out is None:
        out = RUNS / f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        out = next(o for o in (out, *(Path(f"{out}-{n}") for n in range(2, 1000))) if not o.exists())
    if kept(out / "last.pt"):
        raise UsageError(f"{out} holds a run already. Resume it (--resume), or give another folder (--out).")
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
    return out


def find_folder(recipe: Recipe, out: Path | None = None) -> Path:
    """Return the folder of the run to resume: ``out``, or the one in ``runs`` that last wrote a checkpoint.

    Raises:
        UsageError: There is no run with a checkpoint.
    """
    if out is not None:
        if not kept(out / "last.pt"):
            raise UsageError(f"{out} holds no checkpoint last.pt, so there is nothing to resume.")
        return out
    name = re.compile(re.escape(recipe.name) + r"-\d{8}-\d{6}(-\d+)?")
    found = [path for folder in RUNS.glob("*") if name.fullmatch(folder.name) for path in kept(folder / "last.pt")]
    if not found:
        raise UsageError(f"No run of {recipe.name} with a checkpoint is in {RUNS}. Give its folder (--out).")
    return max(found, key=lambda path: path.stat().st_mtime).parent


def environment() -> str:
    """Return what a training runs with: command, versions, commit of the working folder, machine."""
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    packages = ("torch", "torchvision", "numpy", "pillow", "pydantic", "hotcoco")
    lines = {
        "command": " ".join(sys.argv),
        "folder": os.getcwd(),
        "commit": _commit(),
        "python": platform.python_version(),
        "splitnest": splitnest.__version__,
        **{package: _version(package) for package in packages},
        "cuda": f"{torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}" if devices else "none",
        "machine": f"{platform.node()}, {platform.platform()}",
        "cores": f"{os.cpu_count()}, {torch.get_num_threads()} threads",
        "devices": ", ".join(devices) or "CPU",
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # installed without metadata
        return "unknown"


def _commit() -> str:
    try:
        head = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return head.stdout.strip() or "not in a git repository"


def _panels(rows: list[Row]) -> list[Panel]:
    """Losses, metrics, learning rate and gradient norm over the steps."""
    names = {name: value for row in rows for name, value in row.items()}
    curves = {name: [(row["step"], row[name]) for row in rows if name in row] for name in names}
    losses = {name.removeprefix("loss_"): curves[name] for name in names if name.startswith("loss")}
    metrics = {name: curves[name] for name in headline(names) if not name.startswith("loss") and name not in OTHERS}
    panels = [
        Panel("losses", losses, noisy=True),
        Panel("metrics", metrics),
        Panel("learning rate", {"learning rate": curves.get("learning_rate", [])}),
        Panel("norm of the gradient", {"norm of the gradient": curves.get("gradient_norm", [])}, noisy=True),
    ]
    return [panel for panel in panels if any(panel.curves.values())]


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"The run folder {folder} cannot be written: {reason}. Make room or give another.") from error
