"""Command ``convert``: checkpoint to safetensors."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: splitnest convert s50.pth --model mask_rcnn_resnest50_fpn_1x_coco.mmdet --out s50.safetensors"


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Checkpoint of any code base, or run folder.")],
    out: Annotated[Path, typer.Option(help="Safetensors file to write.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="Model that the checkpoint belongs to: name of a published model, or recipe (.yaml). A checkpoint of "
            "splitnest has its own.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Convert a checkpoint to a safetensors file that contains its recipe."""
    from splitnest.exporting.convert import convert as convert_checkpoint
    from splitnest.inference.resolve import checkpoint_of_run

    path = checkpoint_of_run(source)
    print(convert_checkpoint(path, model or path, out))
    print(f"written to {out}")
