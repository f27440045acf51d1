"""Steps whose loss or gradient is not finite: they stop a training, or some of them are skipped."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from splitnest.batch import Batch
from splitnest.errors import DataError
from splitnest.processes import gathered, is_first
from splitnest.recipe import Training
from splitnest.training.run import RunFolder
from splitnest.training.state import TrainingState


class NotFinite(Exception):
    """A loss or the gradient is infinite or no number. The step was not taken."""


@contextmanager
def skipping(
    state: TrainingState, facts: Training, rate: float, parts: Sequence[Batch], folder: RunFolder
) -> Iterator[None]:
    """Take a step inside, which stops the training or is skipped when it is not finite.

    A step that is skipped leaves the model as it was, the statistics of batch normalisation included, and counts as a
    step of the schedule.

    Args:
        state: Before the step.
        facts: Of the recipe.
        rate: Learning rate of the step.
        parts: Of its batch.
        folder: Of the run.

    Raises:
        DataError: The step is not finite, and ``skip_not_finite`` steps have been skipped already.
    """
    buffers = list(state.model.buffers()) if state.skipped < facts.skip_not_finite else []
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    except NotFinite as error:
        what = f"not everything is finite: {error}; learning rate {rate:.4g}; images {_names(parts)}"
        if state.skipped >= facts.skip_not_finite:
            raise DataError(_explain(what, state, folder)) from error
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)
        state.skipped += 1
        if is_first():
            print(f"step {state.step} is skipped ({state.skipped} of {facts.skip_not_finite}): {what}", file=sys.stderr)
        state.scheduler.step()
        state.step += 1


def listed(values: Mapping[str, float]) -> str:
    """Return names and values for a message."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def _names(parts: Sequence[Batch]) -> str:
    own = [name for part in parts for name in part.names or ["(no name)"] * len(part)]
    return ", ".join(name for names in gathered(own) for name in names)


def _explain(what: str, state: TrainingState, folder: RunFolder) -> str:
    """Say what was not finite, and what there is to go on from."""
    skipped = f" {state.skipped} steps before it were skipped." if state.skipped else ""
    good = f"The last good checkpoint is {folder.last}." if folder.last.exists() else "There is no checkpoint yet."
    return (
        f"Training stopped at step {state.step}, where {what}.{skipped} {good} Lower train.learning_rate, raise "
        f"train.warmup_steps, set train.clip_norm, check the images, or let such steps be skipped "
        f"(train.skip_not_finite)."
    )
