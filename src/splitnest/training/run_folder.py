"""Run folder: checkpoints, log, drawings and environment of a training."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.distributed import is_main_process
from splitnest.errors import OutputError, SplitnestError, UsageError, first_few
from splitnest.evaluation.report.files import NUMBERS_FILE, REPORT_FILE, STATISTICS_FILE
from splitnest.files import output_errors, remove_parts, versions, write_text
from splitnest.recipe import Recipe, required_training
from splitnest.training import checkpoint
from splitnest.training.lock import LOCK_FILE
from splitnest.training.metrics_log import CSV_FILE, JSON_FILE, MetricsLog, Row
from splitnest.training.prediction_sheet import Pair, figures, sheet
from splitnest.training.run_page import INDEX_FILE, SHEET_FILE, RunPage
from splitnest.training.run_panels import panels
from splitnest.training.state import TrainingState
from splitnest.visualize.curves import draw_curves
from splitnest.visualize.write import write_image

RUNS = Path("runs")
"""Parent of run folders, relative to the working directory."""

RECIPE_FILE, ENVIRONMENT_FILE, INIT_FROM_FILE = "recipe.yaml", "environment.txt", "init_from.txt"
CURVES_FILE = "curves.png"
LAST_FILE, BEST_FILE = "last.pt", "best.pt"
DATA_FILE = "train_data.txt"
"""Description of a training dataset from Python; a run whose data is in files has none."""

WRITTEN = frozenset(
    {
        *(RECIPE_FILE, ENVIRONMENT_FILE, INIT_FROM_FILE, CURVES_FILE, SHEET_FILE, LAST_FILE, BEST_FILE),
        *(DATA_FILE, INDEX_FILE),
        *(JSON_FILE, CSV_FILE, "confusion_matrix.png", "mistakes.jpg"),
        *(REPORT_FILE, NUMBERS_FILE, STATISTICS_FILE),
    }
)
"""Names of the files that a run replaces."""


@dataclass(frozen=True)
class Run:
    """Finished training.

    Attributes:
        folder: Run folder.
        metrics: Metrics of the best evaluation, from 0 to 1; empty without a validation dataset.
        last: Checkpoint after the last step. ``splitnest.load`` takes both.
        best: Checkpoint of the best evaluation; None without one.
    """

    folder: Path
    metrics: dict[str, float]
    last: Path
    best: Path | None


class RunFolder:
    """Writer of the files of a run; in a process group only the main process writes.

    Temporary files of killed processes are removed.

    Args:
        path: Existing folder.
        recipe: Recipe of the training.
        done: Number of steps done before.
        total: Number of steps of the training.
        python_arguments: Names of arguments of ``train`` that are given again to resume the run.

    Attributes:
        how_to_resume: Command or call that resumes the run, for messages.

    Raises:
        OutputError: A file cannot be written.
    """

    def __init__(
        self, path: Path, recipe: Recipe, done: int = 0, total: int = 0, *, python_arguments: Sequence[str] = ()
    ) -> None:
        self.path, self._recipe = path, recipe
        self.how_to_resume = f"splitnest train {path} --resume"
        if python_arguments:
            given = ", ".join(f"{name}=..." for name in python_arguments)
            self.how_to_resume = f"splitnest.train({str(path)!r}, resume=True, {given})"
        self.last, self.best = path / LAST_FILE, path / BEST_FILE
        if is_main_process():
            for checkpoint_file in (self.last, self.best):
                remove_parts(checkpoint_file)
            self._log = MetricsLog(path, done)
            self._page = RunPage(path, recipe.name, total, done)

    def log(self, row: Row) -> None:
        """Add a row to the metrics log, and bring the page up to date."""
        if is_main_process():
            self._log.append(row)
            self._page.update(self._log.rows)

    def warn(self, text: str) -> None:
        """Show a warning on the page."""
        if is_main_process():
            self._page.notes.append(text)

    def write_predictions(self, pairs: Sequence[Pair]) -> None:
        """Write ground truth and predictions as a contact sheet, and show them on the page."""
        if is_main_process() and pairs:
            self.write_image(SHEET_FILE, sheet(pairs))
            self._page.figures = figures(pairs)

    @contextmanager
    def finishing_page(self) -> Iterator[None]:
        """Write the page when the training inside the context has ended, with the reason if it did not finish."""
        if not is_main_process():
            yield
            return
        self._page.update(self._log.rows)
        try:
            yield
        except BaseException as error:
            reason = str(error) if isinstance(error, SplitnestError) else f"{type(error).__name__}: {error}"
            with suppress(OutputError):  # the disk may be full, which is the error that remains
                self._page.finish(self._log.rows, f"The training has ended: {reason}")
            raise
        self._page.finish(self._log.rows, "Finished.")

    def save_last(self, state: TrainingState) -> None:
        """Write the resumable checkpoint ``last.pt`` and ``curves.png``; collective.

        Earlier versions of the checkpoint are kept as the recipe says.
        """
        checkpoint.save(state, self._recipe, self.last, keep=required_training(self._recipe).keep_checkpoints)
        if is_main_process() and (curves := panels(self._log.rows)):
            self.write_image(CURVES_FILE, draw_curves(curves))

    def save_best(self, state: TrainingState) -> None:
        """Write ``best.pt``, the evaluated model alone; collective."""
        checkpoint.save(state, self._recipe, self.best, resumable=False)

    def write_text(self, name: str, text: str) -> None:
        """Write a text file."""
        if is_main_process():
            write_text(self.path / name, text)

    def write_image(self, name: str, pixels: NDArray[np.uint8]) -> None:
        """Write an image, uint8 ``[H, W, 3]``; its suffix selects the format."""
        if is_main_process():
            write_image(self.path / name, pixels)

    def result(self, state: TrainingState) -> Run:
        """Return the finished run."""
        return Run(self.path, state.best, self.last, self.best if state.best else None)


def new_folder(recipe: Recipe, out: Path | None = None) -> Path:
    """Create and return the folder of a new run: ``out``, or ``runs/<name>-<date>-<time>``.

    Raises:
        UsageError, OutputError: Same conditions as ``check_new_folder``; or the folder cannot be created.
    """
    if out is not None:
        check_new_folder(out)
        with output_errors(out):
            out.mkdir(parents=True, exist_ok=True)
        return out
    first = RUNS / f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    for folder in (first, *(Path(f"{first}-{number}") for number in range(2, 1000))):
        with output_errors(folder), suppress(FileExistsError):
            folder.mkdir(parents=True)  # fails for all but one of several runs that start in the same second
            return folder
    raise UsageError(f"{RUNS} has 999 runs of this second. Give a folder (--out).")


def check_new_folder(out: Path) -> None:
    """Check that a new run can write into a folder, which need not exist.

    Raises:
        UsageError: The path is a file, has a run already, or has files of others that the run would replace.
        OutputError: There is no permission to write into it.
    """
    parent = next(each for each in (out, *out.absolute().parents) if os.path.lexists(each))
    if not parent.is_dir():
        raise UsageError(f"{parent} is not a folder. Give another folder for the run (--out).")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"{out} cannot be written: no permission in {parent}. Give another folder (--out).")
    if versions(out / LAST_FILE) or ((out / BEST_FILE).exists() and (out / LOCK_FILE).exists()):
        raise UsageError(f"{out} has a run already. Resume it (--resume), or give another folder (--out).")
    if (out / LOCK_FILE).exists():  # a run that ended before its first checkpoint
        return
    if names := sorted(name for name in WRITTEN if os.path.lexists(out / name)):
        raise UsageError(
            f"{out} has files that are not of a run and would be replaced: {first_few(names)}. Give a new folder "
            f"(--out)."
        )


def find_folder(recipe: Recipe, out: Path | None = None) -> Path:
    """Return the folder of a run to resume: ``out``, or the one in ``runs`` with the latest checkpoint.

    Raises:
        UsageError: There is no run with a checkpoint.
    """
    if out is not None:
        if not versions(out / LAST_FILE):
            raise UsageError(f"{out} has no checkpoint last.pt to resume from. Give the folder of a run.")
        return out
    name = re.compile(re.escape(recipe.name) + r"-\d{8}-\d{6}(-\d+)?")
    checkpoints = [
        path for folder in RUNS.glob("*") if name.fullmatch(folder.name) for path in versions(folder / LAST_FILE)
    ]
    if not checkpoints:
        raise UsageError(f"{RUNS} has no run of {recipe.name} with a checkpoint. Give the folder of the run (--out).")
    return max(checkpoints, key=lambda path: path.stat().st_mtime).parent
