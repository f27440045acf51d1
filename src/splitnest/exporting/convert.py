"""Conversion of checkpoints of any code base to safetensors with a recipe."""

from pathlib import Path

from splitnest.device import on_meta
from splitnest.files import check_output
from splitnest.inference.resolve import resolve
from splitnest.models.build import build_model
from splitnest.weights import load, save
from splitnest.weights.read import read_score_thresholds
from splitnest.weights.report import Report


def convert(path: str | Path, name: str | Path | None, out: str | Path, config: str | Path | None = None) -> Report:
    """Convert a checkpoint of any code base to a safetensors file that contains its recipe.

    Args:
        path: Checkpoint.
        name: Model that the checkpoint belongs to, or a recipe file; None derives the recipe from the checkpoint.
        out: File to write, whose name ends in .safetensors.
        config: Upstream configuration of a checkpoint that does not hold it; only without a name.

    Returns:
        Report of the loaded and dropped tensors.

    Raises:
        UsageError: There is no such model, the configuration is not valid, or ``out`` is one of the files to read.
        WeightsError: The checkpoint cannot be read or belongs to another model.
        OutputError: The file cannot be written.
    """
    check_output(Path(out), inputs=[file for file in (path, name, config) if file is not None])
    recipe, _ = resolve(path if name is None else name, config=config)
    with on_meta():
        module = build_model(recipe)
    report = load.load(module, Path(path))
    save.save(module, recipe, Path(out), read_score_thresholds(path))
    return report
