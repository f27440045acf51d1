"""Recipe of a training, and checks before it starts or is resumed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from splitnest import zoo
from splitnest.distributed import (
    print_once,
)
from splitnest.errors import UsageError
from splitnest.files import versions
from splitnest.inference.resolve import CHECKPOINT_SUFFIXES, complete, read_recipe
from splitnest.recipe import BackboneConfig, HRNetConfig, Recipe, Training
from splitnest.recipe import overrides as recipe_overrides
from splitnest.tasks import task_of
from splitnest.training.loggers.open import check_loggers
from splitnest.training.run_folder import (
    DATA_FILE,
    LAST_FILE,
    RECIPE_FILE,
)

CHANGEABLE = {
    "data.root",
    "train.workers",
    "train.loggers",
    "train.patience",
    "train.evaluate_every",
    "train.save_every",
    "train.keep_checkpoints",
    "train.max_skipped_steps",
    "train.max_corrupt_fraction",
}
"""Keys that may change when a training is resumed: the state of its checkpoint does not depend on them."""


def resolve_training(
    recipe_or_name: str | Path,
    overrides: Mapping[str, Any] | None,
    resume: bool,
    out: Path | None,
    config: str | Path | None,
) -> tuple[Recipe, Path | None]:
    """Return the complete recipe, and the run folder if it is known.

    Raises:
        UsageError: There is no such recipe or run, an override is not valid, or the model is published without a
            training that splitnest has.
    """
    folder = _run_of(Path(recipe_or_name)) if resume else None
    if folder is not None:
        recipe_or_name, out = folder / RECIPE_FILE, out or folder
    recipe, own_weights = read_recipe(recipe_or_name, config)
    if own_weights is not None and resume and out is None:
        raise UsageError(
            f"{own_weights} is not in the folder of a run, so there is none to resume. Give the folder (--out), or "
            f"start a new run with the checkpoint (without --resume)."
        )
    if own_weights is not None and recipe.train is not None:
        recipe = recipe_overrides.apply(recipe, {"train.init_from": str(own_weights)})
    recipe = recipe_overrides.apply(recipe, overrides or {})
    if recipe.train is None and (reason := zoo.untrained(recipe.name)):
        raise UsageError(
            f"The recipe {recipe.name} has no section 'train': in its upstream training, {reason}. Add a section, or "
            f"use another base."
        )
    return complete(recipe), out


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


def check_trainable(recipe: Recipe, train_cfg: Training, processes: int, own_model: nn.Module | None) -> None:
    """Raise a UsageError for loggers, a batch size or frozen stages with which a number of processes cannot train."""
    check_loggers(train_cfg)
    images = train_cfg.num_images // train_cfg.accumulate // processes
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
    if isinstance(backbone, BackboneConfig | HRNetConfig) and backbone.frozen_stages and train_cfg.init_from is None:
        raise UsageError(
            f"model.backbone.frozen_stages is {backbone.frozen_stages}, but random weights cannot be frozen. Set "
            f"train.init_from to a checkpoint or a model, or model.backbone.frozen_stages=0."
        )


def check_same_recipe(recipe: Recipe, folder: Path) -> None:
    """Raise a UsageError if the recipe of a run differs from the one to resume it with."""
    before, now = (dict(_leaves(r.model_dump())) for r in (zoo.load_recipe(folder / RECIPE_FILE), recipe))
    for key in before.keys() | now.keys():
        if key not in CHANGEABLE and before.get(key) != now.get(key):
            raise UsageError(
                f"The run in {folder} was started with {key} {before.get(key)}, not {now.get(key)}. Resume it with its "
                f"own {RECIPE_FILE}, or start a new run."
            )


def check_same_data(folder: Path, python_data: str | None) -> None:
    """Raise a UsageError if the training dataset from Python is not that of the run; None stands for none."""
    file = folder / DATA_FILE
    before = file.read_text(encoding="utf-8") if file.is_file() else None
    if before == python_data:
        return
    descriptions = ["that of the recipe" if each is None else each.splitlines()[0] for each in (before, python_data)]
    raise UsageError(
        f"The run in {folder} was started with other training data: {descriptions[0]}, now {descriptions[1]}. Resume "
        f"it with the same train_data."
    )


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
