"""Checkpoints of a training: everything that it needs to go on as if it had never stopped.

A checkpoint is a torch file of tensors and plain containers, so reading it runs no code. Its ``state_dict`` is the
model that is evaluated (the average where there is one), its ``recipe`` is JSON: all that ``splitnest.load`` needs.
``training`` holds the rest; ``best`` checkpoints have none. A SHA-256 in it tells damage before anything is unpickled.
"""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

import splitnest
from splitnest.errors import DamagedError, WeightsError
from splitnest.files import kept, replacing
from splitnest.processes import from_first, gathered, is_first, rank
from splitnest.recipe import Recipe, overrides
from splitnest.training.seal import is_sealed, seal
from splitnest.training.state import TrainingState
from splitnest.weights.read import FORMAT


def save(state: TrainingState, recipe: Recipe, path: Path, *, keep: int | None = None, resumable: bool = True) -> None:
    """Write a checkpoint. It appears under its name when it is whole and on the disk; until then the one before stays.

    Collective: the first process writes, with the random numbers of all.

    Args:
        state: The training.
        recipe: Of the training.
        path: The file.
        keep: As of ``replacing``: how many to keep, this one included; None looks at no others.
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
            "evaluated_step": state.evaluated_step,
            "skipped": state.skipped,
        }
    _write(content, path, keep)


def restore_newest(state: TrainingState, path: Path) -> None:
    """Restore from ``path``, or from the newest before it that is whole.

    A damaged one is reported and renamed to ``<name>.damaged``, so that it takes the place of no other.

    Raises:
        WeightsError: As ``restore``; or all are damaged.
    """
    restore(state, from_first(partial(_newest_whole, path)))


def _newest_whole(path: Path) -> Path:
    damaged = []
    for file in kept(path):
        try:
            with _opened(file):
                pass
        except DamagedError as error:
            print(f"{error} The one before it is looked for.", file=sys.stderr)
            damaged.append(file)
            continue
        for bad in damaged:
            bad.rename(f"{bad}.damaged")
        return file
    raise WeightsError(f"No checkpoint {path} is whole, nor one before it. Begin anew, or start from best.pt.")


def restore(state: TrainingState, path: Path) -> None:
    """Make ``state`` what it was when ``path`` was written, the random number generators of this process included.

    Raises:
        DamagedError: The file is not as it was written.
        WeightsError: It cannot be read, has nothing to go on from, or is of another model or optimizer.
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
    state.evaluated_step, state.skipped = training["evaluated_step"], training["skipped"]
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


def _write(content: dict[str, Any], path: Path, keep: int | None) -> None:
    try:
        with replacing(path, keep) as file:
            torch.save(content, file)
            seal(file)
    except (OSError, RuntimeError) as error:
        # On a full disk torch's writer raises an error of its own, about positions, while it handles the real one.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        kept = f" The earlier {path.name} is as it was." if path.exists() else ""
        raise WeightsError(f"{path} cannot be written: {cause.strerror}.{kept}") from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Yield the file of a checkpoint, which is as it was written."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from error
    with file:
        if not is_sealed(file):
            raise DamagedError(
                f"{path} is cut short or damaged: its content does not have the SHA-256 it was written with."
            )
        yield file


def _read(path: Path) -> dict[str, Any]:
    with _opened(path) as file:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # sealed, but by somebody else: an unpickler raises nearly anything
            raise WeightsError(
                f"{path} is no checkpoint of this version. Begin anew, or start from best.pt."
            ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or "training" not in content:
        raise WeightsError(f"{path} holds nothing that a training could go on from. Give the last.pt of a run.")
    return content
