"""Download of a file over HTTP, resumed after lost connections."""

import http.client
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from splitnest._version import __version__

MAX_STALLS = 5
"""Maximum number of consecutive attempts that transfer no data."""

RETRY_DELAY = 1.0
"""Seconds before the next attempt."""

TIMEOUT = 30.0
"""Timeout of a connection in seconds."""

BLOCK_SIZE = 1 << 20
"""Number of bytes that are read at a time."""

_Advance = Callable[[int, int | None], None]
"""Progress callback with the number of bytes done and the total, or None if it is unknown."""


class DownloadError(Exception):
    """Failed download. The argument is the reason as text."""


class _LostError(Exception):
    """Lost connection, which can be retried. The argument is the reason as text."""


def download(url: str, part: Path) -> None:
    """Download a file, and resume a partial download.

    A lost connection is retried as long as data arrives. A download that has not received any data fails at once. The
    partial file is kept after an error.

    Args:
        url: URL of the file.
        part: Path of the download; an existing file is taken as its beginning.

    Raises:
        DownloadError: The file cannot be downloaded.
        OSError: ``part`` cannot be written.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError("only http and https URLs are supported")
    transfer = _Transfer(url, part)
    has_begun, stalls = False, 0
    with _progress(part.stem) as advance:
        while True:
            try:
                transfer.run(advance)
                return
            except _LostError as error:
                has_begun, stalls = has_begun or transfer.received > 0, 0 if transfer.received else stalls + 1
                if not has_begun or stalls == MAX_STALLS:
                    raise DownloadError(str(error)) from error
            time.sleep(RETRY_DELAY)


class _Transfer:
    """Transfer of one file over several requests.

    Args:
        url: URL of the file.
        part: Path of the download.

    Attributes:
        received: Number of bytes that the last request transferred.
        validator: ETag or modification date of the file, which detects changes between requests.
    """

    def __init__(self, url: str, part: Path) -> None:
        self.url, self.part = url, part
        self.received = 0
        self.validator: str | None = None

    def run(self, advance: _Advance) -> None:
        """Request the remaining data once.

        Raises:
            _LostError: The connection was lost, or the server failed (status 5xx).
            DownloadError: The server refuses the file.
            OSError: The file cannot be written.
        """
        self.received = 0
        offset = self.part.stat().st_size if self.part.exists() else 0
        try:
            response = self._open(offset)
        except HTTPError as error:
            if error.code == 416 and offset:  # no data after the offset: the file is complete, or has changed
                if error.headers.get("Content-Range") == f"bytes */{offset}":
                    return
                self._restart(advance)
                return
            reason = f"the server returned {error.code} {error.reason}"
            raise (_LostError if error.code >= 500 else DownloadError)(reason) from error
        with response:
            if response.headers.get_content_type() == "text/html":
                raise DownloadError("the server returned a web page")
            start, total = _content_range(response)
            if total == 0:
                raise DownloadError("the server returned an empty file")
            if start not in (0, offset):
                self._restart(advance)
                return
            self._store(response, start, total, advance)

    def _open(self, offset: int) -> http.client.HTTPResponse:
        headers = {"User-Agent": f"splitnest/{__version__}", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if self.validator:
                headers["If-Range"] = self.validator
        try:
            response: http.client.HTTPResponse = _opener().open(
                request.Request(self.url, headers=headers), None, TIMEOUT
            )
        except HTTPError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise _LostError(_reason(error)) from error
        return response

    def _store(self, response: http.client.HTTPResponse, start: int, total: int | None, advance: _Advance) -> None:
        etag = response.headers.get("ETag")
        strong = etag if etag and not etag.startswith("W/") else None  # RFC 9110, 13.1.5: weak ones are not allowed
        self.validator = strong or response.headers.get("Last-Modified")
        done = start
        with self.part.open("ab" if start else "wb") as file:
            while block := _read(response):
                file.write(block)
                self.received += len(block)
                done += len(block)
                advance(done, total)
        if total is not None and done < total:
            raise _LostError(f"the connection was lost after {done} of {total} bytes")

    def _restart(self, advance: _Advance) -> None:
        self.part.unlink()
        self.run(advance)


def _content_range(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Return the offset of the response body in the file, and the size of the file, or None if it is unknown."""
    length = response.headers.get("Content-Length")
    if response.status != 206:  # the server ignored the range
        return 0, int(length) if length else None
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if match is None:
        raise DownloadError("the server returned a part of the file without a valid Content-Range")
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(BLOCK_SIZE)
    except (OSError, http.client.HTTPException) as error:
        raise _LostError(f"the connection was lost ({_reason(error)})") from error


def _opener() -> request.OpenerDirector:
    """Return an opener for http and https only; Python's default opener also follows redirects to ftp."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPRedirectHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPErrorProcessor,
        request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


@contextmanager
def _progress(name: str) -> Iterator[_Advance]:
    """Show download progress: a bar on a terminal, otherwise a line for every tenth of the file."""
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _LineProgress(name)
        return
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _LineProgress:
    """Progress callback that prints lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tenths = -1

    def __call__(self, done: int, total: int | None) -> None:
        tenths = 10 * done // total if total else done // (100 * BLOCK_SIZE)
        if tenths > self.tenths:
            self.tenths = tenths
            of_total = f" of {total / 1e6:.1f}" if total else ""
            print(f"{self.name}: {done / 1e6:.1f}{of_total} MB", file=sys.stderr, flush=True)
