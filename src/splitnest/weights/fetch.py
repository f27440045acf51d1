"""Published files: where they are kept, how they get there, whether they are the right ones."""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from splitnest.errors import WeightsError
from splitnest.recipe import Weights
from splitnest.weights.download import DownloadError, download

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def fetch(weights: Weights) -> Path:
    """Return the file of ``weights``, downloaded if it is not there yet.

    It is kept in ``weights_folder()``. One that was put there by hand is taken, if its hash is the published one.
    The addresses are tried in order: ``SPLITNEST_MIRROR``, a base address, when that is set; the published one; the
    mirrors. Several processes may ask at once: one downloads, the others wait for it.

    Raises:
        WeightsError: The file cannot be had, or is not the published one.
    """
    target = weights_folder() / file_name(weights.url)
    if target.exists():
        _check_present(target, weights.sha256)
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.with_name(f".{target.name}.lock")):
            if not target.exists():
                _download_any(weights, target)
    except OSError as error:
        raise WeightsError(
            f"{target} cannot be written: {error.strerror}. SPLITNEST_HOME names another folder."
        ) from error
    return target


def weights_folder() -> Path:
    """The folder of published files: ``weights`` in ``SPLITNEST_HOME``, else in the user's cache folder."""
    if home := os.environ.get("SPLITNEST_HOME"):
        return Path(home).expanduser() / "weights"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "splitnest" / "weights"


def file_name(url: str) -> str:
    """The name under which the file at ``url`` is kept.

    It is the last part of the address; files of the Hugging Face hub, which all have the same name
    (``<owner>/<repository>/resolve/<revision>/model.safetensors``), are called by their repository.

    Raises:
        WeightsError: The address does not end in the name of a file.
    """
    parts = PurePosixPath(unquote(urlsplit(url).path)).parts
    if "resolve" in parts[1:]:
        return parts[parts.index("resolve") - 1] + PurePosixPath(parts[-1]).suffix
    if not parts or parts[-1] in ("/", "..") or "\\" in parts[-1]:
        raise WeightsError(f"{url} is not the address of a file. Set weights.url to one that ends in the file's name.")
    return parts[-1]


def _download_any(weights: Weights, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    base = os.environ.get("SPLITNEST_MIRROR")
    urls = ([f"{base.rstrip('/')}/{target.name}"] if base else []) + [weights.url, *weights.mirrors]
    failures = []
    for url in urls:
        if weights.sha256 is None:
            part.unlink(missing_ok=True)  # with no hash, nothing would tell a file pieced together from two
        try:
            download(url, part)
        except DownloadError as error:
            failures.append(f"{url}: {error}")
            continue
        if problem := _wrong_hash(part, weights.sha256):
            part.unlink()
            failures.append(f"{url}: {problem}")
            continue
        os.replace(part, target)
        return
    expected = f"; its SHA-256 begins with {weights.sha256}" if weights.sha256 else ""
    raise WeightsError(
        f"The published weights cannot be had. {'. '.join(failures)}. Get the file in another way and put it at "
        f"{target}{expected}."
    )


def _check_present(path: Path, sha256: str | None) -> None:
    if problem := _wrong_hash(path, sha256):
        raise WeightsError(
            f"{path} is not the published file: {problem}. Delete it, or put the right one in its place."
        )


def _wrong_hash(path: Path, expected: str | None) -> str | None:
    """Words for how the SHA-256 of a file differs from the published digits; None if it does not."""
    if expected is None:
        return None
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found.startswith(expected):
        return None
    return f"its SHA-256 begins with {found[: len(expected)]}, the published one with {expected}"


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold ``path`` against other processes; the system lets go of it when the process ends, whatever happens."""
    with path.open("wb") as file:
        _acquire(file)
        yield


def _acquire(file: BinaryIO) -> None:
    if sys.platform == "win32":
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX)
