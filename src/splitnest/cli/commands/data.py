"""Commands ``data``: checks of datasets, and pages of training samples."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from splitnest.cli.command import Command, Group
from splitnest.cli.commands import data_convert, data_stats
from splitnest.cli.json_output import print_json, text_to_stderr
from splitnest.cli.options import Json, Overrides
from splitnest.errors import DataError

app = typer.Typer(cls=Group, help="Datasets.", no_args_is_help=True)

MAX_COUNT = 1000
"""Maximum number of samples of a page, which holds all of them."""

SHOW_EXAMPLE = "Example: splitnest data show examples/camvid.yaml data.root=/data/camvid --out samples.html"
EXAMPLE = "Example: splitnest data check mask_rcnn_resnest50_fpn_1x_coco.mmdet data.root=/data/coco"


@app.callback()
def datasets() -> None:
    """Datasets."""


@app.command("check", epilog=EXAMPLE, cls=Command)
def check(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe file (.yaml) or name of a published model.")],
    overrides: Overrides = None,
    split: Annotated[Literal["train", "val"] | None, typer.Option(help="Split; both by default.")] = None,
    json: Json = False,
) -> None:
    """Check a dataset: counts, sizes, anomalies, duplicate images, and faults that would stop a training."""
    from rich.console import Console

    from splitnest.data.dataset import ImageDataset
    from splitnest.data.duplicates import check_duplicates
    from splitnest.data.findings import Findings, print_findings
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
    errors: list[DataError] = []
    datasets: dict[str, ImageDataset] = {}
    found: dict[str, Findings] = {}
    with text_to_stderr(json):
        for name in chosen:  # faults of one split do not hide those of the other
            try:
                datasets[name] = task.open_dataset(resolved, name)
                found[name] = task.check(datasets[name], resolved, name)
                found[name].raise_faults()
            except DataError as error:
                errors.append(error)
        duplicates = Findings(", ".join(chosen), sum(map(len, datasets.values())), check_duplicates(datasets), ())
        print_findings(duplicates, Console(soft_wrap=True))
    if json:
        facts = {name: asdict(findings) for name, findings in found.items()}
        print_json({"splits": facts, "duplicates": duplicates.anomalies, "errors": list(map(str, errors))})
    if errors:
        raise DataError("\n".join(dict.fromkeys(map(str, errors)))) from errors[0]


@app.command("show", epilog=SHOW_EXAMPLE, cls=Command)
def show(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe file (.yaml) or name of a published model.")],
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="HTML page.")] = Path("samples.html"),
    count: Annotated[int, typer.Option(min=1, max=MAX_COUNT, help="Number of samples.")] = 16,
) -> None:
    """Draw training samples as the network gets them, after augmentation, in one self-contained HTML page."""
    from splitnest.recipe.overrides import parse
    from splitnest.training.sample_page import data_show

    size = data_show(recipe, parse(overrides or []), out=out, count=count)
    print(f"{count} samples of {size} in an epoch: {out}")


app.command("convert", epilog=data_convert.CONVERT_EXAMPLE, cls=Command)(data_convert.convert)
app.command("split", epilog=data_convert.SPLIT_EXAMPLE, cls=Command)(data_convert.split)
app.command("merge", epilog=data_convert.MERGE_EXAMPLE, cls=Command)(data_convert.merge)
app.command("stats", epilog=data_stats.EXAMPLE, cls=Command)(data_stats.stats)
