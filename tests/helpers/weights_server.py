"""Server of one file that fails in every way a server can, and the weights that it publishes."""

import hashlib
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from splitnest.errors import WeightsError
from splitnest.recipe import Weights
from splitnest.weights.fetch import fetch

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


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    """Return the request handler of a server."""

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


def weights(server: Server, sha256: str | None = SHA256[:8], mirrors: tuple[str, ...] = ()) -> Weights:
    """Return the weights that a server publishes."""
    return Weights(url=f"{server.url}/weights/{NAME}", sha256=sha256, mirrors=mirrors)


def visible_files(folder: Path) -> list[str]:
    """Return the names of the files of a folder that are not hidden."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def message(entry: Weights, error: type[Exception] = WeightsError) -> str:
    """Return the message of the error that fetching raises."""
    with pytest.raises(error) as caught:
        fetch(entry)
    return str(caught.value)
