"""Check of a semantic segmentation dataset: histogram of labels, sizes, faults.

Shapes: K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitnest.data.findings import Findings, facts_table, print_findings, read_all, size_range
from splitnest.data.semantic.dataset import SemanticDataset
from splitnest.data.semantic.label_histogram import label_counts, label_histogram
from splitnest.errors import DataError, printable
from splitnest.recipe import Split

MAX_BAR_LENGTH = 20
"""Length in characters of the longest bar of the histogram."""


@dataclass(frozen=True)
class LabelCount:
    """Frequency of a class.

    Attributes:
        name: Name of the class.
        num_images: Number of images with a pixel of the class.
        fraction: Fraction of the labeled pixels.
    """

    name: str
    num_images: int
    fraction: float


@dataclass(frozen=True)
class SemanticFindings(Findings):
    """Findings of ``check_dataset``.

    Attributes:
        smallest, largest: (height, width) of the images with the fewest and the most pixels; None if none is readable.
        classes: Frequency of each class of the model.
        unlabeled: Fraction of the pixels of all label maps that are unlabeled.
    """

    smallest: tuple[int, int] | None
    largest: tuple[int, int] | None
    classes: tuple[LabelCount, ...]
    unlabeled: float


def check_dataset(dataset: SemanticDataset, split: Split = "train") -> SemanticFindings:
    """Read every image and its label map, and count labels. Fewer than two classes are a fault of a training split."""
    faults = [] if len(dataset) else [f"{dataset.source} has no images. Check the path."]
    num_pixels, num_images = np.zeros((2, len(dataset.categories) + 1), np.int64)
    sizes_hw: set[tuple[int, int]] = set()
    for size_hw, counts, fault in read_all(lambda index: _read(dataset, index), len(dataset)):
        num_pixels += counts
        num_images += counts > 0
        if size_hw is not None:
            sizes_hw.add(size_hw)
        if fault is not None:
            faults.append(fault)
    if dataset.has_annotations and split == "train" and not faults:
        fault = label_counts(num_pixels, dataset.categories, dataset.source).fault()
        faults += [] if fault is None else [fault]
    fractions = (num_pixels[:-1] / max(1, int(num_pixels[:-1].sum()))).tolist()
    classes = [LabelCount(*row) for row in zip(dataset.categories.names, num_images.tolist(), fractions, strict=False)]
    absent = tuple(row.name for row in classes if not row.num_images) if dataset.has_annotations else ()
    return SemanticFindings(
        source=dataset.source,
        num_images=len(dataset),
        anomalies=({"class without pixels": absent} if absent else {}) | dict(dataset.file_notes),
        faults=tuple(faults),
        smallest=min(sizes_hw, key=np.prod, default=None),
        largest=max(sizes_hw, key=np.prod, default=None),
        classes=tuple(classes),
        unlabeled=int(num_pixels[-1]) / max(1, int(num_pixels.sum())),
    )


def print_report(report: SemanticFindings, title: str) -> None:
    """Print the findings as tables, with a histogram of labels, followed by anomalies and faults."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    facts = facts_table(title)
    facts.add_row("images", f"{report.num_images} in {escape(printable(report.source))}")
    if report.smallest is not None and report.largest is not None:
        facts.add_row("sizes", size_range(report.smallest, report.largest))
    facts.add_row("unlabeled", f"{report.unlabeled:.2%} of the pixels")
    longest = max(row.fraction for row in report.classes) or 1
    classes = Table("class", "images", "labeled pixels", "")
    for row in report.classes:
        bar = "#" * round(MAX_BAR_LENGTH * row.fraction / longest)
        classes.add_row(escape(printable(row.name)), str(row.num_images), f"{row.fraction:.2%}", bar)
    console = Console(soft_wrap=True)
    console.print(facts)
    console.print(classes)
    print_findings(report, console)


def _read(dataset: SemanticDataset, index: int) -> tuple[tuple[int, int] | None, NDArray[np.int64], str | None]:
    """Return the size of an image, its pixels of each class and last the unlabeled ones, ``[K + 1]``, and its fault."""
    size_hw, counts = None, np.zeros(len(dataset.categories) + 1, np.int64)
    try:
        pixels = dataset.read(index)
        size_hw = pixels.shape[0], pixels.shape[1]
        if dataset.has_annotations:
            counts = label_histogram(dataset.labels(index), dataset.categories)
    except DataError as error:
        return size_hw, counts, str(error)
    return size_hw, counts, None
