"""Prediction for a data set: ``splitnest.scan``."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from splitnest.device import pick_device
from splitnest.errors import UsageError, printable, tell
from splitnest.inference.person_boxes import WHOLE_IMAGE
from splitnest.inference.tiles import Tile, check_tiling
from splitnest.recipe import Recipe
from splitnest.scanning.addresses import absolute, import_parquet
from splitnest.scanning.features import check_features
from splitnest.scanning.fingerprint import fingerprint
from splitnest.scanning.manifest import Manifest, open_or_create
from splitnest.scanning.options import ModelSource, ScanOptions, What, people_finder
from splitnest.scanning.progress import ScanProgress
from splitnest.scanning.scanner import Scanner, default_workers
from splitnest.scanning.shards import Sources
from splitnest.scanning.statistics import WorkerStatistics
from splitnest.scanning.status import ScanStatus, scan_status
from splitnest.scanning.storage import open_storage
from splitnest.scanning.worker import run_worker

Engine = Literal["local", "ray"]


@dataclass(frozen=True)
class ScanJob:
    """Everything that a worker of a scan needs to start, in any process.

    Attributes:
        model: Model.
        sources: Images.
        out: Output folder: path or URL.
        options: Options that change results.
        share: Number of this worker and number of workers, each with a fixed share; None for all shards.
        device: Same as in ``load``.
        workers: Number of threads that read and decode.
    """

    model: ModelSource
    sources: Sources
    out: str
    options: ScanOptions
    share: tuple[int, int] | None = None
    device: str = "auto"
    workers: int = field(default_factory=default_workers)

    def open(self) -> Scanner:
        """Load the model, and open the output folder or create it.

        Raises:
            UsageError: An option does not apply to the model, or the folder has results of another scan.
            WeightsError: The weights cannot be read, or do not fit.
            DataError: A source cannot be read, or has no images.
            OutputError: The folder cannot be written.
        """
        import_parquet()
        storage = open_storage(self.out)
        return self._scanner(lambda found, recipe: open_or_create(storage, self.sources, found, recipe, self.model))

    def open_without_output(self) -> Scanner:
        """Load the model for a measurement; no output folder is created.

        Raises:
            UsageError, WeightsError, DataError: Same conditions as ``open``.
        """
        return self._scanner(lambda found, recipe: Manifest(recipe, found, self.model, 0, ""))

    def _scanner(self, manifest_of: Callable[[dict[str, Any], Recipe], Manifest]) -> Scanner:
        predictor, detector = self.model.load(self.device), self.model.load_detector(self.device)
        if self.options.what == "features":
            check_features(predictor)
        elif self.options.score_threshold == "auto":
            predictor.required_score_thresholds()
        find_people = people_finder(predictor, detector, self.model.boxes, self.options)
        found = fingerprint(predictor, detector, self.model, self.options, self.sources)
        manifest = manifest_of(found, predictor.recipe)
        return Scanner(predictor, self.options, manifest, open_storage(self.out), find_people, self.workers)

    def run(self, *, quiet: bool = False) -> WorkerStatistics:
        """Predict the shards of this worker until all of them are finished.

        Args:
            quiet: Whether to show no progress.

        Raises:
            UsageError, WeightsError, DataError, OutputError: Same conditions as ``open``.
        """
        scanner, statistics = self.open(), WorkerStatistics()
        on_row = _nothing if quiet else ScanProgress(scanner.manifest.num_shards, statistics).on_row
        run_worker(scanner, self.share, statistics, on_row, claims=self.share is None)
        return statistics


def scan(
    model: str | Path,
    sources: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    what: What = "results",
    batch_size: int = 1,
    score_threshold: float | Literal["auto"] | None = None,
    tta: bool = False,
    tile: Tile | None = None,
    overlap: float | None = None,
    boxes: str | Path | None = None,
    detector: str | Path | None = None,
    weights: str | Path | None = "auto",
    config: str | Path | None = None,
    fast: bool = False,
    precision: str = "fp32",
    shard_size: int = 1000,
    image_column: str | None = None,
    key_column: str | None = None,
    device: str = "auto",
    devices: int = 1,
    shard: tuple[int, int] | str | None = None,
    workers: int | None = None,
    engine: Engine = "local",
) -> ScanStatus:
    """Predict for all images of a data set; write one Parquet file for each shard. Finished shards are kept.

    Args:
        model: Name or file of a model, as for ``load``; each process loads it.
        sources: Folders or prefixes with their subfolders, tar files, Parquet files, text files of one path a line, and
            images; paths or URLs (``s3://``, ``gs://``, ``https://``), with braces and wildcards.
        out: Output folder: path or URL. ``read_scan`` reads it.
        what: ``results`` of the task, or ``features``: the mean of the backbone's last feature map of each image.
        batch_size, score_threshold, tta, tile, overlap: Same as in ``Predictor.predict``.
        boxes: Person boxes for a pose estimator: JSON file, or ``"whole"``.
        detector: Detector of the persons instead of boxes: name of a model or checkpoint.
        weights, config, fast, precision: Same as in ``load``.
        shard_size: Number of images of a shard of image files, and minimum number of one of Parquet rows; a tar file is
            one shard.
        image_column, key_column: Columns of Parquet files with images and their names; None recognizes them.
        device: Same as in ``load``.
        devices: Number of processes on this machine, one for each GPU.
        shard: Share of this worker, ``(i, n)`` or ``"i/n"`` with i from 0: the shards i, i + n, i + 2n. Without it
            workers with the same ``out`` claim shards one by one.
        workers: Number of threads of each process that read and decode; None for one for each core, at most 8.
        engine: ``local``, or ``ray`` for actors of Ray, ``devices`` at most.

    Returns:
        State of the whole scan.

    Raises:
        UsageError: An option does not apply, or the folder has results of another scan.
        WeightsError: The weights cannot be read, or do not fit.
        DataError: A source cannot be read, or has no images.
        OutputError: A file cannot be written.
    """
    job = scan_job(
        model,
        sources,
        out,
        what=what,
        batch_size=batch_size,
        score_threshold=score_threshold,
        tta=tta,
        tile=tile,
        overlap=overlap,
        boxes=boxes,
        detector=detector,
        weights=weights,
        config=config,
        fast=fast,
        precision=precision,
        shard_size=shard_size,
        image_column=image_column,
        key_column=key_column,
        device=device,
        shard=shard,
        workers=workers,
    )
    run_job(job, devices, engine)
    return scan_status(out)


def scan_job(
    model: str | Path,
    sources: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    tile: Tile | None,
    overlap: float | None,
    boxes: str | Path | None,
    detector: str | Path | None,
    weights: str | Path | None,
    config: str | Path | None,
    fast: bool,
    precision: str,
    shard_size: int,
    image_column: str | None,
    key_column: str | None,
    device: str,
    shard: tuple[int, int] | str | None,
    workers: int | None,
    **options: Any,
) -> ScanJob:
    """Return the job of a scan; the arguments are those of ``scan``, ``options`` other fields of ``ScanOptions``.

    Raises:
        UsageError: An argument is out of range.
    """
    check_tiling(tile, overlap, options["tta"])
    if options["batch_size"] < 1 or (workers is not None and workers < 1):
        raise UsageError("batch_size and workers are integers of at least 1.")
    return ScanJob(
        ModelSource(
            str(model),
            None if weights is None else str(weights),
            None if config is None else str(config),
            fast,
            precision,
            _boxes(boxes),
            None if detector is None else str(detector),
        ),
        Sources(_addresses(sources), shard_size, image_column, key_column),
        str(out),
        ScanOptions(tile=tile, overlap=overlap, **options),
        parsed_share(shard),
        device,
        default_workers() if workers is None else workers,
    )


def run_job(job: ScanJob, devices: int = 1, engine: Engine = "local") -> None:
    """Run a scan in this process, in several, or on Ray.

    Raises:
        UsageError: An option does not apply, or Ray is not installed.
        SplitnestError: Same conditions as ``scan``.
    """
    if devices < 1:
        raise UsageError(f"devices is {devices}. Give an integer of at least 1.")
    if engine == "ray":
        from splitnest.scanning.ray_engine import run_on_ray

        run_on_ray(job, devices)
    elif engine != "local":
        raise UsageError(f"engine is {engine!r}. Give 'local' or 'ray'.")
    elif devices > 1:
        from splitnest.scanning.processes import run_processes

        run_processes(job, devices)
    else:
        tell(job.run().describe())


def _nothing(_: object) -> None:
    """Show no progress."""


def on_device(job: ScanJob, number: int) -> ScanJob:
    """Return the job of one of several processes of a machine: with the GPU of this number, or the CPU."""
    if job.device not in ("auto", "cuda"):
        return job
    kind = pick_device(job.device).type
    return replace(job, device=f"cuda:{number}" if kind == "cuda" else kind)


def parsed_share(share: tuple[int, int] | str | None) -> tuple[int, int] | None:
    """Return the share of a worker, given as ``i/n``.

    Raises:
        UsageError: It is not of this form, or i is not from 0 to n - 1.
    """
    if isinstance(share, str):
        parts = share.split("/")
        is_valid = len(parts) == 2 and all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts)
        numbers = [int(part) for part in parts] if is_valid else []
    else:
        numbers = list(share or ())
    if share is None:
        return None
    if len(numbers) != 2 or not 0 <= numbers[0] < numbers[1]:
        raise UsageError(
            f"The share is {printable(share)}. Give I/N with I from 0 to N - 1, such as 0/8 for the first of 8 workers."
        )
    return numbers[0], numbers[1]


def _addresses(sources: str | Path | Sequence[str | Path]) -> tuple[str, ...]:
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    return tuple(absolute(os.path.expanduser(str(source))) for source in given)


def _boxes(boxes: str | Path | None) -> str | None:
    return None if boxes is None else WHOLE_IMAGE if str(boxes) == WHOLE_IMAGE else absolute(str(boxes))
