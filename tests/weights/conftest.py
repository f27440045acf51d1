"""A server of weights and an empty cache; containers of checkpoints."""

import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from helpers.checkpoint_files import CONTAINERS, Save
from helpers.weights_server import Server, handler
from splitnest.weights import download


@pytest.fixture
def serve(folder: Path) -> Iterator[Callable[[], Server]]:
    """Return a function that starts a server on this machine."""
    running = []

    def start() -> Server:
        server = Server()
        http = ThreadingHTTPServer(("127.0.0.1", 0), handler(server))
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
    """Return a running server."""
    return serve()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the cache, which is empty."""
    monkeypatch.setenv("SPLITNEST_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SPLITNEST_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "RETRY_DELAY", 0.0)
    return tmp_path / "home" / "weights"


@pytest.fixture(params=CONTAINERS)
def save(request: pytest.FixtureRequest) -> Save:
    """Return a function that saves a checkpoint, in each container."""
    return CONTAINERS[request.param]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a file that does not exist."""
    return tmp_path / "file"  # only the content counts, so it has no suffix
