"""The training loop on a network of a few weights."""

import copy
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import TinyData, TinyModel, facts, folder_of, start
from torch import nn
from torch.nn.utils import get_total_norm

from splitnest.batch import Batch
from splitnest.errors import DataError
from splitnest.training.display import Display
from splitnest.training.loop import Losses, fit, train_step
from splitnest.training.meter import Measured
from splitnest.training.state import TrainingState, make_average
from splitnest.training.statistics import renew_statistics


def run(path: Path, data: TinyData | None = None, evaluate: Any = None, **values: Any) -> TrainingState:
    train = facts(**values)
    state, schedule = start(train)
    fit(state, schedule, data or TinyData(train.accumulate), folder_of(path, train), evaluate)
    return state


def weights(state: TrainingState) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in state.evaluated.state_dict().items()}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key


def test_a_finished_training_takes_no_step(tmp_path: Path) -> None:
    train = facts()
    state, schedule = start(train)
    state.step = state.evaluated_step = schedule.total
    before = weights(state)
    fit(state, schedule, TinyData(), folder_of(tmp_path, train))
    assert_equal(weights(state), before)
    assert not (tmp_path / "last.pt").exists()


def test_it_learns_and_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    state = run(tmp_path, length=60, optimizer="adamw")
    assert state.step == 60
    batch = next(TinyData().steps(1000))[0]
    assert sum(state.model.eval().loss(batch).values()) < 0.02
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith("step 1/60, loss 0.")
    assert lines[-1].startswith("step 60/60")
    for word in ("error", "size", "images/s", "waiting for data", "MB", "left"):
        assert word in lines[-1]


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    first, second, third = (run(tmp_path / str(n), seed=seed) for n, seed in enumerate((3, 3, 4)))
    assert_equal(weights(first), weights(second))
    assert not torch.equal(first.model.fc.weight, third.model.fc.weight)


