"""Command ``card``: model card of the Hugging Face Hub."""

from pathlib import Path
from typing import Annotated

import typer

from splitnest.cli.options import Model

EXAMPLE = "Example: splitnest card runs/fruit --license apache-2.0 --out README.md"

License = Annotated[
    str | None,
    typer.Option(help="Identifier of the license, such as apache-2.0; that of published weights is known."),
]


def card(
    model: Model,
    license: License = None,
    out: Annotated[Path | None, typer.Option(help="File to write; by default the card is printed.")] = None,
) -> None:
    """Write a model card: what the model is, its metrics, how to use it."""
    from splitnest.exporting.card import card as card_of
    from splitnest.files import check_output, write_text

    if out is not None:
        check_output(out, inputs=[model])
    text = card_of(model, license)
    if out is None:
        print(text, end="")
    else:
        write_text(out, text)
        print(f"written to {out}")
