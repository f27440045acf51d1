"""HTML page of training samples as the network gets them: augmented, with their ground truth."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from splitnest.data.images.normalize import denormalize
from splitnest.files import write_text
from splitnest.recipe import Recipe, required_training
from splitnest.recipe import overrides as recipe_overrides
from splitnest.structures import Classification, Poses, Result, SemanticSegmentation
from splitnest.structures.batch import Batch
from splitnest.structures.by_class import draw_by_class
from splitnest.tasks import task_of
from splitnest.training.batches import TrainingBatches, open_training
from splitnest.visualize.page import Picture, picture_page
from splitnest.visualize.write import WRITTEN_BY, encoded_image


def write_sample_page(recipe: Recipe, path: Path, count: int) -> int:
    """Write the first samples of a training, as the network gets them, as a self-contained HTML page.

    Args:
        recipe: Complete recipe with a training section.
        path: Path of the page.
        count: Number of samples.

    Returns:
        Number of samples of an epoch.

    Raises:
        UsageError: The recipe has no training section, or a path is not set.
        DataError: The dataset cannot be used.
        OutputError: The page cannot be written.
    """
    train_cfg = required_training(recipe)
    recipe = recipe_overrides.apply(recipe, {"train.workers": 0})
    data = open_training(recipe)
    entries = ", ".join(data.training_set.augmentations.names)
    notes = [
        *data.training_set.summary(),
        f"first {count} samples of the training with train.seed {train_cfg.seed}, without padding to a batch",
        f"train.augment: {entries}" if entries else "train.augment is empty",
    ]
    pictures = list(islice(_pictures(data, recipe), count))
    write_text(path, picture_page(f"{recipe.name}: training samples", notes, pictures, WRITTEN_BY))
    return len(data.training_set)


def _pictures(data: TrainingBatches, recipe: Recipe) -> Iterator[Picture]:
    task: Any = task_of(recipe)
    for parts in data.steps(0):
        for batch in parts:
            for number, (height, width) in enumerate(batch.sizes):
                pixels = denormalize(batch.images[number, :, :height, :width], recipe.input)
                result = task.sample_result(batch, number, data.training_set.dataset)
                drawn = draw_by_class(result, pixels, scores=False)
                yield Picture(encoded_image(drawn), _name(batch, number), f"{width} x {height}: {_describe(result)}")


def _name(batch: Batch, number: int) -> str:
    return batch.names[number] if batch.names is not None else f"sample {number}"


def _describe(result: Result) -> str:
    match result:
        case Classification():
            shown = [item for item in result.top if item.probability > 0]
            return ", ".join(f"{item.name} {item.probability:.0%}" for item in shown)
        case Poses():
            return f"{int(result.scores.sum())} of {result.scores.size} keypoints labeled"
        case SemanticSegmentation():
            size = result.labels.size
            areas = sorted(result.areas().items(), key=lambda item: -item[1])
            return ", ".join(f"{result.categories[label].name} {area / size:.0%}" for label, area in areas)
    return repr(result).partition("(")[2].rpartition(" in ")[0]
