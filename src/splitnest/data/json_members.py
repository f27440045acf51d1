"""Reading a large JSON object piece by piece: neither its text nor all of its values are in memory at once."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

PIECE = 1 << 20
"""Characters that are read at a time."""

_BLANKS = re.compile(r"[ \t\n\r]*")
_BEHIND_VALUES = frozenset(",]}: \t\n\r")


def read_members(file: TextIO, elements: Mapping[str, Callable[[int, Any], Any]]) -> Any:
    """Return the value of a JSON text.

    Args:
        file: Of the text.
        elements: Key of the outermost object -> what is called with the index and the value of each element, if there
            is a list under that key. What it returns takes the element's place.

    Raises:
        ValueError: It is not valid JSON, or not UTF-8.
        RecursionError: It is nested too deeply.
    """
    text = _Text(file)
    is_object = text.next() == "{"
    value = {key: _member(text, elements.get(key)) for key in _keys(text)} if is_object else text.value()
    if text.next():
        raise text.error("Extra data")
    return value


def _keys(text: "_Text") -> Iterator[str]:
    """Yield the keys of the object that comes next; the values are to be taken in between."""
    for _ in text.items("{", "}"):
        if text.next() != '"':
            raise text.error("Expecting property name enclosed in double quotes")
        key = text.value()
        text.take(":")
        yield key


def _member(text: "_Text", convert: Callable[[int, Any], Any] | None) -> Any:
    if text.next() != "[":
        return text.value()
    if convert is None:
        return [text.value() for _ in text.items("[", "]")]
    return [convert(index, text.value()) for index in text.items("[", "]")]


class _Text:
    """A window that moves over a text."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._window, self._place = file, "", 0
        self._line, self._column = 1, 1  # of the window's begin
        self._decode = json.JSONDecoder().raw_decode

    def next(self) -> str:
        """Go to the next character that is not blank, and return it; an empty string at the end."""
        while True:
            found = _BLANKS.match(self._window, self._place)
            assert found is not None  # it matches nothing at all, too
            self._place = found.end()
            if self._place < len(self._window):
                return self._window[self._place]
            if not self._read_on():
                return ""

    def take(self, character: str) -> None:
        """Pass over this character, which comes next."""
        if self.next() != character:
            raise self.error(f"Expecting {character!r} delimiter")
        self._place += 1

    def items(self, opening: str, closing: str) -> Iterator[int]:
        """Yield the index of each item of what comes next; the items are to be taken in between."""
        self.take(opening)
        if self.next() != closing:
            index = 0
            yield index
            while self.next() == ",":
                self._place += 1
                index += 1
                yield index
        if self.next() != closing:
            raise self.error("Expecting ',' delimiter")
        self._place += 1

    def value(self) -> Any:
        """Take the value that comes next."""
        self.next()
        while True:
            place = self._place
            try:
                value, end = self._decode(self._window, place)
            except json.JSONDecodeError as error:
                if not self._read_on():
                    raise self.error(error.msg, error.pos - place) from error
                continue
            if self._window[end : end + 1] in _BEHIND_VALUES or not self._read_on():  # else a number may go on
                self._place += end - place
                return value

    def error(self, message: str, place: int | None = None) -> ValueError:
        """Return an error that names the line and the column."""
        self._forget(self._place if place is None else place)
        return ValueError(f"{message}: line {self._line} column {self._column}")

    def _read_on(self) -> bool:
        """Forget what was taken and read at least as much as is left; False at the end."""
        self._forget(self._place)
        more = self._file.read(max(PIECE, len(self._window)))
        self._window += more
        return bool(more)

    def _forget(self, place: int) -> None:
        if lines := self._window.count("\n", 0, place):
            self._line, self._column = self._line + lines, place - self._window.rindex("\n", 0, place)
        else:
            self._column += place
        self._window, self._place = self._window[place:], 0
