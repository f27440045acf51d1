"""Images of tar files, Parquet files and folders, whole and damaged."""

from pathlib import Path
from typing import Any

import pytest

from helpers.scan_data import encoded, images, write_files, write_parquet, write_tar
from splitnest.errors import DataError
from splitnest.scanning.encoded import CUT_SHORT, read_shard
from splitnest.scanning.shards import Shard


def read(shard: Shard, **columns: Any) -> list[tuple[str, object]]:
    """Return the key and the bytes, or the message, of each image."""
    found: list[tuple[str, object]] = []
    for image in read_shard(shard, **columns):
        try:
            found.append((image.key, image.read()))
        except DataError as error:
            found.append((image.key, str(error)))
    return found


def tar(path: Path) -> Shard:
    return Shard(0, "tar", (str(path),))


def test_an_empty_tar(tmp_path: Path) -> None:
    assert read(tar(write_tar(tmp_path / "a.tar", {}))) == []


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz")])
def test_members_that_are_images_are_read(tmp_path: Path, name: str, mode: str) -> None:
    files = {"./a.png": b"1", "a.json": b"{}", "b/c.JPG": b"22", "._a.png": b"x", "../../up.png": b"3"}
    found = read(tar(write_tar(tmp_path / name, files, mode)))
    assert found == [("a.png", b"1"), ("b/c.JPG", b"22"), ("../../up.png", b"3")]


def test_a_tar_that_is_cut_short_anywhere(tmp_path: Path) -> None:
    files = images(3)
    content = write_tar(tmp_path / "a.tar", files).read_bytes()
    path = tmp_path / "cut.tar"
    end = content.rstrip(b"\0")
    for length in [*range(0, len(end), 611), len(end) // 512 * 512 + 512]:
        path.write_bytes(content[:length])
        found = read(tar(path))
        *whole, (_, message) = found
        assert whole == list(files.items())[: len(whole)]
        assert CUT_SHORT in str(message), length


def test_a_tar_with_a_damaged_header(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", images(2))
    content = bytearray(path.read_bytes())
    second = content.index(b"000001.png")
    content[second : second + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    (key, _), (_, message) = read(tar(path))
    assert key == "000000.png"
    assert CUT_SHORT in str(message)


def test_an_absent_tar_is_an_unreadable_image(tmp_path: Path) -> None:
    ((key, message),) = read(tar(tmp_path / "a.tar"))
    assert key == "a.tar"
    assert "does not exist" in str(message)


def test_files(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.png": b"1"})
    paths = (str(tmp_path / "a.png"), str(tmp_path / "b.png"), "zip::s3://x/y.png", str(tmp_path))
    found = read(Shard(0, "files", paths, ("a", "b", "c", "d")))
    assert found[0] == ("a", b"1")
    assert "b.png cannot be read: No such file" in str(found[1])
    assert "the protocol is unknown" in str(found[2])
    assert "directory" in str(found[3])


def test_parquet_with_bytes_and_paths(tmp_path: Path) -> None:
    one, two = encoded(1), encoded(2)
    write_files(tmp_path, {"2.png": two})
    path = tmp_path / "a.parquet"

    def rows(**columns: Any) -> list[tuple[str, object]]:
        write_parquet(path, columns, rows_in_group=1)
        return read(Shard(0, "parquet", (str(path),), (), (0, 2)))

    assert rows(image=[one, None]) == [("a.parquet:0", one), ("a.parquet:1", "Row a.parquet:1 has no image.")]
    assert rows(image=[one, two], id=[7, 8]) == [("7", one), ("8", two)]
    assert rows(path=["2.png", "2.png"], key=["x", "y"]) == [("x", two), ("y", two)]
    structs = [{"bytes": one, "path": "1.png"}, {"bytes": None, "path": "2.png"}]
    assert rows(image=structs) == [("1.png", one), ("2.png", two)]
    assert read(Shard(0, "parquet", (str(path),), (), (1, 2))) == [("2.png", two)]


def test_a_parquet_file_that_was_cut_since(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"image": [encoded(n) for n in range(20)]})
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"a\.parquet cannot be read"):
        read(Shard(0, "parquet", (str(path),), (), (0, 5)))
