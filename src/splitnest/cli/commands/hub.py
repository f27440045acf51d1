"""Commands ``push`` and ``pull``: models on the Hugging Face Hub."""

from pathlib import Path
from typing import Annotated

import typer

from splitnest.cli.commands.card import License

PUSH_EXAMPLE = "Example: splitnest push runs/fruit name/fruit --license apache-2.0"
PULL_EXAMPLE = "Example: splitnest pull name/fruit --out fruit.safetensors"

Repository = Annotated[
    str, typer.Argument(metavar="REPO", help="Repository of the Hugging Face Hub, such as name/fruit.")
]


def push(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Checkpoint of any code base, or run folder.")],
    repository: Repository,
    license: License = None,
    private: Annotated[bool, typer.Option("--private", help="Create a private repository.")] = False,
) -> None:
    """Upload a model with its recipe and a card to the Hugging Face Hub (HF_TOKEN, HF_ENDPOINT)."""
    from splitnest.exporting.hub import push as push_model

    print(f"pushed: {push_model(model, repository, license, private)}")


def pull(
    repository: Repository,
    out: Annotated[
        Path | None, typer.Option(help="File to write, .safetensors; by default named after the repository.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
) -> None:
    """Download a model that was pushed; nothing in the repository is executed."""
    from splitnest.exporting.hub import pull as pull_model

    path = out or Path(f"{repository.rpartition('/')[2]}.safetensors")
    pull_model(repository, path, revision)
    print(f"written to {path}")
