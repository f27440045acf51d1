"""Command ``convert``: checkpoint to safetensors."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: splitnest convert s50.pth --model mask_rcnn_resnest50_fpn_1x_coco.mmdet --out s50.safetensors"


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Checkpoint of any code base.")],
    model: Annotated[str, typer.Option(help="Model that the checkpoint belongs to.")],
    out: Annotated[Path, typer.Option(help="Safetensors file to write.")],
) -> None:
    """Convert a checkpoint to a safetensors file that contains its recipe."""
    from splitnest.exporting.convert import convert as convert_checkpoint

    print(convert_checkpoint(source, model, out))
    print(f"written to {out}")
