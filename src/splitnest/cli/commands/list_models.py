"""Command ``list``: names of published models."""

from typing import Annotated

import typer

EXAMPLE = "Example: splitnest list --task instance '*resnest50*'"


def list_models(
    pattern: Annotated[str, typer.Argument(help="Pattern of the names with the wildcards *, ? and [...].")] = "*",
    task: Annotated[
        str | None, typer.Option(help="Task: classification, detection, instance, panoptic, semantic or pose.")
    ] = None,
) -> None:
    """List published models."""
    from splitnest import zoo

    for name in zoo.list_models(task, pattern):
        print(f"{zoo.TASK_OF[name]:<15} {name}")
