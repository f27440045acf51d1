"""State of a scan: shards, images and errors."""

from dataclasses import dataclass
from pathlib import Path

from splitnest.errors import DataError
from splitnest.scanning.claims import claimed_shard
from splitnest.scanning.manifest import read_manifest
from splitnest.scanning.part import Part, finished_shards
from splitnest.scanning.storage import open_storage


@dataclass(frozen=True)
class ScanStatus:
    """State of a scan.

    Attributes:
        num_shards: Number of shards.
        finished: Number of finished shards.
        claimed: Number of unfinished shards that a worker has claimed.
        images: Number of images with a result.
        errors: Number of unreadable images.
        damaged: Message on each file that cannot be read.
    """

    num_shards: int
    finished: int
    claimed: int
    images: int
    errors: int
    damaged: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every shard is finished and every file can be read."""
        return self.finished == self.num_shards and not self.damaged


def scan_status(out: str | Path) -> ScanStatus:
    """Return the state of a scan; the end of each file is read.

    Args:
        out: Output folder: path or URL.

    Raises:
        DataError: The folder has no scan, or cannot be read.
    """
    storage = open_storage(out)
    manifest = read_manifest(storage)
    names = storage.names()
    finished = finished_shards(names, manifest.num_shards)
    claimed = {index for name in names if (index := claimed_shard(name)) is not None} - set(finished)
    images = errors = 0
    damaged = []
    for index in finished:
        try:
            counts = Part(storage, index).counts
        except DataError as error:
            damaged.append(str(error))
            continue
        images += counts.images
        errors += counts.errors
    return ScanStatus(manifest.num_shards, len(finished), len(claimed), images, errors, tuple(damaged))
