"""Text of files in messages."""

import pytest

from splitnest.errors import MAX_MESSAGE_CHARACTERS, printable


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
        ("a\udcffb", r"a\udcffb"),
        ("a\u2028b", r"a\u2028b"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(printable(text)) == shown


def test_long_text_keeps_its_ends() -> None:
    shown = printable("begin" + "x" * 1_000_000 + "end")
    assert len(shown) < MAX_MESSAGE_CHARACTERS + 50
    assert shown.startswith("begin")
    assert shown.endswith("end")
    assert "characters more" in shown
