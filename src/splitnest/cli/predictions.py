"""Annotated images and results of ``splitnest predict``."""

import errno
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.cli.picture_names import PictureNames
from splitnest.cli.results import ResultsFile
from splitnest.data.images.read import Source
from splitnest.errors import DataError, OutputError, printable, tell
from splitnest.inference.predictor import Prediction, Predictor
from splitnest.progress import track
from splitnest.streams import is_standard_output
from splitnest.structures import (
    Classification,
    Detections,
    PanopticSegmentation,
    Poses,
    Result,
    SemanticSegmentation,
)
from splitnest.structures.score_thresholds import ScoreThresholds
from splitnest.visualize.write import write_image

MAX_NAMED = 5
"""Number of classes of a semantic segmentation that are printed, largest first."""

OF_THE_NAME = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.ELOOP)
"""Errors that are due to the name of one output, so that other outputs can be written."""


def write_predictions(
    predictor: Predictor,
    sources: Sequence[tuple[Source, PurePath]],
    folder: Path,
    results: ResultsFile,
    score_threshold: float | ScoreThresholds,
    *,
    pictures: bool = True,
    skip_existing: bool = False,
    **options: Any,
) -> list[str]:
    """Predict for images; write the result and the annotated image of each as it comes, and all results at the end.

    Args:
        predictor: Model.
        sources: Images, each with the path of its drawing below ``folder``.
        folder: Folder of the annotated images, which replace no file that splitnest did not write.
        results: File of ``{"model", "images": [{"file", "picture", "result"}], "failed": [{"error", "file"}]}``; for
            semantic segmentation with ``"map"``, a PNG file of each pixel in the color of its class.
        score_threshold: Minimum score of drawn detections and person boxes, or that of each class; the file of results
            has all.
        pictures: Whether to draw annotated images.
        skip_existing: Whether to skip the images that the file has results of.
        options: Options of ``Predictor.predictions``.

    Returns:
        Names of the pictures that could not be written.

    Raises:
        OutputError: A file cannot be written, other than a picture because of its name.
        UsageError: An option does not apply to the model, or the results are of another model.
        DataError: A file of boxes cannot be used.
    """
    messages = sys.stderr if is_standard_output(results.path) else sys.stdout

    def on_error(source: str, error: DataError) -> None:
        tell(f"skipped: {error}")
        results.add_failed(printable(source), printable(error))

    if skip_existing:
        results.keep(predictor.recipe.name)
    left = [(source, name) for source, name in sources if printable(str(source)) not in results.done]
    predictions = predictor.predictions([source for source, _ in left], on_error=on_error, **options)
    results.open(predictor.recipe.name, skip_existing)  # after the options were checked: earlier results are replaced
    if len(left) < len(sources):
        print(f"{len(sources) - len(left)} of {len(sources)} images have results and are skipped", file=messages)
    taken = [str(results.path), str(results.lines), *chain.from_iterable(results.done.values())]
    drawings = _Drawings(PictureNames(folder, (source for source, _ in sources), taken), score_threshold)
    name_of = {str(source): name for source, name in left}
    for prediction in track(predictions, len(left), "predicting"):
        result, source = prediction.result, printable(prediction.source)
        files = drawings.write(prediction, name_of[prediction.source]) if pictures else {}
        print(f"{source}: {summary(shown(result, score_threshold))}", file=messages)
        results.add({"file": source, **files, "result": result.to_dict()})
    results.finish()
    drawn = f"annotated images in {printable(folder)}, " if pictures else ""
    print(f"{drawn}results of {len(results.done)} images in {printable(results.path)}", file=messages)
    return drawings.unwritten


class _Drawings:
    """Writer of annotated images.

    Attributes:
        unwritten: Names of images whose drawing cannot be written because of its name.
    """

    def __init__(self, names: PictureNames, score_threshold: float | ScoreThresholds) -> None:
        self.unwritten: list[str] = []
        self._names, self._score_threshold = names, score_threshold

    def write(self, prediction: Prediction, name: PurePath) -> dict[str, str | None]:
        """Draw a result, and return the files by their key in the results."""
        result = shown(prediction.result, self._score_threshold)
        if isinstance(result, Detections | Poses):
            drawing = result.draw(prediction.image, score_threshold=0.0)
        else:
            drawing = result.draw(prediction.image)
        files = {"picture": self._write(prediction.source, self._names.next(name), drawing)}
        if isinstance(result, SemanticSegmentation):
            path = self._names.next(name, "_map.png")
            files["map"] = self._write(prediction.source, path, result.color_map())
        return files

    def _write(self, source: str, path: Path, pixels: NDArray[np.uint8]) -> str | None:
        try:
            write_image(path, pixels)
        except OutputError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in OF_THE_NAME:
                raise
            tell(f"no picture: {error}")
            self.unwritten.append(printable(source))
            return None
        return printable(path)


def shown(result: Result, score_threshold: float | ScoreThresholds) -> Result:
    """Return a result without the detections that are not drawn."""
    if isinstance(score_threshold, float):
        return result.above(score_threshold)
    return score_threshold.select(result) if isinstance(result, Detections) else result


def summary(result: Result) -> str:
    """Return a result in a few words."""
    match result:
        case Classification():
            return ", ".join(f"{name} {probability:.2f}" for _, name, probability in result.top[:3])
        case Detections() | Poses():
            counts = Counter(result.categories[label].name for label in result.labels.tolist())
            return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"
        case SemanticSegmentation():
            fractions = [(label, area / result.labels.size) for label, area in result.areas().items()]
            named = [f"{result.categories[label].name} {fraction:.0%}" for label, fraction in fractions[:MAX_NAMED]]
            return ", ".join(named) or "nothing"
        case PanopticSegmentation(segments_info=rows):
            things = Counter(result.categories[row["category"]].name for row in rows if row["isthing"])
            stuff = [result.categories[row["category"]].name for row in rows if not row["isthing"]]
            return ", ".join([*(f"{count} {name}" for name, count in things.most_common()), *stuff]) or "nothing"
