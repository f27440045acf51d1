"""Command ``info``: facts of a model, or of a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitnest.cli.json_output import print_json
from splitnest.cli.options import As, Config, Json, Model
from splitnest.errors import WeightsError, first_few, printable

if TYPE_CHECKING:
    from splitnest.recipe import Recipe
    from splitnest.upstream.derive import Derived

EXAMPLE = "Example: splitnest info mask_rcnn_resnest50_fpn_1x_coco.mmdet. A checkpoint: splitnest info epoch_12.pth"

MAX_CLASSES = 8
"""Number of class names that are shown."""


def info(model: Model, config: Config = None, name: As = None, json: Json = False) -> None:
    """Show size, cost, input, published metrics of a model; of a checkpoint, what its configuration became."""
    from splitnest.inference.resolve import checkpoint_of_run, complete, read_model
    from splitnest.upstream.derive import Derived

    path = checkpoint_of_run(model)
    found, checkpoint = read_model(path if name is None else name, config)
    if json:
        own = Path(path) if name is not None else None
        print_json(_facts(found, checkpoint if isinstance(found, Derived) else own))
        return
    if isinstance(found, Derived):
        print_derived(found, checkpoint)
        return
    print_info(complete(found))
    if name is not None:
        _print_rows([("tensors", _tensors(found, Path(path)))])


def _facts(found: "Recipe | Derived", checkpoint: Path | None) -> dict[str, Any]:
    """Return the facts of a model: its recipe, size and cost, published metrics; of a derived one also its notes.

    Args:
        found: Recipe, or what a configuration became.
        checkpoint: Checkpoint whose tensors are compared with the model; None for none.
    """
    from splitnest.inference.resolve import complete
    from splitnest.models.build import build_categories
    from splitnest.models.complexity import complexity
    from splitnest.tasks import task_of
    from splitnest.upstream.derive import Derived

    recipe = found.recipe if isinstance(found, Derived) else complete(found)
    cost = complexity(recipe)
    facts = {
        "model": recipe.name,
        "task": recipe.task,
        "classes": list(build_categories(recipe).names),
        "parameters": cost.parameters,
        "multiply_adds": cost.multiply_adds,
        "size_hw": cost.size_hw,
        "published_percent": task_of(recipe).published_percent(recipe),
        "recipe": recipe.model_dump(mode="json"),
    }
    if isinstance(found, Derived):
        facts |= {"framework": found.framework, "notes": list(found.notes)}
    if checkpoint is not None:
        facts |= {"file": str(checkpoint), "tensors": _tensors(recipe, checkpoint)}
    return facts


def print_derived(derived: "Derived", checkpoint: Path | None) -> None:
    """Print what a checkpoint or configuration of another code base is, and what its configuration became."""
    recipe = derived.recipe
    backbone, classes = recipe.model.backbone, _classes(recipe)
    unsupported = [note for note in derived.notes if note.startswith("training")]
    rows = [
        ("file", str(checkpoint) if checkpoint is not None else "none, a configuration alone"),
        ("task", f"{recipe.task}, from a configuration of {derived.framework}"),
        ("classes", classes),
        ("backbone", _changed(backbone)),
        ("model", _changed(recipe.model, "backbone", "conventions", "panoptic")),
        ("input", _changed(recipe.input)),
        ("training", "none" if recipe.train is None else _changed(recipe.train)),
        ("derived", "; ".join(note for note in derived.notes if note not in unsupported)),
        ("unsupported", "; ".join(unsupported) or "nothing"),
    ]
    if checkpoint is not None:
        rows.append(("tensors", _tensors(recipe, checkpoint)))
    _print_rows(rows)


def print_info(recipe: "Recipe") -> None:
    """Print the facts of a model as a table."""
    from splitnest.models.complexity import complexity
    from splitnest.tasks import task_of

    stuff = f", {recipe.data.num_stuff} stuff classes" if recipe.data.num_stuff else ""
    cost = complexity(recipe)
    heads = f", {cost.num_regions} regions, {cost.num_masks} masks" if cost.num_regions else ""
    size = f"{cost.size_hw[0]}x{cost.size_hw[1]}{heads}"
    rows = [
        ("model", recipe.name),
        ("task", f"{recipe.task}, {recipe.num_classes} classes{stuff}"),
        ("parameters", f"{cost.parameters:,} ({cost.parameters / 1e6:.1f} M)"),
        ("GFLOPs", f"{cost.multiply_adds / 1e9:.2f} multiply-adds at {size}"),
        ("input", _fields(recipe.input)),
        ("backbone", _fields(recipe.model.backbone)),
        *(("published", f"{key} {value:g}") for key, value in task_of(recipe).published_percent(recipe).items()),
    ]
    if recipe.weights is not None:
        rows += [("weights", recipe.weights.url), ("sha256", recipe.weights.sha256 or "not published")]
    conventions = getattr(recipe.model, "conventions", None)
    if conventions is not None:
        rows.append(("conventions", _fields(conventions)))
    _print_rows(rows)


def _print_rows(rows: list[tuple[str, str]]) -> None:
    """Print a line for each row, however long, so that addresses stay whole."""
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        print(f"{key:<{width}}  {printable(value)}")


def _classes(recipe: "Recipe") -> str:
    from splitnest.models.build import build_categories

    categories = build_categories(recipe)
    points = f"; {len(categories.keypoint_names)} keypoints: {first_few(categories.keypoint_names, MAX_CLASSES)}"
    names = f"{len(categories)}: {first_few(categories.names, MAX_CLASSES)}"
    return names + (points if categories.keypoint_names else "")


def _tensors(recipe: "Recipe", path: Path) -> str:
    """Return whether the tensors of a checkpoint fit a model."""
    from splitnest.device import on_meta
    from splitnest.models.build import build_model
    from splitnest.weights import load

    with on_meta():
        module = build_model(recipe)
    try:
        load.load(module, path, classes=recipe.data.class_names)
    except WeightsError as error:
        return f"do not fit: {error}"
    return f"all {len(module.state_dict())} fit"


def _changed(section: Any, *left_out: str) -> str:
    """Return the fields of a section that differ from the defaults, as text."""
    fields = section.model_dump(exclude_defaults=True, exclude={*left_out})
    return ", ".join(f"{key} {value}" for key, value in fields.items())


def _fields(section: object) -> str:
    return ", ".join(f"{key} {value}" for key, value in section)  # type: ignore[attr-defined]  # a recipe section
