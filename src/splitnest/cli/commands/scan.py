"""Command ``scan``: prediction for a data set, in shards, on one machine or many."""

import shlex
import sys
from typing import Annotated, Literal

import typer

from splitnest.cli.command import Command, DefaultGroup
from splitnest.cli.commands import scan_results
from splitnest.cli.options import (
    BatchSize,
    Config,
    Device,
    Fast,
    Model,
    Overlap,
    Precision,
    Tiles,
    Tta,
    tile_size,
    weights_or_none,
)
from splitnest.errors import printable

EXAMPLE = (
    "Example: splitnest scan faster_rcnn_resnest50_fpn_1x_coco.mmdet s3://bucket/data-{0000..0999}.tar --out "
    "s3://bucket/predictions"
)

app = typer.Typer(
    cls=DefaultGroup,
    help="Predict for data sets of any size, resumable, on one machine or many. 'splitnest scan MODEL SOURCE... --out "
    "DIR' runs a scan; its options: splitnest scan run --help.",
    epilog=EXAMPLE,
    no_args_is_help=True,
)


@app.callback()
def scans() -> None:
    """Predict for data sets of any size."""


@app.command("run", epilog=EXAMPLE, cls=Command)
def run(
    model: Model,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Folders or prefixes, tar files, Parquet files, text files of paths, images: paths or URLs (s3://, "
            "gs://, https://), with braces ({0000..0999}) and wildcards.",
        ),
    ],
    out: Annotated[str, typer.Option(metavar="DIR", help="Output folder: path or URL.")],
    weights: Annotated[
        str, typer.Option(help="Checkpoint of any code base; 'auto' for the published weights.")
    ] = "auto",
    config: Config = None,
    what: Annotated[
        Literal["results", "features"],
        typer.Option(help="Results of the task, or a feature vector of each image (mean of the last feature map)."),
    ] = "results",
    score: Annotated[
        str | None,
        typer.Option(
            metavar="SCORE",
            help="Minimum score of stored detections, from 0 to 1, or 'auto'; by default all are stored.",
        ),
    ] = None,
    batch_size: BatchSize = 1,
    tta: Tta = False,
    tile: Tiles = None,
    overlap: Overlap = None,
    boxes: Annotated[str | None, typer.Option(help="Person boxes for a pose estimator: JSON file, or 'whole'.")] = None,
    detector: Annotated[str | None, typer.Option(help="Detector of the persons for a pose estimator.")] = None,
    shard_size: Annotated[
        int, typer.Option(min=1, help="Number of images of a shard of image files, or minimum of Parquet rows.")
    ] = 1000,
    image_column: Annotated[str | None, typer.Option(help="Column of Parquet files with images or paths.")] = None,
    key_column: Annotated[str | None, typer.Option(help="Column of Parquet files with the names of images.")] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N", help="Fixed share of this worker, from 0/N on; by default workers claim shards one by one."
        ),
    ] = None,
    devices: Annotated[
        int, typer.Option(min=1, help="Number of processes on this machine, one for each GPU, or on the CPU.")
    ] = 1,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Processes of this machine, or actors of Ray.")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of threads of each process that read and decode.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print shards, bytes, images a second and hours; write nothing.")
    ] = False,
    device: Device = "auto",
    fast: Fast = False,
    precision: Precision = "fp32",
) -> None:
    """Predict for all images; write one Parquet file for each shard. Repeat the command to continue."""
    from splitnest.cli.interruption import interruptible
    from splitnest.inference.score_filter import parse_score
    from splitnest.scanning.scan import run_job, scan_job
    from splitnest.scanning.status import scan_status

    job = scan_job(
        model,
        sources,
        out,
        what=what,
        batch_size=batch_size,
        score_threshold=None if score is None else parse_score(score, "--score"),
        tta=tta,
        tile=tile_size(tile),
        overlap=overlap,
        boxes=boxes,
        detector=detector,
        weights=weights_or_none(weights),
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

    def how_to_continue() -> str:
        return f"Finished shards are in {printable(out)}. Continue with: {shlex.join(['splitnest', *sys.argv[1:]])}"

    with interruptible(how_to_continue):
        if dry_run:
            from splitnest.scanning.estimate import estimate

            print(estimate(job, devices))
            return
        run_job(job, devices, engine)
        status = scan_status(out)
    print(scan_results.describe(status, out))


app.command("status", epilog=scan_results.STATUS_EXAMPLE, cls=Command)(scan_results.status)
app.command("retry", epilog=scan_results.RETRY_EXAMPLE, cls=Command)(scan_results.retry)
app.command("to-coco", epilog=scan_results.COCO_EXAMPLE, cls=Command)(scan_results.coco)
app.command("to-jsonl", epilog=scan_results.JSONL_EXAMPLE, cls=Command)(scan_results.jsonl)
