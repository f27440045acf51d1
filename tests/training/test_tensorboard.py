"""Event files of a run, as TensorBoard reads them."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from helpers.tiny_training import NUM_STEPS, TinyData, train
from splitnest.training import tensorboard
from splitnest.training.metrics_log import MetricsLog

ABSENT = "tensorboard is not installed (pip install 'splitnest[track]')"


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return step and value of each scalar, as TensorBoard shows them."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason=ABSENT)
    accumulator = reader.EventAccumulator(str(folder)).Reload()
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


def test_rows_are_written_at_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0)
    log.append({"step": 1, "epoch": 0, "loss": 0.5})
    assert events(tmp_path) == {"epoch": [(1, 0.0)], "loss": [(1, 0.5)]}
    log.append({"step": 2, "epoch": 0, "loss": 0.25, "box_ap": 0.125})
    assert events(tmp_path) == {
        "epoch": [(1, 0.0), (2, 0.0)],
        "loss": [(1, 0.5), (2, 0.25)],
        "box_ap": [(2, 0.125)],
    }


def test_resumed_run_has_each_step_once(tmp_path: Path) -> None:
    for done, steps, loss in ((0, range(1, 6), 1.0), (3, range(4, 7), 0.5)):
        log = MetricsLog(tmp_path, done)
        for step in steps:
            log.append({"step": step, "loss": loss})
    assert events(tmp_path)["loss"] == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 0.5), (5, 0.5), (6, 0.5)]


def test_events_equal_the_log_of_a_resumed_training(tmp_path: Path) -> None:
    for interrupt, error in ((9, pytest.raises(KeyboardInterrupt)), (None, nullcontext())):
        with error:
            train(tmp_path, TinyData(interrupt=interrupt), lambda _: {"score": 0.5}, save_every=6, evaluate_every=10)
    rows = MetricsLog(tmp_path, NUM_STEPS).rows
    scalars = events(tmp_path)
    assert scalars.keys() == {name for row in rows for name in row} - {"step"}
    for name, values in scalars.items():
        assert [step for step, _ in values] == [row["step"] for row in rows if name in row]
        assert [value for _, value in values] == pytest.approx([row[name] for row in rows if name in row], rel=1e-6)


def test_no_event_file_is_written_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda _: None)
    log = MetricsLog(tmp_path, 0)
    log.append({"step": 1, "loss": 0.5})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.csv", "metrics.jsonl"]


def test_tensorboard_is_imported_with_the_first_row() -> None:
    code = "import sys, splitnest.training.metrics_log; sys.exit('tensorboard' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
