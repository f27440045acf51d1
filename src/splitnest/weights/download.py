"""Download of a file over HTTP, resumed after lost connections."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

from splitnest import urls
from splitnest.urls import Deadline, LostError, RequestError, Response

MAX_STALLS = 5
"""Maximum number of consecutive attempts that do not get further than earlier ones."""

RETRY_DELAY = 1.0
"""Seconds before the next attempt."""

MAX_SECONDS = 6 * 3600.0
"""Maximum time of a download in seconds."""

MAX_BYTES = 10 * 10**9
"""Maximum size of a file; the largest published one has 0.6 GB."""

BLOCK_SIZE = 1 << 20
"""Number of bytes that are read at a time."""

_Advance = Callable[[int, int | None], None]
"""Progress callback with the number of bytes done and the total, or None if it is unknown."""


class DownloadError(Exception):
    """Failed download. The argument is the reason as text."""


def download(url: str, part: Path) -> None:
    """Download a file, and resume a partial download.

    A lost connection is retried as long as the file grows. A download that has not received any data fails at once.
    The partial file is kept after an error.

    Args:
        url: URL of the file.
        part: Path of the download; an existing file is taken as its beginning.

    Raises:
        DownloadError: The file cannot be downloaded, or is larger than ``MAX_BYTES``.
        OSError: ``part`` cannot be written.
    """
    transfer = _Transfer(url, part, Deadline(MAX_SECONDS))
    furthest, stalls = 0, 0
    with _progress(part.stem) as advance:
        while True:
            try:
                transfer.run(advance)
                return
            except RequestError as error:
                raise DownloadError(str(error)) from error
            except LostError as error:
                has_grown = transfer.received > 0 and transfer.done > furthest
                furthest, stalls = max(furthest, transfer.done), 0 if has_grown else stalls + 1
                if not furthest or stalls == MAX_STALLS:
                    raise DownloadError(str(error)) from error
            time.sleep(RETRY_DELAY)


class _Transfer:
    """Transfer of one file over several requests.

    Args:
        url: URL of the file.
        part: Path of the download.
        deadline: Time by which the download must be finished.

    Attributes:
        received: Number of bytes that the last request transferred.
        done: Size of the file after them; 0 before the first data.
        validator: ETag or modification date of the file, which detects changes between requests.
    """

    def __init__(self, url: str, part: Path, deadline: Deadline) -> None:
        self.url, self.part, self.deadline = url, part, deadline
        self.received = self.done = 0
        self.validator: str | None = None

    def run(self, advance: _Advance) -> None:
        """Request the remaining data once, or the whole file where the server does not continue it.

        Raises:
            LostError: The connection was lost, or the server failed (status 5xx).
            RequestError: The server refuses the file, or its answer is not valid.
            OSError: The file cannot be written.
        """
        self.received = 0
        offset = self.part.stat().st_size if self.part.exists() else 0
        if self._continues(offset, advance):
            return
        self.part.unlink(missing_ok=True)
        if not self._continues(0, advance):
            raise RequestError("the server does not return the beginning of the file")

    def _continues(self, offset: int, advance: _Advance) -> bool:
        """Return whether the server returned the file from an offset, or from its beginning."""
        headers = {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if self.validator:
                headers["If-Range"] = self.validator
        try:
            with urls.opened(self.url, self.deadline, headers) as response:
                if response.headers.get_content_type() == "text/html":
                    raise RequestError("the server returned a web page")
                start, total = _content_range(response)
                if start not in (0, offset):
                    return False
                if total == 0:
                    raise RequestError("the server returned an empty file")
                if (total or 0) > MAX_BYTES:
                    raise RequestError(f"the file is larger than {MAX_BYTES / 1e9:g} GB")
                self._store(response, start, total, advance)
                return True
        except HTTPError as error:  # 416, no data after the offset: the file is complete, or has changed
            return bool(offset) and error.headers.get("Content-Range") == f"bytes */{offset}"

    def _store(self, response: Response, start: int, total: int | None, advance: _Advance) -> None:
        etag = response.headers.get("ETag")
        strong = etag if etag and not etag.startswith("W/") else None  # RFC 9110, 13.1.5: weak ones are not allowed
        self.validator = strong or response.headers.get("Last-Modified")
        done = start
        with self.part.open("ab" if start else "wb") as file:
            for block in urls.read_blocks(response, BLOCK_SIZE, self.deadline):
                file.write(block)
                self.received += len(block)
                self.done = done = done + len(block)
                if done > MAX_BYTES:
                    raise RequestError(f"the file is larger than {MAX_BYTES / 1e9:g} GB")
                advance(done, total)
        if total is not None and done < total:
            raise LostError(f"the connection was lost after {done} of {total} bytes")
        if not done:
            raise RequestError("the server returned an empty file")


def _content_range(response: Response) -> tuple[int, int | None]:
    """Return the offset of the response body in the file, and the size of the file, or None if it is unknown."""
    length = urls.content_length(response)
    if response.status != 206:  # the server ignored the range
        return 0, length
    match = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", response.headers.get("Content-Range", ""))
    if match is None:
        raise RequestError("the server returned a part of the file without a valid Content-Range")
    return int(match[1]), None if match[2] == "*" else int(match[2])


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
