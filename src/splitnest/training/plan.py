"""Plan of a training as text: recipe, data, schedule, initial weights, memory."""

import textwrap

from splitnest.data.dataset import ImageDataset
from splitnest.data.loading.training_loader import TrainingSet
from splitnest.errors import DataError, first_few
from splitnest.recipe import Recipe
from splitnest.recipe.serialization import dump_yaml
from splitnest.training.memory import estimate_memory
from splitnest.training.plausibility import check_plausible
from splitnest.training.schedule import Schedule


def describe(
    recipe: Recipe, schedule: Schedule, training_set: TrainingSet, validation: ImageDataset | None, initial_weights: str
) -> str:
    """Return the plan of a training. Files of the dataset are looked for.

    Args:
        recipe: Complete recipe.
        schedule: Schedule of the training.
        training_set: Training samples.
        validation: Validation dataset; None without one.
        initial_weights: Description of the initial weights.

    Raises:
        DataError: Files of the dataset do not exist, or nothing can be learned from it.
    """
    for dataset in (training_set.dataset, validation):
        if dataset is not None and (missing := dataset.check_files()):
            raise DataError(f"Files of {dataset.source} do not exist: {first_few(missing)}. Check the paths.")
    parts = {
        "recipe": dump_yaml(recipe).rstrip(),
        "data": describe_data(training_set, validation),
        "schedule": describe_schedule(schedule, has_validation=validation is not None),
        "initial weights": initial_weights,
        "memory of a step at the largest input size": str(estimate_memory(recipe)),
    }
    return "\n\n".join(f"{title}\n{textwrap.indent(text, '  ')}" for title, text in parts.items())


def describe_data(training_set: TrainingSet, validation: ImageDataset | None) -> str:
    """Return the training and validation data in lines: numbers, exclusions, and classes without ground truth.

    Raises:
        DataError: Nothing can be learned from the training data.
    """
    first, *others = training_set.summary()
    lines = [f"training: {training_set.dataset.source}: {first}", *others]
    if validation is None:
        lines.append("validation: none")
    else:
        lines.append(f"validation: {validation.source}: {len(validation)} images")
    return "\n".join(lines + [f"note: {note}" for note in check_plausible(training_set, validation)])


def describe_schedule(schedule: Schedule, *, has_validation: bool) -> str:
    """Return the number of steps and epochs, and the learning rate where it changes, in lines."""
    train_cfg, total = schedule.train_cfg, schedule.total
    key_steps = sorted({0, schedule.warmup_steps, *schedule.milestones, total // 2, total - 1})
    rates = ", ".join(f"{schedule.lr(step):.4g} at step {step}" for step in key_steps if step < total)
    first = f"first after step {schedule.first_evaluation}, " if schedule.num_evaluations > 1 else ""
    times = f"{schedule.num_evaluations}, {first}last after step {total}"
    lines = [
        f"{total} steps of {train_cfg.num_images} images"
        + (f" in {train_cfg.accumulate} parts" if train_cfg.accumulate > 1 else "")
        + f", {schedule.epoch(total):.4g} epochs of {schedule.steps_per_epoch} steps",
        f"{train_cfg.optimizer.type}, learning rate {rates}",
        f"evaluations: {times if has_validation else 'none, without a validation set'}",
    ]
    if schedule.warmup_steps >= total:
        lines.append(f"note: the training ends before its warm-up of {schedule.warmup_steps} steps")
    if late := [step for step in schedule.milestones if step >= total]:
        lines.append(f"note: the training ends before the milestones at {', '.join(map(str, late))} steps")
    return "\n".join(lines)
