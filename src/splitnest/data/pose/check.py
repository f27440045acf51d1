"""Check of a pose dataset: persons, labeled keypoints, anomalies, faults.

Shapes: K keypoints.
"""

from dataclasses import dataclass

import numpy as np

from splitnest.data.findings import Findings, facts_table, print_findings, read_all
from splitnest.data.pose.dataset import PoseDataset
from splitnest.errors import DataError, printable


@dataclass(frozen=True)
class KeypointCount:
    """Frequency of a keypoint among the persons with keypoints.

    Attributes:
        name: Name of the keypoint.
        visible, hidden: Number of persons whose keypoint is visible, or labeled but hidden.
    """

    name: str
    visible: int
    hidden: int


@dataclass(frozen=True)
class PoseFindings(Findings):
    """Findings of ``check_dataset``.

    Attributes:
        num_empty_images: Number of images without person boxes for evaluation.
        num_people: Number of annotations without crowd regions.
        num_with_keypoints: Number of persons that take part in training.
        num_crowd_regions: Number of crowd regions.
        num_boxes: Number of person boxes for evaluation.
        keypoints: Frequency of each keypoint.
    """

    num_empty_images: int
    num_people: int
    num_with_keypoints: int
    num_crowd_regions: int
    num_boxes: int
    keypoints: tuple[KeypointCount, ...]


def check_dataset(dataset: PoseDataset) -> PoseFindings:
    """Check the annotations and read every image."""
    faults = [fault for fault in read_all(lambda index: _fault(dataset, index), len(dataset)) if fault is not None]
    if not len(dataset):
        faults.append(f"{dataset.source} lists no images. Check the path.")
    elif dataset.has_annotations and not dataset.has_pose.any():
        faults.append(
            f"{dataset.source} has no person with keypoints, so there is nothing to train on. Check the path."
        )
    visibility = dataset.keypoints[dataset.has_pose, :, 2]
    keypoints = [
        KeypointCount(name, int(visible), int(hidden))
        for name, visible, hidden in zip(
            dataset.skeleton.names, (visibility >= 2).sum(axis=0), (visibility == 1).sum(axis=0), strict=True
        )
    ]
    num_boxes = [len(dataset.people(index)) for index in range(len(dataset))]
    return PoseFindings(
        source=dataset.source,
        num_images=len(dataset),
        anomalies=_anomalies(dataset, keypoints),
        faults=tuple(faults),
        num_empty_images=num_boxes.count(0),
        num_people=int((~dataset.file.iscrowd).sum()),
        num_with_keypoints=int(dataset.has_pose.sum()),
        num_crowd_regions=int(dataset.file.iscrowd.sum()),
        num_boxes=sum(num_boxes),
        keypoints=tuple(keypoints),
    )


def print_report(report: PoseFindings, title: str) -> None:
    """Print the findings as tables, followed by anomalies and faults."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    facts = facts_table(title)
    facts.add_row("annotations", escape(printable(report.source)))
    facts.add_row("images", f"{report.num_images}, {report.num_empty_images} without persons")
    facts.add_row("persons", f"{report.num_people}, and {report.num_crowd_regions} crowd regions")
    facts.add_row("with keypoints", str(report.num_with_keypoints))
    facts.add_row("person boxes", str(report.num_boxes))
    keypoints = Table("keypoint", "visible", "hidden", "not labeled")
    for row in report.keypoints:
        missing = report.num_with_keypoints - row.visible - row.hidden
        keypoints.add_row(escape(printable(row.name)), str(row.visible), str(row.hidden), str(missing))
    console = Console(soft_wrap=True)
    console.print(facts)
    console.print(keypoints)
    print_findings(report, console)


def _anomalies(dataset: PoseDataset, keypoints: list[KeypointCount]) -> dict[str, tuple[str, ...]]:
    sizes_wh = dataset.file.sizes_hw[dataset.file.image_index][:, None, ::-1]
    positions, labeled = dataset.keypoints[..., :2], dataset.keypoints[..., 2] > 0
    outside = (labeled & ((positions < 0) | (positions > sizes_wh)).any(axis=-1)).any(axis=1)
    rows_of = {
        **{kind: rows for kind, rows in dataset.anomalies.items() if "polygon" not in kind},
        "a labeled keypoint is outside the image": np.flatnonzero(outside),
        "num_keypoints is not the number of labeled keypoints": np.flatnonzero(
            dataset.num_keypoints != labeled.sum(axis=1)
        ),
    }
    lines = {kind: tuple(map(dataset.cite, rows.tolist())) for kind, rows in rows_of.items()}
    if dataset.has_pose.any():
        lines["keypoint that no person has"] = tuple(row.name for row in keypoints if not row.visible + row.hidden)
    lines["person boxes"] = tuple(dataset.notes)
    return {kind: cases for kind, cases in lines.items() if cases}


def _fault(dataset: PoseDataset, index: int) -> str | None:
    try:
        dataset.read(index)
    except DataError as error:
        return str(error)
    return None
