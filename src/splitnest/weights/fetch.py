"""Download and verification of published weights."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from splitnest import zoo
from splitnest.errors import OutputError, WeightsError
from splitnest.files import open_regular
from splitnest.recipe import Weights
from splitnest.weights.cache import PART, State, file_name, hash_mismatch, mark, origin, weights_folder
from splitnest.weights.download import DownloadError, download
from splitnest.weights.read import read

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def fetch(weights: Weights, folder: Path | None = None) -> Path:
    """Return the path of published weights, and download them on first use.

    An existing file is used if its SHA-256 matches. Sources are tried in order: the cache if another folder is given,
    the URL or folder in the environment variable ``SPLITNEST_MIRROR`` if it is set, the published URL, and the mirrors.
    Of several processes one downloads, and the others wait.

    Args:
        weights: URLs and SHA-256 of the file.
        folder: Folder of the file; None for the cache, ``weights_folder()``.

    Raises:
        WeightsError: The file cannot be downloaded, or its SHA-256 does not match.
        OutputError: The folder cannot be written.
    """
    target = (folder or weights_folder()) / file_name(weights.url)
    if target.exists():
        _check_existing(target, weights)
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.with_name(f".{target.name}.lock")):
            if not target.exists():
                _obtain(weights, target)
    except OSError as error:
        advice = "set SPLITNEST_HOME to another folder" if folder is None else "give another folder"
        raise OutputError(
            f"{target} cannot be written: {error.strerror or error}. Free disk space, or {advice}."
        ) from error
    return target


def published_weights(model: str) -> Weights:
    """Return URL and SHA-256 of the weights of a published model, given its full name."""
    file = zoo.published(model)
    return Weights(url=file.url, sha256=file.sha256)


def problem_of(path: Path, weights: Weights) -> str | None:
    """Return what is wrong with an existing file of published weights as text, or None; the result is noted.

    Without a SHA-256 the file must be a readable checkpoint, and come from its URL if it was downloaded.

    Args:
        path: File.
        weights: URL and SHA-256 that it should have.
    """
    problem = _origin_problem(path, weights) or _content_problem(path, weights.sha256)
    mark(path, "broken" if problem else _passed(weights))
    return problem


def _obtain(weights: Weights, target: Path) -> None:
    part = target.with_name(target.name + PART)
    failures = []
    for source in _sources(weights, target):
        if weights.sha256 is None:
            part.unlink(missing_ok=True)  # without a checksum, parts of two different files could be joined unnoticed
        try:
            _copy(source, part) if isinstance(source, Path) else download(source, part)
        except DownloadError as error:
            failures.append(f"{source}: {error}")
            continue
        if problem := _content_problem(part, weights.sha256):
            part.unlink()
            failures.append(f"{source}: {problem}")
            continue
        origin(target).write_text(weights.url, encoding="utf-8")
        os.replace(part, target)
        mark(target, _passed(weights))
        return
    expected = f". Its SHA-256 starts with {weights.sha256}" if weights.sha256 else ""
    raise WeightsError(
        f"The published weights cannot be downloaded. {'. '.join(failures)}. Download the file by other means, and "
        f"save it as {target}{expected}."
    )


def _sources(weights: Weights, target: Path) -> Iterator[str | Path]:
    cached = weights_folder() / target.name
    if cached != target and cached.is_file():
        yield cached
    if mirror := os.environ.get("SPLITNEST_MIRROR"):
        if mirror.startswith("file:"):
            yield Path(url2pathname(urlsplit(mirror).path)) / target.name
        elif "://" in mirror:
            yield f"{mirror.rstrip('/')}/{quote(target.name)}"
        else:
            yield Path(mirror).expanduser() / target.name
    yield weights.url
    yield from weights.mirrors


def _copy(source: Path, part: Path) -> None:
    try:
        file = open_regular(source)
    except OSError as error:
        raise DownloadError(error.strerror or str(error)) from error
    with file, part.open("wb") as copy:
        shutil.copyfileobj(file, copy)


def _check_existing(path: Path, weights: Weights) -> None:
    """Check a file before it is used; without a hash its content is checked when it is read."""
    problem = _origin_problem(path, weights) if weights.sha256 is None else problem_of(path, weights)
    if problem:
        raise WeightsError(
            f"{path} is not the file of {weights.url}: {problem}. Delete it, or replace it with that file."
        )


def _passed(weights: Weights) -> State:
    return "readable" if weights.sha256 is None else "verified"


def _origin_problem(path: Path, weights: Weights) -> str | None:
    if weights.sha256 is not None or not origin(path).is_file():
        return None
    url = origin(path).read_text(encoding="utf-8", errors="replace")
    return None if url == weights.url else f"it was downloaded from {url}"


def _content_problem(path: Path, sha256: str | None) -> str | None:
    """Return what is wrong with the content of a file as text; without a hash it must be a readable checkpoint."""
    try:
        if sha256 is not None:
            return hash_mismatch(path, sha256)
        read(path)
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    except WeightsError as error:
        return str(error).removeprefix(f"{path} ").rstrip(".")
    return None


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; the operating system releases it when the process ends."""
    with path.open("wb") as file:
        _acquire(file)
        yield


def _acquire(file: BinaryIO) -> None:
    if sys.platform == "win32":
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX)
