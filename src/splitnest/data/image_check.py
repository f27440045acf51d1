"""Looking the data of classification over before a training: photographs of each class, sizes, what would stop it."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from splitnest.data.findings import Findings, print_findings, read_all, size_range
from splitnest.data.image_labels import LabelledImages
from splitnest.errors import DataError, first_few

SHOWN_CLASSES = 100
"""Classes up to which each has a line; of more those with fewest and most photographs are named."""


@dataclass(frozen=True)
class ImageReport(Findings):
    """What ``check_images`` found.

    Attributes:
        smallest, largest: (height, width) of the photographs with fewest and most pixels; None where none can be read.
        counts: Class name -> photographs; empty where there are no classes.
    """

    smallest: tuple[int, int] | None
    largest: tuple[int, int] | None
    counts: dict[str, int]


def check_images(dataset: LabelledImages) -> ImageReport:
    """Read every photograph."""
    faults: list[str] = []
    sizes_hw: set[tuple[int, int]] = set()
    same: dict[bytes, list[int]] = defaultdict(list)
    for index, (size_hw, digest, fault) in enumerate(read_all(lambda index: _read(dataset, index), len(dataset))):
        if fault is not None:
            faults.append(fault)
        if size_hw is not None:
            sizes_hw.add(size_hw)
            same[digest].append(index)
    names = dataset.categories.names
    counts = dict(zip(names, np.bincount(dataset.labels, minlength=len(names)).tolist(), strict=True))
    repeated = [indices for indices in same.values() if len(indices) > 1]
    oddities = {
        "class without a photograph": tuple(name for name, count in counts.items() if not count),
        "the same pixels in several classes": tuple(
            _listed(dataset, indices) for indices in repeated if len(set(dataset.labels[indices].tolist())) > 1
        ),
        "the same pixels more than once": tuple(
            _listed(dataset, indices) for indices in repeated if len(set(dataset.labels[indices].tolist())) == 1
        ),
    }
    if not dataset.has_annotations:
        counts, oddities = {}, {}
    return ImageReport(
        source=dataset.source,
        photographs=len(dataset),
        oddities={what: lines for what, lines in oddities.items() if lines},
        faults=tuple(faults),
        smallest=min(sizes_hw, key=np.prod, default=None),
        largest=max(sizes_hw, key=np.prod, default=None),
        counts=counts,
    )


def print_image_report(report: ImageReport, title: str) -> None:
    """Print a report as tables, with oddities and faults below them."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    facts = Table(show_header=False, box=None, pad_edge=False, title=escape(title), title_justify="left")
    facts.add_row("photographs", f"{report.photographs} in {escape(report.source)}")
    if report.smallest is not None and report.largest is not None:
        facts.add_row("sizes", size_range(report.smallest, report.largest))
    ranked = sorted(report.counts.items(), key=lambda item: item[1])
    if len(ranked) > SHOWN_CLASSES:
        for what, (name, count) in (("fewest", ranked[0]), ("most", ranked[-1])):
            facts.add_row(f"{what} of a class", f"{count} of {escape(name)}")
    console = Console(soft_wrap=True)
    console.print(facts)
    if 0 < len(ranked) <= SHOWN_CLASSES:
        classes = Table("class", "photographs")
        for name, count in report.counts.items():
            classes.add_row(escape(name), str(count))
        console.print(classes)
    print_findings(report, console)


def _listed(dataset: LabelledImages, indices: list[int]) -> str:
    return first_few([dataset.name(index) for index in indices])


def _read(dataset: LabelledImages, index: int) -> tuple[tuple[int, int] | None, bytes, str | None]:
    """Return the size of a photograph, a digest of its pixels, and its fault."""
    try:
        pixels = dataset.read(index)
    except DataError as error:
        return None, b"", str(error)
    return (pixels.shape[0], pixels.shape[1]), hashlib.blake2b(pixels.tobytes(), digest_size=16).digest(), None
