"""Tables for people: what a model is, what an evaluation found."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from splitnest.complexity import complexity
from splitnest.recipe import DetectionRecipe, Recipe
from splitnest.recipes.unbuilt import unbuilt

if TYPE_CHECKING:
    from splitnest.evaluator import Evaluation


def print_info(recipe: Recipe) -> None:
    """Print the facts of a model: size, cost, input, published numbers, weights, conventions."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("model", recipe.name)
    table.add_row("task", f"{recipe.task}, {recipe.num_classes} classes")
    cascade = isinstance(recipe, DetectionRecipe) and recipe.model.cascade
    if missing := unbuilt(recipe.task, cascade):
        table.add_row("state", f"listed, not built yet: {missing}")
    else:
        cost = complexity(recipe)
        table.add_row("parameters", f"{cost.parameters:,} ({cost.parameters / 1e6:.1f} M)")
        heads = f", {cost.regions} regions, {cost.masks} masks" if cost.regions else ""
        at = f"{cost.size_hw[0]}x{cost.size_hw[1]}{heads}"
        table.add_row("GFLOPs", f"{cost.multiply_adds / 1e9:.2f} multiply-adds at {at}")
    table.add_row("input", _fields(recipe.input))
    table.add_row("backbone", _fields(recipe.model.backbone))
    for key, value in recipe.published.items():
        table.add_row("published", f"{key} {value:g}")
    if recipe.weights is not None:
        table.add_row("weights", recipe.weights.url)
        table.add_row("sha256", recipe.weights.sha256 or "not published")
        table.add_row("layout", recipe.weights.layout)
    if isinstance(recipe, DetectionRecipe):
        table.add_row("conventions", _fields(recipe.model.conventions))
    Console(soft_wrap=True).print(table)


def print_evaluation(recipe: Recipe, found: "Evaluation") -> None:
    """Print the metrics beside the published ones, and the AP of each class."""
    console = Console(soft_wrap=True)
    if not found.metrics:
        console.print(
            "The annotation file has no annotations, as that of a test set: no metric can be had from it. "
            "Upload the detections to the evaluation server."
        )
        return
    table = Table("metric", "here", "published", title=recipe.name)
    for key, value in found.metrics.items():
        published = recipe.published.get(key)
        table.add_row(key, _percent(value), "" if published is None else f"{published:g}")
    console.print(table)
    columns = list(next(iter(found.per_class.values()), {}))
    classes = Table("class", *columns, title="per class")
    for name, values in found.per_class.items():
        classes.add_row(name, *(_percent(values[column]) for column in columns))
    console.print(classes)


def _percent(value: float) -> str:
    return f"{100 * value:.2f}" if value >= 0 else "-"  # -1: nothing of the kind in the data


def _fields(model: object) -> str:
    return ", ".join(f"{key} {value}" for key, value in model)  # type: ignore[attr-defined]  # a pydantic model
