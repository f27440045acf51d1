"""A service that listens, and requests to it."""

import http.client
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from splitnest.exporting.export import metadata
from splitnest.recipe import Recipe
from splitnest.serving import Limits, app
from splitnest.serving.server import Server, listen
from splitnest.serving.service import Loader, Service


@dataclass(frozen=True)
class Answer:
    """Response of a service."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """Sentence of an error."""
        content = self.json
        assert list(content) == ["error"]
        return str(content["error"])


@dataclass(frozen=True)
class Client:
    """Requests to a service, each on a connection of its own."""

    port: int
    service: Service

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, timeout: float = 60
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def predict(self, image: bytes, query: str = "", content_type: str = "image/png", **headers: str) -> Answer:
        return self.request("POST", f"/predict{query}", image, {"Content-Type": content_type, **headers})

    def values(self) -> dict[str, float]:
        """Return the metrics, without the times at which they were created."""
        lines = self.get("/metrics").body.decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs if "_created" not in name}


@contextmanager
def running(
    models: Mapping[str, Loader], *, limits: Limits | None = None, ready: bool = True, **options: Any
) -> Iterator[Client]:
    """Run a service in a thread, and wait until it is ready."""
    limits = limits or Limits()
    application = app(models, limits=limits, **options)
    listener = listen("127.0.0.1", 0)
    server = Server(application, limits)
    thread = Thread(target=server.serve_on, args=(listener,))
    thread.start()
    try:
        client = Client(listener.getsockname()[1], application.state.service)
        end = monotonic() + 60
        while ready and not client.service.is_ready:
            assert client.service.failure is None, client.service.failure
            assert monotonic() < end, "the service is not ready after 60 s"
            sleep(0.01)
        yield client
    finally:
        server.stop()
        thread.join(60)
        assert not thread.is_alive()


def pixels(seed: int = 0, height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """Return random pixels."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(image: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    """Return the content of an image file; all kinds are lossless but JPEG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return file.getvalue()


def form(content: bytes | None, /, name: str = "image", file_name: str = "a.png", **fields: str) -> tuple[bytes, str]:
    """Return a form with a file and text fields, and its content type."""
    parts = [f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}' for key, value in fields.items()]
    body = "".join(f"{part}\r\n" for part in parts).encode()
    if content is not None:
        disposition = f'Content-Disposition: form-data; name="{name}"; filename="{file_name}"'
        body += f"--x\r\n{disposition}\r\nContent-Type: image/png\r\n\r\n".encode() + content + b"\r\n"
    return body + b"--x--\r\n", "multipart/form-data; boundary=x"


def channel_means(path: Path, recipe: Recipe) -> Path:
    """Write an ONNX file of a classifier of three classes, whose logits are the mean colors of the image."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
    ]
    images, logits = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("images", ["batch", 3, "height", "width"]), ("logits", ["batch", 3]))
    )
    graph = helper.make_graph(nodes, "network", [images], [logits])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    helper.set_model_props(model, metadata(recipe))
    onnx.save(model, path)
    return path
