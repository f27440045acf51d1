"""Annotated pictures and one JSON file from predictions."""

import io
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from splitnest.data.images import Source, expand_sources
from splitnest.errors import DataError, UsageError
from splitnest.files import replacing
from splitnest.predictor import Predictor
from splitnest.progress import track
from splitnest.results import Classification, Detections, PanopticSegmentation, Poses, Result, SemanticSegmentation
from splitnest.visualize import color_map

MOST_NAMED = 5
"""Classes of a segmentation that are named in a line, the largest first."""


def write_predictions(
    predictor: Predictor,
    sources: Sequence[str],
    folder: Path,
    json_file: Path,
    score_threshold: float,
    **options: Any,
) -> list[str]:
    """Predict for every image, write its picture into ``folder`` and all results into ``json_file``.

    Args:
        predictor: The model.
        sources: Files, folders, globs or URLs.
        folder: Made when missing. A picture is named after its photograph, and replaces none of them.
        json_file: Gets ``{"model", "images": [{"file", "picture", "result"}], "failed": [{"file", "error"}]}``; of a
            semantic segmentation also ``"map"``, a PNG file of each pixel in the colour of its class.
        score_threshold: Detections and people are drawn from this score on; the JSON file holds them all.
        options: Of ``Predictor.predictions``.

    Returns:
        Names of the images that could not be read.

    Raises:
        UsageError: A file cannot be written, or an option is not for the model.
        DataError: A folder or pattern holds no image, or a file of boxes cannot be used.
    """
    images: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []

    def on_error(source: str, error: DataError) -> None:
        print(f"skipped: {error}", file=sys.stderr)
        failed.append({"file": source, "error": str(error)})

    expanded = expand_sources(list(sources))
    taken = _names_in(folder, expanded)
    predictions = predictor.predictions(expanded, on_error=on_error, **options)
    for prediction in track(predictions, len(expanded), "predicting"):
        result = prediction.result
        if isinstance(result, Detections | Poses):
            drawn = result.draw(prediction.image, score_threshold=score_threshold)
        else:
            drawn = result.draw(prediction.image)
        picture = folder / _picture_name(prediction.source, taken)
        save_picture(Image.fromarray(drawn), picture)
        files = {"file": prediction.source, "picture": str(picture)}
        if isinstance(result, SemanticSegmentation):
            colored = folder / _picture_name(prediction.source, taken, "_map.png")
            save_picture(Image.fromarray(color_map(result)), colored)
            files["map"] = str(colored)
        print(f"{prediction.source}: {summary(result, score_threshold)}")
        images.append({**files, "result": result.to_dict()})
    write_text(json_file, json.dumps({"model": predictor.recipe.name, "images": images, "failed": failed}))
    print(f"{len(images)} pictures in {folder}, results in {json_file}")
    return [failure["file"] for failure in failed]


def summary(result: Result, score_threshold: float) -> str:
    """Say in a few words what a result holds, of detections those from ``score_threshold`` on."""
    match result:
        case Classification():
            return ", ".join(f"{name} {probability:.2f}" for _, name, probability in result.top[:3])
        case Detections():
            counts = Counter(result.categories[label].name for label in result.above(score_threshold).labels.tolist())
            return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"
        case Poses():
            return f"{len(result.above(score_threshold))} {result.categories[0].name}"
        case SemanticSegmentation():
            shares = [(label, area / result.labels.size) for label, area in result.areas().items()]
            named = [f"{result.categories[label].name} {share:.0%}" for label, share in shares[:MOST_NAMED]]
            return ", ".join(named) or "nothing"
        case PanopticSegmentation(segments_info=rows):
            things = Counter(result.categories[row["category"]].name for row in rows if row["isthing"])
            stuff = [result.categories[row["category"]].name for row in rows if not row["isthing"]]
            return ", ".join([*(f"{count} {name}" for name, count in things.most_common()), *stuff]) or "nothing"


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture, whole or not at all; its format is told by the name.

    Raises:
        UsageError: It cannot be written.
    """
    data = io.BytesIO()
    picture.save(data, Image.registered_extensions()[path.suffix], quality=92)
    _write(path, data.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all.

    Raises:
        UsageError: It cannot be written.
    """
    _write(path, text.encode())


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(data)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}. Make room or name another.") from error


def _names_in(folder: Path, sources: Iterable[Source]) -> set[str]:
    """Return the names of photographs that are in ``folder`` themselves: no picture may replace one."""
    paths = [Path(source) for source in sources if isinstance(source, str | Path)]
    return {path.name.lower() for path in paths if path.parent.resolve() == folder.resolve()}


def _picture_name(source: str, taken: set[str], ending: str = ".jpg") -> str:
    """Name a picture after its photograph, with a number where that name is taken, in whatever letter case."""
    stem = PurePath(source.split("?")[0]).stem or "image"
    name, number = f"{stem}{ending}", 1
    while name.lower() in taken:
        number += 1
        name = f"{stem}-{number}{ending}"
    taken.add(name.lower())
    return name
