"""Guard of a training: signals, dead data loading workers, and exhausted memory."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from splitnest.data.loading.workers import plain_worker_errors
from splitnest.distributed import all_reduce_max, world_size
from splitnest.errors import Interrupted, SplitnestError
from splitnest.recipe import Recipe
from splitnest.training.out_of_memory import plain_memory_errors
from splitnest.training.run_folder import RunFolder
from splitnest.training.signals import SignalHandler
from splitnest.training.state import TrainingState


class Guard:
    """Context of a training loop that turns signals and system failures into errors a user can act on.

    Args:
        state: State of the training.
        total: Number of steps of the training.
        folder: Run folder.
        recipe: Recipe of the training.
        built: Whether the model is that of the recipe, by which its memory is estimated.

    Attributes:
        built: Same as the argument.
    """

    def __init__(
        self, state: TrainingState, total: int, folder: RunFolder, recipe: Recipe, *, built: bool = True
    ) -> None:
        self._state, self._total, self._folder, self._recipe = state, total, folder, recipe
        self.built = built
        self._first_step = state.step
        self._signals = SignalHandler()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(plain_memory_errors(self._recipe, self._state.device, built=self.built))
        self._stack.enter_context(self._signals)
        self._stack.enter_context(plain_worker_errors())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, traceback)

    def is_interrupted(self) -> bool:
        """Return whether a signal was received by this process or another one; collective."""
        return all_reduce_max(int(self._signals.received is not None)) != [0]

    def interruption(self) -> Interrupted:
        """Return the error to raise after the checkpoint was written."""
        return Interrupted(
            f"Interrupted by {self._signals.name} after step {self._state.step} of {self._total}. Resume with: "
            f"{self._folder.how_to_resume}"
        )

    @contextmanager
    def saving_on_error(self) -> Iterator[None]:
        """Write a checkpoint if data loading or an evaluation inside the context fails or is aborted.

        Writing is collective. If only one of several processes failed, the previous checkpoint remains the last.
        """
        try:
            yield
        except SplitnestError as error:
            if self._state.step > self._first_step and (world_size() == 1 or isinstance(error, Interrupted)):
                self._folder.save_last(self._state)
            raise

    @contextmanager
    def abortable(self) -> Iterator[None]:
        """Abort at once on a signal inside this context, for work that can be redone, such as evaluation. Collective.

        In a process group the work is finished, as no process may leave the others.

        Raises:
            Interrupted: A signal was received before or inside the context.
        """
        if self.is_interrupted():
            raise self.interruption()
        with self._signals.raising(world_size() == 1):
            try:
                yield
            except KeyboardInterrupt:
                if self._signals.received is None:
                    raise
                raise self.interruption() from None
