"""Steps that are not finite are skipped when that is asked for."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from tiny_training import TinyData, facts, folder_of, start, state_of

from splitnest.batch import Batch
from splitnest.errors import DataError
from splitnest.training import checkpoint
from splitnest.training.loop import fit
from splitnest.training.state import TrainingState


class Poisoned(TinyData):
    """Batches of which some have an image of no numbers."""

    def __init__(self, *steps: int) -> None:
        super().__init__()
        self.poisoned = steps

    def steps(self, start: int) -> Iterator[Sequence[Batch]]:
        for step, parts in enumerate(super().steps(start), start):
            if step in self.poisoned:
                parts[0].images[0, 0, 0, 0] = math.nan
            yield parts


def run(folder: Path, data: TinyData, **values: object) -> TrainingState:
    train = facts(**values)
    state, schedule = start(train)
    if (folder / "last.pt").exists():
        checkpoint.restore_newest(state, folder / "last.pt")
    fit(state, schedule, data, folder_of(folder, train, state.step))
    return state


def test_steps_are_skipped_and_leave_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = run(tmp_path, Poisoned(7, 12), skip_not_finite=2)
    assert (state.step, state.skipped) == (20, 2)
    assert all(value.isfinite().all() for value in state.model.state_dict().values())
    said = [line for line in capsys.readouterr().err.splitlines() if "is skipped" in line]
    assert [line.partition(":")[0] for line in said] == ["step 7 is skipped (1 of 2)", "step 12 is skipped (2 of 2)"]
    for part in ("loss_error nan", "learning rate 0.05", "images 7-0.jpg, 7-1.jpg"):
        assert part in said[0]


def test_the_model_is_as_before_the_step(tmp_path: Path) -> None:
    short = run(tmp_path / "short", Poisoned(), length=7, skip_not_finite=1)
    skipped = run(tmp_path / "skipped", Poisoned(7), length=8, skip_not_finite=1)
    one, other = short.model.state_dict(), skipped.model.state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_one_too_many_over_the_whole_run_stops(tmp_path: Path) -> None:
    values = {"skip_not_finite": 2, "save_every": 1}
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", BrokenOff(7, 12), **values)
    with pytest.raises(DataError, match=r"stopped at step 14, .*2 steps before it were skipped.*last\.pt"):
        run(tmp_path / "broken", Poisoned(14), **values)
    assert torch.load(tmp_path / "broken" / "last.pt", weights_only=True)["step"] == 14
    run(tmp_path / "broken", Poisoned(14), **{**values, "skip_not_finite": 3})
    run(tmp_path / "whole", Poisoned(7, 12, 14), skip_not_finite=3)
    one, other = (state_of(tmp_path / name / "last.pt") for name in ("broken", "whole"))
    assert all(torch.equal(one[key], other[key]) for key in one)


class BrokenOff(Poisoned):
    def steps(self, start: int) -> Iterator[Sequence[Batch]]:
        for step, parts in enumerate(super().steps(start), start):
            if step == 13:
                raise KeyboardInterrupt
            yield parts
