"""Event files of a run, as TensorBoard reads them."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from helpers.tiny_training import NUM_STEPS, TinyData, train
from splitnest.training.loggers import open as loggers
from splitnest.training.loggers.tensorboard import TensorBoard
from splitnest.training.metrics_log import MetricsLog

ABSENT = "tensorboard is not installed (pip install 'splitnest[track]')"


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return step and value of each scalar, as TensorBoard shows them."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason=ABSENT)
    accumulator = reader.EventAccumulator(str(folder)).Reload()
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


def test_rows_are_written_at_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason=ABSENT)
    log = TensorBoard(tmp_path, 0)
    log.on_row({"step": 1, "epoch": 0, "loss": 0.5})
    assert events(tmp_path) == {"epoch": [(1, 0.0)], "loss": [(1, 0.5)]}
    log.on_row({"step": 2, "epoch": 0, "loss": 0.25, "box_ap": 0.125})
    assert events(tmp_path) == {
        "epoch": [(1, 0.0), (2, 0.0)],
        "loss": [(1, 0.5), (2, 0.25)],
        "box_ap": [(2, 0.125)],
    }


def test_resumed_run_has_each_step_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason=ABSENT)
    for done, steps, loss in ((0, range(1, 6), 1.0), (3, range(4, 7), 0.5)):
        log = TensorBoard(tmp_path, done)
        for step in steps:
            log.on_row({"step": step, "loss": loss})
    assert events(tmp_path)["loss"] == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 0.5), (5, 0.5), (6, 0.5)]


def test_events_equal_the_log_of_a_resumed_training(tmp_path: Path) -> None:
    for interrupt, error in ((9, pytest.raises(KeyboardInterrupt)), (None, nullcontext())):
        with error:
            settings = {"loggers": "auto", "save_every": 6, "evaluate_every": 10}
            train(tmp_path, TinyData(interrupt=interrupt), lambda _: {"score": 0.5}, **settings)
    rows = MetricsLog(tmp_path, NUM_STEPS).rows
    scalars = events(tmp_path)
    assert scalars.keys() == {name for row in rows for name in row} - {"step"}
    for name, values in scalars.items():
        assert [step for step, _ in values] == [row["step"] for row in rows if name in row]
        assert [value for _, value in values] == pytest.approx([row[name] for row in rows if name in row], rel=1e-6)


def test_no_event_file_is_written_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda _: None)
    train(tmp_path, loggers="auto", iterations=1)
    assert not list(tmp_path.glob("events*"))


def test_services_are_imported_with_the_first_row() -> None:
    code = "import sys, splitnest.training.train; sys.exit(len({'tensorboard', 'wandb', 'mlflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
