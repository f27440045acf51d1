"""Output folder of a scan: a local folder, or a prefix in an object store. Each file appears complete or not at all."""

import os
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, BinaryIO

from splitnest.errors import DataError, OutputError, cannot_read, printable
from splitnest.files import create_bytes, open_regular, output_errors, write_bytes
from splitnest.scanning.addresses import filesystem, is_remote, joined, read_errors, reason_of


class Storage(ABC):
    """Folder that several processes, also of several machines, write files into.

    Attributes:
        address: Path or URL of the folder.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of the files in the folder; none if it does not exist.

        Raises:
            DataError: The folder cannot be listed.
        """

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """Open a file for reading in any order.

        Raises:
            DataError: The file cannot be read.
        """

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a file, or replace it.

        Raises:
            OutputError: The file cannot be written.
        """

    @abstractmethod
    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless there is one, and return whether it was written; of several processes one succeeds.

        Raises:
            OutputError: The file cannot be written.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file if there is one."""

    @abstractmethod
    def age(self, name: str) -> float | None:
        """Return the time since a file was written, in seconds; None if there is none."""

    def exists(self, name: str) -> bool:
        """Return whether there is a file."""
        return self.age(name) is not None

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            DataError: The file cannot be read.
        """
        with self.open(name) as file:
            return file.read()

    def file(self, name: str) -> str:
        """Return the address of a file, for messages."""
        return printable(joined(self.address, name))


def open_storage(address: str | Path) -> Storage:
    """Return the storage of a path or URL.

    Raises:
        UsageError: The protocol is unknown, or its package is not installed.
    """
    text = str(address)
    return _RemoteStorage(text.rstrip("/")) if is_remote(text) else _LocalStorage(os.path.abspath(text))


class _LocalStorage(Storage):
    def names(self) -> list[str]:
        try:
            with os.scandir(self.address) as entries:
                return sorted(entry.name for entry in entries if entry.is_file())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DataError(cannot_read(self.address, error, "a folder of results")) from error

    def open(self, name: str) -> BinaryIO:
        try:
            return open_regular(self._path(name))
        except OSError as error:
            raise DataError(cannot_read(self._path(name), error, "a file of results")) from error

    def write(self, name: str, content: bytes) -> None:
        write_bytes(self._path(name), content)

    def create(self, name: str, content: bytes) -> bool:
        return create_bytes(self._path(name), content)

    def remove(self, name: str) -> None:
        with output_errors(self._path(name)):
            self._path(name).unlink(missing_ok=True)

    def age(self, name: str) -> float | None:
        try:
            return time.time() - os.stat(self._path(name)).st_mtime
        except OSError:
            return None

    def _path(self, name: str) -> Path:
        return Path(self.address, name)


class _RemoteStorage(Storage):
    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._files = filesystem(address)

    def names(self) -> list[str]:
        with read_errors(self.address, "listed"):
            try:
                entries = self._files.ls(self.address, detail=False)
            except FileNotFoundError:
                return []
        return sorted(name.rpartition("/")[2] for name in entries)

    def open(self, name: str) -> BinaryIO:
        with read_errors(self._url(name)):
            file: BinaryIO = self._files.open(self._url(name), "rb")
            return file

    def read(self, name: str) -> bytes:
        with read_errors(self._url(name)):
            content: bytes = self._files.cat_file(self._url(name))
            return content

    def write(self, name: str, content: bytes) -> None:
        try:
            self._files.pipe_file(self._url(name), content)
        except Exception as error:  # each store has errors of its own
            raise self._cannot_write(name, error) from error

    def create(self, name: str, content: bytes) -> bool:
        try:
            self._files.pipe_file(self._url(name), content, mode="create")
        except FileExistsError:
            return False
        except Exception as error:
            raise self._cannot_write(name, error) from error
        return True

    def remove(self, name: str) -> None:
        try:
            self._files.rm_file(self._url(name))
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._cannot_write(name, error) from error

    def age(self, name: str) -> float | None:
        try:
            return max(0.0, time.time() - self._modified(name))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise DataError(
                f"{self.file(name)} cannot be read: {reason_of(error)}. Check the credentials and the connection."
            ) from error

    def _modified(self, name: str) -> float:
        modified: Any = self._files.modified(self._url(name))
        return float(modified.timestamp())

    def _url(self, name: str) -> str:
        return f"{self.address}/{name}"

    def _cannot_write(self, name: str, error: Exception) -> OutputError:
        return OutputError(
            f"{self.file(name)} cannot be written: {reason_of(error)}. Check the address, the credentials and the "
            f"connection."
        )
