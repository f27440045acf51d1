"""Streaming JSON reader: same values and errors as Python's parser, in little memory."""

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from splitnest.data.formats import json_stream
from splitnest.data.formats.json_stream import read_json

TEXTS = (
    "{}",
    "[]",
    " 12",
    '"a"',
    "null",
    '{"a": []}',
    '{"a": {}, "b": [ ] , "c": "]}"}',
    '{"a": [1, 2.5, -3e2, "x", null, [1, [2]], {"b": {"c": "\\u00e9\\"]"}}], "d": 12345}\n',
    '\n{ "long" :\r\n\t"é 日本 abcdefghijklmnopqrstuvwxyz" , "rows" : [ {"id" : 1} ,\n {"id" : 2} ] }  ',
    '{"a": 1, "a": [2]}',
)


@pytest.fixture(params=[1, 3, 1 << 20])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read this many characters at a time."""
    monkeypatch.setattr(json_stream, "CHUNK_SIZE", request.param)


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize("text", TEXTS)
def test_values_match_json_loads(text: str) -> None:
    assert read_json(io.StringIO(text), {}) == json.loads(text)


@pytest.mark.usefixtures("piece")
def test_elements_of_top_level_lists_are_converted() -> None:
    text = '{"x": [7, 8], "rows": [{"rows": [1]}, 5], "note": "rows"}'
    elements: list[tuple[int, Any]] = []
    value = read_json(io.StringIO(text), {"rows": lambda *item: elements.append(item), "note": lambda *_: 0})
    assert elements == [(0, {"rows": [1]}), (1, 5)]
    assert value == {"x": [7, 8], "rows": [None, None], "note": "rows"}


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value: line 1 column 1"),
        ("{", "Expecting property name .*: line 1 column 2"),
        ('{"a" 1}', "Expecting ':' delimiter: line 1 column 6"),
        ('{"a": 1,}', "Expecting property name .*: line 1 column 9"),
        ('{"a": [1 2]}', "Expecting ',' delimiter: line 1 column 10"),
        ('{\n"a": [\n{"b": 1,\n "c" 2}]}', "Expecting ':' delimiter: line 4 column 6"),
        ('{"a": [{"b": "c', "Unterminated string starting at: line 1 column 14"),
        ('{"a": [1], 2: 3}', "Expecting property name"),
        ('{"a": [1]} x', "Extra data: line 1 column 12"),
        ('{"a": [tru]}', "Expecting value: line 1 column 8"),
    ],
)
def test_errors_give_line_and_column(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_json(io.StringIO(text), {})
    with pytest.raises(ValueError, match=r"."):
        json.loads(text)


def test_text_must_be_utf_8() -> None:
    file = io.TextIOWrapper(io.BytesIO(b'{"a": "\xff"}'), encoding="utf-8")
    with pytest.raises(ValueError, match="utf-8"):
        read_json(file, {})


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "CHUNK_SIZE", 1 << 14)
    path = tmp_path / "large.json"
    path.write_text(json.dumps({"rows": [{"id": number, "numbers": [0.5] * 40} for number in range(2000)]}))
    with path.open(encoding="utf-8") as file:
        tracemalloc.start()
        try:
            value = read_json(file, {"rows": lambda *_: None})
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert value == {"rows": [None] * 2000}
    assert peak < path.stat().st_size / 4
