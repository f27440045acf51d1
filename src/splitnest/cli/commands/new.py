"""Command ``new``: a recipe for a dataset."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: splitnest new /data/fruit --out fruit.yaml"


def new(
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="Folder of a dataset, or annotation file (JSON, XML, CSV, data.yaml)."),
    ],
    out: Annotated[Path | None, typer.Option(help="Recipe file; by default named after the folder.")] = None,
    base: Annotated[
        str | None, typer.Option(help="Published model to fine-tune; by default chosen by annotations and machine.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a recipe with another content.")] = False,
) -> None:
    """Write a recipe for a dataset: what it is, and the model, input, length and learning rate that fit it."""
    from splitnest.training.starting_recipe.new import new_recipe

    recipe = new_recipe(data, out, base)
    recipe.write(force)
    for note in recipe.notes:
        print(note)
    path, *lists = recipe.files
    for each in (path, *lists):
        print(f"written: {each}")
    print(f"next: splitnest train {path}")
