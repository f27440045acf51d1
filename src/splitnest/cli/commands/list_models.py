"""Command ``list``: names of published models."""

import sys
from typing import Annotated, Literal

import typer

EXAMPLE = "Example: splitnest list resnest50 --task instance"


def list_models(
    pattern: Annotated[
        str,
        typer.Argument(
            help="Part of the names, such as resnest50, or a pattern of whole names with the wildcards *, ? and [...]."
        ),
    ] = "*",
    task: Annotated[
        Literal["classification", "detection", "instance", "panoptic", "semantic", "pose"] | None,
        typer.Option(help="Task of the models; all tasks by default."),
    ] = None,
) -> None:
    """List published models."""
    from splitnest import zoo

    names = zoo.list_models(task, pattern)
    for name in names:
        print(f"{zoo.TASK_OF[name]:<15} {name}")
    if not names:
        of_task = f" of the task {task}" if task else ""
        nearest = ", ".join(zoo.nearest(pattern.strip("*?")))
        print(f"No published model{of_task} matches {pattern!r}. The nearest are {nearest}.", file=sys.stderr)
