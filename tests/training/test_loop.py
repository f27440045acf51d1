"""The training loop on a network of a few weights."""

import copy
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import get_total_norm

from helpers.tiny_training import TinyData, TinyModel, assert_equal_tensors, fit, new_state, train, train_config
from splitnest.errors import DataError
from splitnest.structures.batch import Batch
from splitnest.training.display import Display
from splitnest.training.ema import build_ema
from splitnest.training.meter import StepMetrics
from splitnest.training.precise_bn import recompute_statistics
from splitnest.training.state import TrainingState
from splitnest.training.step import Losses, train_step


def copied_state_dict(state: TrainingState) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in state.evaluated_model.state_dict().items()}


def unseen_loss(state: TrainingState) -> float:
    """Return the loss of a model on a batch that it was not trained on."""
    (batch,) = next(TinyData().steps(1000))
    return sum(loss.item() for loss in state.model.eval().loss(batch).values())


def test_finished_training_takes_no_step(tmp_path: Path) -> None:
    state, schedule = new_state(train_config())
    state.step = state.evaluated_step = schedule.total
    before = copied_state_dict(state)
    fit(state, schedule, TinyData(), tmp_path)
    assert_equal_tensors(copied_state_dict(state), before)
    assert not (tmp_path / "last.pt").exists()


