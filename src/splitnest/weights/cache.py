"""Cache of published weights: its folder, the names of its files, and whether each was verified.

Beside a file are hidden ones, ``.NAME.lock``, ``.NAME.url`` and ``.NAME.state``, and ``NAME.part`` while it is
downloaded. This module imports neither torch nor pydantic.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from splitnest import zoo
from splitnest.errors import WeightsError
from splitnest.files import open_regular, plain_name

PART = ".part"
"""Suffix of a file that is not complete."""

State = Literal["verified", "readable", "broken", "unchecked", "incomplete"]
"""``verified``: the SHA-256 is the published one. ``readable``: none is published, and the file is a checkpoint.
``broken``: neither. ``unchecked``: not checked since it was placed or changed. ``incomplete``: partial download."""


class CachedFile(NamedTuple):
    """File of the cache.

    Attributes:
        path: Path of the file.
        size: Number of bytes.
        model: Published model that it belongs to; None for other files.
        state: Result of the last check.
    """

    path: Path
    size: int
    model: str | None
    state: State


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


def path_of(model: str) -> Path:
    """Return the path of the weights of a published model in the cache, given its full name."""
    return weights_folder() / file_name(zoo.published(model).url)


def cached_files() -> list[CachedFile]:
    """Return the files of the cache, those of published models first, by name.

    Raises:
        WeightsError: The folder cannot be read.
    """
    models = {path_of(name).name: name for name in zoo.TASK_OF}
    folder = weights_folder()
    files = []
    try:
        for path in folder.iterdir() if folder.exists() else ():
            if path.name.startswith(".") or not path.is_file():
                continue
            model = models.get(path.name) or models.get(path.name.removesuffix(PART))
            files.append(CachedFile(path, path.stat().st_size, model, _state(path)))
    except OSError as error:
        raise WeightsError(f"{folder} cannot be read: {error.strerror}. Check SPLITNEST_HOME.") from error
    return sorted(files, key=lambda file: (file.model is None, file.model, file.path.name))


def hash_mismatch(path: Path, expected: str) -> str | None:
    """Return the mismatch between the SHA-256 of a file and an expected prefix as text; None if it matches."""
    with open_regular(path) as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it has readinto
    if actual.startswith(expected):
        return None
    return f"its SHA-256 starts with {actual[: len(expected)]}, not with {expected}"


def origin(path: Path) -> Path:
    """Return the path of the URL of a cached file, which tells files of one name apart where they have no hash."""
    return path.with_name(f".{path.name}.url")


def mark(path: Path, state: State) -> None:
    """Note the result of a check, which holds as long as size and modification time stay.

    A folder that cannot be written has no notes.
    """
    if _state(path) != state:
        with suppress(OSError):
            _mark(path).write_text(f"{state} {_signature(path)}", encoding="utf-8")


def _state(path: Path) -> State:
    if path.name.endswith(PART):
        return "incomplete"
    with suppress(OSError, UnicodeDecodeError):
        state, _, signature = _mark(path).read_text(encoding="utf-8").partition(" ")
        if signature == _signature(path) and state in ("verified", "readable", "broken"):
            return state  # type: ignore[return-value]
    return "unchecked"


def _mark(path: Path) -> Path:
    return path.with_name(f".{path.name}.state")


def _signature(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"
