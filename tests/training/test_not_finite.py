"""Steps that are not finite are skipped if the recipe allows it."""

from pathlib import Path

import pytest
import torch

from helpers.tiny_training import TinyData, assert_equal_tensors, state_dict_of, train
from splitnest.errors import DataError


def test_skipped_steps_are_reported_and_leave_finite_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = train(tmp_path, TinyData(not_finite=[7, 12]), max_skipped_steps=2)
    assert (state.step, state.skipped) == (20, 2)
    assert all(value.isfinite().all() for value in state.model.state_dict().values())
    lines = [line for line in capsys.readouterr().err.splitlines() if "is skipped" in line]
    assert [line.partition(":")[0] for line in lines] == ["step 7 is skipped (1 of 2)", "step 12 is skipped (2 of 2)"]
    for part in ("loss_error nan", "learning rate 0.05", "images 7-0.jpg, 7-1.jpg"):
        assert part in lines[0]


def test_skipped_step_leaves_the_model_unchanged(tmp_path: Path) -> None:
    short = train(tmp_path / "short", TinyData(), iterations=7, max_skipped_steps=1)
    skipped = train(tmp_path / "skipped", TinyData(not_finite=[7]), iterations=8, max_skipped_steps=1)
    assert_equal_tensors(dict(short.model.state_dict()), dict(skipped.model.state_dict()))


def test_one_more_than_the_limit_over_the_whole_run_stops(tmp_path: Path) -> None:
    values = {"max_skipped_steps": 2, "save_every": 1}
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "resumed", TinyData(not_finite=[7, 12], interrupt=13), **values)
    with pytest.raises(DataError, match=r"stopped at step 14: .* 2 steps were skipped before.*last\.pt"):
        train(tmp_path / "resumed", TinyData(not_finite=[14]), **values)
    assert torch.load(tmp_path / "resumed" / "last.pt", weights_only=True)["step"] == 14
    train(tmp_path / "resumed", TinyData(not_finite=[14]), **{**values, "max_skipped_steps": 3})
    train(tmp_path / "whole", TinyData(not_finite=[7, 12, 14]), max_skipped_steps=3)
    assert_equal_tensors(*(state_dict_of(tmp_path / name / "last.pt") for name in ("resumed", "whole")))
