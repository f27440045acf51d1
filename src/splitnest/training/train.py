"""Training of a model by its recipe."""

import random
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from splitnest import zoo
from splitnest.device import pick_device
from splitnest.distributed import (
    broadcast_from_main,
    check_devices,
    convert_sync_batchnorm,
    print_once,
    process_group,
    rank,
    world_size,
)
from splitnest.errors import UsageError
from splitnest.files import versions
from splitnest.inference.resolve import CHECKPOINT_SUFFIXES, complete, read_recipe
from splitnest.models.build import build_model
from splitnest.models.own import check_network
from splitnest.recipe import BackboneConfig, Recipe, Training, required_training
from splitnest.recipe import overrides as recipe_overrides
from splitnest.recipe.serialization import dump_yaml
from splitnest.tasks import task_of
from splitnest.training import checkpoint
from splitnest.training.batches import open_training
from splitnest.training.environment import describe_environment
from splitnest.training.guard import Guard
from splitnest.training.init_from import check_initial_weights, initial_weights
from splitnest.training.lock import locked
from splitnest.training.loop import fit
from splitnest.training.plan import describe, describe_data, describe_schedule
from splitnest.training.run_folder import (
    ENVIRONMENT_FILE,
    INIT_FROM_FILE,
    LAST_FILE,
    RECIPE_FILE,
    Run,
    RunFolder,
    check_new_folder,
    find_folder,
    new_folder,
)
from splitnest.training.schedule import Schedule
from splitnest.training.state import TrainingState, initial_state
from splitnest.training.validation import Validation, open_validation

CHANGEABLE = {
    "data.root",
    "train.workers",
    "train.evaluate_every",
    "train.save_every",
    "train.keep_checkpoints",
    "train.max_skipped_steps",
    "train.max_corrupt_fraction",
}
"""Keys that may change when a training is resumed: the state of its checkpoint does not depend on them."""


def train(
    recipe_or_name: str | Path,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    *,
    out: str | Path | None = None,
    device: str | torch.device = "auto",
    model: nn.Module | None = None,
) -> Run:
    """Train a model by its recipe.

    The run folder gets ``recipe.yaml`` (complete), ``environment.txt``, ``init_from.txt`` (report of the initial
    weights), ``metrics.csv`` and ``metrics.jsonl``, ``curves.png``, ``predictions.jpg`` (ground truth and predictions),
    and the checkpoints ``last.pt`` and ``best.pt``, which ``load`` takes.

    Args:
        recipe_or_name: Recipe file (.yaml), name of a published model, or checkpoint of splitnest, whose recipe and
            weights are used; to resume, also a run folder or a checkpoint in it.
        overrides: Values of the recipe by dotted key, such as ``{"data.root": "/data/coco"}``.
        resume: Whether to resume a run from its last checkpoint, on the CPU exactly as if it had not been interrupted.
        out: Run folder; None creates one in ``runs``, or resumes the latest run of the recipe there.
        device: ``"auto"`` for CUDA if available and the CPU otherwise, or a device.
        model: Network from Python instead of the recipe's: that of ``build``, or any module whose ``loss(batch)``
            returns a dictionary of scalar tensors and, to be evaluated, whose ``predict(batch)`` returns a list of
            results. It is trained in place. To resume, and for ``load``, give a module of the same class.

    Raises:
        UsageError: The recipe is not valid or has no training section, the model lacks a method, there is nothing to
            resume, another training uses the run folder, the folder has files of others, or memory ran out.
        DataError: The dataset cannot be used, or a loss is not finite.
        WeightsError: The initial weights do not fit, or a checkpoint cannot be read.
        OutputError: A file of the run cannot be written.
        Interrupted: SIGTERM or SIGINT was received; the current step was finished and saved.
    """
    with process_group():
        return _train(recipe_or_name, overrides, resume, None if out is None else Path(out), device, model)


