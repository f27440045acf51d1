"""Text of files in messages, and reasons of the operating system."""

import errno
import os
from pathlib import Path

import pytest

from splitnest.errors import MAX_MESSAGE_CHARACTERS, OutputError, cannot_read, cannot_write, first_few, printable, tell


@pytest.mark.parametrize("text", ["", "a b", "ü 蛇 яблоко 🍎", "می‌خواهم", "全角　間"])
def test_text_of_any_script_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\u202eb\u2066", r"a\u202eb\u2066"),
        ("a\udcffb", r"a\xffb"),
        ("\ud800", r"\ud800"),
        ("a\u2028b", r"a\u2028b"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(printable(text)) == shown


def test_lines_after_the_first_are_indented(capsys: pytest.CaptureFixture[str]) -> None:
    tell("error: two faults:\na\n\x1b[2Jerror: b")
    assert capsys.readouterr().err == "error: two faults:\n  a\n  \\x1b[2Jerror: b\n"
    assert first_few(["a\nb", "c", 3], 2) == r"a\nb, c and 1 more"


def test_long_text_keeps_its_ends() -> None:
    shown = printable("begin" + "x" * 1_000_000 + "end")
    assert len(shown) < MAX_MESSAGE_CHARACTERS + 50
    assert shown.startswith("begin")
    assert shown.endswith("end")
    assert "characters more" in shown


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
