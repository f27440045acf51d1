"""Checkpoints of a training: everything that it needs to go on as if it had never stopped.

A checkpoint is a torch file of tensors and plain containers, so reading it runs no code. Its ``state_dict`` is the
model that is evaluated (the average where there is one), its ``recipe`` is JSON: all that ``splitnest.load`` needs.
``training`` holds the rest; ``best`` checkpoints have none.
"""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

import splitnest
from splitnest.errors import WeightsError
from splitnest.files import replacing
from splitnest.processes import gathered, is_first, rank
from splitnest.recipe import Recipe, overrides
from splitnest.training.state import TrainingState
from splitnest.weights.read import FORMAT


def save(state: TrainingState, recipe: Recipe, path: Path, *, resumable: bool = True) -> None:
    """Write a checkpoint. It appears under its name when it is whole and on the disk; until then the one before stays.

    Collective: the first process writes, with the random numbers of all.

    Args:
        state: The training.
        recipe: Of the training.
        path: The file.
        resumable: Write what a training goes on from, not the model alone.

    Raises:
        WeightsError: The file cannot be written.
    """
    states = gathered(random_states()) if resumable else []
    if not is_first():
        return
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": splitnest.__version__,
        "recipe": overrides.to_json(recipe),
        "step": state.step,
        "metrics": state.best,
        "state_dict": dict(state.evaluated.state_dict()),
    }
    if resumable:
        content["training"] = {
            "model": dict(state.model.state_dict()),  # without an average the same tensors, which are written once
            "average": None if state.average is None else dict(state.average.state_dict()),
            "optimizer": state.optimizer.state_dict(),
            "scheduler": state.scheduler.state_dict(),
            "scaler": state.scaler.state_dict(),
            "random": states,
        }
    _write(content, path)


def restore(state: TrainingState, path: Path) -> None:
    """Make ``state`` what it was when ``path`` was written, the random number generators of this process included.

    Raises:
        WeightsError: The file cannot be read, has nothing to go on from, or is of another model or optimizer.
    """
    content = _read(path)
    training = content["training"]
    if (training["average"] is None) != (state.average is None):
        raise WeightsError(f"{path} and this training differ in train.ema_decay. Resume with the recipe that began it.")
    try:
        state.model.load_state_dict(training["model"])
        if state.average is not None:
            state.average.load_state_dict(training["average"])
        state.optimizer.load_state_dict(training["optimizer"])
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".: ")
        raise WeightsError(f"{path} is of another training: {reason}. Resume with the recipe that began it.") from error
    state.scheduler.load_state_dict(training["scheduler"])
    state.scaler.load_state_dict(training["scaler"])
    state.step, state.best = content["step"], content["metrics"]
    if rank() < len(training["random"]):
        set_random_states(training["random"][rank()])
    else:  # more processes than there were
        torch.manual_seed(torch.initial_seed() + rank())


def random_states() -> dict[str, Any]:
    """Return the states of the generators of Python, numpy and torch, as tensors and plain containers."""
    _, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (np.asarray(keys).tolist(), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Put the generators into the states that ``random_states`` returned; of CUDA those of the devices there are."""
    version, internal, gauss_next = states["python"]
    random.setstate((version, tuple(internal), gauss_next))
    keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state(("MT19937", np.array(keys, np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available():
        for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, device)


def _write(content: dict[str, Any], path: Path) -> None:
    try:
        with replacing(path) as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:
        # On a full disk torch's writer raises an error of its own, about positions, while it handles the real one.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        kept = f" The earlier {path.name} is as it was." if path.exists() else ""
        raise WeightsError(f"{path} cannot be written: {cause.strerror}.{kept}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from error
    with file:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file makes an unpickler raise nearly anything
            raise WeightsError(f"{path} is cut short or damaged. Begin anew, or start from best.pt.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or "training" not in content:
        raise WeightsError(f"{path} holds nothing that a training could go on from. Give the last.pt of a run.")
    return content
