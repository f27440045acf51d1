"""Steps with a non-finite loss or gradient: they stop a training, or a limited number of them is skipped."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from splitnest.distributed import gather_to_main, is_main_process
from splitnest.errors import DataError, tell
from splitnest.recipe import Training
from splitnest.structures.batch import Batch
from splitnest.training.run_folder import RunFolder
from splitnest.training.state import TrainingState


class NotFinite(Exception):
    """Loss or gradient that is infinite or NaN; the step was not taken."""


@contextmanager
def skipping_not_finite(
    state: TrainingState, train_cfg: Training, lr: float, parts: Sequence[Batch], folder: RunFolder
) -> Iterator[None]:
    """Skip the step inside the context if it raises ``NotFinite``, or stop the training after too many.

    A skipped step leaves the model unchanged, the statistics of batch normalization included, and counts as a step of
    the schedule.

    Args:
        state: State before the step.
        train_cfg: Section ``train`` of the recipe.
        lr: Learning rate of the step.
        parts: Batch of the step.
        folder: Run folder.

    Raises:
        DataError: The step is not finite, and ``max_skipped_steps`` steps have been skipped.
    """
    buffers = list(state.model.buffers()) if state.skipped < train_cfg.max_skipped_steps else []
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    except NotFinite as error:
        what = f"a value is not finite: {error}; learning rate {lr:.4g}; images {_names(parts)}"
        if state.skipped >= train_cfg.max_skipped_steps:
            raise DataError(_explain(what, state, folder)) from error
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)
        state.skipped += 1
        if is_main_process():
            limit = train_cfg.max_skipped_steps
            text = f"step {state.step} is skipped ({state.skipped} of {limit}): {what}"
            tell(text)
            folder.warn(text)
        state.scheduler.step()
        state.step += 1


def format_values(values: Mapping[str, float]) -> str:
    """Return names and values as text."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def _names(parts: Sequence[Batch]) -> str:
    own = [name for part in parts for name in part.names or ["(no name)"] * len(part)]
    return ", ".join(name for names in gather_to_main(own) for name in names)


def _explain(what: str, state: TrainingState, folder: RunFolder) -> str:
    skipped = f" {state.skipped} steps were skipped before." if state.skipped else ""
    last = f"The last checkpoint is {folder.last}." if folder.last.exists() else "There is no checkpoint yet."
    return (
        f"Training stopped at step {state.step}: {what}.{skipped} {last} Lower train.lr, lengthen the warm-up, set "
        f"train.clip_grad_norm, check the images, or allow such steps (train.max_skipped_steps)."
    )
