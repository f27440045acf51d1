"""Downloads from a local server that fails in every way a server can."""

from pathlib import Path

import pytest

from helpers.weights_server import CONTENT, NAME, OTHER, SHA256, Server, message, visible_files, weights
from splitnest.recipe import Weights
from splitnest.weights import download
from splitnest.weights.fetch import fetch

pytestmark = pytest.mark.usefixtures("folder")


def test_bar_on_a_terminal(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then assumes a terminal
    fetch(weights(server))
    printed = capsys.readouterr().err
    assert NAME in printed
    assert "1.0/1.0 MB" in printed


@pytest.mark.parametrize("sha256", [None, SHA256[:8]])
def test_dropped_connection_is_resumed(server: Server, sha256: str | None) -> None:
    server.drops = [300_000, 0, 500_000]
    assert fetch(weights(server, sha256)).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=300000-", "bytes=800000-"]
    assert server.validators == [None, '"one"', '"one"', '"one"']


def test_weak_validators_are_not_sent(server: Server) -> None:
    server.etag, server.drops = 'W/"one"', [300_000]
    assert fetch(weights(server)).read_bytes() == CONTENT
    assert server.validators == [None, None]


def test_file_that_changes_during_the_download(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.drops = [300_000]

    def change(seconds: float) -> None:
        server.content, server.etag = OTHER, '"two"'

    monkeypatch.setattr(download.time, "sleep", change)
    assert fetch(weights(server, None)).read_bytes() == OTHER


def test_server_that_ignores_ranges(server: Server) -> None:
    server.drops, server.heeds_range = [300_000], False
    assert fetch(weights(server)).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]


def test_part_of_an_earlier_run(server: Server, folder: Path) -> None:
    folder.mkdir(parents=True)
    part = folder / f"{NAME}.part"
    part.write_bytes(CONTENT[:1000])
    assert fetch(weights(server)).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]


def test_part_that_is_the_whole_file(server: Server, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / f"{NAME}.part").write_bytes(CONTENT)
    assert fetch(weights(server)).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


def test_part_that_is_longer_than_the_file(server: Server, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / f"{NAME}.part").write_bytes(CONTENT + b"more")
    assert fetch(weights(server)).read_bytes() == CONTENT


def test_part_of_an_unknown_file_is_not_used_without_a_hash(server: Server, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / f"{NAME}.part").write_bytes(b"other")
    assert fetch(weights(server, None)).read_bytes() == CONTENT
    assert server.ranges == [None]


@pytest.mark.parametrize(("status", "words"), [(404, "404 Not Found"), (403, "403 Forbidden"), (500, "500 ")])
def test_server_refuses(server: Server, folder: Path, status: int, words: str) -> None:
    server.status = status
    text = message(weights(server))
    for part in (f"{server.url}/weights/{NAME}", words, str(folder / NAME), SHA256[:8]):
        assert part in text
    assert len(server.paths) == 1  # only lost connections are tried again
    assert visible_files(folder) == []


def test_empty_file(server: Server, folder: Path) -> None:
    server.content = b""
    assert "an empty file" in message(weights(server, None))
    assert visible_files(folder) == []


def test_web_page_in_place_of_the_file(server: Server, folder: Path) -> None:
    server.content_type = "text/html; charset=utf-8"
    assert "a web page" in message(weights(server, None))
    assert visible_files(folder) == []


def test_connection_that_is_lost_repeatedly(server: Server, folder: Path) -> None:
    server.drops = [1000, 500, *[0] * download.MAX_STALLS]
    assert f"lost after 1500 of {len(CONTENT)} bytes" in message(weights(server))
    assert (folder / f"{NAME}.part").read_bytes() == CONTENT[:1500]  # for the next download
    assert len(server.paths) == 2 + download.MAX_STALLS


@pytest.mark.parametrize("cut", [300_000, None])
def test_download_that_would_go_round_for_ever(server: Server, cut: int | None) -> None:
    """The server ignores the range, and cuts the file at the same place each time, or claims that it is longer."""
    server.heeds_range = False
    if cut is None:
        server.claims = 1000
    else:
        server.drops = [cut] * 100
    assert f"lost after {cut or len(CONTENT)} of {len(CONTENT) + server.claims} bytes" in message(weights(server))
    assert len(server.paths) == 1 + download.MAX_STALLS


def test_file_that_is_claimed_to_be_longer(server: Server) -> None:
    """The server says what it really is when it is asked for the rest."""
    server.claims = 1000
    assert fetch(weights(server)).read_bytes() == CONTENT


def test_size_limit(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", len(CONTENT) - 1)
    assert "the file is larger than" in message(weights(server))
    assert not (folder / NAME).exists()


def test_time_limit(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_SECONDS", 0.0)
    assert "takes longer than 0 seconds" in message(weights(server))


def test_refused_connection(server: Server) -> None:
    server.url = "http://127.0.0.1:9"
    assert "Connection refused" in message(weights(server))


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://localhost/a.pth", "/a.pth"])
def test_other_url_schemes(url: str) -> None:
    assert "only http and https" in message(Weights(url=url, sha256=None))
