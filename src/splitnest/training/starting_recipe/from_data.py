"""Training on a dataset without a recipe: the first recipe is written into the run folder."""

from pathlib import Path

from splitnest.data.recognition.data_yaml import is_data_yaml
from splitnest.errors import tell
from splitnest.inference.resolve import run_checkpoints
from splitnest.training.run_folder import RECIPE_FILE, new_folder
from splitnest.training.starting_recipe.new import new_recipe

DATASET_RECIPE = "dataset.yaml"
"""Recipe with comments in the run folder; the complete one is beside it."""

_ANNOTATION_SUFFIXES = (".json", ".xml", ".csv")


def is_dataset(path: str | Path) -> bool:
    """Return whether a path is that of a dataset rather than of a recipe, a model or a run."""
    path = Path(path)
    if path.is_dir():
        return not run_checkpoints(path) and not (path / RECIPE_FILE).is_file()
    if path.suffix.lower() in (".yaml", ".yml"):
        return path.is_file() and is_data_yaml(path)
    return path.is_file() and path.suffix.lower() in _ANNOTATION_SUFFIXES


def recipe_in_run_folder(path: str | Path, out: Path | None) -> tuple[Path, Path]:
    """Write the first recipe for a dataset into a new run folder, and return the recipe and the folder.

    Recognized facts and assumptions are printed.

    Args:
        path: Folder of the dataset, or annotation file.
        out: Run folder; None creates one in ``runs``.

    Raises:
        DataError, UsageError, OutputError: Same conditions as ``new_recipe`` and ``new_folder``.
    """
    new = new_recipe(path, Path(DATASET_RECIPE))
    folder = new_folder(new.recipe, out)
    new = new_recipe(path, folder / DATASET_RECIPE, recognized=new.recognized)
    new.write()
    for note in new.notes:
        tell(note)
    return folder / DATASET_RECIPE, folder
