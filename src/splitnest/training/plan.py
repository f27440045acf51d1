"""What a training would do, in words."""

import textwrap

from splitnest.data.classification_training import ClassificationTrainingSet
from splitnest.data.coco import CocoDetection
from splitnest.data.pose_training import PoseTrainingSet
from splitnest.data.semantic_training import SemanticTrainingSet
from splitnest.data.training_set import TrainingSet
from splitnest.errors import DataError, first_few
from splitnest.evaluation.model import Measured
from splitnest.recipe import Recipe, overrides
from splitnest.training.memory import estimate
from splitnest.training.schedule import Schedule


def describe(
    recipe: Recipe,
    schedule: Schedule,
    training_set: ClassificationTrainingSet | TrainingSet | SemanticTrainingSet | PoseTrainingSet,
    validation: Measured | None,
) -> str:
    """Return the recipe, the data, the schedule and the memory of a training.

    Raises:
        DataError: Photographs are missing.
    """
    parts = {
        "recipe": overrides.dump_yaml(recipe).rstrip(),
        "data": describe_data(training_set, validation),
        "schedule": describe_schedule(schedule),
        "start": schedule.facts.start or "random weights",
        "memory of a step at the largest input": str(estimate(recipe, schedule.facts)),
    }
    return "\n\n".join(f"{title}\n{textwrap.indent(text, '  ')}" for title, text in parts.items())


def describe_data(
    training_set: ClassificationTrainingSet | TrainingSet | SemanticTrainingSet | PoseTrainingSet,
    validation: Measured | None,
) -> str:
    """Return what is trained and evaluated on. Photographs are looked for, but not read.

    Raises:
        DataError: Photographs are missing.
    """
    dataset = training_set.dataset
    lines = [f"training: {dataset.source}: {len(training_set)} of {len(dataset)} photographs"]
    if isinstance(training_set, PoseTrainingSet):
        people = f"{len(training_set)} of {len(training_set.dataset.file.ids)} people"
        lines = [f"training: {dataset.source}: {people} in {len(dataset)} photographs"]
    if isinstance(training_set, TrainingSet):
        file, oddities = training_set.dataset.file, training_set.dataset.oddities
        lines[0] += f" with {training_set.num_instances} of {len(file.ids)} annotations"
        lines += [f"  left out: {count} {what}" for what, count in training_set.left_out.items()]
        lines += [f"  odd: {len(rows)} annotations: {what}" for what, rows in oddities.items() if len(rows)]
    if validation is None:
        lines.append("validation: none")
    else:
        lines.append(f"validation: {validation.source}: {len(validation)} photographs")
    for opened in (dataset, validation):
        if isinstance(opened, CocoDetection) and (missing := opened.check_files()):
            raise DataError(f"Files that {opened.source} tells of are missing: {first_few(missing)}. Check the paths.")
    return "\n".join(lines)


def describe_schedule(schedule: Schedule) -> str:
    """Return steps, epochs, and the learning rate where it changes."""
    facts, total = schedule.facts, schedule.total
    key_steps = sorted({0, schedule.warmup_steps, *schedule.milestones, total // 2, total - 1})
    rates = ", ".join(f"{schedule.rate(step):.4g} at step {step}" for step in key_steps if step < total)
    due = [done for done in range(1, total + 1) if schedule.evaluates(done)]
    first = f"first after step {due[0]}, " if len(due) > 1 else ""
    lines = [
        f"{total} steps of {facts.batch_size} images"
        + (f" in {facts.accumulate} parts" if facts.accumulate > 1 else "")
        + f", {schedule.epoch(total):.4g} epochs of {schedule.steps_per_epoch} steps",
        f"{facts.optimizer}, learning rate {rates}",
        f"evaluations: {len(due)}, {first}last after step {total}",
    ]
    if schedule.warmup_steps >= total:
        lines.append(f"note: the training ends before its warm-up of {schedule.warmup_steps} steps does")
    if late := [step for step in schedule.milestones if step >= total]:
        lines.append(f"note: the training ends before the milestones at {', '.join(map(str, late))} steps")
    return "\n".join(lines)