def _train(
    recipe_or_name: str | Path,
    overrides: Mapping[str, Any] | None,
    resume: bool,
    out: Path | None,
    device: str | torch.device,
    own_model: nn.Module | None,
) -> Run:
    recipe, out = _resolve(recipe_or_name, overrides, resume, out)
    train_cfg = required_training(recipe)
    _check(recipe, train_cfg, world_size(), own_model)
    data, validation = open_training(recipe), open_validation(recipe)
    if own_model is not None:
        check_network(own_model, predicts=validation is not None)
    schedule = Schedule(train_cfg, data.steps_per_epoch)
    if not resume:
        print_once(broadcast_from_main(partial(describe_data, data.training_set, validation)))
        print_once(describe_schedule(schedule, has_validation=validation is not None))
    model = _new_model(recipe, train_cfg.seed, pick_device(device), own_model)
    report = None if resume else initial_weights(model, recipe, built=own_model is None)
    path = broadcast_from_main(partial(find_folder if resume else new_folder, recipe, out))
    with locked(path):
        state, folder = (
            _resume(recipe, model, schedule, path) if report is None else _start(recipe, model, schedule, path, report)
        )
        evaluate = None if validation is None else Validation(recipe, validation, folder)
        guard = Guard(state, schedule.total, folder, recipe, built=own_model is None)
        fit(state, schedule, data, folder, evaluate, guard)
        return broadcast_from_main(partial(folder.result, state))  # also waits for the files of the main process


def _start(
    recipe: Recipe, model: nn.Module, schedule: Schedule, path: Path, report: str
) -> tuple[TrainingState, RunFolder]:
    """Write the first files of a run folder."""
    state = initial_state(model, schedule.train_cfg, schedule)
    folder = RunFolder(path, recipe)
    folder.write_text(RECIPE_FILE, dump_yaml(recipe))
    folder.write_text(ENVIRONMENT_FILE, describe_environment())
    folder.write_text(INIT_FROM_FILE, report)
    print_once(report.rstrip())
    print_once(f"run folder: {folder.path}; to resume after an interruption: splitnest train {folder.path} --resume")
    return state, folder


def _resume(recipe: Recipe, model: nn.Module, schedule: Schedule, path: Path) -> tuple[TrainingState, RunFolder]:
    """Restore the last checkpoint of a run."""
    _check_same(recipe, path)
    state = initial_state(model, schedule.train_cfg, schedule)
    checkpoint.restore_newest(state, path / LAST_FILE)
    print_once(f"{path}: resuming after step {state.step} of {schedule.total}")
    return state, RunFolder(path, recipe, state.step)


def plan(
    recipe_or_name: str | Path,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    *,
    out: str | Path | None = None,
    device: str | torch.device = "auto",
    devices: int = 1,
) -> str:
    """Return the plan of a training: complete recipe, data, schedule, initial weights, memory. Nothing is written.

    Initial weights in a file are loaded; published ones are not fetched. Images are looked for, but not read.

    Args:
        recipe_or_name, overrides, resume, out, device: Same as in ``train``.
        devices: Number of processes.

    Raises:
        UsageError, DataError, WeightsError, OutputError: Same conditions as ``train``; or files of the dataset do not
            exist.
    """
    recipe, folder = _resolve(recipe_or_name, overrides, resume, None if out is None else Path(out))
    train_cfg = required_training(recipe)
    _check(recipe, train_cfg, devices, None)
    check_devices(devices)
    pick_device(device)
    data, validation = open_training(recipe), open_validation(recipe)
    if resume:
        folder = find_folder(recipe, folder)
        _check_same(recipe, folder)
        start = f"those of the run in {folder}"
    else:
        if folder is not None:
            check_new_folder(folder)
        start = check_initial_weights(recipe)
    return describe(recipe, Schedule(train_cfg, data.steps_per_epoch), data.training_set, validation, start)


def _resolve(
    recipe_or_name: str | Path, overrides: Mapping[str, Any] | None, resume: bool, out: Path | None
) -> tuple[Recipe, Path | None]:
    """Return the complete recipe, and the run folder if it is known."""
    folder = _run_of(Path(recipe_or_name)) if resume else None
    if folder is not None:
        recipe_or_name, out = folder / RECIPE_FILE, out or folder
    recipe, own_weights = read_recipe(recipe_or_name)
    if own_weights is not None and resume and out is None:
        raise UsageError(
            f"{own_weights} is not in the folder of a run, so there is none to resume. Give the folder (--out), or "
            f"start a new run with the checkpoint (without --resume)."
        )
    if own_weights is not None and recipe.train is not None:
        recipe = recipe_overrides.apply(recipe, {"train.init_from": str(own_weights)})
    return complete(recipe_overrides.apply(recipe, overrides or {})), out


