"""Second prediction of the images of a scan that could not be read: ``splitnest scan retry``."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from splitnest.errors import tell
from splitnest.scanning.columns import Row, schema_of
from splitnest.scanning.decode import DecodedImage, decoded_images
from splitnest.scanning.encoded import CUT_SHORT, EncodedImage, read_shard
from splitnest.scanning.job import ScanJob
from splitnest.scanning.manifest import read_manifest
from splitnest.scanning.part import Part, PartWriter, finished_shards
from splitnest.scanning.scanner import Scanner, default_workers
from splitnest.scanning.shard_list import ShardList
from splitnest.scanning.statistics import WorkerStatistics
from splitnest.scanning.storage import open_storage


@dataclass(frozen=True)
class Retried:
    """Outcome of a second prediction.

    Attributes:
        images: Number of images that could not be read before.
        repaired: Number of them that have a result now.
    """

    images: int
    repaired: int


def retry_scan(out: str | Path, *, device: str = "auto", workers: int | None = None) -> Retried:
    """Predict again for the images of a scan that could not be read, with its model and options.

    A shard of a tar file that was cut short is predicted as a whole.

    Args:
        out: Output folder: path or URL.
        device: Same as in ``load``.
        workers: Number of threads that read and decode.

    Raises:
        UsageError: The model or a version differs from that of the scan.
        DataError: The folder has no scan, or a file is damaged.
        OutputError: A file cannot be written.
    """
    storage = open_storage(out)
    manifest = read_manifest(storage)
    failed = {
        index: count
        for index in finished_shards(storage.names(), manifest.num_shards)
        if (count := Part(storage, index).counts.errors)
    }
    if not failed:
        return Retried(0, 0)
    threads = default_workers() if workers is None else workers
    job = ScanJob(manifest.model, manifest.sources, str(out), manifest.options, None, device, threads)
    scanner = job.open()
    for index, count in failed.items():
        tell(f"shard {index}: {count} images could not be read")
        _retry_shard(scanner, index)
    left = sum(Part(storage, index).counts.errors for index in failed)
    before = sum(failed.values())
    return Retried(before, max(0, before - left))


def _retry_shard(scanner: Scanner, index: int) -> None:
    """Predict the failed images of a shard, and replace its file if any can be read."""
    rows = list(Part(scanner.storage, index).rows())
    failed = {number: row for number, row in enumerate(rows) if row["error"] is not None}
    if any(CUT_SHORT in row["error"] for row in failed.values()):
        scanner.run(iter([index]), WorkerStatistics())
        return
    sources = scanner.manifest.sources
    shard = ShardList(scanner.storage, scanner.manifest.shard_list)[index]
    numbers: list[int] = []

    def read(_: int) -> Iterator[EncodedImage]:
        images = read_shard(shard, sources.image_column, sources.key_column)
        for number, image in enumerate(images):
            if number in failed and failed[number]["key"] == image.key:
                numbers.append(number)
                yield image

    stream = decoded_images(iter([index]), read, scanner.workers)
    errors: dict[int, Row] = {}
    images = (image for image in stream if isinstance(image, DecodedImage))
    predicted = {numbers[number]: row for number, row in scanner.predict(images, errors)}
    if predicted:
        task, categories = scanner.predictor.recipe.task, scanner.categories
        with PartWriter(schema_of(task, scanner.options.what, categories)) as writer:
            for number, row in enumerate(rows):
                writer.add(number, predicted.get(number, row))
            writer.finish(scanner.storage, index)
