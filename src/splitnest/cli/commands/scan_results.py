"""Commands ``scan status``, ``retry``, ``to-coco`` and ``to-jsonl``: what a scan has written."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitnest.cli.options import Device
from splitnest.errors import DataError, printable

if TYPE_CHECKING:
    from splitnest.scanning.status import ScanStatus

STATUS_EXAMPLE = "Example: splitnest scan status s3://bucket/predictions"
RETRY_EXAMPLE = "Example: splitnest scan retry predictions/"
COCO_EXAMPLE = "Example: splitnest scan to-coco predictions/ results.json --annotations instances_val2017.json"
JSONL_EXAMPLE = "Example: splitnest scan to-jsonl predictions/ results.jsonl"

Folder = Annotated[str, typer.Argument(metavar="DIR", help="Output folder of a scan: path or URL.")]
Incomplete = Annotated[bool, typer.Option("--incomplete", help="Pass over shards that are not finished.")]


def describe(status: "ScanStatus", folder: str) -> str:
    """Return the state of a scan in one line."""
    claimed = f", {status.claimed} in work" if status.claimed else ""
    return (
        f"{printable(folder)}: {status.finished} of {status.num_shards} shards finished{claimed}, {status.images} "
        f"images, {status.errors} unreadable"
    )


def status(folder: Folder) -> None:
    """Print the number of finished shards, images and unreadable images."""
    from splitnest.scanning.status import scan_status

    found = scan_status(folder)
    print(describe(found, folder))
    if found.errors:
        print(f"predict again for the unreadable images: splitnest scan retry {printable(folder)}")
    if found.damaged:
        raise DataError("\n".join(found.damaged))


def retry(
    folder: Folder,
    device: Device = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Number of threads that read and decode.")] = None,
) -> None:
    """Predict again for the images that could not be read, with the model and the options of the scan."""
    from splitnest.cli.interruption import interruptible
    from splitnest.scanning.retry import retry_scan

    with interruptible(lambda: "Repeat the command to continue."):
        done = retry_scan(folder, device=device, workers=workers)
    print(f"{printable(folder)}: {done.repaired} of {done.images} unreadable images have a result now")


def coco(
    folder: Folder,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="JSON file of COCO results.")],
    annotations: Annotated[
        Path | None,
        typer.Option(help="COCO annotation file with the ids of the images; by default the number in each file name."),
    ] = None,
    incomplete: Incomplete = False,
) -> None:
    """Write the results as a result file of COCO."""
    from splitnest.scanning.conversion import to_coco
    from splitnest.scanning.results import read_scan

    count = to_coco(read_scan(folder, incomplete=incomplete), out, annotations)
    print(f"results of {count} images in {printable(out)}")


def jsonl(
    folder: Folder,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="File of JSON lines, as 'splitnest predict' writes it.")],
    incomplete: Incomplete = False,
) -> None:
    """Write the results as JSON lines."""
    from splitnest.scanning.conversion import to_jsonl
    from splitnest.scanning.results import read_scan

    count = to_jsonl(read_scan(folder, incomplete=incomplete), out)
    print(f"{count} lines in {printable(out)}")
