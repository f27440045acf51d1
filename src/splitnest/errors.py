"""Errors caused by input or environment. Each message says what is wrong, where, and how to fix it."""

import sys
from collections.abc import Sequence
from typing import Self
from unicodedata import category


class SplitnestError(Exception):
    """Base class of all errors that are not bugs.

    Attributes:
        exit_code: Exit code of the command line.
    """

    exit_code = 1


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


class NotFiniteError(WeightsError):
    """Checkpoint whose weights hold NaN or infinity (exit code 4)."""


class OutputError(SplitnestError):
    """Output that cannot be written, as on a full disk or without permission (exit code 5)."""

    exit_code = 5


class UserCodeError(SplitnestError):
    """Callback, logger, metric or augmentation of the user that raised an exception or returned something else than it
    should (exit code 1).
    """

    @classmethod
    def of(cls, what: str, where: str, error: Exception, fix: str = "Correct it.") -> Self:
        """Return the error for code of the user that raised an exception.

        Args:
            what: Kind and name of the code, such as ``callback Best``.
            where: Part of the work in which it was called, as the end of a sentence.
            error: Exception.
            fix: Sentence of the message on how to correct the code; unused for errors of this package, which have one.
        """
        if isinstance(error, SplitnestError):
            return cls(f"The {what} failed {where}: {error}")
        text = f"{type(error).__name__}: {error}".rstrip(": .")
        return cls(f"The {what} failed {where}: {text}. {fix}")


class Interrupted(SplitnestError):
    """Training that was interrupted by a signal and can be resumed (exit code 75, ``EX_TEMPFAIL``)."""

    exit_code = 75


def code_name(code: object) -> str:
    """Return the name of a function, or the class name of another callable, for messages."""
    return str(getattr(code, "__qualname__", None) or type(code).__name__)


def cannot_read(path: object, error: OSError | ValueError, expected: str) -> str:
    """Return the reason why a file cannot be opened, and what to do, in two sentences.

    Args:
        path: Path of the file.
        error: Error of the operating system, or of a path that it does not accept.
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
            why = f"{getattr(error, 'strerror', None) or error}. Check the path and the disk"
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
    """Return the first of several names for a message, each in one line, and the number of the others."""
    shown = ", ".join(map(printable, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


MAX_MESSAGE_CHARACTERS = 20_000
"""Maximum length of a message, of which the beginning and the end are shown: files contain names of any length."""


def printable(text: object) -> str:
    """Return text as a single line that a terminal shows as it is.

    Names from files may contain control characters and escape sequences, which move the cursor, or forge other lines.
    """
    shown = _decoded(_shortened(str(text)))
    if shown.isprintable():
        return shown
    return "".join(c if _is_plain(c) else c.encode("unicode_escape").decode() for c in shown)


def _shortened(text: str) -> str:
    if len(text) <= MAX_MESSAGE_CHARACTERS:
        return text
    half = MAX_MESSAGE_CHARACTERS // 2
    return f"{text[:half]} [{len(text) - 2 * half} characters more] {text[-half:]}"


def _decoded(text: str) -> str:
    """Return text with bytes that the locale could not decode (PEP 383) as UTF-8, or as ``\\xNN``."""
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # surrogates that stand for no byte
        return text
    return raw.decode("utf-8", "backslashreplace")


def _is_plain(character: str) -> bool:
    """Return whether a character shows itself only: also spaces of any width, and the joiners of Indic scripts."""
    return character.isprintable() or category(character) == "Zs" or character in "\u200c\u200d"


def tell(message: object) -> None:
    """Print a note or an error on standard error.

    Lines after the first, such as those of a list, are indented, so that a name from a file cannot forge a message.
    """
    lines = map(printable, _shortened(str(message)).split("\n"))
    print("\n  ".join(lines), file=sys.stderr, flush=True)
