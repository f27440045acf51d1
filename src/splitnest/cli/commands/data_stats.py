"""Command ``data stats``: a page of the counts, sizes, examples and duplicates of a dataset."""

from pathlib import Path
from typing import Annotated

import typer

from splitnest.errors import UsageError
from splitnest.files import check_output, is_stream, write_text

EXAMPLE = "Example: splitnest data stats exports/cvat --out statistics.html"


def stats(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="File or folder of a dataset; its format is recognized.")
    ],
    out: Annotated[Path, typer.Option(help="HTML page.")] = Path("statistics.html"),
) -> None:
    """Write counts, sizes, co-occurrence of classes, example pictures and duplicates of a dataset as one HTML page."""
    from splitnest.data.statistics.image_table import read_image_table
    from splitnest.data.statistics.page import statistics_page
    from splitnest.visualize.write import is_free

    if not is_stream(out) and not is_free(out):
        raise UsageError(f"{out} is a file that splitnest did not write, and is not replaced. Give another --out.")
    check_output(out, [source])
    images = read_image_table(source)
    write_text(out, statistics_page(images))
    print(f"{len(images.names)} images, {len(images.labels)} annotations, {len(images.classes)} classes: {out}")
