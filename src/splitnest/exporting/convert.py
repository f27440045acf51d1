"""Conversion of checkpoints of any code base to safetensors with a recipe."""

from pathlib import Path

from splitnest.device import on_meta
from splitnest.files import check_output
from splitnest.inference.resolve import resolve
from splitnest.models.build import build_model
from splitnest.weights import load, save
from splitnest.weights.report import Report


def convert(path: str | Path, name: str | Path, out: str | Path) -> Report:
    """Convert a checkpoint of any code base to a safetensors file that contains its recipe.

    Args:
        path: Checkpoint.
        name: Model that the checkpoint belongs to, or a recipe file.
        out: File to write, whose name ends in .safetensors.

    Returns:
        Report of the loaded and dropped tensors.

    Raises:
        UsageError: There is no such model, or ``out`` is one of the files to read.
        WeightsError: The checkpoint cannot be read or belongs to another model.
        OutputError: The file cannot be written.
    """
    check_output(Path(out), inputs=(path, name))
    recipe, _ = resolve(name)
    with on_meta():
        module = build_model(recipe)
    report = load.load(module, Path(path))
    save.save(module, recipe, Path(out))
    return report