def _run_of(path: Path) -> Path | None:
    """Return the run folder that a path to resume names, itself or by one of its files; None for a recipe or a name."""
    if path.is_dir():
        return path if (path / RECIPE_FILE).is_file() else None
    folder = path.parent
    if path.name != RECIPE_FILE and path.suffix not in CHECKPOINT_SUFFIXES:
        return None
    checkpoints = versions(folder / LAST_FILE)
    if not checkpoints or not (folder / RECIPE_FILE).is_file():
        return None
    if path.name not in (RECIPE_FILE, checkpoints[0].name):
        print_once(f"note: the run of {path} resumes from its newest checkpoint, {checkpoints[0].name}")
    return folder


def _new_model(recipe: Recipe, seed: int, device: torch.device, own_model: nn.Module | None) -> nn.Module:
    """Seed all random generators, and return the model: the given one, or one with random weights.

    The weights are the same in all processes; DistributedDataParallel copies those of a given model.

    Later random numbers, of dropout for example, differ between processes.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    model = (build_model(recipe) if own_model is None else own_model).to(device)
    if _uses_sync_bn(recipe):
        convert_sync_batchnorm(model, device)
    if rank():
        torch.manual_seed(seed + rank())
    return model


def _uses_sync_bn(recipe: Recipe) -> bool:
    """Return whether batch normalization is synchronized: by the backbone's norm, or the heads' for a model of timm."""
    backbone = recipe.model.backbone
    if isinstance(backbone, BackboneConfig):
        return backbone.norm == "sync_bn"
    return "sync_bn" in {value for key, value in recipe.model if key.endswith("norm")}


def _check(recipe: Recipe, train_cfg: Training, processes: int, own_model: nn.Module | None) -> None:
    """Raise a UsageError for a batch size or frozen stages that cannot be trained in a number of processes."""
    images = train_cfg.batch_size // train_cfg.accumulate // processes
    if not images:
        raise UsageError(
            f"train.batch_size {train_cfg.batch_size} in {train_cfg.accumulate} parts is less than one image for each "
            f"of {processes} processes. Set it to at least {train_cfg.accumulate * processes}."
        )
    if own_model is not None:
        return
    backbone = recipe.model.backbone
    pooled_norms = task_of(recipe).pooled_norms(recipe)
    if isinstance(backbone, BackboneConfig) and backbone.radix > 0 and backbone.frozen_stages < 5:
        pooled_norms = {"model.backbone.norm": backbone.norm, **pooled_norms}
    for key, norm in pooled_norms.items():
        if images == 1 and norm in ("bn", "sync_bn"):
            raise UsageError(
                f"With one image per forward pass, the batch normalization of globally pooled features ({key}) sees "
                "one value per channel. Set train.batch_size to at least 2 * train.accumulate per process, or "
                f"{key}=gn."
            )
    if isinstance(backbone, BackboneConfig) and backbone.frozen_stages and train_cfg.init_from is None:
        raise UsageError(
            f"model.backbone.frozen_stages is {backbone.frozen_stages}, but random weights cannot be frozen. Set "
            f"train.init_from to a checkpoint or a model, or model.backbone.frozen_stages=0."
        )


def _check_same(recipe: Recipe, folder: Path) -> None:
    """Raise a UsageError if the recipe of a run differs from the one to resume it with."""
    before, now = (dict(_leaves(r.model_dump())) for r in (zoo.load_recipe(folder / RECIPE_FILE), recipe))
    for key in before.keys() | now.keys():
        if key not in CHANGEABLE and before.get(key) != now.get(key):
            raise UsageError(
                f"The run in {folder} was started with {key} {before.get(key)}, not {now.get(key)}. Resume it with its "
                f"own {RECIPE_FILE}, or start a new run."
            )


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
