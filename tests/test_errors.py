"""Messages of errors: reasons of the operating system, and text of unknown origin."""

import errno
import os
import pickle
from pathlib import Path

import pytest

from splitnest.errors import DataError, OutputError, UsageError, cannot_read, cannot_write, printable


@pytest.mark.parametrize("text", ["", "plain", "two\nlines", "é 蛇 яблоко 💥 a\u00a0b\u3000c"])
def test_visible_text_is_unchanged(text: str) -> None:
    assert printable(text) == text
    assert str(UsageError(text)) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb\x00c\x7f\x9b", "a\\rb\\x00c\\x7f\\x9b"),
        ("a\tb", "a b"),
        ("\udce9.jpg", "\\udce9.jpg"),  # a file name that is not UTF-8
        ("\u202egpj.exe\u2028", "\\u202egpj.exe\\u2028"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    error = DataError(text)
    assert str(error) == shown
    assert str(pickle.loads(pickle.dumps(error))) == shown  # as from a worker process
    shown.encode()


def test_long_message_keeps_both_ends() -> None:
    message = str(DataError(f"first {'x' * 10**6} last"))
    assert len(message) < 20_000
    assert message.startswith("first x")
    assert message.endswith("x last")


def test_reasons_of_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, reason in (
        ("absent", "it does not exist. Check the path of a list."),
        (".", "it is a folder, and a list is a file. Give the path of the file."),
        ("file/x", "a part of its path is a file, not a folder. Check the path of a list."),
    ):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - its message is the subject
            (tmp_path / name).read_bytes()
        assert cannot_read(name, caught.value, "a list") == f"{name} cannot be read: {reason}"
    denied = PermissionError(errno.EACCES, "Permission denied")
    assert cannot_read("a", denied, "a list") == (
        "a cannot be read: permission is denied. Change the permissions of the file and its folder."
    )
    broken = OSError(errno.EIO, os.strerror(errno.EIO))
    assert cannot_read("a", broken, "a list") == "a cannot be read: Input/output error. Check the path and the disk."


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.ENOSPC, "Free disk space, or write to another path."),
        (errno.ENOTDIR, "A part of its path is a file: write to another path."),
        (errno.EISDIR, "There is a folder of that name: write to another path."),
        (errno.EACCES, "Change the permissions of the folder, or write to another path."),
    ],
)
def test_reasons_of_files_that_cannot_be_written(number: int, fix: str) -> None:
    error = OSError(number, os.strerror(number))
    assert cannot_write("a", error) == f"a cannot be written: {os.strerror(number)}. {fix}"
    kept = f"a cannot be written: {os.strerror(number)}. The existing file is unchanged. {fix}"
    assert cannot_write("a", error, unchanged=True) == kept
    assert OutputError.exit_code == 5
