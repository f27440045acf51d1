"""A network of a few weights that trains in milliseconds, and its data."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from splitnest import recipes
from splitnest.batch import Batch, collate
from splitnest.recipe import DetectionRecipe, DetectionTraining, Recipe, overrides
from splitnest.training import loop
from splitnest.training.run import RunFolder
from splitnest.training.schedule import Schedule
from splitnest.training.state import TrainingState, start_state

NAME = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"


class TinyModel(nn.Module):
    """Learns the mean brightness of images; draws random numbers, as the samplers of a detector do."""

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
    """Batches that follow from their step: of 4 images, in ``parts``.

    Step ``poison`` has an image of no numbers, at step ``interrupt`` somebody presses Ctrl-C.
    """

    def __init__(self, parts: int = 1, poison: int | None = None, interrupt: int | None = None) -> None:
        self.parts, self.poison, self.interrupt = parts, poison, interrupt

    def steps(self, start: int) -> Iterator[Sequence[Batch]]:
        step = start
        while True:
            if step == self.interrupt:
                raise KeyboardInterrupt
            generator = torch.Generator().manual_seed(step)
            images = [torch.rand(3, 8, 8, generator=generator) for _ in range(4)]
            if step == self.poison:
                images[1][0, 0, 0] = torch.nan
            names = [f"{step}-{number}.jpg" for number in range(4)]
            size = 4 // self.parts
            yield [collate(images[part : part + size], names=names[part : part + size]) for part in range(0, 4, size)]
            step += 1


def facts(**values: Any) -> DetectionTraining:
    defaults = {"length": 20, "unit": "iteration", "learning_rate": 0.05, "batch_size": 4, "short_sides": (8,)}
    return DetectionTraining(**{**defaults, **values})


def recipe_of(train: DetectionTraining) -> Recipe:
    recipe = recipes.get(NAME)
    assert isinstance(recipe, DetectionRecipe)
    return overrides.apply(recipe, {"train": train.model_dump()})


def start(train: DetectionTraining) -> tuple[TrainingState, Schedule]:
    torch.manual_seed(train.seed)
    schedule = Schedule(train, steps_per_epoch=5)
    return start_state(TinyModel(), train, schedule), schedule


def state_of(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


@contextmanager
def interrupted(step: int) -> Iterator[None]:
    """Somebody presses Ctrl-C before that step of a training."""
    train_step = loop.train_step

    def broken(network: nn.Module, state: TrainingState, *rest: Any) -> Any:
        if state.step == step:
            raise KeyboardInterrupt
        return train_step(network, state, *rest)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "train_step", broken)
        yield


def folder_of(path: Path, train: DetectionTraining, done: int = 0) -> RunFolder:
    path.mkdir(parents=True, exist_ok=True)
    return RunFolder(path, recipe_of(train), done)
