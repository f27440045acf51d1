"""Commands ``data``: checks of datasets."""

from typing import Annotated, Literal

import typer

from splitnest.cli.command import Command, Group
from splitnest.cli.options import Overrides

app = typer.Typer(cls=Group, help="Datasets.", no_args_is_help=True)

EXAMPLE = "Example: splitnest data check mask_rcnn_resnest50_fpn_1x_coco.mmdet data.root=/data/coco"


@app.callback()
def datasets() -> None:
    """Datasets."""


@app.command("check", epilog=EXAMPLE, cls=Command)
def check(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe file (.yaml) or name of a published model.")],
    overrides: Overrides = None,
    split: Annotated[Literal["train", "val"] | None, typer.Option(help="Split; both by default.")] = None,
) -> None:
    """Check a dataset: counts, sizes, anomalies, and faults that would stop a training."""
    from splitnest.inference.resolve import resolve
    from splitnest.recipe import Split
    from splitnest.recipe.overrides import parse
    from splitnest.tasks import task_of

    splits: tuple[Split, ...] = ("train", "val")
    resolved, _ = resolve(recipe, parse(overrides or []))
    task = task_of(resolved)
    chosen = [
        name
        for name in splits
        if name == split or (split is None and (name == "train" or resolved.data.has_split(name)))
    ]
    findings = [task.check(task.open_dataset(resolved, name), resolved, name) for name in chosen]
    for each in findings:
        each.raise_faults()
