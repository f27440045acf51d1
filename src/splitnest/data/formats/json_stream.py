"""Streaming JSON parser, which holds neither the whole text nor all list elements in memory."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

CHUNK_SIZE = 1 << 20
"""Number of characters that are read at a time."""

_WHITESPACE = re.compile(r"[ \t\n\r]*")
_VALUE_ENDS = frozenset(",]}: \t\n\r")


def read_json(
    file: TextIO, converters: Mapping[str, Callable[[int, Any], Any]], element: Callable[[int, Any], Any] | None = None
) -> Any:
    """Parse a JSON file, and convert the elements of top-level lists as they are read.

    Args:
        file: JSON file.
        converters: Key of the top-level object -> function that is called with index and value of each list element;
            its return value replaces the element. Other values are not converted.
        element: Same as a converter, for a file that is a list.

    Returns:
        Parsed and converted content.

    Raises:
        ValueError: The file is not valid JSON or not valid UTF-8.
        RecursionError: The content is nested too deeply.
    """
    tokens = _Tokenizer(file)
    is_object = tokens.peek() == "{"
    value = (
        {key: _member(tokens, converters.get(key)) for key in _keys(tokens)} if is_object else _member(tokens, element)
    )
    if tokens.peek():
        raise tokens.error("Extra data")
    return value


def _keys(tokens: "_Tokenizer") -> Iterator[str]:
    """Yield the keys of the next object. The caller consumes each value in between."""
    for _ in tokens.items("{", "}"):
        if tokens.peek() != '"':
            raise tokens.error("Expecting property name enclosed in double quotes")
        key = tokens.value()
        tokens.consume(":")
        yield key


def _member(tokens: "_Tokenizer", convert: Callable[[int, Any], Any] | None) -> Any:
    if tokens.peek() != "[":
        return tokens.value()
    if convert is None:
        return [tokens.value() for _ in tokens.items("[", "]")]
    return [convert(index, tokens.value()) for index in tokens.items("[", "]")]


class _Tokenizer:
    """JSON tokenizer with a sliding window over a file."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._window, self._position = file, "", 0
        self._line, self._column = 1, 1  # of the first character in the window
        self._decode = json.JSONDecoder().raw_decode

    def peek(self) -> str:
        """Skip whitespace, and return the next character without consuming it; an empty string at the end."""
        while True:
            match = _WHITESPACE.match(self._window, self._position)
            assert match is not None  # the pattern matches an empty string
            self._position = match.end()
            if self._position < len(self._window):
                return self._window[self._position]
            if not self._read_on():
                return ""

    def consume(self, character: str) -> None:
        """Consume an expected character.

        Raises:
            ValueError: The next character is another one.
        """
        if self.peek() != character:
            raise self.error(f"Expecting {character!r} delimiter")
        self._position += 1

    def items(self, opening: str, closing: str) -> Iterator[int]:
        """Yield the index of each item of the next list or object. The caller consumes each item in between."""
        self.consume(opening)
        if self.peek() != closing:
            index = 0
            yield index
            while self.peek() == ",":
                self._position += 1
                index += 1
                yield index
        if self.peek() != closing:
            raise self.error("Expecting ',' delimiter")
        self._position += 1

    def value(self) -> Any:
        """Consume and return the next value."""
        self.peek()
        while True:
            start = self._position
            try:
                value, end = self._decode(self._window, start)
            except json.JSONDecodeError as error:
                if not self._read_on():
                    raise self.error(error.msg, error.pos - start) from error
                continue
            # At the end of the window a number may be incomplete.
            if self._window[end : end + 1] in _VALUE_ENDS or not self._read_on():
                self._position += end - start
                return value

    def error(self, message: str, position: int | None = None) -> ValueError:
        """Return an error with line and column of a position in the window; None is the current one."""
        self._discard(self._position if position is None else position)
        return ValueError(f"{message}: line {self._line} column {self._column}")

    def _read_on(self) -> bool:
        """Discard consumed text, and read at least as much as is left; return False at the end of the file."""
        self._discard(self._position)
        chunk = self._file.read(max(CHUNK_SIZE, len(self._window)))
        self._window += chunk
        return bool(chunk)

    def _discard(self, count: int) -> None:
        if lines := self._window.count("\n", 0, count):
            self._line, self._column = self._line + lines, count - self._window.rindex("\n", 0, count)
        else:
            self._column += count
        self._window, self._position = self._window[count:], 0
