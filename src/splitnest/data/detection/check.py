"""Check of a detection or panoptic dataset: counts, areas, anomalies, faults."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.detection.panoptic import PanopticDataset
from splitnest.data.findings import Findings, facts_table, print_findings, read_all
from splitnest.errors import DataError, printable
from splitnest.structures.panoptic_labels import UNLABELED

SMALL, LARGE = 32**2, 96**2
"""Limits in square pixels of the area of medium instances (pycocotools ``Params``)."""

MAX_ROWS = 2000
"""Maximum number of classes that are printed."""


@dataclass(frozen=True)
class ClassCount:
    """Frequency of a thing class.

    Attributes:
        name: Name of the class.
        num_instances: Number of its annotations, without crowd regions.
        num_images: Number of images with such an annotation.
    """

    name: str
    num_instances: int
    num_images: int


@dataclass(frozen=True)
class StuffCount:
    """Frequency of a stuff class.

    Attributes:
        name: Name of the class.
        num_images: Number of images with a pixel of it.
        fraction: Fraction of the pixels of all images.
    """

    name: str
    num_images: int
    fraction: float


@dataclass(frozen=True)
class DetectionFindings(Findings):
    """Findings of ``check_dataset``.

    Attributes:
        num_empty_images: Number of images without instances.
        num_instances: Number of annotations without crowd regions.
        num_crowd_regions: Number of crowd regions, or difficult instances (VOC).
        areas: ``small``, ``medium`` and ``large`` -> number of instances, by the limits of COCO's metrics.
        classes: Frequency of each thing class.
        stuff: Frequency of each stuff class; empty unless the dataset is panoptic.
    """

    num_empty_images: int
    num_instances: int
    num_crowd_regions: int
    areas: dict[str, int]
    classes: tuple[ClassCount, ...]
    stuff: tuple[StuffCount, ...]


def check_dataset(dataset: DetectionDataset) -> DetectionFindings:
    """Check the annotations, and read every image and, for a panoptic dataset, its segments."""
    file = dataset.file
    faults, num_pixels, num_images = _read_everything(dataset)
    is_instance = ~file.iscrowd
    areas = file.areas[is_instance]
    return DetectionFindings(
        source=dataset.source,
        num_images=len(dataset),
        num_empty_images=len(dataset) - len(np.unique(file.image_index[is_instance])),
        num_instances=int(is_instance.sum()),
        num_crowd_regions=int(file.iscrowd.sum()),
        areas={
            "small": int((areas < SMALL).sum()),
            "medium": int(((areas >= SMALL) & (areas <= LARGE)).sum()),
            "large": int((areas > LARGE).sum()),
        },
        classes=tuple(_count_classes(dataset, is_instance)),
        stuff=tuple(_count_stuff(dataset, num_pixels, num_images)),
        anomalies=_anomalies(dataset),
        faults=faults,
    )


def print_report(report: DetectionFindings, title: str) -> None:
    """Print the findings as tables, followed by anomalies and faults."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    facts = facts_table(title)
    facts.add_row("annotations", escape(printable(report.source)))
    facts.add_row("images", f"{report.num_images}, {report.num_empty_images} without instances")
    facts.add_row("instances", f"{report.num_instances}, and {report.num_crowd_regions} crowd or difficult regions")
    facts.add_row("areas", ", ".join(f"{count} {size}" for size, count in report.areas.items()))
    classes = Table("class", "instances", "images")
    for row in report.classes[:MAX_ROWS]:
        classes.add_row(escape(printable(row.name)), str(row.num_instances), str(row.num_images))
    console = Console(soft_wrap=True)
    console.print(facts)
    console.print(classes)
    if len(report.classes) > MAX_ROWS:
        console.print(f"and {len(report.classes) - MAX_ROWS} more classes")
    if report.stuff:
        stuff = Table("stuff class", "images", "pixels")
        for stuff_row in report.stuff:
            stuff.add_row(escape(printable(stuff_row.name)), str(stuff_row.num_images), f"{stuff_row.fraction:.2%}")
        console.print(stuff)
    print_findings(report, console)


def _count_classes(dataset: DetectionDataset, is_instance: NDArray[np.bool_]) -> Iterator[ClassCount]:
    file = dataset.file
    index_of_id = {id_: index for index, (id_, _) in enumerate(file.categories)}
    categories, images = file.category_index[is_instance], file.image_index[is_instance]
    num_instances = np.bincount(categories, minlength=len(file.categories)).tolist()
    pairs = np.unique(np.column_stack([categories, images]), axis=0)
    num_images = np.bincount(pairs[:, 0], minlength=len(file.categories)).tolist()
    for category in dataset.categories:
        index = index_of_id.get(category.id)
        counts = (0, 0) if index is None else (num_instances[index], num_images[index])
        yield ClassCount(category.name, *counts)


def _anomalies(dataset: DetectionDataset) -> dict[str, tuple[str, ...]]:
    file = dataset.file
    boxes = np.column_stack([file.image_index, file.category_index, file.boxes_xywh])
    _, first = np.unique(boxes, axis=0, return_index=True)
    rows_of = {
        **dataset.anomalies,
        "another annotation has the same class and box": np.setdiff1d(np.arange(len(boxes)), first),
    }
    lines = {kind: tuple(dataset.cite(row) for row in rows.tolist()) for kind, rows in rows_of.items()}
    lines |= dataset.file_notes
    times = Counter(file.file_names)
    lines["image listed more than once"] = tuple(name for name, count in times.items() if count > 1)
    used = set(file.category_index[~file.iscrowd].tolist())
    lines["class without instances"] = tuple(
        name for index, (_, name) in enumerate(file.categories) if index not in used
    )
    return {kind: cases for kind, cases in lines.items() if cases}


def _count_stuff(
    dataset: DetectionDataset, num_pixels: NDArray[np.int64], num_images: NDArray[np.int64]
) -> Iterator[StuffCount]:
    if isinstance(dataset, PanopticDataset):
        stuff = dataset.panoptic_categories.items[len(dataset.categories) :]
        for label, category in enumerate(stuff, start=1):
            fraction = int(num_pixels[label]) / max(1, int(num_pixels.sum()))
            yield StuffCount(category.name, int(num_images[label]), fraction)


def _read_everything(dataset: DetectionDataset) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Return the faults, and for each stuff label its pixels and the images with it."""
    faults = []
    if not len(dataset):
        faults.append(f"{dataset.source} lists no images. Check the path.")
    elif dataset.file.iscrowd.all():
        faults.append(f"{dataset.source} has no instances, so there is nothing to train on. Check the path.")
    num_pixels, num_images = np.zeros((2, UNLABELED + 1), np.int64)
    for fault, counts in read_all(lambda index: _read(dataset, index), len(dataset)):
        num_pixels += counts
        num_images += counts > 0
        if fault is not None:
            faults.append(fault)
    return tuple(faults), num_pixels, num_images


def _read(dataset: DetectionDataset, index: int) -> tuple[str | None, NDArray[np.int64]]:
    """Return the fault of an image or its segments, and its pixels of each stuff label."""
    counts = np.zeros(UNLABELED + 1, np.int64)
    try:
        dataset.read(index)
        if isinstance(dataset, PanopticDataset):
            labels = dataset.labels(index).stuff_labels(len(dataset.categories))
            counts = np.bincount(labels.ravel(), minlength=len(counts))
    except DataError as error:
        return str(error), counts
    return None, counts
