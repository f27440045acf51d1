"""Training of a model by its recipe."""

import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from splitnest import zoo
from splitnest.data.augmentations.augmentations import UserTransform
from splitnest.data.items import ImageSequence
from splitnest.device import float32_matmul_precision, pick_device
from splitnest.distributed import (
    broadcast_from_main,
    broadcast_weights,
    check_devices,
    convert_sync_batchnorm,
    print_once,
    process_group,
    rank,
    world_size,
)
from splitnest.errors import UsageError
from splitnest.metrics.own import Metric, check_metrics
from splitnest.models.build import build_model, set_checkpoint_stages
from splitnest.models.own import check_network
from splitnest.recipe import BackboneConfig, HRNetConfig, Recipe, required_training
from splitnest.recipe import overrides as recipe_overrides
from splitnest.recipe.serialization import dump_yaml
from splitnest.training import checkpoint
from splitnest.training.batches import TrainingBatches, open_training
from splitnest.training.callbacks import Callback, Callbacks, RowFunction
from splitnest.training.checks import check_same_data, check_same_recipe, check_trainable, resolve_training
from splitnest.training.environment import describe_environment
from splitnest.training.extensions import NO_EXTENSIONS, Extensions
from splitnest.training.guard import Guard
from splitnest.training.init_from import check_initial_weights, initial_weights
from splitnest.training.lock import locked
from splitnest.training.loggers.open import check_loggers, open_loggers
from splitnest.training.loop import fit
from splitnest.training.plan import describe, describe_data, describe_schedule
from splitnest.training.run_folder import (
    DATA_FILE,
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


def train(
    recipe_or_name: str | Path,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    *,
    train_data: ImageSequence | None = None,
    val_data: ImageSequence | None = None,
    out: str | Path | None = None,
    device: str | torch.device = "auto",
    config: str | Path | None = None,
    augment: UserTransform | None = None,
    callbacks: Sequence[Callback | RowFunction] = (),
    metrics: Sequence[Metric] = (),
    model: nn.Module | None = None,
) -> Run:
    """Train a model by its recipe.

    The run folder gets ``recipe.yaml`` (complete), ``environment.txt``, ``init_from.txt`` (report of the initial
    weights), ``metrics.csv`` and ``metrics.jsonl``, ``index.html`` (page that refreshes while training),
    ``curves.png``, ``predictions.jpg`` (ground truth and predictions), ``report.html`` (where the model fails, with
    ``report.json`` and ``statistics.npz``), and the checkpoints ``last.pt`` and ``best.pt``, which ``load`` takes.

    Args:
        recipe_or_name: Recipe file (.yaml), name of a published model, or checkpoint, whose recipe and weights are used
            (of another code base: the recipe that its configuration becomes); to resume, also a run folder or a
            checkpoint in it.
        overrides: Values of the recipe by dotted key, such as ``{"data.root": "/data/coco"}``.
        resume: Whether to resume a run from its last checkpoint, on the CPU exactly as if it had not been interrupted.
        train_data: Training dataset from Python, see ``ImageSequence``; None opens that of the recipe. A run is resumed
            with the same dataset.
        val_data: Validation dataset from Python; None opens that of the recipe, or none if ``train_data`` is given.
        out: Run folder; None creates one in ``runs``, or resumes the latest run of the recipe there.
        device: ``"auto"`` for CUDA if available and the CPU otherwise, or a device.
        config: Configuration of a checkpoint of another code base that does not hold it.
        augment: Augmentation after those of the recipe, for example a transform of torchvision v2: a function of a
            uint8 image ``[3, H, W]`` and a dict with its ground truth that returns both. Give it again to resume.
        callbacks: Callbacks, called in this order: functions of a row of ``metrics.csv``, or objects of a subclass of
            ``Callback`` with hooks for a row, an evaluation and the end.
        metrics: Metrics of the user, which each evaluation computes too; their values are in the log.
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
        UserCodeError: A callback, metric or augmentation of the user raises an exception; the current step was saved.
    """
    check_metrics(metrics)
    with process_group():
        extensions = Extensions(model, train_data, val_data, augment, Callbacks(callbacks), metrics)
        return _train(recipe_or_name, overrides, resume, None if out is None else Path(out), device, config, extensions)


def _train(
    recipe_or_name: str | Path,
    overrides: Mapping[str, Any] | None,
    resume: bool,
    out: Path | None,
    device: str | torch.device,
    config: str | Path | None,
    extensions: Extensions,
) -> Run:
    recipe, out = resolve_training(recipe_or_name, overrides, resume, out, config)
    target = pick_device(device)
    data = _open(recipe, resume, out, target, world_size(), extensions)
    recipe, train_cfg = data.recipe, data.train_cfg
    validation = open_validation(recipe, extensions)
    if extensions.model is not None:
        check_network(extensions.model, predicts=validation is not None)
    schedule = Schedule(train_cfg, data.steps_per_epoch)
    if not resume:
        print_once(broadcast_from_main(partial(describe_data, data.training_set, validation)))
        print_once(describe_schedule(schedule, has_validation=validation is not None))
    model = _new_model(recipe, train_cfg.seed, target, extensions.model)
    report = None if resume else initial_weights(model, recipe, built=extensions.model is None)
    path = broadcast_from_main(partial(find_folder if resume else new_folder, recipe, out))
    with locked(path), float32_matmul_precision(train_cfg.float32_matmul_precision, target):
        if report is None:
            state, folder = _resume(data, model, schedule, path, extensions)
        else:
            state, folder = _start(data, model, schedule, path, report, extensions)
        evaluate = None if validation is None else Validation(recipe, validation, folder, extensions.metrics, state)
        if evaluate is not None and schedule.num_evaluations > 1:
            evaluate.start()
        callbacks = extensions.callbacks.preceded_by(open_loggers(recipe, path, state.step))
        guard = Guard(state, schedule.total, folder, recipe, built=extensions.model is None)
        fit(state, schedule, data, folder, evaluate, guard, callbacks)
        run = broadcast_from_main(partial(folder.result, state))  # also waits for the files of the main process
        callbacks.end(run)
        return run


def _open(
    recipe: Recipe, resume: bool, out: Path | None, device: torch.device, processes: int, extensions: Extensions
) -> TrainingBatches:
    """Check a recipe, and open its training data; their recipe has a number in place of ``batch_size: auto``."""
    if required_training(recipe).batch_size == "auto" and resume:
        stored = zoo.load_recipe(broadcast_from_main(partial(find_folder, recipe, out)) / RECIPE_FILE)
        recipe = recipe_overrides.apply(recipe, {"train.batch_size": required_training(stored).batch_size})
    if is_auto := required_training(recipe).batch_size == "auto":
        check_loggers(required_training(recipe))
        if extensions.model is not None:
            raise UsageError(
                "train.batch_size is auto, which follows from the memory of the network of the recipe, not of a given "
                "model. Set it to a number."
            )
    else:
        check_trainable(recipe, required_training(recipe), processes, extensions.model)
    data = open_training(recipe, device, processes, data=extensions.train_data, augment=extensions.augment)
    if is_auto:
        check_trainable(data.recipe, required_training(data.recipe), processes, extensions.model)
    return data


def _start(
    data: TrainingBatches, model: nn.Module, schedule: Schedule, path: Path, report: str, extensions: Extensions
) -> tuple[TrainingState, RunFolder]:
    """Write the first files of a run folder."""
    recipe, python_data = data.recipe, _description(data, extensions)
    state = initial_state(model, schedule.train_cfg, schedule)
    folder = RunFolder(path, recipe, total=schedule.total, python_arguments=extensions.to_resume)
    if python_data is not None:
        folder.write_text(DATA_FILE, python_data)
    folder.write_text(RECIPE_FILE, dump_yaml(recipe))
    folder.write_text(ENVIRONMENT_FILE, describe_environment())
    folder.write_text(INIT_FROM_FILE, report)
    print_once(report.rstrip())
    print_once(f"run folder: {folder.path}; to resume after an interruption: {folder.how_to_resume}")
    return state, folder


def _resume(
    data: TrainingBatches, model: nn.Module, schedule: Schedule, path: Path, extensions: Extensions
) -> tuple[TrainingState, RunFolder]:
    """Restore the last checkpoint of a run."""
    check_same_recipe(data.recipe, path)
    check_same_data(path, _description(data, extensions))
    state = initial_state(model, schedule.train_cfg, schedule)
    checkpoint.restore_newest(state, path / LAST_FILE)
    print_once(f"{path}: resuming after step {state.step} of {schedule.total}")
    return state, RunFolder(path, data.recipe, state.step, schedule.total, python_arguments=extensions.to_resume)


def _description(data: TrainingBatches, extensions: Extensions) -> str | None:
    """Return the description of a training dataset from Python; None for that of the recipe."""
    return None if extensions.train_data is None else "\n".join(data.training_set.summary()) + "\n"


def plan(
    recipe_or_name: str | Path,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    *,
    out: str | Path | None = None,
    device: str | torch.device = "auto",
    devices: int = 1,
    config: str | Path | None = None,
) -> str:
    """Return the plan of a training: complete recipe, data, schedule, initial weights, memory. Nothing is written.

    Initial weights in a file are loaded; published ones are not fetched. Images are looked for, but not read.

    Args:
        recipe_or_name, overrides, resume, out, device, config: Same as in ``train``.
        devices: Number of processes.

    Raises:
        UsageError, DataError, WeightsError, OutputError: Same conditions as ``train``; or files of the dataset do not
            exist.
    """
    recipe, folder = resolve_training(recipe_or_name, overrides, resume, None if out is None else Path(out), config)
    required_training(recipe)
    check_devices(devices)
    data = _open(recipe, resume, folder, pick_device(device), devices, NO_EXTENSIONS)
    recipe, train_cfg, validation = data.recipe, data.train_cfg, open_validation(data.recipe)
    if resume:
        folder = find_folder(recipe, folder)
        check_same_recipe(recipe, folder)
        start = f"those of the run in {folder}"
    else:
        if folder is not None:
            check_new_folder(folder)
        start = check_initial_weights(recipe)
    return describe(recipe, Schedule(train_cfg, data.steps_per_epoch), data.training_set, validation, start)


def _new_model(recipe: Recipe, seed: int, device: torch.device, own_model: nn.Module | None) -> nn.Module:
    """Seed all random generators, and return the model: the given one, or one with random weights.

    The weights are the same in all processes: of a given model those of the main process.

    Later random numbers, of dropout for example, differ between processes.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    model = (build_model(recipe) if own_model is None else own_model).to(device)
    if own_model is not None:
        broadcast_weights(model)
    set_checkpoint_stages(model, recipe)
    if _uses_sync_bn(recipe):
        convert_sync_batchnorm(model, device)
    if rank():
        torch.manual_seed(seed + rank())
    return model


def _uses_sync_bn(recipe: Recipe) -> bool:
    """Return whether batch normalization is synchronized: by the backbone's norm, or the heads' for a model of timm."""
    backbone = recipe.model.backbone
    if isinstance(backbone, BackboneConfig | HRNetConfig):
        return backbone.norm == "sync_bn"
    return "sync_bn" in {value for key, value in recipe.model if key.endswith("norm")}
