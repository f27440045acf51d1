"""Hostile and broken requests: each gets a status with a plain sentence, and the service lives."""

import json
import re
import socket
import struct
import zlib
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Any

import pytest

from helpers.service import Client, encoded, form, pixels, running
from splitnest.inference.predictor import Predictor
from splitnest.serving import server
from splitnest.serving.limits import Limits

PNG = encoded(pixels())


@pytest.fixture(autouse=True)
def _lives(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "client" in request.fixturenames:
        assert request.getfixturevalue("client").predict(PNG).status == 200
        assert request.getfixturevalue("client").values()["splitnest_images_in_process"] == 0


def exchange(client: Client, *blocks: bytes, pause: float = 0) -> tuple[int, Any]:
    """Send raw bytes, and return the status and the JSON of the answer; 0 if the connection was closed instead."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        try:
            for block in blocks:
                connection.sendall(block)
                sleep(pause)
        except OSError:
            pass
        received = b""
        try:
            while not is_complete(received) and (block := connection.recv(65536)):
                received += block
        except ConnectionResetError:
            pass
    if not received:
        return 0, None
    head, _, body = received.partition(b"\r\n\r\n")
    is_json = b"application/json" in head
    return int(head.split()[1]), json.loads(body) if is_json else body


def is_complete(received: bytes) -> bool:
    """Return whether a response has all bytes of its Content-Length."""
    head, found, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return bool(found) and length is not None and len(body) >= int(length[1])


def head(*lines: str, path: str = "/predict") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", "Content-Type: image/png", *lines, "", ""]).encode()


def test_declared_body_of_1_gb(client: Client) -> None:
    status, content = exchange(client, head(f"Content-Length: {10**9}"))
    assert (status, content) == (413, {"error": "The body is larger than 32 MB. Send a smaller image."})


def test_streamed_body_of_1_gb(client: Client) -> None:
    block = b"%x\r\n" % 10**6 + bytes(10**6) + b"\r\n"
    status, content = exchange(client, head("Transfer-Encoding: chunked"), *[block] * 1000)
    assert (status, content) == (413, {"error": "The body is larger than 32 MB. Send a smaller image."})
    assert client.service._held_bytes == 0


def test_slow_body(detector: Predictor) -> None:
    with running({"small": detector}, limits=Limits(body_s=0.2)) as client:
        start = monotonic()
        status, content = exchange(client, head("Content-Length: 1000"), *[b"x"] * 10, pause=0.05)
        assert (status, content) == (408, {"error": "The body did not arrive within 0.2 s. Send it again."})
        assert monotonic() - start < 10
        assert client.predict(PNG).status == 200


def test_slow_headers(detector: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADERS_S", 0.2)
    with running({"small": detector}) as client:
        assert exchange(client, b"POST /predict HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 10, pause=0.05) == (0, None)
        assert exchange(client) == (0, None)
        answered = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        assert exchange(client, answered, b"GET / HTTP/1.1\r\n", pause=0.1)[0] == 200  # and then nothing more
        assert client.predict(PNG).status == 200


def test_header_floods(client: Client) -> None:
    assert exchange(client, head(*[f"X-{number}: {'y' * 60}" for number in range(2000)]))[0] in (400, 431)
    status, _ = exchange(client, head(f"X-Long: {'y' * 40_000}", "Content-Length: 0"))
    assert status in (400, 431)
    slow = exchange(client, head()[:-2], *[b"X-Long: " + b"y" * 8000 + b"\r\n"] * 8, pause=0.01)
    assert slow[0] in (0, 400)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG file that says to be large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (bomb(60_000, 60_000), "could be decompression bomb"),
        (bomb(20_000, 20_000), "The image has 20000 x 20000 pixels, more than 64 million."),
        (bomb(9_000, 9_000), "The image has 9000 x 9000 pixels, more than 64 million."),
        (PNG[:-200], "cannot be read as an image"),
        (b"GIF89a" + bytes(100), "cannot be read as an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "The service reads JPEG, PNG and WebP."),
        (b"/etc/passwd", "unknown image format"),
        (b"https://example.org/a.jpg", "unknown image format"),
        (b"", "The body is empty. Send an image: paths and URLs are not read."),
    ],
    ids=range(9),
)
def test_bodies_that_are_no_image(client: Client, image: bytes, message: str) -> None:
    answer = client.predict(image)
    assert answer.status == 400
    assert message in answer.error


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/json", "image/gif"])
def test_wrong_content_type(client: Client, kind: str) -> None:
    answer = client.predict(PNG, content_type=kind)
    assert answer.status == 415
    assert f"The Content-Type is {kind}. Send image/jpeg" in answer.error


def test_compressed_body(client: Client) -> None:
    answer = client.predict(zlib.compress(bytes(10**6)), **{"Content-Encoding": "deflate"})
    assert answer.status == 415
    assert "Content-Encoding" in answer.error


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/a.png", "a\\..\\b", "é.png"]
)
def test_names_of_files_have_no_meaning(client: Client, detector: Predictor, name: str) -> None:
    body, content_type = form(PNG, file_name=name)
    answer = client.predict(body, content_type=content_type)
    assert answer.json["result"] == detector.predict([pixels()])[0].to_dict()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (form(None, image="/etc/passwd")[0], "The form has no file. Send the content of an image as a file: paths"),
        (form(None, image="http://127.0.0.1/a.png")[0], "paths and URLs are not read"),
        (form(PNG, path="/etc/passwd")[0], "There is no parameter 'path'"),
        (form(PNG, model="../small")[0], "There is no model '../small'. The models are small."),
        (form(b"")[0], "The file of the form is empty"),
        (form(PNG)[0].replace(b"--x--\r\n", b"") + form(PNG)[0], "Too many files"),
        (form(None, **{f"f{number}": "1" for number in range(100)})[0], "Too many fields"),
        (form(None, score="9" * 5000)[0], "The form cannot be read"),
        (b"no form at all", "The form cannot be read"),
        (b"", "The form has no file"),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n", "The form cannot be read"),
    ],
)
def test_broken_forms(client: Client, body: bytes, message: str) -> None:
    answer = client.predict(body, content_type="multipart/form-data; boundary=x")
    assert answer.status in (400, 404)
    assert message in answer.error


def test_form_without_boundary(client: Client) -> None:
    answer = client.predict(form(PNG)[0], content_type="multipart/form-data")
    assert answer.status == 400
    assert "The form cannot be read" in answer.error


def test_unknown_paths_methods_and_models(client: Client) -> None:
    assert client.get("/etc/passwd").error == "There is no /etc/passwd. See /docs."
    assert client.get("/..%2f..%2fetc/passwd").status == 404
    answer = client.get("/predict")
    assert (answer.status, answer.error) == (405, "/predict is requested by POST, not GET. See /docs.")
    answer = client.predict(PNG, "?model=large")
    assert (answer.status, answer.error) == (404, "There is no model 'large'. The models are small.")
    assert client.get("/model?model=large").status == 404
    assert client.request("POST", "/v2/models/%2e%2e/infer", b"{}").status == 404


def test_requests_that_are_no_http(client: Client) -> None:
    assert exchange(client, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100))[0] == 400
    assert exchange(client, b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n")[0] == 400
    both = head("Content-Length: 5", "Transfer-Encoding: chunked")
    assert exchange(client, both, b"0\r\n\r\n")[0] in (0, 400)
    upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert exchange(client, upgrade, pause=0)[0] == 200


def test_client_that_leaves_while_it_sends(client: Client) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", client.port)) as connection:
            connection.sendall(head("Content-Length: 1000") + b"x" * 10)


def test_token(detector: Predictor) -> None:
    with running({"small": detector}, token="secret") as client:
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "secret"},
            {"Authorization": "Bearer é"},
        ):
            answer = client.predict(PNG, **headers)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.error == "The token is missing or wrong. Send the header 'Authorization: Bearer TOKEN'."
        for path in ("/model", "/metrics", "/v2", "/v2/models/small"):
            assert client.get(path).status == 401
        for path in ("/", "/docs", "/openapi.json", "/health/ready", "/v2/health/ready"):
            assert client.get(path).status == 200
        assert client.predict(PNG, Authorization="Bearer secret").status == 200
