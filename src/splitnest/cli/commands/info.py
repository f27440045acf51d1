"""Command ``info``: facts of a model."""

from typing import TYPE_CHECKING

from splitnest.cli.options import Model
from splitnest.errors import printable

if TYPE_CHECKING:
    from splitnest.recipe import Recipe

EXAMPLE = "Example: splitnest info mask_rcnn_resnest50_fpn_1x_coco.mmdet"


def info(model: Model) -> None:
    """Show size, cost, input, backbone, published metrics, weights and conventions of a model."""
    from splitnest.inference.resolve import resolve

    recipe, _ = resolve(model)
    print_info(recipe)


def print_info(recipe: "Recipe") -> None:
    """Print the facts of a model as a table."""
    from rich.console import Console
    from rich.table import Table

    from splitnest.models.complexity import complexity
    from splitnest.tasks import task_of

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("model", recipe.name)
    stuff = f", {recipe.data.num_stuff} stuff classes" if recipe.data.num_stuff else ""
    table.add_row("task", f"{recipe.task}, {recipe.num_classes} classes{stuff}")
    cost = complexity(recipe)
    table.add_row("parameters", f"{cost.parameters:,} ({cost.parameters / 1e6:.1f} M)")
    heads = f", {cost.num_regions} regions, {cost.num_masks} masks" if cost.num_regions else ""
    size = f"{cost.size_hw[0]}x{cost.size_hw[1]}{heads}"
    table.add_row("GFLOPs", f"{cost.multiply_adds / 1e9:.2f} multiply-adds at {size}")
    table.add_row("input", _fields(recipe.input))
    table.add_row("backbone", _fields(recipe.model.backbone))
    for key, value in task_of(recipe).published_percent(recipe).items():
        table.add_row("published", f"{key} {value:g}")
    if recipe.weights is not None:
        table.add_row("weights", printable(recipe.weights.url))
        table.add_row("sha256", recipe.weights.sha256 or "not published")
    conventions = getattr(recipe.model, "conventions", None)
    if conventions is not None:
        table.add_row("conventions", _fields(conventions))
    Console(soft_wrap=True, markup=False).print(table)


def _fields(section: object) -> str:
    return ", ".join(f"{key} {value}" for key, value in section)  # type: ignore[attr-defined]  # a recipe section
