"""Checkpoints of a training, from which it resumes exactly.

A checkpoint is a torch file of tensors and plain containers, so reading it runs no code. ``state_dict`` is the model
that was evaluated (the EMA if there is one) and ``recipe`` is JSON, so ``splitnest.load`` reads it. ``training`` has
the rest; ``best`` checkpoints have none. A checksum reveals damage before anything is unpickled.
"""

import random
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splitnest._version import __version__
from splitnest.distributed import broadcast_from_main, gather_to_main, is_main_process, rank
from splitnest.errors import DamagedError, WeightsError, cannot_read, tell
from splitnest.files import replacing, versions
from splitnest.recipe import Recipe
from splitnest.recipe.serialization import to_json
from splitnest.training.selection import EarlyStopping
from splitnest.training.state import TrainingState
from splitnest.weights import torch_file
from splitnest.weights.checksum import add_checksum, has_valid_checksum
from splitnest.weights.read import FORMAT, SCORE_THRESHOLDS, score_thresholds_of


def save(state: TrainingState, recipe: Recipe, path: Path, *, keep: int | None = None, resumable: bool = True) -> None:
    """Write a checkpoint; the previous one stays until it is complete.

    Collective: the main process writes, with the random states of all processes.

    Args:
        state: State of the training.
        recipe: Recipe of the training.
        path: Path of the file.
        keep: Number of versions to keep, see ``replacing``; None keeps the new one and ignores others.
        resumable: Whether to write the whole state instead of the model alone.

    Raises:
        OutputError: The file cannot be written.
    """
    random_states = gather_to_main(get_random_states()) if resumable else []
    if not is_main_process():
        return
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": __version__,
        "recipe": to_json(recipe),
        "step": state.step,
        "metrics": state.best,
        "state_dict": dict(state.evaluated_model.state_dict()),
    }
    if state.score_thresholds is not None:
        content[SCORE_THRESHOLDS] = state.score_thresholds.to_json()
    if resumable:
        content["training"] = {
            "model": dict(state.model.state_dict()),  # without an EMA the same tensors, which are written once
            "ema": None if state.ema is None else dict(state.ema.state_dict()),
            "optimizer": state.optimizer.state_dict(),
            "scheduler": state.scheduler.state_dict(),
            "scaler": state.scaler.state_dict(),
            "random": random_states,
            "evaluated_step": state.evaluated_step,
            "skipped": state.skipped,
            "early_stopping": asdict(state.early_stopping),
        }
    with replacing(path, keep) as file:
        torch.save(content, file)
        add_checksum(file)


def restore_newest(state: TrainingState, path: Path) -> None:
    """Restore a checkpoint, or its newest undamaged version.

    Damaged versions are reported and renamed to ``<name>.damaged``.

    Raises:
        WeightsError: Same conditions as ``restore``; or all versions are damaged.
    """
    restore(state, broadcast_from_main(partial(_newest_undamaged, path)))


def _newest_undamaged(path: Path) -> Path:
    damaged = []
    for file in versions(path):
        try:
            _check(file)
        except DamagedError as error:
            tell(f"{error} The previous version is tried.")
            damaged.append(file)
            continue
        for bad in damaged:
            bad.rename(f"{bad}.damaged")
        return file
    raise WeightsError(
        f"All versions of {path} are damaged. Start a new run, with best.pt as train.init_from if it exists."
    )


def restore(state: TrainingState, path: Path) -> None:
    """Restore the state of a training from a checkpoint, with the random state of this process.

    Raises:
        DamagedError: The checksum does not match.
        WeightsError: The file cannot be read, is not resumable, or belongs to another model or optimizer.
    """
    content = _read(path)
    training = content["training"]
    if (training["ema"] is None) != (state.ema is None):
        raise WeightsError(f"{path} was trained with another train.ema_decay. Resume with the recipe of the run.")
    try:
        state.model.load_state_dict(training["model"])
        if state.ema is not None:
            state.ema.load_state_dict(training["ema"])
        state.optimizer.load_state_dict(training["optimizer"])
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".: ")
        raise WeightsError(
            f"{path} belongs to another training: {reason}. Resume with the recipe of the run, and with its "
            f"model if that was given from Python (model=...)."
        ) from error
    state.scheduler.load_state_dict(training["scheduler"])
    state.scaler.load_state_dict(training["scaler"])
    state.step, state.best = content["step"], content["metrics"]
    state.evaluated_step, state.skipped = training["evaluated_step"], training["skipped"]
    state.score_thresholds = score_thresholds_of(content)
    state.early_stopping = EarlyStopping(**training.get("early_stopping", {}))
    if rank() < len(training["random"]):
        set_random_states(training["random"][rank()])
    else:  # more processes than before
        torch.manual_seed(torch.initial_seed() + rank())


def get_random_states() -> dict[str, Any]:
    """Return the random states of Python, numpy and torch as tensors and plain containers."""
    _, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (np.asarray(keys).tolist(), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Restore the random states that ``get_random_states`` returned; for CUDA those of the present devices."""
    version, internal, gauss_next = states["python"]
    random.setstate((version, tuple(internal), gauss_next))
    keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state(("MT19937", np.array(keys, np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available():
        for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, device)


def _check(path: Path) -> None:
    """Check that a checkpoint matches its checksum.

    Raises:
        DamagedError: The checksum does not match, or there is none.
        WeightsError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            is_valid = has_valid_checksum(file)
    except OSError as error:
        raise WeightsError(cannot_read(path, error, "a checkpoint")) from error
    if not is_valid:
        raise DamagedError(f"{path} is truncated or damaged: its SHA-256 checksum does not match.")


def _read(path: Path) -> dict[str, Any]:
    _check(path)
    try:
        content = torch_file.load(path)
    except Exception as error:  # an unpickler raises nearly any error for a file with a forged checksum
        raise WeightsError(
            f"{path} is not a checkpoint of this version. Start a new run, with it as train.init_from."
        ) from error
    training = content.get("training") if isinstance(content, dict) and content.get("format") == FORMAT else None
    if not isinstance(training, dict) or "ema" not in training:
        raise WeightsError(f"{path} is not a resumable checkpoint of this version. Give the last.pt of a run.")
    return content
