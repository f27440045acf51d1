"""Claims of shards by workers: files that are created if absent, renewed while their worker lives, and taken over when
they are stale.

A claim saves work, it guards nothing: two workers on one shard write the same file.
"""

import json
import os
import socket
import threading
import uuid
from pathlib import Path
from typing import Any

from splitnest.errors import DataError, OutputError
from splitnest.scanning.storage import Storage

HEARTBEAT_S = 60.0
"""Time between two renewals of a claim."""

STALE_S = 600.0
"""Age from which a claim is stale."""

PREFIX, SUFFIX = "_claim-", ".json"


class Claims:
    """Claims of this process. Inside the context they are renewed by a thread, and removed at its end.

    Args:
        storage: Output folder.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._owner = {**_process(os.getpid()), "token": uuid.uuid4().hex}
        self._held: set[int] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="splitnest-claims", daemon=True)

    def __enter__(self) -> "Claims":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for index in list(self._held):
            self.release(index)

    def acquire(self, index: int) -> bool:
        """Claim a shard, and return whether it is this worker's; a stale claim is taken over.

        Raises:
            OutputError: The claim cannot be written.
        """
        name, content = claim_name(index), json.dumps(self._owner).encode()
        is_mine = self._storage.create(name, content)
        if not is_mine and self._is_stale(name):
            self._storage.remove(name)
            is_mine = self._storage.create(name, content)
        if is_mine:
            with self._lock:
                self._held.add(index)
        return is_mine

    def release(self, index: int) -> None:
        """Give up a claim, of a shard that is finished or dropped."""
        with self._lock:
            self._held.discard(index)
            self._storage.remove(claim_name(index))

    def _is_stale(self, name: str) -> bool:
        age = self._storage.age(name)
        if age is None or age > STALE_S:
            return True
        try:
            return _has_ended(json.loads(self._storage.read(name)))
        except (DataError, ValueError):
            return not self._storage.exists(name)

    def _renew(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            with self._lock:
                for index in self._held:
                    try:
                        self._storage.write(claim_name(index), json.dumps(self._owner).encode())
                    except OutputError:  # the shard may be done twice; the next renewal may succeed
                        continue


def claim_name(index: int) -> str:
    """Return the name of the claim of a shard."""
    return f"{PREFIX}{index:05d}{SUFFIX}"


def claimed_shard(name: str) -> int | None:
    """Return the shard that a file claims; None for another file."""
    number = name.removeprefix(PREFIX).removesuffix(SUFFIX)
    return int(number) if name == f"{PREFIX}{number}{SUFFIX}" and number.isdecimal() else None


def _process(pid: int) -> dict[str, Any]:
    """Return what identifies a process of this machine, also after its number is used again."""
    return {"host": _machine(), "pid": pid, "started": _start_time(pid)}


def _machine() -> str:
    """Return the name of this machine, its boot, and its space of process numbers: containers share a machine."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot = space = ""
    return f"{socket.gethostname()} {boot} {space}"


def _start_time(pid: int) -> str | None:
    """Return the time at which a process started, in ticks since the boot (Linux); None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _has_ended(owner: Any) -> bool:
    """Return whether the owner of a claim is a process of this machine that has ended."""
    if not isinstance(owner, dict) or owner.get("host") != _machine() or not Path("/proc/self/stat").exists():
        return False
    return _start_time(int(owner.get("pid") or 0)) != owner.get("started")
