"""HTML page of training samples as the network gets them: augmented, with their ground truth."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from splitnest.data.augmentations.augmentations import UserTransform
from splitnest.data.images.normalize import denormalize
from splitnest.data.items import ImageSequence
from splitnest.errors import UsageError, code_name
from splitnest.files import check_output, is_stream, write_text
from splitnest.inference.resolve import resolve
from splitnest.recipe import Recipe, required_training
from splitnest.recipe import overrides as recipe_overrides
from splitnest.structures import Classification, Poses, Result, SemanticSegmentation
from splitnest.structures.batch import Batch
from splitnest.structures.by_class import draw_by_class
from splitnest.tasks import task_of
from splitnest.training.batches import TrainingBatches, open_training
from splitnest.visualize.page import Picture, picture_page
from splitnest.visualize.write import WRITTEN_BY, encoded_image, is_free


def data_show(
    recipe_or_name: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    out: str | Path = "samples.html",
    count: int = 16,
    train_data: ImageSequence | None = None,
    augment: UserTransform | None = None,
) -> int:
    """Draw the first samples of a training, as the network gets them, in a self-contained HTML page.

    Args:
        recipe_or_name, overrides, train_data, augment: Same as in ``train``.
        out: Path of the page.
        count: Number of samples.

    Returns:
        Number of samples of an epoch.

    Raises:
        UsageError: The recipe is not valid or has no training section, a path is not set, or there is a file that
            splitnest did not write.
        DataError: The dataset cannot be used.
        OutputError: The page cannot be written.
        UserCodeError: The augmentation raises an exception.
    """
    path = Path(out)
    if count < 1:
        raise UsageError(f"count is {count}. Give the number of samples, at least 1.")
    recipe, _ = resolve(recipe_or_name, overrides)
    if not is_stream(path) and not is_free(path):
        raise UsageError(f"{path} is a file that splitnest did not write, and is not replaced. Give another --out.")
    check_output(path, [recipe_or_name])
    train_cfg = required_training(recipe)
    recipe = recipe_overrides.apply(recipe, {"train.workers": 0})
    data = open_training(recipe, data=train_data, augment=augment)
    own = [] if augment is None else [code_name(augment)]
    entries = ", ".join([*data.training_set.augmentations.names, *own])
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
