"""What TensorBoard reads of a run."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_training import TinyData, facts, folder_of, start

from splitnest.training import run, tensorboard
from splitnest.training.loop import fit
from splitnest.training.metrics import MetricsLog

ABSENT = "tensorboard is not installed (pip install 'splitnest[track]')"


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return step and value of each scalar, as TensorBoard shows them."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason=ABSENT)
    accumulator = reader.EventAccumulator(str(folder)).Reload()
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


def test_rows_are_there_at_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0)
    log.append({"step": 1, "epoch": 0, "loss": 0.5})
    assert events(tmp_path) == {"epoch": [(1, 0.0)], "loss": [(1, 0.5)]}
    log.append({"step": 2, "epoch": 0, "loss": 0.25, "box_ap": 0.125})
    assert events(tmp_path) == {
        "epoch": [(1, 0.0), (2, 0.0)],
        "loss": [(1, 0.5), (2, 0.25)],
        "box_ap": [(2, 0.125)],
    }


def test_a_resumed_run_has_no_step_twice(tmp_path: Path) -> None:
    for done, steps, loss in ((0, range(1, 6), 1.0), (3, range(4, 7), 0.5)):
        log = MetricsLog(tmp_path, done)
        for step in steps:
            log.append({"step": step, "loss": loss})
    assert events(tmp_path)["loss"] == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 0.5), (5, 0.5), (6, 0.5)]


def test_a_training_and_its_log_agree(tmp_path: Path) -> None:
    train = facts(save_every=6, evaluate_every=10)
    for interrupt in (9, None):
        state, schedule = start(train)
        if (tmp_path / "last.pt").exists():
            run.checkpoint.restore(state, tmp_path / "last.pt")
        folder = folder_of(tmp_path, train, state.step)
        if interrupt is None:
            fit(state, schedule, TinyData(), folder, lambda _: {"score": 0.5})
        else:
            with pytest.raises(KeyboardInterrupt):
                fit(state, schedule, TinyData(interrupt=interrupt), folder, lambda _: {"score": 0.5})
    rows = MetricsLog(tmp_path, train.length).rows
    found = events(tmp_path)
    assert found.keys() == {name for row in rows for name in row} - {"step"}
    for name, values in found.items():
        assert [step for step, _ in values] == [row["step"] for row in rows if name in row]
        assert [value for _, value in values] == pytest.approx([row[name] for row in rows if name in row], rel=1e-6)


def test_nothing_is_written_where_it_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda _: None)
    log = MetricsLog(tmp_path, 0)
    log.append({"step": 1, "loss": 0.5})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.csv", "metrics.jsonl"]


def test_it_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, splitnest.training.metrics; sys.exit('tensorboard' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
