"""Annotated pictures and one JSON file from predictions."""

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from splitnest.data.images import expand_sources
from splitnest.errors import DataError
from splitnest.predictor import Predictor
from splitnest.progress import track
from splitnest.results import Classification, Detections, Result


def write_predictions(
    predictor: Predictor, sources: Sequence[str], folder: Path, json_file: Path, score_threshold: float, batch_size: int
) -> list[str]:
    """Predict for every image, write its picture into ``folder`` and all results into ``json_file``.

    Args:
        predictor: The model.
        sources: Files, folders, globs or URLs.
        folder: Made when missing. A picture is named after its photograph.
        json_file: Gets ``{"model", "images": [{"file", "picture", "result"}], "failed": [{"file", "error"}]}``.
        score_threshold: Detections are drawn from this score on; the JSON file holds them all.
        batch_size: Images that go through the network together.

    Returns:
        Names of the images that could not be read.
    """
    images: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []

    def on_error(source: str, error: DataError) -> None:
        print(f"skipped: {error}", file=sys.stderr)
        failed.append({"file": source, "error": str(error)})

    folder.mkdir(parents=True, exist_ok=True)
    taken: Counter[str] = Counter()
    expanded = expand_sources(list(sources))
    predictions = predictor.predictions(expanded, batch_size=batch_size, on_error=on_error)
    for prediction in track(predictions, len(expanded), "predicting"):
        result = prediction.result
        if isinstance(result, Detections):
            drawn = result.draw(prediction.image, score_threshold=score_threshold)
        else:
            drawn = result.draw(prediction.image)
        picture = folder / _picture_name(prediction.source, taken)
        save_picture(Image.fromarray(drawn), picture)
        print(f"{prediction.source}: {summary(result, score_threshold)}")
        images.append({"file": prediction.source, "picture": str(picture), "result": result.to_dict()})
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
        case _:
            return str(result)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture, whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=path.suffix, delete=False) as file:
        picture.save(file, quality=92)
    os.replace(file.name, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=path.suffix, delete=False, encoding="utf-8") as file:
        file.write(text)
    os.replace(file.name, path)


def _picture_name(source: str, taken: Counter[str]) -> str:
    stem = PurePosixPath(source.split("?")[0]).stem or "image"
    taken[stem] += 1
    return f"{stem}.jpg" if taken[stem] == 1 else f"{stem}-{taken[stem]}.jpg"
