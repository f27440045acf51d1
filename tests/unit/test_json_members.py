"""JSON that is read piece by piece is what Python's own parser reads."""

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from splitnest.data import json_members
from splitnest.data.json_members import read_members

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
    monkeypatch.setattr(json_members, "PIECE", request.param)


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize("text", TEXTS)
def test_what_json_reads(text: str) -> None:
    assert read_members(io.StringIO(text), {}) == json.loads(text)


@pytest.mark.usefixtures("piece")
def test_elements_are_converted_where_their_list_is() -> None:
    text = '{"x": [7, 8], "rows": [{"rows": [1]}, 5], "note": "rows"}'
    seen: list[tuple[int, Any]] = []
    found = read_members(io.StringIO(text), {"rows": lambda *item: seen.append(item), "note": lambda *_: 0})
    assert seen == [(0, {"rows": [1]}), (1, 5)]
    assert found == {"x": [7, 8], "rows": [None, None], "note": "rows"}


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
def test_what_is_wrong_and_where(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_members(io.StringIO(text), {})
    with pytest.raises(ValueError, match=r"."):
        json.loads(text)


def test_text_that_is_not_utf_8() -> None:
    file = io.TextIOWrapper(io.BytesIO(b'{"a": "\xff"}'), encoding="utf-8")
    with pytest.raises(ValueError, match="utf-8"):
        read_members(file, {})


def test_memory_is_that_of_a_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_members, "PIECE", 1 << 14)
    path = tmp_path / "large.json"
    path.write_text(json.dumps({"rows": [{"id": number, "numbers": [0.5] * 40} for number in range(5000)]}))
    with path.open(encoding="utf-8") as file:
        tracemalloc.start()
        try:
            found = read_members(file, {"rows": lambda *_: None})
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert found == {"rows": [None] * 5000}
    assert peak < path.stat().st_size / 4
