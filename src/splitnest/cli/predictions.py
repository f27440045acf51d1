"""Annotated images and one JSON file of predictions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any

from splitnest.data.images.read import Source, expand_sources
from splitnest.data.images.write import write_image
from splitnest.errors import DataError, printable, tell
from splitnest.files import write_json
from splitnest.inference.predictor import Predictor
from splitnest.progress import track
from splitnest.structures import (
    Classification,
    Detections,
    PanopticSegmentation,
    Poses,
    Result,
    SemanticSegmentation,
)

MAX_NAMED = 5
"""Number of classes of a semantic segmentation that are printed, largest first."""


def write_predictions(
    predictor: Predictor,
    sources: Sequence[str],
    folder: Path,
    json_file: Path,
    score_threshold: float,
    **options: Any,
) -> list[str]:
    """Predict for images, write annotated images into a folder and all results into a JSON file.

    Args:
        predictor: Model.
        sources: Files, folders, globs or URLs.
        folder: Folder of the annotated images, which are named after the images and replace none of them.
        json_file: File of ``{"model", "images": [{"file", "picture", "result"}], "failed": [{"file", "error"}]}``; for
            semantic segmentation with ``"map"``, a PNG file of each pixel in the color of its class.
        score_threshold: Minimum score of drawn detections and person boxes; the JSON file has all.
        options: Options of ``Predictor.predictions``.

    Returns:
        Names of the unreadable images.

    Raises:
        OutputError: A file cannot be written.
        UsageError: An option does not apply to the model.
        DataError: A folder or glob has no images, or a file of boxes cannot be used.
    """
    images: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []

    def on_error(source: str, error: DataError) -> None:
        tell(f"skipped: {error}")
        failed.append({"file": source, "error": str(error)})

    expanded = expand_sources(list(sources))
    taken = _names_in(folder, expanded)
    predictions = predictor.predictions(expanded, on_error=on_error, **options)
    for prediction in track(predictions, len(expanded), "predicting"):
        result = prediction.result
        if isinstance(result, Detections | Poses):
            drawing = result.draw(prediction.image, score_threshold=score_threshold)
        else:
            drawing = result.draw(prediction.image)
        picture = folder / _picture_name(prediction.source, taken)
        write_image(picture, drawing)
        files = {"file": prediction.source, "picture": str(picture)}
        if isinstance(result, SemanticSegmentation):
            color_map = folder / _picture_name(prediction.source, taken, "_map.png")
            write_image(color_map, result.color_map())
            files["map"] = str(color_map)
        print(printable(f"{prediction.source}: {summary(result, score_threshold)}"))
        images.append({**files, "result": result.to_dict()})
    write_json(json_file, {"model": predictor.recipe.name, "images": images, "failed": failed})
    print(f"{len(images)} annotated images in {folder}, results in {json_file}")
    return [failure["file"] for failure in failed]


def summary(result: Result, score_threshold: float) -> str:
    """Return a result in a few words; of detections and poses those with at least ``score_threshold``."""
    match result:
        case Classification():
            return ", ".join(f"{name} {probability:.2f}" for _, name, probability in result.top[:3])
        case Detections() | Poses():
            counts = Counter(result.categories[label].name for label in result.above(score_threshold).labels.tolist())
            return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"
        case SemanticSegmentation():
            fractions = [(label, area / result.labels.size) for label, area in result.areas().items()]
            named = [f"{result.categories[label].name} {fraction:.0%}" for label, fraction in fractions[:MAX_NAMED]]
            return ", ".join(named) or "nothing"
        case PanopticSegmentation(segments_info=rows):
            things = Counter(result.categories[row["category"]].name for row in rows if row["isthing"])
            stuff = [result.categories[row["category"]].name for row in rows if not row["isthing"]]
            return ", ".join([*(f"{count} {name}" for name, count in things.most_common()), *stuff]) or "nothing"


def _names_in(folder: Path, sources: Iterable[Source]) -> set[str]:
    """Return the names of source images that are in ``folder`` itself, which annotated images must not replace."""
    paths = [Path(source) for source in sources if isinstance(source, str | Path)]
    return {path.name.lower() for path in paths if path.parent.resolve() == folder.resolve()}


def _picture_name(source: str, taken: set[str], ending: str = ".jpg") -> str:
    """Return the name of an annotated image, with a number if the name is taken in any letter case."""
    stem = PurePath(source.split("?")[0]).stem or "image"
    name, number = f"{stem}{ending}", 1
    while name.lower() in taken:
        number += 1
        name = f"{stem}-{number}{ending}"
    taken.add(name.lower())
    return name
