"""Prediction for a data set: ``splitnest.scan``."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from splitnest.errors import UsageError, printable, tell
from splitnest.inference.person_boxes import WHOLE_IMAGE
from splitnest.inference.tiles import Tile, check_tiling
from splitnest.scanning.addresses import absolute
from splitnest.scanning.job import ScanJob
from splitnest.scanning.options import ModelSource, ScanOptions, What
from splitnest.scanning.processes import run_processes
from splitnest.scanning.ray_engine import run_on_ray
from splitnest.scanning.scanner import default_workers
from splitnest.scanning.shards import Sources
from splitnest.scanning.status import ScanStatus, scan_status

Engine = Literal["local", "ray"]


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
    if not isinstance(model, str | Path):
        raise UsageError(
            f"model is a {type(model).__name__}, but each process of a scan loads the model itself. Give its name or "
            f"the path of its checkpoint."
        )
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
        run_on_ray(job, devices)
    elif engine != "local":
        raise UsageError(f"engine is {engine!r}. Give 'local' or 'ray'.")
    elif devices > 1:
        run_processes(job, devices)
    else:
        tell(job.run().describe())


def parsed_share(share: tuple[int, int] | str | None) -> tuple[int, int] | None:
    """Return the share of a worker, given as ``i/n``.

    Raises:
        UsageError: The share has another form, or i is not from 0 to n - 1.
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