def test_training_learns_and_prints_its_progress(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    state = train(tmp_path, iterations=60, optimizer="adamw")
    assert state.step == 60
    assert unseen_loss(state) < 0.02
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith("step 1/60, loss 0.")
    assert lines[-1].startswith("step 60/60")
    for word in ("error", "size", "images/s", "waiting for data", "MB", "left"):
        assert word in lines[-1]


def test_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    first, second, third = (train(tmp_path / str(n), seed=seed) for n, seed in enumerate((3, 3, 4)))
    assert_equal_tensors(copied_state_dict(first), copied_state_dict(second))
    assert not torch.equal(first.model.fc.weight, third.model.fc.weight)


def test_one_step_equals_plain_gradient_descent(tmp_path: Path) -> None:
    train_cfg = train_config(optimizer={"type": "sgd", "momentum": 0.0}, weight_decay=0.0)
    state, _ = new_state(train_cfg)
    reference = copy.deepcopy(state.model).train()
    (part,) = next(TinyData().steps(0))
    torch.manual_seed(7)
    losses, norm = train_step(Losses(state.model).train(), state, train_cfg, [part])
    torch.manual_seed(7)
    total = sum(reference.loss(part).values())
    total.backward()
    assert sum(losses.values()) == pytest.approx(total.item())
    assert norm == pytest.approx(get_total_norm([p.grad for p in reference.parameters()]).item())
    for new, old in zip(state.model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(new, old - 0.05 * old.grad)


def test_accumulated_parts_are_averaged() -> None:
    train_cfg = train_config(accumulate=2)
    state, _ = new_state(train_cfg)
    reference = copy.deepcopy(state.model).train()
    parts = next(TinyData(parts=2).steps(0))
    torch.manual_seed(7)
    losses, _ = train_step(Losses(state.model).train(), state, train_cfg, parts)
    torch.manual_seed(7)
    expected = [reference.loss(part) for part in parts]
    (sum(sum(losses_of_part.values()) for losses_of_part in expected) / 2).backward()
    for name in losses:
        assert losses[name] == pytest.approx(sum(losses_of_part[name].item() for losses_of_part in expected) / 2)
    for new, old in zip(state.model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(new.grad, old.grad)


def test_gradient_norm_is_measured_before_clipping() -> None:
    train_cfg = train_config(clip_grad_norm=1e-3)
    state, _ = new_state(train_cfg)
    _, norm = train_step(Losses(state.model).train(), state, train_cfg, next(TinyData().steps(0)))
    assert norm > 1e-3
    assert get_total_norm([p.grad for p in state.model.parameters()]).item() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision(tmp_path: Path, precision: str) -> None:
    state = train(tmp_path, iterations=40, optimizer="adamw", precision=precision)
    assert state.model.fc.weight.dtype == torch.float32
    assert state.scaler.is_enabled() == (precision == "fp16")
    assert unseen_loss(state) < 0.05


def test_ema_averages_weights_and_statistics() -> None:
    model = TinyModel()
    ema = build_ema(model, decay=0.5)
    expected: dict[str, torch.Tensor] = {}
    for n in range(4):
        for value in (*model.parameters(), *model.buffers()):
            value.data = torch.rand(value.shape) if value.is_floating_point() else torch.tensor(10 * n)
        ema.update_parameters(model)
        decay = min(0.5, (1 + n) / (10 + n)) if n else 0.0
        for key, value in model.state_dict().items():
            expected[key] = decay * expected.get(key, 0) + (1 - decay) * value if value.is_floating_point() else value
    for key, value in ema.module.state_dict().items():
        torch.testing.assert_close(value, expected[key].clone(), msg=key)


def test_recomputed_statistics_are_the_mean_over_batches() -> None:
    model = TinyModel().train()
    model.frozen.running_mean.fill_(0.25)
    batches = [parts[0] for _, parts in zip(range(3), TinyData().steps(0), strict=False)]
    features = [model.conv(batch.images) for batch in batches]
    network = Losses(model)
    recompute_statistics(network, iter(batches))
    torch.testing.assert_close(model.norm.running_mean, sum(f.mean((0, 2, 3)) for f in features) / 3)
    torch.testing.assert_close(model.norm.running_var, sum(f.var((0, 2, 3)) for f in features) / 3)
    assert model.norm.momentum == 0.1
    assert model.frozen.running_mean.eq(0.25).all()
    before = model.norm.running_mean.clone()
    recompute_statistics(network, [])
    assert torch.equal(model.norm.running_mean, before)


def test_layers_without_input_keep_their_statistics() -> None:
    """A mask head has no input without instances. A layer that only later batches reach has their statistics."""
    model = TinyModel().train()
    model.branch = nn.BatchNorm2d(4)
    model.branch.running_mean.fill_(5)
    batches = [parts[0] for _, parts in zip(range(3), TinyData().steps(0), strict=False)]
    recompute_statistics(Losses(model), batches)
    assert model.branch.running_mean.eq(5).all()
    assert model.branch.momentum == 0.1
    features = [model.conv(batch.images) for batch in batches]

    class Later(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch: Batch) -> None:
            if batch is not batches[0]:
                model.branch(model.conv(batch.images))

    recompute_statistics(Later(), batches)
    torch.testing.assert_close(model.branch.running_mean, sum(f.mean((0, 2, 3)) for f in features[1:]) / 2)


def test_evaluations_are_on_schedule_and_the_best_model_is_saved(tmp_path: Path) -> None:
    evaluated = []
    scores = iter((0.2, 0.5, 0.4, 0.1))

    def evaluate(model: nn.Module) -> dict[str, float]:
        assert not model.training
        torch.rand(100)
        evaluated.append({key: value.clone() for key, value in model.state_dict().items()})
        return {"box_ap": next(scores), "box_ap50": 0.9}

    state = train(tmp_path / "often", None, evaluate, evaluate_every=5, ema_decay=0.9, precise_bn_batches=2)
    assert len(evaluated) == 4
    assert state.best == {"box_ap": 0.5, "box_ap50": 0.9}
    best = torch.load(tmp_path / "often" / "best.pt", weights_only=True)
    assert (best["step"], best["metrics"]) == (10, state.best)
    assert_equal_tensors(best["state_dict"], evaluated[1])
    never = train(tmp_path / "never", ema_decay=0.9)
    assert_equal_tensors(state.model.state_dict(), never.model.state_dict())
    assert not (tmp_path / "never" / "best.pt").exists()


def test_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        train(tmp_path, TinyData(not_finite=[7]), save_every=3, lr=0.03)
    message = str(caught.value)
    for part in ("step 7", "loss_error nan", "learning rate 0.03", "7-0.jpg, 7-1.jpg", str(tmp_path / "last.pt")):
        assert part in message
    last = torch.load(tmp_path / "last.pt", weights_only=True)
    assert last["step"] == 6
    assert all(value.isfinite().all() for value in last["state_dict"].values())


def test_gradient_that_is_not_finite_stops_before_the_step(tmp_path: Path) -> None:
    state, schedule = new_state(train_config())
    state.model.conv.weight.register_hook(lambda gradient: gradient * math.inf)
    before = {key: value.clone() for key, value in state.model.named_parameters()}
    with pytest.raises(DataError, match=r"gradient norm (inf|nan).*There is no checkpoint yet"):
        fit(state, schedule, TinyData(), tmp_path)
    assert_equal_tensors(dict(state.model.named_parameters()), before)


def test_checkpoint_is_written_when_the_data_fails(tmp_path: Path) -> None:
    class Failing(TinyData):
        def steps(self, start: int) -> Iterator[Sequence[Batch]]:
            yield from islice(super().steps(start), 7)
            raise DataError("7.jpg is damaged.")

    with pytest.raises(DataError, match=r"7\.jpg"):
        train(tmp_path, Failing())
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 7


def test_keyboard_interrupt_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, TinyData(interrupt=7), save_every=5)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 5
    names = {path.name for path in tmp_path.iterdir() if not path.name.startswith("events.")}  # TensorBoard's
    assert names == {"curves.png", "index.html", "last.pt", "metrics.csv", "metrics.jsonl"}


def test_terminal_shows_live_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Display(total=3000, start=10) as display:
        with display.paused():
            pass
        display.update(11, StepMetrics({"loss_cls": 0.5, "loss_box": 0.25}, 1.0, 0.02, 16, 2.0, 0.5))
        console = Console(width=100, force_terminal=False)
        with console.capture() as captured:
            console.print(display)
    text = captured.get()
    for part in ("11/3000", "loss 0.750 (cls 0.500, box 0.250)", "8.0 images/s", "25% waiting", "1 h 39 min left"):
        assert part in text
