"""A network of a few weights that trains in milliseconds, and its data."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from splitnest import zoo
from splitnest.recipe import DetectionRecipe, DetectionTraining
from splitnest.structures.batch import Batch, collate
from splitnest.training import loop, run_folder
from splitnest.training.callbacks import Callback, Callbacks, RowFunction
from splitnest.training.checkpoint import restore_newest
from splitnest.training.guard import Guard
from splitnest.training.loggers.open import open_loggers
from splitnest.training.loop import Evaluate, TrainingData
from splitnest.training.run_folder import RunFolder
from splitnest.training.schedule import Schedule
from splitnest.training.state import TrainingState, initial_state

NAME = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"
NUM_STEPS = 20
"""Default length of a training."""


class TinyModel(nn.Module):
    """Model that learns the mean brightness of images and draws random numbers, as the samplers of a detector do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.frozen = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 1)

    def train(self, mode: bool = True) -> "TinyModel":
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.frozen(self.norm(self.conv(images))).relu().mean((2, 3)))[:, 0]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        error = self(batch.images) - batch.images.mean((1, 2, 3))
        sampled = torch.rand(len(batch), device=error.device) < 0.8
        return {"loss_error": (error.square() * sampled).mean(), "loss_size": 0.01 * error.abs().mean()}


class TinyData:
    """Batches of 4 images that are a function of their step.

    Args:
        parts: Number of accumulated parts of a batch.
        not_finite: Steps whose batch has an image with a NaN.
        interrupt: Step before which KeyboardInterrupt is raised.
    """

    def __init__(self, parts: int = 1, not_finite: Sequence[int] = (), interrupt: int | None = None) -> None:
        self.parts, self.not_finite, self.interrupt = parts, not_finite, interrupt

    def steps(self, start: int) -> Iterator[Sequence[Batch]]:
        step = start
        while True:
            if step == self.interrupt:
                raise KeyboardInterrupt
            generator = torch.Generator().manual_seed(step)
            images = [torch.rand(3, 8, 8, generator=generator) for _ in range(4)]
            if step in self.not_finite:
                images[1][0, 0, 0] = torch.nan
            names = [f"{step}-{number}.jpg" for number in range(4)]
            size = 4 // self.parts
            yield [collate(images[part : part + size], names=names[part : part + size]) for part in range(0, 4, size)]
            step += 1


class SignalingData(TinyData):
    """Data that sends signals to its own process before a step."""

    def __init__(self, step: int, *numbers: signal.Signals) -> None:
        super().__init__()
        self.step, self.numbers = step, numbers

    def steps(self, start: int) -> Iterator[Sequence[Batch]]:
        for step, parts in enumerate(super().steps(start), start):
            if step == self.step:
                for number in self.numbers:
                    os.kill(os.getpid(), number)
            yield parts


def train_config(**values: Any) -> DetectionTraining:
    defaults = {"iterations": NUM_STEPS, "lr": 0.05, "batch_size": 4, "short_sides": (8,), "loggers": ()}
    return DetectionTraining(**{**defaults, **values})


def recipe_of(train_cfg: DetectionTraining) -> DetectionRecipe:
    recipe = zoo.get(NAME)
    assert isinstance(recipe, DetectionRecipe)
    return recipe.model_copy(update={"train": train_cfg})


def new_state(train_cfg: DetectionTraining) -> tuple[TrainingState, Schedule]:
    torch.manual_seed(train_cfg.seed)
    schedule = Schedule(train_cfg, steps_per_epoch=5)
    return initial_state(TinyModel(), train_cfg, schedule), schedule


def fit(
    state: TrainingState,
    schedule: Schedule,
    data: TrainingData,
    path: Path,
    evaluate: Evaluate | None = None,
    *,
    draws: bool = False,
    callbacks: Sequence[Callback | RowFunction] = (),
) -> None:
    """Train from the present step to the end, with ``path`` as run folder, the recipe's loggers and callbacks.

    Unless ``draws`` is set, ``curves.png`` is blank: drawing takes longer than the training of a tiny model.
    """
    assert isinstance(schedule.train_cfg, DetectionTraining)
    recipe = recipe_of(schedule.train_cfg)
    path.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(path, recipe, state.step, schedule.total)
    with pytest.MonkeyPatch.context() as patched:
        if not draws:
            patched.setattr(run_folder, "draw_curves", lambda _: np.zeros((1, 1, 3), np.uint8))
        guard = Guard(state, schedule.total, folder, recipe)
        called = Callbacks([*open_loggers(recipe, path, state.step), *callbacks])
        loop.fit(state, schedule, data, folder, evaluate, guard, called)
        called.end(folder.result(state))


def train(
    path: Path,
    data: TrainingData | None = None,
    evaluate: Evaluate | None = None,
    *,
    draws: bool = False,
    callbacks: Sequence[Callback | RowFunction] = (),
    **values: Any,
) -> TrainingState:
    """Train a tiny model, or resume the training in the run folder ``path``; ``values`` change the configuration."""
    train_cfg = train_config(**values)
    state, schedule = new_state(train_cfg)
    if (path / "last.pt").exists():
        restore_newest(state, path / "last.pt")
    fit(state, schedule, data or TinyData(train_cfg.accumulate), path, evaluate, draws=draws, callbacks=callbacks)
    return state


def make_run_folder(parent: Path) -> None:
    """Make the folder of a new run in the folder ``runs`` of ``parent``, which becomes the working directory."""
    os.chdir(parent)
    run_folder.new_folder(recipe_of(train_config()))


def state_dict_of(path: Path) -> dict[str, Tensor]:
    """Return the state dict of the evaluated model in a checkpoint."""
    return torch.load(path, weights_only=True)["state_dict"]


def assert_equal_tensors(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


@contextmanager
def interrupted(step: int) -> Iterator[None]:
    """Raise KeyboardInterrupt before a step of a training inside the context."""
    train_step = loop.train_step

    def interrupting(network: nn.Module, state: TrainingState, *rest: Any) -> Any:
        if state.step == step:
            raise KeyboardInterrupt
        return train_step(network, state, *rest)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "train_step", interrupting)
        yield
