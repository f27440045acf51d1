"""Errors caused by input or environment. Each message says what is wrong, where, and how to fix it."""

from collections.abc import Sequence
from unicodedata import category

MAX_MESSAGE = 20_000
"""Number of characters of a message; of a longer one the middle is left out."""


class SplitnestError(Exception):
    """Base class of all errors that are not bugs.

    Args:
        message: What is wrong, where, and how to fix it. It may quote files: control characters are escaped.

    Attributes:
        exit_code: Exit code of the command line.
    """

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        if len(message) > MAX_MESSAGE:
            message = f"{message[: MAX_MESSAGE // 2]} [...] {message[-MAX_MESSAGE // 4 :]}"
        super().__init__(printable(message))


class UsageError(SplitnestError):
    """Invalid option, model name or recipe (exit code 2)."""

    exit_code = 2


class DataError(SplitnestError):
    """Unusable image, annotation file or dataset (exit code 3)."""

    exit_code = 3


class WeightsError(SplitnestError):
    """Checkpoint that cannot be fetched or read, or does not fit the model (exit code 4)."""

    exit_code = 4


class DamagedError(WeightsError):
    """Checkpoint whose content does not match its checksum (exit code 4)."""


class OutputError(SplitnestError):
    """Output that cannot be written, as on a full disk or without permission (exit code 5)."""

    exit_code = 5


class Interrupted(SplitnestError):
    """Training that was interrupted by a signal and can be resumed (exit code 75, ``EX_TEMPFAIL``)."""

    exit_code = 75


def printable(text: str) -> str:
    """Return a text of unknown origin with escapes for all but visible characters, blanks and line breaks.

    Control characters can hide a text or change a terminal; lone surrogates, of file names that are not UTF-8, cannot
    be encoded.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c in "\n " or (category(c)[0] in "LMNPSZ" and c not in "\u2028\u2029") else _escaped(c) for c in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode() if character != "\t" else " "


def cannot_read(path: object, error: OSError, expected: str) -> str:
    """Return the reason why a file cannot be opened, and what to do, in two sentences.

    Args:
        path: Path of the file.
        error: Error of the operating system.
        expected: Name of the file's content with its article, such as ``a checkpoint``.
    """
    match error:
        case FileNotFoundError():
            why = f"it does not exist. Check the path of {expected}"
        case NotADirectoryError():
            why = f"a part of its path is a file, not a folder. Check the path of {expected}"
        case IsADirectoryError():
            why = f"it is a folder, and {expected} is a file. Give the path of the file"
        case PermissionError():
            why = "permission is denied. Change the permissions of the file and its folder"
        case _:
            why = f"{error.strerror or error}. Check the path and the disk"
    return f"{path} cannot be read: {why}."


def cannot_write(path: object, error: OSError, unchanged: bool = False) -> str:
    """Return the reason why a file cannot be written, and what to do, in sentences.

    Args:
        path: Path of the file.
        error: Error of the operating system.
        unchanged: Whether a file exists there already, which is kept.
    """
    match error:
        case FileExistsError() | NotADirectoryError():
            fix = "A part of its path is a file: write to another path"
        case IsADirectoryError():
            fix = "There is a folder of that name: write to another path"
        case PermissionError():
            fix = "Change the permissions of the folder, or write to another path"
        case _:
            fix = "Free disk space, or write to another path"
    kept = " The existing file is unchanged." if unchanged else ""
    return f"{path} cannot be written: {error.strerror or error}.{kept} {fix}."


def first_few(names: Sequence[object], most: int = 5) -> str:
    """Return the first of several names for a message, and the number of the others."""
    shown = ", ".join(str(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
