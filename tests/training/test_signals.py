"""SIGTERM, SIGINT and SIGHUP, sent to real processes."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
import torch
from torch import nn

from helpers import image_tree
from helpers.processes import children, start, start_function, wait_for
from helpers.tiny_training import SignalingData, TinyData, assert_equal_tensors, state_dict_of, train
from splitnest.errors import Interrupted
from splitnest.recipe.serialization import dump_yaml
from splitnest.training.signals import SIGNALS

ALL = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])


@pytest.fixture(autouse=True)
def _default_handlers() -> Iterator[None]:
    """Restore the default handlers of SIGINT and SIGHUP, which background jobs of a shell and of nohup ignore."""
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGHUP, hangup)


def assert_same_weights(one: Path, other: Path) -> None:
    assert_equal_tensors(state_dict_of(one), state_dict_of(other))


@ALL
def test_signal_lets_the_step_finish_and_writes_a_checkpoint(
    tmp_path: Path, number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    handlers = [signal.getsignal(s) for s in SIGNALS]
    folder = tmp_path / "resumed"
    with pytest.raises(Interrupted) as caught:
        train(folder, SignalingData(7, number))
    assert caught.value.exit_code == 75
    assert str(caught.value) == (
        f"Interrupted by {number.name} after step 8 of 20. Resume with: splitnest train {folder} --resume"
    )
    assert f"{number.name}: writing a checkpoint; a second signal exits without one\n" in capfd.readouterr().err
    assert torch.load(folder / "last.pt", weights_only=True)["step"] == 8
    assert [signal.getsignal(s) for s in SIGNALS] == handlers
    train(folder)
    train(tmp_path / "whole")
    assert_same_weights(folder / "last.pt", tmp_path / "whole" / "last.pt")


def test_signal_in_the_last_step_leaves_the_evaluation_to_the_resumed_run(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="after step 20 of 20"):
        train(tmp_path, SignalingData(19, signal.SIGTERM), lambda _: {"score": 0.5})
    assert not (tmp_path / "best.pt").exists()
    train(tmp_path, TinyData(not_finite=[20]), lambda _: {"score": 0.5})  # takes no step
    assert torch.load(tmp_path / "best.pt", weights_only=True)["metrics"] == {"score": 0.5}


@ALL
@pytest.mark.parametrize("at", [10, 20])
def test_signal_aborts_an_evaluation_which_the_resumed_run_repeats(
    tmp_path: Path, number: signal.Signals, at: int
) -> None:
    """The evaluation may be that after the last step."""
    values = {"evaluate_every": 10, "ema_decay": 0.9, "precise_bn_batches": 2}
    scores: list[float] = []

    def evaluate(model: nn.Module) -> dict[str, float]:
        scores.append(model(torch.ones(1, 3, 8, 8)).item())
        return {"score": scores[-1]}

    def evaluate_slowly(model: nn.Module) -> dict[str, float]:
        if not list((tmp_path / "resumed").glob("best.pt")) and at == 20:
            return evaluate(model)
        os.kill(os.getpid(), number)
        time.sleep(60)
        raise AssertionError("the signal had no effect")

    train(tmp_path / "whole", None, evaluate, **values)
    expected = scores.copy()
    scores.clear()
    started = time.monotonic()
    with pytest.raises(Interrupted, match=f"after step {at} of 20"):
        train(tmp_path / "resumed", None, evaluate_slowly, **values)
    assert time.monotonic() - started < 20
    train(tmp_path / "resumed", None, evaluate, **values)
    assert scores == expected
    for name in ("last.pt", "best.pt"):
        assert_same_weights(tmp_path / "whole" / name, tmp_path / "resumed" / name)
    rows = [json.loads(line) for line in (tmp_path / "resumed" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "score" in row] == [10, 20]


def test_no_evaluation_starts_after_a_signal(tmp_path: Path) -> None:
    def evaluate(_: nn.Module) -> dict[str, float]:
        raise AssertionError("the evaluation started")

    with pytest.raises(Interrupted, match="after step 10 of 20"):
        train(tmp_path, SignalingData(9, signal.SIGTERM), evaluate, evaluate_every=10)


def test_second_signal_exits_at_once(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, SignalingData(7, signal.SIGTERM, signal.SIGINT))
    assert not (tmp_path / "last.pt").exists()


def test_second_sigterm_ends_the_process(tmp_path: Path) -> None:
    data = SignalingData(7, signal.SIGINT, signal.SIGTERM)
    process = start_function(train, tmp_path / "run", data, log=tmp_path / "log")
    process.join(60)
    assert process.exitcode == -signal.SIGTERM
    assert not (tmp_path / "run" / "last.pt").exists()


def test_ignored_signals_stay_ignored(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and background jobs of a shell have it
    assert train(tmp_path, SignalingData(7, signal.SIGINT)).step == 20


def test_training_runs_in_a_thread_without_signal_handlers(tmp_path: Path) -> None:
    thread = Thread(target=train, args=(tmp_path,))
    thread.start()
    thread.join()
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 20


def test_training_outlives_its_terminal(tmp_path: Path) -> None:
    """Output to a terminal that was closed fails; a checkpoint is written all the same."""
    terminal, slave = os.openpty()
    saved = os.dup(2)
    os.dup2(slave, 2)
    os.close(slave)
    try:
        os.close(terminal)
        with pytest.raises(Interrupted, match="by SIGHUP after step 8 of 20"):
            train(tmp_path, SignalingData(7, signal.SIGHUP))
    finally:
        os.dup2(saved, 2)
        os.close(saved)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 8


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recipe of a small classifier that trains longer than any test, and logs each step."""
    root = tmp_path_factory.mktemp("images")
    image_tree.write_classes(root, {"train": 4, "val": 2})
    recipe = image_tree.recipe_of(root, **{"train.epochs": 900, "train.evaluate_every": 0})
    path = root / "recipe.yaml"
    path.write_text(dump_yaml(recipe))
    return path


@ALL
def test_command_line_exits_with_75(recipe_file: Path, tmp_path: Path, number: signal.Signals) -> None:
    """A scheduler and a terminal send the signal to all processes of the group, data loading workers included."""
    log, folder = tmp_path / "log", tmp_path / "run"
    process = start("train", recipe_file, "train.workers=1", "--out", folder, log=log)
    wait_for(lambda: (folder / "metrics.csv").exists() and (folder / "metrics.csv").stat().st_size > 0, process)
    for receiver in (*children(process), process.pid):
        os.kill(receiver, number)
    process.join(60)
    assert process.exitcode == 75
    lines = log.read_text().splitlines()
    assert lines[-1].startswith(f"Interrupted by {number.name} after step ")
    assert lines[-1].endswith(f"Resume with: splitnest train {folder} --resume")
    assert "Traceback" not in log.read_text()
    assert (folder / "last.pt").exists()
