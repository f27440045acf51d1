"""Files of results."""

from pathlib import Path

import pytest

from splitnest.errors import DataError
from splitnest.scanning import part
from splitnest.scanning.columns import error_row, schema_of
from splitnest.scanning.part import Counts, Part, PartWriter, finished_shards, part_index, part_name
from splitnest.scanning.storage import open_storage
from splitnest.structures.categories import from_names


def write(folder: Path, numbers: list[int]) -> None:
    with PartWriter(schema_of("classification", "features", from_names(["a"]))) as writer:
        for number in numbers:
            row = error_row(str(number), "broken") if number % 3 == 0 else {"key": str(number), "features": [1.0] * 9}
            writer.add(number, row)
        writer.finish(open_storage(folder), 5)


def test_an_empty_part(tmp_path: Path) -> None:
    write(tmp_path, [])
    found = Part(open_storage(tmp_path), 5)
    assert found.counts == Counts(0, 0)
    assert list(found.rows()) == []


def test_rows_have_the_order_of_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "BYTES_IN_GROUP", 300)
    write(tmp_path / "one", list(range(20)))
    write(tmp_path / "other", [*range(1, 20, 2), *range(0, 20, 2)])
    one, other = ((tmp_path / name / part_name(5)).read_bytes() for name in ("one", "other"))
    found = Part(open_storage(tmp_path / "other"), 5)
    assert [row["key"] for row in found.rows()] == [str(number) for number in range(20)]
    assert found.counts == Counts(13, 7)
    assert found.table().num_rows == 20
    assert one == other


@pytest.mark.parametrize("kept", [0, 1, 30, 400, -1])
def test_a_part_that_was_cut_short(tmp_path: Path, kept: int) -> None:
    write(tmp_path, list(range(20)))
    path = tmp_path / part_name(5)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"part-00005\.parquet is damaged or cut short .*Delete it, and run the scan"):
        Part(open_storage(tmp_path), 5)


def test_a_part_without_its_counts(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"key": ["a"]}), tmp_path / part_name(5))
    with pytest.raises(DataError, match="damaged"):
        Part(open_storage(tmp_path), 5)


def test_names() -> None:
    assert part_index("part-00017.parquet") == 17
    assert part_index(part_name(123_456)) == 123_456
    assert [part_index(name) for name in ("part-17.parquet", "part-x.parquet", "a.parquet", "part-00017.json")] == [
        None
    ] * 4
    assert finished_shards(["part-00003.parquet", "part-00001.parquet", "_scan.json"], 3) == [1]
