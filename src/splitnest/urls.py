"""Requests over http and https, with limits of time and without redirects to other or less secure schemes."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import IO, Any
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit, urlunsplit

from splitnest._version import __version__

CONNECTION_TIMEOUT_S = 30.0
"""Time in seconds that a server may take to connect, and between two parts of its answer."""

MAX_REASON_CHARACTERS = 200

Response = http.client.HTTPResponse


class RequestError(Exception):
    """Request that failed for good. The argument is the reason as text."""


class LostError(Exception):
    """Lost connection or failure of the server, which can be retried. The argument is the reason as text."""


class Deadline:
    """Time by which requests must be finished. When it is over, their connections are shut down.

    Args:
        seconds: Time from now in seconds.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []

    @property
    def left(self) -> float:
        """Time left in seconds."""
        return self._end - time.monotonic()

    @property
    def reason(self) -> str:
        """Reason of a failure after the end."""
        return f"it takes longer than {self.seconds:.0f} seconds"

    def watch(self, connection: socket.socket) -> None:
        """Shut down a connection at the end."""
        self._sockets.append(connection)

    def end(self) -> None:
        """Shut down all connections, which ends reading from them."""
        for connection in self._sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # closed already
                continue


@contextmanager
def opened(url: str, deadline: Deadline, headers: Mapping[str, str] | None = None) -> Iterator[Response]:
    """Send a GET request, and return the response, to be read inside the context.

    Args:
        url: URL; characters outside ASCII are encoded.
        deadline: Time by which the response must be read.
        headers: Further headers.

    Raises:
        RequestError: The URL is not valid, the server refuses the request, or time is over.
        LostError: The connection was lost, or the server failed (status 5xx).
        HTTPError: Range that the server cannot satisfy (status 416).
    """
    timer = threading.Timer(max(deadline.left, 0), deadline.end)
    timer.daemon = True
    timer.start()
    try:
        with _open(url, deadline, headers or {}) as response:
            if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
                raise RequestError("the server compressed the file, although it was asked not to")
            yield response
    finally:
        timer.cancel()


def _open(url: str, deadline: Deadline, headers: Mapping[str, str]) -> Response:
    sent = {"User-Agent": f"splitnest/{__version__}", "Accept-Encoding": "identity", **headers}
    try:
        response: Response = _opener(deadline).open(
            request.Request(_ascii(url), headers=sent), None, CONNECTION_TIMEOUT_S
        )
    except HTTPError as error:
        if error.code == 416:
            raise
        reason = f"the server returned {error.code} {_shortened(error.reason)}"
        raise (LostError if error.code >= 500 else RequestError)(reason) from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: malformed addresses and answers
        if deadline.left <= 0:
            raise RequestError(deadline.reason) from error
        is_lasting = isinstance(error, ValueError | http.client.InvalidURL)
        raise (RequestError if is_lasting else LostError)(_reason(error)) from error
    return response


def read_blocks(response: Response, size: int, deadline: Deadline) -> Iterator[bytes]:
    """Yield the body of a response in blocks of at most ``size`` bytes, as they arrive.

    Raises:
        RequestError: Time is over.
        LostError: The connection was lost.
    """
    while True:
        try:
            block = response.read1(size)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if deadline.left > 0:
                raise LostError(f"the connection was lost ({_reason(error)})") from error
            block = b""
        if deadline.left <= 0:
            raise RequestError(deadline.reason)
        if not block:
            return
        yield block


def content_length(response: Response) -> int | None:
    """Return the size of the body in bytes; None if the server does not say it.

    Raises:
        RequestError: The header is not a number.
    """
    text = response.headers.get("Content-Length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise RequestError("the server returned a Content-Length that is not a size")
    return int(text)


def _ascii(url: str) -> str:
    """Return a URL in ASCII: the host by IDNA, and other characters by percent encoding.

    Raises:
        ValueError: The URL is malformed.
    """
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("http", "https"):
        raise RequestError("only http and https URLs are supported")
    if not parts.hostname:
        raise RequestError("the URL has no host")
    place = parts.netloc
    if not place.isascii():
        user, at, host = place.rpartition("@")
        name, colon, port = host.partition(":")
        place = f"{quote(user, safe=':%')}{at}{name.encode('idna').decode()}{colon}{port}"
    keep = "%/:=&?~#+!$,;'@()*[]"
    return urlunsplit((parts.scheme, place, quote(parts.path, safe=keep), quote(parts.query, safe=keep), ""))


class _Redirects(request.HTTPRedirectHandler):
    def redirect_request(
        self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> request.Request | None:
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https"):
            raise RequestError("the server redirects to another scheme than http and https")
        if req.type == "https" and scheme == "http":
            raise RequestError("the server redirects from https to http, which is not secure")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Http(request.HTTPHandler):
    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self.deadline = deadline

    def http_open(self, req: request.Request) -> Response:
        return self.do_open(partial(_watched, http.client.HTTPConnection, self.deadline), req)


class _Https(request.HTTPSHandler):
    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self.deadline = deadline

    def https_open(self, req: request.Request) -> Response:
        return self.do_open(partial(_watched, http.client.HTTPSConnection, self.deadline), req)


def _watched(
    kind: type[http.client.HTTPConnection], deadline: Deadline, host: str, **options: Any
) -> http.client.HTTPConnection:
    """Return a connection whose socket is shut down at the deadline."""

    class Watched(kind):  # type: ignore[misc,valid-type]
        def connect(self) -> None:
            super().connect()
            deadline.watch(self.sock)

    return Watched(host, **options)


def _opener(deadline: Deadline) -> request.OpenerDirector:
    """Return an opener for http and https only; Python's default opener also follows redirects to ftp."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        _Http(deadline),
        _Https(deadline),
        _Redirects(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
        request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _reason(error: BaseException) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    return _shortened(getattr(reason, "strerror", None) or str(reason) or type(reason).__name__)


def _shortened(text: object) -> str:
    shown = str(text)
    return shown if len(shown) <= MAX_REASON_CHARACTERS else f"{shown[:MAX_REASON_CHARACTERS]}..."
