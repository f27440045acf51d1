"""From any checkpoint to splitnest's own."""

from pathlib import Path

from splitnest.build import build_model
from splitnest.device import on_meta
from splitnest.resolve import resolve
from splitnest.weights import load, save
from splitnest.weights.report import Report


def convert(path: str | Path, name: str | Path, out: str | Path) -> Report:
    """Read a checkpoint of any layout and write it as safetensors that carries its recipe.

    Args:
        path: The checkpoint.
        name: Model that it belongs to, or a recipe file.
        out: File to write, ending in .safetensors.

    Returns:
        What was loaded and what was dropped.

    Raises:
        UsageError: No such model.
        WeightsError: The checkpoint cannot be read or is of another model.
    """
    recipe, _ = resolve(name)
    with on_meta():
        module = build_model(recipe)
    report = load.load(module, Path(path))
    save.save(module, recipe, Path(out))
    return report
