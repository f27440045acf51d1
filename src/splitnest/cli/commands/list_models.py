"""Command ``list``: names of published models."""

from typing import Annotated

import typer

EXAMPLE = "Example: splitnest list --task instance --backbone 'ResNeXt*' --dataset COCO"


def list_models(
    pattern: Annotated[str, typer.Argument(help="Pattern of the names with the wildcards *, ? and [...].")] = "*",
    task: Annotated[
        str | None, typer.Option(help="Task: classification, detection, instance, panoptic, semantic or pose.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Code base: official, timm, mmdet, detectron2, mmseg or mmpose.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Pattern of the dataset, such as COCO or 'pascal*'.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Pattern of the backbone, such as ResNeSt-50.")] = None,
    downloaded: Annotated[
        bool, typer.Option("--downloaded", help="Only models whose weights are in the cache.")
    ] = False,
) -> None:
    """List published models."""
    from splitnest import zoo

    names = zoo.list_models(task, pattern, source=source, dataset=dataset, backbone=backbone)
    if downloaded:
        from splitnest.weights.fetch import file_name, weights_folder

        folder = weights_folder()
        names = [name for name in names if (folder / file_name(zoo.published(name).url)).is_file()]
    for name in names:
        print(f"{zoo.TASK_OF[name]:<15} {name}")
