"""HTTP interface of the Hugging Face Hub, as far as a push and a pull need it, in this process."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

COMMIT = "0" * 40


@dataclass
class Hub:
    """State of the hub.

    Attributes:
        url: Address.
        files: Repository -> path -> content.
        status: Status of every answer, in place of the usual one.
        downloads: Paths that were downloaded.
        tokens: Values of the header Authorization.
    """

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    status: int | None = None
    downloads: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    """Return the request handler of a hub."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, content: bytes, status: int = 200, **headers: str) -> None:
            self.send_response(hub.status or status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def answer_json(self, content: Any) -> None:
            self.answer(json.dumps(content).encode(), Content_Type="application/json")

        def do_POST(self) -> None:
            hub.tokens.add(self.headers["Authorization"])
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            path = urlsplit(self.path).path
            if path == "/api/repos/create":
                asked = json.loads(body)
                name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
                hub.files.setdefault(name, {})
                self.answer_json({"url": f"{hub.url}/{name}", "name": name})
            elif path == "/api/validate-yaml":
                self.answer_json({"errors": [], "warnings": []})
            elif "/preupload/" in path:
                files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                         for file in json.loads(body)["files"]]  # fmt: skip
                self.answer_json({"files": files})
            elif "/commit/" in path:
                name = path.removeprefix("/api/models/").partition("/commit/")[0]
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        hub.files[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                url = f"{hub.url}/{name}/commit/{COMMIT}"
                self.answer_json({"success": True, "commitOid": COMMIT, "commitUrl": url, "hookOutput": ""})
            else:
                self.answer(b"", 404)

        def do_GET(self) -> None:
            hub.tokens.add(self.headers["Authorization"])
            path = urlsplit(self.path).path.strip("/")
            name, _, file = path.partition("/resolve/main/")
            if path.startswith("api/models/"):
                self.answer_json({"id": path.split("/", 2)[2], "sha": COMMIT, "siblings": []})
            elif name not in hub.files:
                self.answer(b"", 404, X_Error_Code="RepoNotFound")
            elif file not in hub.files[name]:
                self.answer(b"", 404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
            else:
                content = hub.files[name][file]
                if self.command == "GET":
                    hub.downloads.append(file)
                etag = f'"{hashlib.sha256(content).hexdigest()}"'
                self.answer(content, ETag=etag, X_Repo_Commit=COMMIT, Content_Type="application/octet-stream")

        do_HEAD = do_GET

    return Handler


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Run a hub on this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    yield hub
    server.shutdown()
    server.server_close()
