"""Report of an evaluation as a page, with the worst images and likely label errors drawn."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest._version import __version__
from splitnest.data.dataset import ImageDataset
from splitnest.evaluation.published import published_columns
from splitnest.evaluation.report.files import write_report_files
from splitnest.metrics.evaluator import Evaluator, readable
from splitnest.metrics.report.analysis import Analysis, LabelError, Slices, plain
from splitnest.recipe import Recipe
from splitnest.structures.by_class import draw_by_class
from splitnest.tasks import task_of
from splitnest.visualize.report.page import Block, Section, report_page
from splitnest.visualize.report.pictures import Figure, pictures, thumbnail
from splitnest.visualize.report.table import table
from splitnest.visualize.write import WRITTEN_BY

MAX_SIDE, MAX_CUT_SIDE = 640, 320
"""Maximum side in pixels of a picture and of a cut-out."""

CUT_MARGIN, MIN_CUT = 0.6, 96
"""Margin of a cut-out around a box as a fraction of its sides, and minimum side in pixels of the image."""

MAX_ROWS = 12
"""Number of metrics in a table: those of boxes, or of masks."""

DEFAULT_SCORE = 0.5
"""Minimum score of drawn detections where the analysis does not say another."""


@dataclass(frozen=True)
class ReportSource:
    """What a report is made of.

    Attributes:
        recipe: Recipe of the model.
        dataset: Evaluated dataset with annotations.
        evaluator: Evaluator with the results of all images.
        metrics: Metric name -> value from 0 to 1.
        per_class: Class name -> metric name -> value.
        tta: Whether the results are of test-time augmentation.
    """

    recipe: Recipe
    dataset: ImageDataset
    evaluator: Evaluator
    metrics: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]]
    tta: bool = False

    def draw(self, index: int, score: float | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Return an image with its ground truth, and with its result if that was kept.

        Args:
            index: Index of the image.
            score: Minimum score of drawn detections.
        """
        image, task = self.dataset.read(index), task_of(self.recipe)
        gt = draw_by_class(task.ground_truth(self.dataset, index, self.recipe), image, scores=False)
        result = self.evaluator.result(self.dataset.image_id(index))
        if result is None:
            return gt, None
        return gt, draw_by_class(result, image, score_threshold=DEFAULT_SCORE if score is None else score)


def write_report(folder: Path, source: ReportSource, slices: Slices) -> Analysis:
    """Write the report of an evaluation into a folder, and return its analysis.

    The network does not run again; images are read again for the pictures, one at a time.

    Args:
        folder: Folder of the report.
        source: Evaluation.
        slices: Name -> ids of the images of a part of the dataset.

    Raises:
        DataError: The dataset has no annotations, or an image cannot be read.
        OutputError: A file cannot be written.
    """
    analysis, dataset = source.evaluator.analyze(slices), source.dataset
    index_of = {dataset.image_id(index): index for index in range(len(dataset))}
    names = {id_: dataset.name(index) for id_, index in index_of.items()}
    sections = [_metrics_section(source), *analysis.sections]
    if analysis.worst:
        sections.append(_worst_section(source, analysis, index_of))
    if analysis.label_errors:
        sections.append(_label_section(source, analysis, index_of))
    number = f"{len(dataset)} image{'' if len(dataset) == 1 else 's'}"
    text = f"{number} of {dataset.source}, evaluated with splitnest {__version__}."
    page = report_page(f"{source.recipe.name}: where the model fails", text, sections, WRITTEN_BY)
    numbers = {
        "version": __version__,
        "model": source.recipe.name,
        "task": source.recipe.task,
        "dataset": dataset.source,
        "images": len(dataset),
        "tta": source.tta,
        "metrics": plain(source.metrics),
        "published_percent": published_columns(source.recipe, source.metrics),
        "per_class": plain(source.per_class),
        **analysis.numbers,
        "worst_images": [{"image": names[w.image_id], "score": w.score, "text": w.text} for w in analysis.worst],
        "label_errors": [
            {"image": names[e.image_id], "text": e.text, "box_xywh": plain(e.box_xywh)} for e in analysis.label_errors
        ],
    }
    write_report_files(folder, page, plain(numbers), names.values(), source.evaluator.statistics())
    return analysis


def _metrics_section(source: ReportSource) -> Section:
    columns = published_columns(source.recipe, source.metrics)
    shown = {title: of for title, of in columns.items() if of}
    rows = [
        [name, readable(name, value), *(f"{of[name]:g}" if name in of else None for of in shown.values())]
        for name, value in source.metrics.items()
    ]
    text = "In percent. "
    text += "Published values are those of the model's authors on their data." if shown else "None are published."
    header = ["metric", "measured, with TTA" if source.tta else "measured", *shown]
    parts = [rows[start : start + MAX_ROWS] for start in range(0, len(rows), MAX_ROWS)]
    return Section("Metrics", text, [Block(table(header, part)) for part in parts])


def _worst_section(source: ReportSource, analysis: Analysis, index_of: Mapping[int, int]) -> Section:
    figures = []
    for worst in analysis.worst:
        index = index_of[worst.image_id]
        drawn = (thumbnail(each, MAX_SIDE) for each in source.draw(index, analysis.shown_score) if each is not None)
        figures.append(Figure(list(drawn), source.dataset.name(index), worst.text))
    text = "Ground truth on the left, prediction on the right; the worst image is first."
    if analysis.shown_score is not None:
        text += f" Detections have a score of at least {analysis.shown_score:.2f}."
    return Section("Worst images", text, [Block(pictures(figures), is_wide=True)])


def _label_section(source: ReportSource, analysis: Analysis, index_of: Mapping[int, int]) -> Section:
    figures = list(_label_figures(source, analysis, index_of))
    text = (
        "Confident predictions that contradict the annotations, the most confident first: look whether the annotation "
        "is wrong or missing. Annotation on the left, prediction on the right."
    )
    return Section("Likely label errors", text, [Block(pictures(figures, small=True), is_wide=True)])


def _label_figures(source: ReportSource, analysis: Analysis, index_of: Mapping[int, int]) -> Iterator[Figure]:
    for error in analysis.label_errors:
        index = index_of[error.image_id]
        drawn = (each for each in source.draw(index, analysis.shown_score) if each is not None)
        cuts = [thumbnail(_cut(each, error), MAX_CUT_SIDE) for each in drawn]
        yield Figure(cuts, error.text, source.dataset.name(index))


def _cut(image: NDArray[np.uint8], error: LabelError) -> NDArray[np.uint8]:
    """Return the part of an image around the box of a likely label error."""
    if error.box_xywh is None:
        return image
    x, y, width, height = error.box_xywh
    half_width, half_height = (max(side * (0.5 + CUT_MARGIN), MIN_CUT / 2) for side in (width, height))
    center_x, center_y = x + width / 2, y + height / 2
    top, bottom = max(0, int(center_y - half_height)), int(center_y + half_height) + 1
    left, right = max(0, int(center_x - half_width)), int(center_x + half_width) + 1
    cut = image[top:bottom, left:right]
    return cut if cut.size else image
