"""Division of sources into shards."""

from pathlib import Path

import pytest

from helpers.scan_data import images, write_files, write_parquet, write_tar
from splitnest.errors import DataError, UsageError
from splitnest.scanning.shard_list import ShardList, write_list
from splitnest.scanning.shards import Shard, Sources, divide
from splitnest.scanning.storage import open_storage


def shards_of(*addresses: object, out: str = "/out", **options: object) -> list[Shard]:
    return list(divide(Sources(tuple(map(str, addresses)), **options), out))  # type: ignore[arg-type]


def test_no_sources() -> None:
    with pytest.raises(UsageError, match="no sources"):
        Sources(())


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no images"):
        shards_of(tmp_path)


def test_a_folder_is_searched_with_its_subfolders(tmp_path: Path) -> None:
    files = {
        "b.png": b"",
        "a/c.jpg": b"",
        "a/.hidden.png": b"",
        "notes.txt": b"",
        "z.tar": b"",
        "out/part.parquet": b"",
    }
    write_files(tmp_path, files)
    first, second = shards_of(tmp_path, out=str(tmp_path / "out"))
    assert (first.kind, first.addresses) == ("tar", (str(tmp_path / "z.tar"),))
    assert (second.kind, second.keys) == ("files", ("b.png", "a/c.jpg"))


def test_shards_of_images_have_a_size(tmp_path: Path) -> None:
    write_files(tmp_path, images(5))
    shards = shards_of(tmp_path, shard_size=2)
    assert [len(shard.keys) for shard in shards] == [2, 2, 1]
    assert [shard.index for shard in shards] == [0, 1, 2]


def test_row_groups_of_parquet_are_joined_up_to_the_size(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"image": [b""] * 10}, rows_in_group=2)
    assert [shard.row_groups for shard in shards_of(path, shard_size=4)] == [(0, 2), (2, 4), (4, 5)]
    assert [shard.row_groups for shard in shards_of(path)] == [(0, 5)]


def test_a_text_file_of_paths(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\ufeff./a.png\n\n# comment\nsub/b.jpg\ns3://bucket/c.png\n")
    (shard,) = shards_of(tmp_path / "list.txt")
    assert shard.keys == ("a.png", "sub/b.jpg", "s3://bucket/c.png")
    assert shard.addresses == (str(tmp_path / "a.png"), str(tmp_path / "sub/b.jpg"), "s3://bucket/c.png")
    (tmp_path / "list.txt").write_text("a.png\nb.docx\n")
    with pytest.raises(DataError, match=r"Line 2 of .*list.txt is b.docx"):
        shards_of(tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("name", "message"), [("absent", "does not exist"), ("notes.md", "neither an image"), ("list.txt", "no images")]
)
def test_other_sources_are_refused(tmp_path: Path, name: str, message: str) -> None:
    write_files(tmp_path, {"notes.md": b"", "list.txt": b"\n"})
    with pytest.raises(DataError, match=message):
        shards_of(tmp_path / name)


def test_a_parquet_file_without_the_column(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"text": ["x"], "number": [1]})
    with pytest.raises(DataError, match="has no column of images that is known by its name; it has text, number"):
        shards_of(path)
    with pytest.raises(DataError, match="has no column picture"):
        shards_of(path, image_column="picture")
    with pytest.raises(DataError, match="has the type int64"):
        shards_of(path, image_column="number")


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"a\.parquet cannot be read"):
        shards_of(tmp_path / "a.parquet")


def test_the_list_of_shards_is_read_back(tmp_path: Path) -> None:
    write_files(tmp_path / "images", images(5))
    tar = write_tar(tmp_path / "z.tar", images(1))
    table = write_parquet(tmp_path / "a.parquet", {"image": [b""] * 3}, rows_in_group=2)
    shards = shards_of(tmp_path / "images", tar, table, shard_size=2)
    storage = open_storage(tmp_path / "out")
    name, count = write_list(iter(shards), storage)
    assert count == len(shards)
    assert [ShardList(storage, name)[index] for index in range(count)] == shards
    assert write_list(iter(shards), storage) == (name, count)
