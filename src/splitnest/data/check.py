"""Looking a detector's data set over before a training: what is in it, what is odd, what would stop the training."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitnest.data.coco import CocoDetection
from splitnest.data.findings import Findings, print_findings, read_all
from splitnest.data.panoptic_labels import UNLABELLED, PanopticDataset
from splitnest.errors import DataError

SMALL, LARGE = 32**2, 96**2
"""Areas in square pixels between which an object is of medium size (pycocotools ``Params``)."""


@dataclass(frozen=True)
class ClassCount:
    """How often a class occurs.

    Attributes:
        name: Of the class.
        objects: Its annotations without crowd regions.
        photographs: Those with one or more of them.
    """

    name: str
    objects: int
    photographs: int


@dataclass(frozen=True)
class StuffCount:
    """How much there is of a class without instances.

    Attributes:
        name: Of the class.
        photographs: Those with a pixel of it or more.
        share: Of the pixels of all photographs, from 0 to 1.
    """

    name: str
    photographs: int
    share: float


@dataclass(frozen=True)
class Report(Findings):
    """What ``check`` found in the annotation file ``source`` and the photographs that it lists.

    Attributes:
        empty_photographs: Those without an object.
        objects: Annotations without crowd regions.
        crowd_regions: Annotations of many objects, or of difficult ones (VOC).
        sizes: ``small``, ``medium`` and ``large`` -> objects of such an area, as COCO's metrics tell them apart.
        classes: One for each class of the model that has instances.
        stuff: One for each class of a panoptic model that has none.
    """

    empty_photographs: int
    objects: int
    crowd_regions: int
    sizes: dict[str, int]
    classes: tuple[ClassCount, ...]
    stuff: tuple[StuffCount, ...]


def check(dataset: CocoDetection) -> Report:
    """Look over the annotations and read every photograph, and of panoptic data its segments."""
    file = dataset.file
    faults, pixels, photographs = _read_all(dataset)
    is_object = ~file.iscrowd
    areas = file.areas[is_object]
    return Report(
        source=str(dataset.annotation_file),
        photographs=len(dataset),
        empty_photographs=len(dataset) - len(np.unique(file.image_index[is_object])),
        objects=int(is_object.sum()),
        crowd_regions=int(file.iscrowd.sum()),
        sizes={
            "small": int((areas < SMALL).sum()),
            "medium": int(((areas >= SMALL) & (areas <= LARGE)).sum()),
            "large": int((areas > LARGE).sum()),
        },
        classes=tuple(_count_classes(dataset, is_object)),
        stuff=tuple(_count_stuff(dataset, pixels, photographs)),
        oddities=_oddities(dataset),
        faults=faults,
    )


def print_report(report: Report, title: str) -> None:
    """Print a report as tables, oddities and faults below them."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    facts = Table(show_header=False, box=None, pad_edge=False, title=escape(title), title_justify="left")
    facts.add_row("annotations", escape(report.source))
    facts.add_row("photographs", f"{report.photographs}, {report.empty_photographs} without an object")
    facts.add_row("objects", f"{report.objects}, besides {report.crowd_regions} crowd or difficult regions")
    facts.add_row("areas", ", ".join(f"{count} {size}" for size, count in report.sizes.items()))
    classes = Table("class", "objects", "photographs")
    for row in report.classes:
        classes.add_row(escape(row.name), str(row.objects), str(row.photographs))
    console = Console(soft_wrap=True)
    console.print(facts)
    console.print(classes)
    if report.stuff:
        stuff = Table("stuff", "photographs", "pixels")
        for kind in report.stuff:
            stuff.add_row(escape(kind.name), str(kind.photographs), f"{kind.share:.2%}")
        console.print(stuff)
    print_findings(report, console)


def _count_classes(dataset: CocoDetection, is_object: NDArray[np.bool_]) -> Iterator[ClassCount]:
    file = dataset.file
    ids = np.array([id_ for id_, _ in file.categories], np.int64)[file.category_index]
    for category in dataset.categories:
        of_class = is_object & (ids == category.id)
        yield ClassCount(category.name, int(of_class.sum()), len(np.unique(file.image_index[of_class])))


def _oddities(dataset: CocoDetection) -> dict[str, tuple[str, ...]]:
    file = dataset.file
    boxes = np.column_stack([file.image_index, file.category_index, file.boxes_xywh])
    _, first = np.unique(boxes, axis=0, return_index=True)
    found = {
        **dataset.oddities,
        "its class and box are those of another annotation": np.setdiff1d(np.arange(len(boxes)), first),
    }
    lines = {what: tuple(dataset.cite(row) for row in rows.tolist()) for what, rows in found.items()}
    times = Counter(file.file_names)
    lines["listed more than once"] = tuple(name for name, count in times.items() if count > 1)
    used = set(file.category_index[~file.iscrowd].tolist())
    lines["class without an object"] = tuple(
        name for index, (_, name) in enumerate(file.categories) if index not in used
    )
    return {what: cases for what, cases in lines.items() if cases}


def _count_stuff(
    dataset: CocoDetection, pixels: NDArray[np.int64], photographs: NDArray[np.int64]
) -> Iterator[StuffCount]:
    if isinstance(dataset, PanopticDataset):
        stuff = dataset.panoptic_categories.items[len(dataset.categories) :]
        for place, category in enumerate(stuff, start=1):
            share = int(pixels[place]) / max(1, int(pixels.sum()))
            yield StuffCount(category.name, int(photographs[place]), share)


def _read_all(dataset: CocoDetection) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Return what would stop a training; and for each value of ``separated`` its pixels, and photographs with them."""
    faults = []
    if not len(dataset):
        faults.append(f"{dataset.annotation_file} lists no photographs. Check the path.")
    elif dataset.file.iscrowd.all():
        faults.append(f"{dataset.annotation_file} has no objects, so there is nothing to train on. Check the path.")
    pixels, photographs = np.zeros((2, UNLABELLED + 1), np.int64)
    for fault, of_photograph in read_all(lambda index: _read(dataset, index), len(dataset)):
        pixels += of_photograph
        photographs += of_photograph > 0
        if fault is not None:
            faults.append(fault)
    return tuple(faults), pixels, photographs


def _read(dataset: CocoDetection, index: int) -> tuple[str | None, NDArray[np.int64]]:
    """Return what is wrong with a photograph and its segments, and its pixels of each value of ``separated``."""
    pixels = np.zeros(UNLABELLED + 1, np.int64)
    try:
        dataset.read(index)
        if isinstance(dataset, PanopticDataset):
            stuff = dataset.labels(index).separated(len(dataset.categories))
            pixels = np.bincount(stuff.ravel(), minlength=len(pixels))
    except DataError as error:
        return str(error), pixels
    return None, pixels
