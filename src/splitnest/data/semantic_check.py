"""Looking the data of semantic segmentation over before a training: a histogram of labels, and what would stop it.

K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitnest.data.findings import Findings, print_findings, read_all, size_range
from splitnest.data.semantic_labels import SemanticDataset, unlabelled
from splitnest.errors import DataError

BAR = 20
"""Characters of the longest bar of the histogram."""


@dataclass(frozen=True)
class LabelCount:
    """How much there is of a class.

    Attributes:
        name: Of the class.
        photographs: Those with a pixel of it or more.
        share: Of the labelled pixels, from 0 to 1.
    """

    name: str
    photographs: int
    share: float


@dataclass(frozen=True)
class SemanticReport(Findings):
    """What ``check_semantic`` found.

    Attributes:
        smallest, largest: (height, width) of the photographs with fewest and most pixels; None where none can be read.
        classes: One for each class of the model.
        unlabelled: Share of the pixels of all label maps, from 0 to 1.
    """

    smallest: tuple[int, int] | None
    largest: tuple[int, int] | None
    classes: tuple[LabelCount, ...]
    unlabelled: float


def check_semantic(dataset: SemanticDataset) -> SemanticReport:
    """Read every photograph and its label map."""
    faults = [] if len(dataset) else [f"{dataset.source} has no photographs. Check the path."]
    pixels, photographs = np.zeros((2, len(dataset.categories) + 1), np.int64)
    sizes_hw: set[tuple[int, int]] = set()
    for size_hw, of_photograph, fault in read_all(lambda index: _read(dataset, index), len(dataset)):
        pixels += of_photograph
        photographs += of_photograph > 0
        if size_hw is not None:
            sizes_hw.add(size_hw)
        if fault is not None:
            faults.append(fault)
    shares = (pixels[:-1] / max(1, int(pixels[:-1].sum()))).tolist()
    classes = [LabelCount(*row) for row in zip(dataset.categories.names, photographs.tolist(), shares, strict=False)]
    absent = tuple(row.name for row in classes if not row.photographs) if dataset.has_annotations else ()
    return SemanticReport(
        source=dataset.source,
        photographs=len(dataset),
        oddities={"class without a pixel": absent} if absent else {},
        faults=tuple(faults),
        smallest=min(sizes_hw, key=np.prod, default=None),
        largest=max(sizes_hw, key=np.prod, default=None),
        classes=tuple(classes),
        unlabelled=int(pixels[-1]) / max(1, int(pixels.sum())),
    )


def print_semantic_report(report: SemanticReport, title: str) -> None:
    """Print a report as tables, the labels as a histogram, with oddities and faults below them."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    facts = Table(show_header=False, box=None, pad_edge=False, title=escape(title), title_justify="left")
    facts.add_row("photographs", f"{report.photographs} in {escape(report.source)}")
    if report.smallest is not None and report.largest is not None:
        facts.add_row("sizes", size_range(report.smallest, report.largest))
    facts.add_row("unlabelled", f"{report.unlabelled:.2%} of the pixels")
    longest = max(row.share for row in report.classes) or 1
    classes = Table("class", "photographs", "labelled pixels", "")
    for row in report.classes:
        bar = "#" * round(BAR * row.share / longest)
        classes.add_row(escape(row.name), str(row.photographs), f"{row.share:.2%}", bar)
    console = Console(soft_wrap=True)
    console.print(facts)
    console.print(classes)
    print_findings(report, console)


def _read(dataset: SemanticDataset, index: int) -> tuple[tuple[int, int] | None, NDArray[np.int64], str | None]:
    """Return the size of a photograph, its pixels of each class and, last, without one, ``[K + 1]``, and its fault."""
    size_hw, counts = None, np.zeros(len(dataset.categories) + 1, np.int64)
    try:
        pixels = dataset.read(index)
        size_hw = pixels.shape[0], pixels.shape[1]
        if dataset.has_annotations:
            none = unlabelled(dataset.categories)
            found = np.bincount(dataset.labels(index).ravel(), minlength=none + 1)
            counts = np.append(found[: len(counts) - 1], found[none])
    except DataError as error:
        return size_hw, counts, str(error)
    return size_hw, counts, None
