"""Requests to servers that answer slowly, oddly or with redirects."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from splitnest import urls
from splitnest.urls import Deadline, LostError, RequestError

Serve = Callable[..., str]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server, which sends parts with a pause after each, and returns its URL."""
    listeners = []

    def answer(connection: socket.socket, parts: list[bytes], pause: float) -> None:
        try:
            connection.recv(65536)
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        except OSError:
            pass
        finally:
            connection.close()

    def accept(listener: socket.socket, parts: list[bytes], pause: float) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except ssl.SSLError:
                continue
            except OSError:
                return
            threading.Thread(target=answer, args=(connection, parts, pause), daemon=True).start()

    def start(*parts: bytes, pause: float = 0.0, context: ssl.SSLContext | None = None) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        if context is not None:
            listener = context.wrap_socket(listener, server_side=True)
        listeners.append(listener)
        threading.Thread(target=accept, args=(listener, list(parts), pause), daemon=True).start()
        return f"{'https' if context else 'http'}://127.0.0.1:{port}"

    yield start
    for listener in listeners:
        listener.close()


def content(url: str, seconds: float = 10.0) -> bytes:
    deadline = Deadline(seconds)
    with urls.opened(url, deadline) as response:
        return b"".join(urls.read_blocks(response, 1000, deadline))


def test_empty_body(serve: Serve) -> None:
    assert content(serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) == b""


@pytest.mark.parametrize(
    "parts",
    [
        [b""] * 50,
        [b"HTTP/1.1 200 OK\r\n", *[b"X-A: b\r\n"] * 50],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b"a"] * 50],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\na\r\n"] * 50],
    ],
    ids=["nothing", "headers", "body", "chunks"],
)
def test_slow_answers_end_at_the_deadline(serve: Serve, parts: list[bytes]) -> None:
    begin = time.monotonic()
    with pytest.raises(RequestError, match="takes longer than 0 seconds"):
        content(serve(*parts, pause=0.1), seconds=0.3)
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed connection without response"),
        (b"nothing of HTTP\r\n\r\n", "nothing of HTTP"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "abc"),
        (b"HTTP/1.1 500 Oops\r\n\r\n", "500 Oops"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "connection was lost"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", ""),
    ],
)
def test_broken_answers_are_lost_connections(serve: Serve, answer: bytes, words: str) -> None:
    if words:
        with pytest.raises(LostError, match=words):
            content(serve(answer))
    else:
        assert content(serve(answer)) == b"abc"  # the size is the caller's to check


@pytest.mark.parametrize(
    "location",
    ["ftp://127.0.0.1", "file:///etc/hostname", "http://[bad", "http://a b/", f"http://{'a' * 70}.b/", "/"],
)
def test_redirects_that_are_not_followed(serve: Serve, location: str) -> None:
    with pytest.raises(RequestError):
        content(serve(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n".encode()))


@pytest.mark.parametrize("url", ["ftp://a/b", "file:///a", "/a", "http://", "http://[b", "http://a:b/", "http://ü..b/"])
def test_addresses_that_are_not_valid(url: str) -> None:
    with pytest.raises(RequestError):
        content(url)


def test_addresses_in_other_scripts(serve: Serve) -> None:
    url = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert content(f"{url}/蛇 a%20b.png?q=ü#part") == b"ok"
    with pytest.raises(LostError):  # a valid name, which does not exist
        content("http://яблоко.invalid/")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
def test_redirect_from_https_to_http_is_refused(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    plain = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    secure = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", context=context)
    redirect = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %s/\r\n\r\n"
    assert content(secure) == b"ok"
    assert content(serve(redirect % secure.encode(), context=context)) == b"ok"
    assert content(serve(redirect % plain.encode())) == b"ok"
    with pytest.raises(RequestError, match="from https to http"):
        content(serve(redirect % plain.encode(), context=context))
