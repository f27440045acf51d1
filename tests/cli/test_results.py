"""File of results: lines as they come, the same results in the JSON file, and nothing held in memory."""

import json
import tracemalloc
from pathlib import Path

import pytest

from splitnest.cli.results import ResultsFile
from splitnest.errors import UsageError


def test_no_results(tmp_path: Path) -> None:
    with ResultsFile(tmp_path / "new" / "all.json", tmp_path) as results:
        results.check([])
        results.keep("small")
        results.open("small", keep=True)
        results.finish()
    content = json.loads((tmp_path / "new" / "all.json").read_text())
    assert content == {"model": "small", "images": [], "failed": []}
    assert (tmp_path / "new" / "all.jsonl").read_bytes() == b""


def test_json_has_the_rows_of_the_lines(tmp_path: Path) -> None:
    path, model = tmp_path / "all.json", 'a "model"'
    names = ('"error": ', "b\nc", "d")
    rows = [{"file": name, "picture": None, "result": {"error": [1.5, "\u86c7"]}} for name in names]
    with ResultsFile(path, tmp_path) as results:
        results.open(model, keep=False)
        results.add(rows[0])
        results.add_failed("e", "damaged")
        results.add(rows[1])
    assert not path.exists()
    assert path.with_suffix(".jsonl").read_bytes().count(b"\n") == 3
    with ResultsFile(path, tmp_path) as results:
        results.check([])
        results.keep(model)
        results.open(model, keep=True)
        assert tuple(results.done) == names[:2]
        results.add(rows[2])
        results.finish()
        results.check([])
    assert json.loads(path.read_text()) == {"model": model, "images": rows, "failed": []}


@pytest.mark.parametrize("end", [b"", b'{"model": "small", "fi', b"\n", b"\x00\xff\n", b"[" * 100_000 + b"\n", b"5\n"])
def test_lines_that_were_cut_are_dropped(tmp_path: Path, end: bytes) -> None:
    whole = b'{"model": "small", "file": "a", "result": {}}\n'
    (tmp_path / "all.jsonl").write_bytes(whole + end)
    with ResultsFile(tmp_path / "all.jsonl", tmp_path) as results:
        results.check([])
        results.keep("small")
        results.open("small", keep=True)
        assert list(results.done) == ["a"]
    assert (tmp_path / "all.jsonl").read_bytes() == whole


def test_results_of_another_model(tmp_path: Path) -> None:
    (tmp_path / "all.jsonl").write_text('{"model": "small2", "file": "a", "result": {}}\n')
    with ResultsFile(tmp_path / "all.json", tmp_path) as results, pytest.raises(UsageError, match="of small2, not of"):
        results.keep("small")


def test_memory_stays_flat(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        with ResultsFile(tmp_path / "all.json", tmp_path) as results:
            results.open("small", keep=False)
            for number in range(count):
                results.add({"file": str(number), "result": {"mask": "x" * 50_000}})
            results.finish()
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    few, many = peak(10), peak(200)
    assert many < few + 200_000  # 10 MB of results
