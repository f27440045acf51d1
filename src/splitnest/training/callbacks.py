"""Callbacks of a training: code of the user that is called with rows, evaluations and the end."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from splitnest.distributed import is_main_process
from splitnest.errors import UsageError, UserCodeError, code_name, tell
from splitnest.training.checkpoint import get_random_states, set_random_states
from splitnest.training.run_folder import Run


class Callback:
    """Base class of callbacks. Each method does nothing unless a subclass overrides it.

    Callbacks are called in the main process, and have no influence on the random numbers of the training.
    """

    def on_row(self, row: Mapping[str, float]) -> None:
        """Take a row of ``metrics.csv`` after it was written: ``step``, ``epoch``, losses, metrics, times."""

    def on_evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of an evaluation after ``step`` steps, from 0 to 1; the first selects the best model."""

    def on_end(self, run: Run | None) -> None:
        """Take the finished run; None for a training that ends with an error or a signal."""


RowFunction = Callable[[Mapping[str, float]], object]
"""Function of a row, which stands for a callback with ``on_row`` alone."""


class Callbacks:
    """Callbacks in the order in which they are called; without effect outside of the main process.

    Args:
        callbacks: Callbacks, or functions of a row.

    Raises:
        UsageError: One of them is neither.
    """

    def __init__(self, callbacks: Sequence[Callback | RowFunction] = ()) -> None:
        self._callbacks = [_as_callback(each) for each in callbacks]

    def preceded_by(self, loggers: Sequence[Callback]) -> "Callbacks":
        """Return loggers followed by these callbacks."""
        return Callbacks([*loggers, *self._callbacks])

    def row(self, row: Mapping[str, float]) -> None:
        """Call ``on_row``.

        Raises:
            UserCodeError: A callback raises an exception.
        """
        for callback in self._called():
            with _naming(callback, f"in on_row after step {row['step']}"):
                callback.on_row(dict(row))

    def evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Call ``on_evaluation``.

        Raises:
            UserCodeError: A callback raises an exception.
        """
        for callback in self._called():
            with _naming(callback, f"in on_evaluation after step {step}"):
                callback.on_evaluation(step, dict(metrics))

    def end(self, run: Run) -> None:
        """Call ``on_end`` of all callbacks, also if one of them raises an exception.

        Raises:
            UserCodeError: A callback raises an exception; the first one is raised.
        """
        errors = []
        for callback in self._called():
            try:
                with _naming(callback, f"in on_end; the training is finished, its checkpoint is {run.last}"):
                    callback.on_end(run)
            except UserCodeError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    @contextmanager
    def ending_on_error(self) -> Iterator[None]:
        """Call ``on_end`` with None if the training inside the context ends with an exception, which remains."""
        try:
            yield
        except BaseException:
            for callback in self._called():
                try:
                    with _naming(callback, "in on_end"):
                        callback.on_end(None)
                except UserCodeError as error:
                    tell(f"note: {error}")
            raise

    def _called(self) -> list[Callback]:
        return self._callbacks if is_main_process() else []


def _as_callback(callback: Callback | RowFunction) -> Callback:
    if isinstance(callback, type):
        raise UsageError(f"callbacks has the class {callback.__name__}. Give an object of it: {callback.__name__}().")
    if isinstance(callback, Callback):
        return callback
    if callable(callback):
        return _OnRow(callback)
    raise UsageError(
        f"callbacks has an object of the type {type(callback).__name__}. Give functions of a row, or objects of a "
        f"subclass of splitnest.Callback."
    )


class _OnRow(Callback):
    """Function of a row as a callback."""

    def __init__(self, function: RowFunction) -> None:
        self.function = function

    def on_row(self, row: Mapping[str, float]) -> None:
        """Call the function."""
        self.function(row)


def _name(callback: Callback) -> str:
    return code_name(callback.function if isinstance(callback, _OnRow) else type(callback))


@contextmanager
def _naming(callback: Callback, where: str) -> Iterator[None]:
    """Restore the random states after a call of a callback, and name the callback in its exceptions."""
    states = get_random_states()
    try:
        yield
    except Exception as error:
        raise UserCodeError.of(f"callback {_name(callback)}", where, error, "Correct it and resume.") from error
    finally:
        set_random_states(states)
