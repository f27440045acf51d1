"""The errors a user can meet. Each message says what is wrong, where, and how to mend it."""

from collections.abc import Sequence


class SplitnestError(Exception):
    """Base of all errors that are the input's fault; ``exit_code`` is what the command line returns."""

    exit_code = 1


class UsageError(SplitnestError):
    """A wrong option, model name or recipe (exit code 2)."""

    exit_code = 2


class DataError(SplitnestError):
    """An image, annotation file or data set that cannot be used (exit code 3)."""

    exit_code = 3


class WeightsError(SplitnestError):
    """A checkpoint that cannot be had, read, or that does not fit the model (exit code 4)."""

    exit_code = 4


class DamagedError(WeightsError):
    """A checkpoint whose content is not what was written (exit code 4)."""


class Interrupted(SplitnestError):
    """A training that was told to stop, and can go on from its checkpoint (exit code 75, ``EX_TEMPFAIL``)."""

    exit_code = 75


def first_few(names: Sequence[object], most: int = 5) -> str:
    """Return the first of many names for a message, and how many more there are."""
    shown = ", ".join(str(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
