"""Download, cache and verification of published weights."""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from splitnest.errors import OutputError, WeightsError
from splitnest.files import plain_name
from splitnest.recipe import Weights
from splitnest.weights.download import DownloadError, download
from splitnest.weights.read import read

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def fetch(weights: Weights) -> Path:
    """Return the path of published weights, and download them on first use.

    Files are cached in ``weights_folder()``. An existing file is used if its SHA-256 matches. URLs are tried in order:
    the base URL in the environment variable ``SPLITNEST_MIRROR`` if it is set, the published URL, and the mirrors. Of
    several processes one downloads, and the others wait.

    Args:
        weights: URLs and SHA-256 of the file.

    Raises:
        WeightsError: The file cannot be downloaded, or its SHA-256 does not match.
        OutputError: The folder cannot be written.
    """
    target = weights_folder() / file_name(weights.url)
    if target.exists():
        _check_existing(target, weights)
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.with_name(f".{target.name}.lock")):
            if not target.exists():
                _download_any(weights, target)
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written: {error.strerror or error}. Free disk space, or set SPLITNEST_HOME to another "
            f"folder."
        ) from error
    return target


def weights_folder() -> Path:
    """Return the cache folder of published weights.

    It is ``$SPLITNEST_HOME/weights`` if the environment variable is set, otherwise ``splitnest/weights`` in the cache
    folder of the user.
    """
    if home := os.environ.get("SPLITNEST_HOME"):
        return Path(home).expanduser() / "weights"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "splitnest" / "weights"


def file_name(url: str) -> str:
    """Return the file name of a URL in the cache.

    The name is the last part of the URL. Files of the Hugging Face Hub have equal names
    (``<owner>/<repository>/resolve/<revision>/model.safetensors``), so they are named after their repository.

    Args:
        url: URL of the file.

    Raises:
        WeightsError: The URL does not end in a file name.
    """
    advice = "Set weights.url to the URL of a file."
    try:
        parts = PurePosixPath(unquote(urlsplit(url).path)).parts
    except ValueError as error:
        raise WeightsError(f"{url} is not a URL: {error}. {advice}") from error
    name = parts[-1] if parts else ""
    if "resolve" in parts[2:]:
        name = parts[parts.index("resolve", 2) - 1] + PurePosixPath(name).suffix
    try:
        return plain_name(name)
    except ValueError as error:
        raise WeightsError(f"{url} does not end in a file name: {name!r} {error}. {advice}") from error


def _download_any(weights: Weights, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    base = os.environ.get("SPLITNEST_MIRROR")
    urls = ([f"{base.rstrip('/')}/{target.name}"] if base else []) + [weights.url, *weights.mirrors]
    failures = []
    for url in urls:
        if weights.sha256 is None:
            part.unlink(missing_ok=True)  # without a checksum, parts of two different files could be joined unnoticed
        try:
            download(url, part)
        except DownloadError as error:
            failures.append(f"{url}: {error}")
            continue
        if problem := _problem(part, weights.sha256):
            part.unlink()
            failures.append(f"{url}: {problem}")
            continue
        _origin(target).write_text(weights.url, encoding="utf-8")
        os.replace(part, target)
        return
    expected = f". Its SHA-256 starts with {weights.sha256}" if weights.sha256 else ""
    raise WeightsError(
        f"The published weights cannot be downloaded. {'. '.join(failures)}. Download the file by other means, and "
        f"save it as {target}{expected}."
    )


def _check_existing(path: Path, weights: Weights) -> None:
    problem = _hash_mismatch(path, weights.sha256)
    if weights.sha256 is None and _origin(path).is_file():
        origin = _origin(path).read_text(encoding="utf-8", errors="replace")
        problem = None if origin == weights.url else f"it was downloaded from {origin}"
    if problem:
        raise WeightsError(
            f"{path} is not the file of {weights.url}: {problem}. Delete it, or replace it with that file."
        )


def _origin(path: Path) -> Path:
    """Return the path of the URL of a cached file, which tells files of one name apart where they have no hash."""
    return path.with_name(f".{path.name}.url")


def _problem(path: Path, sha256: str | None) -> str | None:
    """Return what is wrong with a downloaded file as text; without a hash it must be a readable checkpoint."""
    if sha256 is not None:
        return _hash_mismatch(path, sha256)
    try:
        read(path)
    except WeightsError as error:
        return str(error).removeprefix(f"{path} ").rstrip(".")
    return None


def _hash_mismatch(path: Path, expected: str | None) -> str | None:
    """Return the mismatch between the SHA-256 of a file and an expected prefix as text; None if it matches."""
    if expected is None:
        return None
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual.startswith(expected):
        return None
    return f"its SHA-256 starts with {actual[: len(expected)]}, not with {expected}"


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
