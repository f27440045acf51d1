"""Command ``convert``: checkpoint to safetensors."""

from pathlib import Path
from typing import Annotated

import typer

from splitnest.cli.options import As, Config

EXAMPLE = "Example: splitnest convert epoch_12.pth --out mask_rcnn.safetensors"


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Checkpoint of any code base, or run folder.")],
    out: Annotated[Path, typer.Option(help="Safetensors file to write.")],
    model: As = None,
    config: Config = None,
) -> None:
    """Convert a checkpoint to a safetensors file that contains its recipe."""
    from splitnest.exporting.convert import convert as convert_checkpoint
    from splitnest.inference.resolve import checkpoint_of_run

    path = checkpoint_of_run(source)
    print(convert_checkpoint(path, model, out, config))
    print(f"written to {out}")
