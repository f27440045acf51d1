"""From a recipe to a trained model."""

import random
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splitnest.build import build_model
from splitnest.data.training_set import required_training
from splitnest.device import pick_device
from splitnest.errors import UsageError
from splitnest.model import Model
from splitnest.processes import from_first, rank, say, together, world_size
from splitnest.recipe import Recipe, SemanticRecipe, Training
from splitnest.recipe import overrides as recipe_overrides
from splitnest.resolve import completed, read_recipe
from splitnest.training import checkpoint
from splitnest.training.data import Validation, open_training, open_validation
from splitnest.training.distributed import synchronise_norms
from splitnest.training.loop import fit
from splitnest.training.out_of_memory import plain_memory_errors
from splitnest.training.plan import describe, describe_schedule
from splitnest.training.run import Run, RunFolder, environment, find_folder, new_folder
from splitnest.training.schedule import Schedule
from splitnest.training.start import start_weights
from splitnest.training.state import start_state

RECIPE_FILE = "recipe.yaml"

CHANGEABLE = {
    "data.root",
    "train.workers",
    "train.evaluate_every",
    "train.save_every",
    "train.keep",
    "train.skip_not_finite",
    "train.corrupt_share",
}
"""Keys whose value may change when a training is resumed: nothing learnt up to its checkpoint depends on them."""


def train(
    recipe_or_name: str | Path,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    *,
    out: str | Path | None = None,
    device: str | torch.device = "auto",
) -> Run:
    """Train a model by its recipe.

    The folder of the run gets ``recipe.yaml`` (resolved), ``environment.txt``, ``start.txt`` (what became of the
    weights that it started from), ``metrics.csv`` and ``metrics.jsonl``, ``curves.png``, ``predictions.jpg`` (ground
    truth and predictions), and the checkpoints ``last.pt`` and ``best.pt``, which ``load`` takes.

    Args:
        recipe_or_name: A recipe file (.yaml); the name of a published model; a checkpoint of ours, whose recipe is
            taken and whose weights are started from; to resume, also the folder of the run or its ``last.pt``.
        overrides: Values of the recipe by dotted key, such as ``{"data.root": "/data/coco"}``.
        resume: Go on behind the last checkpoint of a run, as if it had never stopped: on the CPU to the last bit.
        out: Folder of the run; None makes one in ``runs``, or resumes the latest one of this recipe there.
        device: ``"auto"`` takes CUDA where there is one, else the CPU.

    Raises:
        UsageError: A wrong recipe, or one that does not say how to train; nothing to resume, or another recipe; a batch
            that memory does not hold.
        DataError: The data cannot be used, or a loss is not finite.
        WeightsError: The weights to start from do not fit, or a checkpoint cannot be read or written.
        Interrupted: SIGTERM or SIGINT came, and the step it came in is done and saved.
    """
    with together():
        return _train(recipe_or_name, overrides, resume, None if out is None else Path(out), device)


def _train(
    recipe_or_name: str | Path,
    overrides: Mapping[str, Any] | None,
    resume: bool,
    out: Path | None,
    device: str | torch.device,
) -> Run:
    recipe, path = _resolve(recipe_or_name, overrides, resume, out)
    facts = required_training(recipe)
    _check_batch(recipe, facts)
    _check_start(recipe, facts)
    data, validation = open_training(recipe), open_validation(recipe)
    schedule = Schedule(facts, data.steps_per_epoch)
    model = _new_model(recipe, facts.seed, pick_device(device))
    if resume:
        path = from_first(partial(find_folder, recipe, path))
        _check_same(recipe, path)
        state = start_state(model, facts, schedule)
        checkpoint.restore_newest(state, path / "last.pt")
        folder = RunFolder(path, recipe, state.step)
        say(f"{path}: going on after step {state.step} of {schedule.total}")
    else:
        own = recipe.data.classes if isinstance(recipe.data.classes, tuple) else None
        origin = start_weights(model, facts.start, own)
        state = start_state(model, facts, schedule)
        folder = RunFolder(from_first(partial(new_folder, recipe, path)), recipe)
        for name, text in (
            (RECIPE_FILE, recipe_overrides.dump_yaml(recipe)),
            ("environment.txt", environment()),
            ("start.txt", origin),
        ):
            folder.text(name, text)
        say(f"{origin}{describe_schedule(schedule)}")
        say(f"run folder: {folder.path}; after a stop go on with: splitnest train {folder.path} --resume")
    evaluate = None
    if validation is not None:
        evaluate = Validation(recipe, validation, facts.workers, folder)
    with plain_memory_errors(recipe, facts, state.device):
        fit(state, schedule, data, folder, evaluate)
    return from_first(partial(folder.result, state))  # its files are whole for all processes


