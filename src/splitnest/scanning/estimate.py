"""Estimate of a scan before it begins: shards, bytes, measured images a second, and hours."""

import os
import time
from collections.abc import Iterator
from itertools import islice

from splitnest.scanning.addresses import filesystem, is_remote, read_errors
from splitnest.scanning.decode import DecodedImage, decoded_images
from splitnest.scanning.encoded import EncodedImage, read_shard
from splitnest.scanning.job import ScanJob
from splitnest.scanning.scanner import Scanner
from splitnest.scanning.shards import Shard, divide

MAX_IMAGES, MAX_SECONDS = 256, 30.0
"""Limits of the measurement: images of the first shards, and time."""

WARMUP = 4
"""Number of images that are not counted: memory is allocated, weights are arranged."""

MAX_SIZES = 1000
"""Number of files whose size is looked up; that of the others is extrapolated."""


def estimate(job: ScanJob, devices: int) -> str:
    """Return the shards of a scan, their bytes, and the time that they would take; nothing is written.

    Args:
        job: Scan.
        devices: Number of processes.

    Raises:
        UsageError, WeightsError, DataError: Same conditions as ``ScanJob.open``.
    """
    scanner = job.open_without_output()
    shards = list(divide(job.sources, job.out))
    num_bytes = _size(shards)
    images, per_second, bytes_per_image = _measure(scanner, shards)
    known = [len(shard.addresses) for shard in shards if shard.kind == "files"]
    exact = len(known) == len(shards)
    total = sum(known) if exact else round(num_bytes / max(bytes_per_image, 1.0))
    seconds = total / per_second / devices if per_second else 0.0
    return (
        f"{len(shards)} shards, {num_bytes / 1e9:.3g} GB, {total} images{'' if exact else ' by their mean size'}\n"
        f"{per_second:.2f} images/s by one process, measured with {images} images\n"
        f"{seconds / 3600:.2g} hours with {devices} process{'es' if devices > 1 else ''}"
    )


def _measure(scanner: Scanner, shards: list[Shard]) -> tuple[int, float, float]:
    """Return the number of images that were predicted, images per second, and mean bytes of an image."""
    sizes: list[int] = []

    def read(index: int) -> Iterator[EncodedImage]:
        sources = scanner.manifest.sources
        for image in read_shard(shards[index], sources.image_column, sources.key_column):
            if image.num_bytes:
                sizes.append(image.num_bytes)
            yield image

    stream = decoded_images(iter(range(len(shards))), read, scanner.workers)
    images = (image for image in stream if isinstance(image, DecodedImage))
    count, started = 0, time.perf_counter()
    begin = started
    for _ in scanner.predict(islice(images, MAX_IMAGES), {}):
        count += 1
        if count == WARMUP:
            begin = time.perf_counter()
        if time.perf_counter() - started > MAX_SECONDS:
            break
    elapsed = time.perf_counter() - begin
    counted = count - WARMUP if count > WARMUP else count
    stream.close()
    return count, counted / max(elapsed, 1e-9), sum(sizes) / len(sizes) if sizes else 0.0


def _size(shards: list[Shard]) -> int:
    """Return the size of the files of all shards in bytes."""
    addresses = list(dict.fromkeys(address for shard in shards for address in shard.addresses))
    looked_up = addresses[:: max(1, len(addresses) // MAX_SIZES)]
    total = sum(_file_size(address) for address in looked_up)
    return round(total * len(addresses) / max(1, len(looked_up)))


def _file_size(address: str) -> int:
    with read_errors(address):
        if not is_remote(address):
            return os.stat(address).st_size
        return int(filesystem(address).size(address) or 0)
