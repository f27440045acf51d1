"""Addresses of inputs and outputs: local paths, and URLs of object stores and servers that fsspec opens."""

import glob
import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from splitnest.data.writers.tables import import_pyarrow
from splitnest.errors import DataError, SplitnestError, UsageError, printable
from splitnest.files import open_regular

PROTOCOLS = ("s3", "s3a", "gs", "gcs", "abfs", "az", "http", "https", "memory", "file")
"""Protocols of URLs. Chains of fsspec (``zip::s3://``) are refused: an address from a file may not start them."""

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}
"""Package of each protocol that fsspec does not bring itself, but for http (aiohttp)."""

INSTALL = "Run pip install 'splitnest[scan]'."

MAX_EXPANDED = 1_000_000
"""Maximum number of addresses that braces stand for."""

_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_READ_AHEAD = 8 << 20


def import_parquet() -> tuple[Any, Any]:
    """Import pyarrow and ``pyarrow.parquet``.

    Raises:
        UsageError: pyarrow is not installed.
    """
    return import_pyarrow(INSTALL)


def is_remote(address: str) -> bool:
    """Return whether an address is a URL."""
    return "://" in address


def is_known(address: str) -> bool:
    """Return whether the protocol of a URL is one of ``PROTOCOLS``."""
    return address.partition("://")[0].lower() in PROTOCOLS


def filesystem(address: str) -> Any:
    """Return the file system of fsspec for a URL; it caches no listings.

    Raises:
        UsageError: The protocol is unknown, or its package is not installed.
    """
    protocol = address.partition("://")[0].lower()
    if not is_known(address):
        raise UsageError(f"{printable(address)}: the protocol is unknown. Use {', '.join(PROTOCOLS)}, or a local path.")
    try:
        import fsspec
    except ImportError as error:
        raise UsageError(f"{printable(address)} needs the package fsspec, which is not installed. {INSTALL}") from error
    try:
        return fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError as error:
        package = PACKAGES.get(protocol, "aiohttp")
        raise UsageError(
            f"{printable(address)} needs the package {package}, which is not installed. Run pip install {package}."
        ) from error


def absolute(address: str) -> str:
    """Return a local path as an absolute one, so that workers in other folders open the same file."""
    return address if is_remote(address) else os.path.abspath(address)


def joined(folder: str, name: str) -> str:
    """Return the address of a name in a folder; an address by itself is returned unchanged."""
    if is_remote(name) or os.path.isabs(name):
        return name
    return f"{folder.rstrip('/')}/{name}" if is_remote(folder) else os.path.join(folder, name)


def parent(address: str) -> str:
    """Return the address of the folder that a file is in."""
    return address.rpartition("/")[0] if is_remote(address) else os.path.dirname(os.path.abspath(address))


def base_name(address: str) -> str:
    """Return the last part of an address."""
    return address.rstrip("/").rpartition("/")[2]


def open_input(address: str) -> BinaryIO:
    """Open a file for reading in any order.

    Raises:
        OSError: The file cannot be opened.
        UsageError: The protocol is unknown, or its package is not installed.
    """
    if not is_remote(address):
        return open_regular(address)
    file: BinaryIO = filesystem(address).open(address, "rb", block_size=_READ_AHEAD, cache_type="readahead")
    return file


def expand(source: str) -> list[str]:
    """Return the addresses that braces (``data-{000..999}.tar``) and wildcards stand for; an existing path is one.

    Raises:
        UsageError: Braces stand for too many addresses.
        DataError: No file matches a pattern, or the pattern cannot be looked up.
    """
    if not is_remote(source) and os.path.lexists(source):
        return [source]
    addresses = list(itertools.islice(_braces(source), MAX_EXPANDED + 1))
    if len(addresses) > MAX_EXPANDED:
        raise UsageError(f"{printable(source)} stands for more than {MAX_EXPANDED} files. Give several sources.")
    return [match for address in addresses for match in _matches(address)]


def _braces(text: str) -> Iterator[str]:
    found = re.search(r"\{([^{}]*)\}", text)
    if found is None:
        yield text
        return
    span = _RANGE.fullmatch(found[1])
    if span:
        first, last = int(span[1]), int(span[2])
        numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
        choices: Iterator[str] = (f"{number:0{len(span[1])}d}" for number in numbers)
    else:
        choices = iter(found[1].split(","))
    for choice in choices:
        yield from _braces(f"{text[: found.start()]}{choice}{text[found.end() :]}")


def _matches(address: str) -> list[str]:
    if not glob.has_magic(address) or address.startswith(("http://", "https://")):
        return [address]
    if is_remote(address):
        protocol = address.partition("://")[0]
        with read_errors(address, "listed"):
            matches = [f"{protocol}://{name.removeprefix('/')}" for name in sorted(filesystem(address).glob(address))]
    elif os.path.lexists(address):
        return [address]
    else:
        matches = sorted(glob.glob(address, recursive=True))
    if not matches:
        raise DataError(f"No file matches {printable(address)}. Check the pattern.")
    return matches


@contextmanager
def read_errors(address: str, action: str = "read") -> Iterator[None]:
    """Turn errors of a store inside the context, which are of many types, into a DataError that names an address.

    Args:
        address: Address for the message.
        action: Failed action, such as ``listed``, for the message.
    """
    try:
        yield
    except SplitnestError:
        raise
    except Exception as error:
        raise DataError(
            f"{printable(address)} cannot be {action}: {reason_of(error)}. Check the address, the credentials and the "
            f"connection."
        ) from error


def reason_of(error: BaseException) -> str:
    """Return the reason of an error of a store in one line."""
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    text = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return printable(text.partition("\n")[0].rstrip(". "))