def plan(recipe_or_name: str | Path, overrides: Mapping[str, Any] | None = None) -> str:
    """Return what ``train`` would do: resolved recipe, data, schedule, memory. Weights are neither fetched nor read.

    Args:
        recipe_or_name, overrides: As of ``train``.

    Raises:
        UsageError, DataError: As ``train``; or photographs are missing.
    """
    recipe, _ = _resolve(recipe_or_name, overrides, False, None)
    facts = required_training(recipe)
    _check_batch(recipe, facts)
    _check_start(recipe, facts)
    data, validation = open_training(recipe), open_validation(recipe)
    return describe(recipe, Schedule(facts, data.steps_per_epoch), data.training_set, validation)


def _resolve(
    recipe_or_name: str | Path, overrides: Mapping[str, Any] | None, resume: bool, out: Path | None
) -> tuple[Recipe, Path | None]:
    """Return the recipe, and the folder of the run where it is known."""
    given = Path(recipe_or_name)
    folder = given.parent if given.name == "last.pt" else given
    if resume and (folder / RECIPE_FILE).is_file():
        recipe_or_name, out = folder / RECIPE_FILE, out or folder
    recipe, own_weights = read_recipe(recipe_or_name)
    values = dict(overrides or {})
    if own_weights is not None and recipe.train is not None:
        values = {"train.start": str(own_weights), **values}
    return completed(recipe_overrides.apply(recipe, values)), out


def _new_model(recipe: Recipe, seed: int, device: torch.device) -> Model:
    """Seed all random numbers, and return a model with random weights, the same in all processes.

    What processes draw from then on, for dropout for example, differs.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    model = build_model(recipe).to(device)
    if recipe.model.backbone.norm == "sync_bn":
        synchronise_norms(model, device, world_size())
    if rank():
        torch.manual_seed(seed + rank())
    return model


def _check_batch(recipe: Recipe, facts: Training) -> None:
    """Batch normalisation of maps of 1x1 sees one number a channel and image: of one image it makes nothing."""
    least = facts.batch_size // facts.accumulate // world_size()
    if not least:
        raise UsageError(
            f"train.batch_size {facts.batch_size} in {facts.accumulate} parts leaves less than one image to each of "
            f"{world_size()} processes. Set it to at least {facts.accumulate * world_size()}."
        )
    if least > 1:
        return
    backbone, layers = recipe.model.backbone, {}
    if backbone.radix > 0 and backbone.frozen_stages < 5:
        layers["model.backbone.norm"] = "inside split attention", backbone.norm
    if isinstance(recipe, SemanticRecipe) and recipe.model.head != "fcn":
        layers["model.norm"] = "of pooled maps", recipe.model.norm
    for key, (where, norm) in layers.items():
        if norm in ("bn", "sync_bn"):
            raise UsageError(
                f"train.batch_size leaves one image to each forward pass, of which the batch normalisation {where} has "
                f"no variance. Set train.batch_size to at least twice train.accumulate for each process, or {key}=gn "
                f"or frozen_bn."
            )


def _check_start(recipe: Recipe, facts: Training) -> None:
    """Stages that do not train need weights."""
    frozen = recipe.model.backbone.frozen_stages
    if frozen and facts.start is None:
        raise UsageError(
            f"model.backbone.frozen_stages is {frozen}, so the first stages would keep random weights. Set train.start "
            f"to a checkpoint or a model's name, or model.backbone.frozen_stages=0."
        )


def _check_same(recipe: Recipe, folder: Path) -> None:
    """A resumed training must be the one that was begun."""
    begun, now = (dict(_leaves(r.model_dump())) for r in (recipe_overrides.load_yaml(folder / RECIPE_FILE), recipe))
    for key in begun.keys() | now.keys():
        if key not in CHANGEABLE and begun.get(key) != now.get(key):
            raise UsageError(
                f"The run in {folder} was begun with {key} {begun.get(key)}, not {now.get(key)}. Resume it with the "
                f"recipe that began it (its {RECIPE_FILE}), or begin a new run."
            )


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
