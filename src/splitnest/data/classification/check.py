"""Check of an image classification dataset: images of each class, sizes, duplicates, faults."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from splitnest.data.classification.dataset import ClassificationDataset
from splitnest.data.findings import Findings, facts_table, print_findings, read_all, size_range
from splitnest.errors import DataError, first_few, printable
from splitnest.recipe import Split

MAX_ROWS = 100
"""Number of classes up to which each has a row; of more, those with the fewest and the most images are named."""


@dataclass(frozen=True)
class ClassificationFindings(Findings):
    """Findings of ``check_dataset``.

    Attributes:
        smallest, largest: (height, width) of the images with the fewest and the most pixels; None if none is readable.
        counts: Class name -> number of images; empty for images without classes.
    """

    smallest: tuple[int, int] | None
    largest: tuple[int, int] | None
    counts: dict[str, int]


def check_dataset(dataset: ClassificationDataset, split: Split = "train") -> ClassificationFindings:
    """Read every image, and find duplicates and classes without images. One class is a fault of a training split."""
    faults: list[str] = []
    sizes_hw: set[tuple[int, int]] = set()
    indices_of: dict[bytes, list[int]] = defaultdict(list)
    for index, (size_hw, digest, fault) in enumerate(read_all(lambda index: _read(dataset, index), len(dataset))):
        if fault is not None:
            faults.append(fault)
        if size_hw is not None:
            sizes_hw.add(size_hw)
            indices_of[digest].append(index)
    counts: dict[str, int] = {}
    anomalies: dict[str, tuple[str, ...]] = {}
    if dataset.has_annotations:
        names = dataset.categories.names
        counts = dict(zip(names, np.bincount(dataset.labels, minlength=len(names)).tolist(), strict=True))
        if split == "train":
            faults += [fault for each in dataset.class_counts() if (fault := each.fault()) is not None]
        anomalies = _anomalies(dataset, counts, [same for same in indices_of.values() if len(same) > 1])
    return ClassificationFindings(
        source=dataset.source,
        num_images=len(dataset),
        anomalies=anomalies,
        faults=tuple(faults),
        smallest=min(sizes_hw, key=np.prod, default=None),
        largest=max(sizes_hw, key=np.prod, default=None),
        counts=counts,
    )


def print_report(report: ClassificationFindings, title: str) -> None:
    """Print the findings as tables, followed by anomalies and faults."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    facts = facts_table(title)
    facts.add_row("images", f"{report.num_images} in {escape(printable(report.source))}")
    if report.smallest is not None and report.largest is not None:
        facts.add_row("sizes", size_range(report.smallest, report.largest))
    ranked = sorted(report.counts.items(), key=lambda item: item[1])
    if len(ranked) > MAX_ROWS:
        for rank, (name, count) in (("fewest", ranked[0]), ("most", ranked[-1])):
            facts.add_row(f"{rank} images", f"{count} of class {escape(printable(name))}")
    console = Console(soft_wrap=True)
    console.print(facts)
    if 0 < len(ranked) <= MAX_ROWS:
        classes = Table("class", "images")
        for name, count in report.counts.items():
            classes.add_row(escape(printable(name)), str(count))
        console.print(classes)
    print_findings(report, console)


def _anomalies(
    dataset: ClassificationDataset, counts: dict[str, int], duplicates: list[list[int]]
) -> dict[str, tuple[str, ...]]:
    def listed(several_classes: bool) -> tuple[str, ...]:
        return tuple(
            first_few([dataset.name(index) for index in indices])
            for indices in duplicates
            if (len(set(dataset.labels[indices].tolist())) > 1) == several_classes
        )

    found = {
        "class without images": tuple(name for name, count in counts.items() if not count),
        "same pixels in several classes": listed(True),
        "same pixels several times in a class": listed(False),
        **dataset.file_notes,
    }
    return {kind: lines for kind, lines in found.items() if lines}


def _read(dataset: ClassificationDataset, index: int) -> tuple[tuple[int, int] | None, bytes, str | None]:
    """Return the size of an image, a digest of its pixels, and its fault."""
    try:
        pixels = dataset.read(index)
    except DataError as error:
        return None, b"", str(error)
    return (pixels.shape[0], pixels.shape[1]), hashlib.blake2b(pixels.tobytes(), digest_size=16).digest(), None
