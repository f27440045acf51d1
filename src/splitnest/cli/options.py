"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from splitnest.errors import UsageError


def complete_model(incomplete: str) -> list[str]:
    """Return the published models that start with a text, for shell completion; the shell itself completes files."""
    from splitnest import zoo

    return zoo.list_models(pattern=f"{incomplete}*")


Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Name of a published model, recipe (.yaml), checkpoint, or run folder.",
        autocompletion=complete_model,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(help="Configuration (.py, .yaml) of a checkpoint of another code base that does not hold it."),
]
As = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Model that a checkpoint belongs to, instead of its configuration: name of a published model, or recipe "
        "(.yaml).",
    ),
]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Values of the recipe by dotted key.")]
Weights = Annotated[
    str,
    typer.Option(
        help="Checkpoint of any code base, or FILE#ENTRY for one entry of it; 'auto' for the published weights, 'none' "
        "for random weights."
    ),
]
BatchSize = Annotated[
    int, typer.Option(min=1, help="Number of images, or of persons for a pose estimator, processed together.")
]
Tta = Annotated[
    bool, typer.Option("--tta", help="Test-time augmentation: several sizes and flips, one image at a time.")
]
Tiles = Annotated[
    str | None,
    typer.Option(
        "--tile",
        metavar="SIDE|HEIGHTxWIDTH",
        help="Size in pixels of the tiles that larger images are cut into (detection and semantic segmentation); "
        "--batch-size tiles are processed together.",
    ),
]
Overlap = Annotated[
    float | None, typer.Option(help="Overlap of neighboring tiles as a fraction of a tile; 0.2 by default.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to standard output; notes go to standard error.")]
Device = Annotated[str, typer.Option(help="Device: auto, cpu, cuda or cuda:0.")]
Fast = Annotated[bool, typer.Option("--fast", help="Fold and fuse layers: faster, with float32 rounding differences.")]
Precision = Annotated[
    Literal["fp32", "bf16", "fp16"],
    typer.Option(help="Floating-point type; bf16 and fp16 on devices that compute them faster."),
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Compile the network with torch.compile in the first prediction, in minutes.")
]


def named(model: str, name: str | None, weights: str) -> tuple[str, str | None]:
    """Return the model and the weights for ``load``: a checkpoint is the weights of the model that ``--model`` names.

    Raises:
        UsageError: Both ``--model`` and ``--weights`` are given.
    """
    if name is None:
        return model, weights_or_none(weights)
    if weights != "auto":
        raise UsageError("--model names the model of a checkpoint, whose weights are used. Omit --weights.")
    return name, model


def weights_or_none(option: str) -> str | None:
    """Return the value of ``--weights`` for ``load``."""
    return None if option == "none" else option


def tile_size(option: str | None) -> int | tuple[int, int] | None:
    """Return the value of ``--tile`` as a side, or as height and width.

    Raises:
        UsageError: The value is neither ``SIDE`` nor ``HEIGHTxWIDTH``.
    """
    if option is None:
        return None
    sides = option.lower().split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdecimal() and len(side) < 10 for side in sides):
        raise UsageError(f"--tile is {option!r}. Give a side in pixels, such as 1024, or HEIGHTxWIDTH.")
    height, width = int(sides[0]), int(sides[-1])
    return height if len(sides) == 1 else (height, width)
