"""Command ``list``: names of published models."""

from typing import Annotated, Any, Literal

import typer

from splitnest.cli.json_output import print_json
from splitnest.cli.options import Json
from splitnest.errors import tell

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
    source: Annotated[
        str | None, typer.Option(help="Code base: official, timm, mmdet, detectron2, mmseg or mmpose.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Pattern of the dataset, such as COCO or 'pascal*'.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Pattern of the backbone, such as ResNeSt-50.")] = None,
    downloaded: Annotated[
        bool, typer.Option("--downloaded", help="Only models whose weights are in the cache.")
    ] = False,
    json: Json = False,
) -> None:
    """List published models."""
    from splitnest import zoo

    matching = names = zoo.list_models(task, pattern, source=source, dataset=dataset, backbone=backbone)
    if downloaded:
        from splitnest.weights.cache import path_of, weights_folder

        names = [name for name in matching if path_of(name).is_file()]
        if matching and not names:
            tell(f"The weights of none of these {len(matching)} models are in {weights_folder()}.")
    if json:
        print_json([_facts(name) for name in names])
    else:
        for name in names:
            print(f"{zoo.TASK_OF[name]:<15} {name}")
    if not matching:
        given = {"task": task, "source": source, "dataset": dataset, "backbone": backbone}
        of = " and".join(f" of the {key} {value}" for key, value in given.items() if value is not None)
        nearest = ", ".join(zoo.nearest(pattern.strip("*?")))
        tell(f"No published model{of} matches {pattern!r}. The nearest are {nearest}.")


def _facts(name: str) -> dict[str, Any]:
    """Return a published model with its file and published metrics, in their published units."""
    from splitnest import zoo

    file = zoo.published(name)
    return {
        "name": name,
        "task": zoo.TASK_OF[name],
        "source": zoo.source_of(name),
        "dataset": zoo.dataset_of(name),
        "backbone": zoo.backbone_of(name),
        "url": file.url,
        "sha256": file.sha256,
        "metrics": file.metrics,
    }
