"""One file over HTTP, picked up again where the connection was lost."""

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

import splitnest

STALLS = 5
"""How often in a row a transfer may be picked up without a byte gained."""

PAUSE = 1.0
"""Seconds before it is picked up."""

TIMEOUT = 30.0
"""Seconds without an answer after which a connection is lost."""

BLOCK = 1 << 20
"""Bytes read at a time."""

_Advance = Callable[[int, int | None], None]
"""Is told of the bytes that are there and, where it is known, of how many there will be."""


class DownloadError(Exception):
    """A file cannot be downloaded. Its one argument says why, in words."""


class _LostError(Exception):
    """The connection ended before the file did. Its one argument says how, in words."""


def download(url: str, part: Path) -> None:
    """Download ``url`` to ``part``. What is there already is taken as the beginning, and kept when the download fails.

    A transfer that has begun is picked up again as long as it goes forward; one that does not begin fails at once.

    Raises:
        DownloadError: The file cannot be had.
        OSError: ``part`` cannot be written.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError("only http and https addresses are fetched")
    transfer = _Transfer(url, part)
    begun, stalls = False, 0
    with _progress(part.stem) as advance:
        while True:
            try:
                transfer.run(advance)
                return
            except _LostError as error:
                begun, stalls = begun or transfer.gained > 0, 0 if transfer.gained else stalls + 1
                if not begun or stalls == STALLS:
                    raise DownloadError(str(error)) from error
            time.sleep(PAUSE)


class _Transfer:
    """The requests that bring one file.

    Attributes:
        gained: Bytes that the last request brought.
    """

    def __init__(self, url: str, part: Path) -> None:
        self.url, self.part = url, part
        self.gained = 0
        self.validator: str | None = None  # names the version of the file that the first request met

    def run(self, advance: _Advance) -> None:
        """Bring what is missing with one request."""
        self.gained = 0
        offset = self.part.stat().st_size if self.part.exists() else 0
        try:
            response = self._open(offset)
        except HTTPError as error:
            if error.code == 416 and offset:  # there is nothing after the offset: all is here, or it is another file
                if error.headers.get("Content-Range") == f"bytes */{offset}":
                    return
                self._start_over(advance)
                return
            reason = f"the server answers {error.code} {error.reason}"
            raise (_LostError if error.code >= 500 else DownloadError)(reason) from error
        with response:
            if response.headers.get_content_type() == "text/html":
                raise DownloadError("the server answers with a web page")
            start, total = _extent(response)
            if total == 0:
                raise DownloadError("the server answers with an empty file")
            if start not in (0, offset):
                self._start_over(advance)
                return
            self._store(response, start, total, advance)

    def _open(self, offset: int) -> http.client.HTTPResponse:
        headers = {"User-Agent": f"splitnest/{splitnest.__version__}", "Accept-Encoding": "identity"}
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
            raise _LostError(_words(error)) from error
        return response

    def _store(self, response: http.client.HTTPResponse, start: int, total: int | None, advance: _Advance) -> None:
        etag = response.headers.get("ETag")
        strong = etag if etag and not etag.startswith("W/") else None  # RFC 9110, 13.1.5: weak ones are of no use here
        self.validator = strong or response.headers.get("Last-Modified")
        done = start
        with self.part.open("ab" if start else "wb") as file:
            while block := _read(response):
                file.write(block)
                self.gained += len(block)
                done += len(block)
                advance(done, total)
        if total is not None and done < total:
            raise _LostError(f"the connection was lost after {done} of {total} bytes")

    def _start_over(self, advance: _Advance) -> None:
        self.part.unlink()
        self.run(advance)


def _extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where the body of a response starts in the file, and the size of the file."""
    length = response.headers.get("Content-Length")
    if response.status != 206:  # the whole file, whatever was asked for
        return 0, int(length) if length else None
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if found is None:
        raise DownloadError("the server answers with a part of the file and does not say which")
    return int(found[1]), None if found[2] == "*" else int(found[2])


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _LostError(f"the connection was lost ({_words(error)})") from error


def _opener() -> request.OpenerDirector:
    """An opener for http and https alone: Python's own follows redirects to ftp too."""
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


def _words(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


@contextmanager
def _progress(name: str) -> Iterator[_Advance]:
    """A bar on a terminal, else a line for every tenth of the file."""
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(name)
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


class _Lines:
    """Progress in plain lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tenths = -1

    def __call__(self, done: int, total: int | None) -> None:
        tenths = 10 * done // total if total else done // (100 * BLOCK)
        if tenths > self.tenths:
            self.tenths = tenths
            whole = f" of {total / 1e6:.1f}" if total else ""
            print(f"{self.name}: {done / 1e6:.1f}{whole} MB", file=sys.stderr, flush=True)
