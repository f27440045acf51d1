"""Loggers of a recipe (``train.loggers``)."""

from importlib.util import find_spec
from pathlib import Path

from splitnest.errors import UsageError
from splitnest.recipe import Logger, Recipe, Training, required_training
from splitnest.training.callbacks import Callback
from splitnest.training.loggers.mlflow import MLflow
from splitnest.training.loggers.tensorboard import TensorBoard
from splitnest.training.loggers.wandb import WeightsAndBiases

EXTRAS: dict[Logger, str] = {"tensorboard": "track", "wandb": "wandb", "mlflow": "mlflow"}
"""Extra of the package that each logger needs; the package has the name of the logger."""


def check_loggers(train_cfg: Training) -> None:
    """Raise a UsageError if a logger that a recipe names is not installed."""
    for name in train_cfg.loggers if train_cfg.loggers != "auto" else ():
        if find_spec(name) is None:
            raise UsageError(
                f"train.loggers has {name}, which is not installed. Install it (pip install "
                f"'splitnest[{EXTRAS[name]}]'), or remove it from train.loggers."
            )


def open_loggers(recipe: Recipe, folder: Path, done: int) -> list[Callback]:
    """Return the loggers of a recipe; ``auto`` is TensorBoard if it is installed.

    Args:
        recipe: Recipe of the training.
        folder: Run folder.
        done: Number of steps done.
    """
    chosen = required_training(recipe).loggers
    names: tuple[Logger, ...] = () if chosen == "auto" else chosen
    if chosen == "auto" and find_spec("tensorboard") is not None:
        names = ("tensorboard",)
    return [_open(name, recipe, folder, done) for name in names]


def _open(name: Logger, recipe: Recipe, folder: Path, done: int) -> Callback:
    match name:
        case "tensorboard":
            return TensorBoard(folder, done)
        case "wandb":
            return WeightsAndBiases(folder, recipe, done)
        case "mlflow":
            return MLflow(folder, recipe, done)
