"""Published weights: cached once, verified, and taken from the first source that has them."""

import hashlib
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.weights_server import CONTENT, NAME, OTHER, SHA256, Server, message, visible_files, weights
from splitnest import zoo
from splitnest.errors import OutputError
from splitnest.weights import download
from splitnest.weights.cache import CachedFile, cached_files
from splitnest.weights.fetch import fetch, problem_of, published_weights
from splitnest.zoo.published import PUBLISHED


@pytest.mark.parametrize("sha256", [None, SHA256[:8], SHA256])
def test_fetched_once(server: Server, folder: Path, sha256: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    path = fetch(weights(server, sha256))
    assert path == folder / NAME
    assert path.read_bytes() == CONTENT
    assert visible_files(folder) == [NAME]
    assert fetch(weights(server, sha256)) == path
    assert server.paths == [f"/weights/{NAME}"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == f"{NAME}: 1.0 of 1.0 MB"
    assert len(lines) <= 11


def test_state_of_the_file(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cached_files() == []
    model = "resnest50_imagenet.official"
    row = zoo.published(model)
    monkeypatch.setitem(PUBLISHED, model, row._replace(url=f"{server.url}/{NAME}", sha256=SHA256[:8]))
    entry = published_weights(model)
    assert cached_files() == []
    path = fetch(entry)
    assert cached_files() == [CachedFile(path, len(CONTENT), model, "verified")]
    path.write_bytes(OTHER)
    assert cached_files()[0].state == "unchecked"
    assert "SHA-256" in str(problem_of(path, entry))
    assert cached_files()[0].state == "broken"
    path.write_bytes(CONTENT)
    assert fetch(entry) == path
    assert cached_files()[0].state == "verified"
    for note in folder.glob(".*"):
        note.unlink()
    folder.chmod(0o500)  # a cache that others write
    assert fetch(entry) == path
    folder.chmod(0o700)


def test_file_placed_by_hand(server: Server, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(CONTENT)
    assert fetch(weights(server)) == folder / NAME
    assert server.paths == []


def test_wrong_file_placed_by_hand(server: Server, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(b"other")
    text = message(weights(server))
    assert str(folder / NAME) in text
    assert SHA256[:8] in text
    assert hashlib.sha256(b"other").hexdigest()[:8] in text
    assert (folder / NAME).read_bytes() == b"other"  # the file of the user is kept


def test_wrong_hash(server: Server, folder: Path) -> None:
    text = message(weights(server, "00000000"))
    assert "00000000" in text
    assert SHA256[:8] in text
    assert visible_files(folder) == []


@pytest.mark.parametrize("content", [CONTENT[:-5], b"\x00" * 100])
def test_damaged_file_without_a_hash_is_not_kept(server: Server, folder: Path, content: bytes) -> None:
    server.content = content
    assert "damaged or incomplete" in message(weights(server, None)) or content[0] == 0
    assert visible_files(folder) == []
    server.content = CONTENT
    assert fetch(weights(server, None)).read_bytes() == CONTENT


def test_file_of_another_url_without_a_hash(serve: Callable[[], Server]) -> None:
    one, two = serve(), serve()
    fetch(weights(one, None))
    assert f"it was downloaded from {one.url}" in message(weights(two, None))
    fetch(weights(two, SHA256))


def test_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "home").write_bytes(b"")
    assert "cannot be written" in message(weights(server), OutputError)


def test_mirrors_in_order(serve: Callable[[], Server], monkeypatch: pytest.MonkeyPatch) -> None:
    own, published, first, second = (serve() for _ in range(4))
    own.status, published.status, first.content = 404, 403, b"other"
    monkeypatch.setenv("SPLITNEST_MIRROR", f"{own.url}/base/")
    entry = weights(published, mirrors=(f"{first.url}/a.pth", f"{second.url}/b.pth"))
    path = fetch(entry)
    assert path.name == NAME
    assert path.read_bytes() == CONTENT
    assert [server.paths for server in (own, published, first, second)] == [
        [f"/base/{NAME}"],
        [f"/weights/{NAME}"],
        ["/a.pth"],
        ["/b.pth"],
    ]
    path.unlink()
    second.status = 404
    text = message(entry)
    assert all(part in text for part in (own.url, "403 Forbidden", f"{first.url}/a.pth", "SHA-256", "404 Not Found"))


def test_file_is_not_joined_from_two_servers(serve: Callable[[], Server]) -> None:
    one, two = serve(), serve()
    one.drops = [1000] + [0] * download.MAX_STALLS
    two.content = OTHER
    path = fetch(weights(one, None, mirrors=(f"{two.url}/b.pth",)))
    assert path.read_bytes() == OTHER


def test_several_processes_download_once(server: Server) -> None:
    server.drops = [100_000]
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        paths = pool.map(fetch, [weights(server)] * 3, chunksize=1)
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert server.ranges == [None, "bytes=100000-"]
