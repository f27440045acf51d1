"""Command ``compare``: difference of two models on the same images."""

from pathlib import Path
from typing import Annotated

import typer

from splitnest.cli.options import BatchSize, Device, Overrides
from splitnest.errors import UsageError, printable
from splitnest.files import check_output, write_text

EXAMPLE = "Example: splitnest compare runs/first runs/second, or two folders of splitnest eval --report"


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="Model as in eval, or folder of a report.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Model as in eval, or folder of a report.")],
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Page of the comparison.")] = Path("comparison.html"),
    batch_size: BatchSize = 1,
    workers: Annotated[int, typer.Option(min=0, help="Number of data loading processes.")] = 0,
    device: Device = "auto",
) -> None:
    """Compare two models: differences of the metrics with intervals, and images that got better and worse."""
    from rich.console import Console
    from rich.table import Table

    from splitnest.distributed import is_main_process, process_group
    from splitnest.evaluation.compare.comparison import HEADER, comparison_page, comparison_rows
    from splitnest.evaluation.compare.comparison import compare as compare_sides
    from splitnest.evaluation.compare.sides import open_side
    from splitnest.recipe.overrides import parse
    from splitnest.visualize.write import is_free

    check_output(out, [first, second])
    if not is_free(out):
        raise UsageError(f"{printable(out)} exists and is not a page of splitnest. Give another path with --out.")
    values = parse(overrides or [])
    with process_group():
        sides = [
            open_side(given, values, device=device, batch_size=batch_size, workers=workers) for given in (first, second)
        ]
        if not is_main_process():
            return
    comparison = compare_sides(*sides)
    console = Console(soft_wrap=True, markup=False)
    table = Table(*HEADER, title=f"first: {sides[0].name}, second: {sides[1].name}, in percent")
    for row in comparison_rows(comparison):
        table.add_row(*row)
    console.print(table)
    console.print(comparison.verdict)
    for verb, images in (("better", comparison.better), ("worse", comparison.worse)):
        print(f"{len(images)} of {comparison.scores.shape[1]} images got {verb}")
    write_text(out, comparison_page(comparison))
    print(f"page: {printable(out)}")