def test_one_step_is_that_of_the_formula(tmp_path: Path) -> None:
    train = facts(momentum=0.0, weight_decay=0.0)
    state, _ = start(train)
    reference = copy.deepcopy(state.model).train()
    (part,) = next(TinyData().steps(0))
    torch.manual_seed(7)
    losses, norm = train_step(Losses(state.model).train(), state, train, [part])
    torch.manual_seed(7)
    total = sum(reference.loss(part).values())
    total.backward()
    assert sum(losses.values()) == pytest.approx(total.item())
    assert norm == pytest.approx(get_total_norm([p.grad for p in reference.parameters()]).item())
    for new, old in zip(state.model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(new, old - 0.05 * old.grad)


def test_accumulated_parts_are_averaged() -> None:
    train = facts(accumulate=2)
    state, _ = start(train)
    reference = copy.deepcopy(state.model).train()
    parts = next(TinyData(parts=2).steps(0))
    torch.manual_seed(7)
    losses, _ = train_step(Losses(state.model).train(), state, train, parts)
    torch.manual_seed(7)
    expected = [reference.loss(part) for part in parts]
    (sum(sum(of_part.values()) for of_part in expected) / 2).backward()
    for name in losses:
        assert losses[name] == pytest.approx(sum(of_part[name].item() for of_part in expected) / 2)
    for new, old in zip(state.model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(new.grad, old.grad)


def test_the_gradient_is_clipped_after_it_is_measured() -> None:
    train = facts(clip_norm=1e-3)
    state, _ = start(train)
    _, norm = train_step(Losses(state.model).train(), state, train, next(TinyData().steps(0)))
    assert norm > 1e-3
    assert get_total_norm([p.grad for p in state.model.parameters()]).item() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision(tmp_path: Path, precision: str) -> None:
    state = run(tmp_path, length=40, optimizer="adamw", precision=precision)
    assert state.model.fc.weight.dtype == torch.float32
    assert state.scaler.is_enabled() == (precision == "fp16")
    assert sum(state.model.eval().loss(next(TinyData().steps(1000))[0]).values()) < 0.05


def test_the_average_of_weights_and_statistics() -> None:
    model = TinyModel()
    average = make_average(model, decay=0.5)
    expected: dict[str, torch.Tensor] = {}
    for n in range(4):
        for value in (*model.parameters(), *model.buffers()):
            value.data = torch.rand(value.shape) if value.is_floating_point() else torch.tensor(10 * n)
        average.update_parameters(model)
        decay = min(0.5, (1 + n) / (10 + n)) if n else 0.0
        for key, value in model.state_dict().items():
            expected[key] = decay * expected.get(key, 0) + (1 - decay) * value if value.is_floating_point() else value
    for key, value in average.module.state_dict().items():
        torch.testing.assert_close(value, expected[key].clone(), msg=key)


def test_renewed_statistics_are_the_mean_of_the_batches() -> None:
    model = TinyModel().train()
    model.frozen.running_mean.fill_(0.25)
    batches = [parts[0] for _, parts in zip(range(3), TinyData().steps(0), strict=False)]
    maps = [model.conv(batch.images) for batch in batches]
    network = Losses(model)
    renew_statistics(network, iter(batches))
    torch.testing.assert_close(model.norm.running_mean, sum(m.mean((0, 2, 3)) for m in maps) / 3)
    torch.testing.assert_close(model.norm.running_var, sum(m.var((0, 2, 3)) for m in maps) / 3)
    assert model.norm.momentum == 0.1
    assert model.frozen.running_mean.eq(0.25).all()
    before = model.norm.running_mean.clone()
    renew_statistics(network, [])
    assert torch.equal(model.norm.running_mean, before)


def test_statistics_that_no_batch_reaches_stay() -> None:
    """As those of a mask head that saw no object; of one that a later batch reaches they are of what it saw."""
    model = TinyModel().train()
    model.aside = nn.BatchNorm2d(4)
    model.aside.running_mean.fill_(5)
    batches = [parts[0] for _, parts in zip(range(3), TinyData().steps(0), strict=False)]
    renew_statistics(Losses(model), batches)
    assert model.aside.running_mean.eq(5).all()
    assert model.aside.momentum == 0.1
    maps = [model.conv(batch.images) for batch in batches]

    class Later(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch: Batch) -> None:
            if batch is not batches[0]:
                model.aside(model.conv(batch.images))

    renew_statistics(Later(), batches)
    torch.testing.assert_close(model.aside.running_mean, sum(m.mean((0, 2, 3)) for m in maps[1:]) / 2)


def test_evaluation_comes_when_due_and_keeps_the_best(tmp_path: Path) -> None:
    seen = []
    scores = iter((0.2, 0.5, 0.4, 0.1))

    def evaluate(model: nn.Module) -> dict[str, float]:
        assert not model.training
        torch.rand(100)
        seen.append({key: value.clone() for key, value in model.state_dict().items()})
        return {"box_ap": next(scores), "box_ap50": 0.9}

    state = run(tmp_path / "often", None, evaluate, evaluate_every=5, ema_decay=0.9, precise_bn_steps=2)
    assert len(seen) == 4
    assert state.best == {"box_ap": 0.5, "box_ap50": 0.9}
    best = torch.load(tmp_path / "often" / "best.pt", weights_only=True)
    assert (best["step"], best["metrics"]) == (10, state.best)
    assert_equal(best["state_dict"], seen[1])
    never = run(tmp_path / "never", ema_decay=0.9)
    assert_equal(state.model.state_dict(), never.model.state_dict())
    assert not (tmp_path / "never" / "best.pt").exists()


def test_a_loss_of_no_number_stops(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        run(tmp_path, TinyData(poison=7), save_every=3, learning_rate=0.03)
    message = str(caught.value)
    for part in ("step 7", "loss_error nan", "learning rate 0.03", "7-0.jpg, 7-1.jpg", str(tmp_path / "last.pt")):
        assert part in message
    last = torch.load(tmp_path / "last.pt", weights_only=True)
    assert last["step"] == 6
    assert all(value.isfinite().all() for value in last["state_dict"].values())


def test_a_gradient_of_no_number_stops_before_the_step(tmp_path: Path) -> None:
    train = facts()
    state, schedule = start(train)
    state.model.conv.weight.register_hook(lambda gradient: gradient * math.inf)
    before = {key: value.clone() for key, value in state.model.named_parameters()}
    with pytest.raises(DataError, match=r"gradient (inf|nan).*There is no checkpoint yet"):
        fit(state, schedule, TinyData(), folder_of(tmp_path, train))
    assert_equal(dict(state.model.named_parameters()), before)


def test_what_was_done_is_kept_when_data_fails(tmp_path: Path) -> None:
    class Failing(TinyData):
        def steps(self, start: int) -> Iterator[Sequence[Batch]]:
            yield from islice(super().steps(start), 7)
            raise DataError("7.jpg is damaged.")

    with pytest.raises(DataError, match=r"7\.jpg"):
        run(tmp_path, Failing())
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 7


def test_an_interrupt_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, TinyData(interrupt=7), save_every=5)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 5
    names = {path.name for path in tmp_path.iterdir() if not path.name.startswith("events.")}  # TensorBoard's
    assert names == {"curves.png", "last.pt", "metrics.csv", "metrics.jsonl"}


def test_live_lines_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Display(total=3000, start=10) as display:
        with display.paused():
            pass
        display.update(11, Measured({"loss_cls": 0.5, "loss_box": 0.25}, 1.0, 0.02, 16, 2.0, 0.5))
        console = Console(width=100, force_terminal=False)
        with console.capture() as captured:
            console.print(display)
    text = captured.get()
    for part in ("11/3000", "loss 0.750 (cls 0.500, box 0.250)", "8.0 images/s", "25% waiting", "1 h 39 min left"):
        assert part in text
