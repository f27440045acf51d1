"""Downloads from a local server that fails in every way a server can."""

import hashlib
import multiprocessing
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from splitnest.errors import OutputError, WeightsError
from splitnest.recipe import Weights
from splitnest.weights import download
from splitnest.weights.fetch import fetch, file_name, weights_folder

CONTENT, OTHER = (save({"a": torch.full((2**20,), value, dtype=torch.uint8)}) for value in (1, 2))
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "model-528c19ca.pth"


@dataclass
class Server:
    """Behavior of the server, and the requests that it received.

    Attributes:
        status: Status code of every response.
        drops: Number of bytes after which each response in turn is cut off.
        heeds_range: Whether a Range request is answered with a part.
        claims: Number of bytes that Content-Length and Content-Range claim beyond the end of the file.
        etag: Entity tag of the file.
        content_type: Content type of the response.
        paths, ranges, validators: Path, Range header and If-Range header of each request.
    """

    url: str = ""
    content: bytes = CONTENT
    status: int = 200
    drops: list[int] = field(default_factory=list)
    heeds_range: bool = True
    claims: int = 0
    etag: str | None = '"one"'
    content_type: str = "application/octet-stream"
    paths: list[str] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    validators: list[str | None] = field(default_factory=list)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.paths.append(self.path)
            server.ranges.append(self.headers["Range"])
            server.validators.append(self.headers["If-Range"])
            if server.status != 200:
                self.send_error(server.status)
                return
            start = self._start()
            if start and start >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.end_headers()
                return
            body, size = server.content[start:], len(server.content) + server.claims
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.send_header("Content-Length", str(len(body) + server.claims))
            self.send_header("Content-Type", server.content_type)
            if server.etag:
                self.send_header("ETag", server.etag)
            self.end_headers()
            self.wfile.write(body[: server.drops.pop(0)] if server.drops else body)

        def _start(self) -> int:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
            changed = self.headers["If-Range"] not in (None, server.etag)
            return int(asked[1]) if asked and server.heeds_range and not changed else 0

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def serve() -> Iterator[Callable[[], Server]]:
    running = []

    def start() -> Server:
        server = Server()
        http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        server.url = f"http://127.0.0.1:{http.server_port}"
        running.append(http)
        return server

    yield start
    for http in running:
        http.shutdown()
        http.server_close()


@pytest.fixture
def server(serve: Callable[[], Server]) -> Server:
    return serve()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPLITNEST_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SPLITNEST_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "RETRY_DELAY", 0.0)
    return tmp_path / "home" / "weights"


def weights(server: Server, sha256: str | None = SHA256[:8], mirrors: tuple[str, ...] = ()) -> Weights:
    return Weights(url=f"{server.url}/weights/{NAME}", sha256=sha256, mirrors=mirrors)


def visible_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


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


def test_file_placed_by_hand(server: Server, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(CONTENT)
    assert fetch(weights(server)) == folder / NAME
    assert server.paths == []


def message(entry: Weights, error: type[Exception] = WeightsError) -> str:
    with pytest.raises(error) as caught:
        fetch(entry)
    return str(caught.value)


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


def test_refused_connection(server: Server) -> None:
    server.url = "http://127.0.0.1:9"
    assert "Connection refused" in message(weights(server))


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://localhost/a.pth", "/a.pth"])
def test_other_url_schemes(url: str) -> None:
    assert "only http and https" in message(Weights(url=url, sha256=None))


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


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/o/r/releases/download/v1/resnest50-528c19ca.pth", "resnest50-528c19ca.pth"),
        ("https://host/a%2Bb/backbone%2Bhead_1x-20289c16.pth?x=1#y", "backbone+head_1x-20289c16.pth"),
        (
            "https://huggingface.co/timm/resnest14d.gluon_in1k/resolve/main/model.safetensors",
            "resnest14d.gluon_in1k.safetensors",
        ),
    ],
)
def test_file_names(url: str, name: str) -> None:
    assert file_name(url) == name


@pytest.mark.parametrize(
    "address",
    ["", "/", "/..", "/%2e%2e", "/.x", "/a%2fb/..", "/a%5cb", "/a%00b", "/a%0ab", f"/{'a' * 300}", "/resolve/%2e%2e"],
)
def test_names_that_are_not_plain(address: str) -> None:
    with pytest.raises(WeightsError, match="does not end in a file name"):
        file_name(f"https://host{address}")


@pytest.mark.parametrize("address", ["/resolve/x.suffix", "/a/resolve/main/x.suffix", "/%2e%2e%2f%2e%2e%2fx.pth"])
def test_names_are_one_part(address: str) -> None:
    name = file_name(f"https://host{address}")
    assert Path(name).parts == (name,)
    assert not Path(name).is_absolute()


def test_published_files_do_not_share_a_name() -> None:
    from splitnest import zoo

    names = [file_name(zoo.published(name).url) for name in zoo.TASK_OF]
    assert len(set(names)) == len(names)


def test_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPLITNEST_HOME", "~/nests")
    assert weights_folder() == Path.home() / "nests" / "weights"
    monkeypatch.delenv("SPLITNEST_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights_folder() == tmp_path / "splitnest" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights_folder() == Path.home() / ".cache" / "splitnest" / "weights"


def test_several_processes_download_once(server: Server) -> None:
    server.drops = [100_000]
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        paths = pool.map(fetch, [weights(server)] * 3, chunksize=1)
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert server.ranges == [None, "bytes=100000-"]
