"""Looking the people of a data set over before a training: who has keypoints, which, and what would stop it.

K keypoints.
"""

from dataclasses import dataclass

import numpy as np

from splitnest.data.findings import Findings, print_findings, read_all
from splitnest.data.people_dataset import PeopleDataset
from splitnest.errors import DataError


@dataclass(frozen=True)
class KeypointCount:
    """How often a keypoint is labelled, among the people who have keypoints.

    Attributes:
        name: Of the keypoint.
        visible, hidden: People of whom it is.
    """

    name: str
    visible: int
    hidden: int


@dataclass(frozen=True)
class PeopleReport(Findings):
    """What ``check_people`` found.

    Attributes:
        empty_photographs: Those without anybody to look at.
        people: Annotations without crowd regions.
        with_keypoints: Those of them that are trained on.
        crowd_regions: Annotations of many people.
        looked_at: People whom an estimator looks at in evaluation.
        keypoints: One for each keypoint of the model.
    """

    empty_photographs: int
    people: int
    with_keypoints: int
    crowd_regions: int
    looked_at: int
    keypoints: tuple[KeypointCount, ...]


def check_people(dataset: PeopleDataset) -> PeopleReport:
    """Look over the annotations and read every photograph."""
    faults = [fault for fault in read_all(lambda index: _fault(dataset, index), len(dataset)) if fault is not None]
    if not len(dataset):
        faults.append(f"{dataset.source} lists no photographs. Check the path.")
    elif dataset.has_annotations and not dataset.has_pose.any():
        faults.append(f"{dataset.source} has nobody with keypoints, so there is nothing to train on. Check the path.")
    states = dataset.keypoints[dataset.has_pose, :, 2]
    keypoints = [
        KeypointCount(name, int(visible), int(hidden))
        for name, visible, hidden in zip(
            dataset.skeleton.names, (states >= 2).sum(axis=0), (states == 1).sum(axis=0), strict=True
        )
    ]
    looked_at = [len(dataset.people(index)) for index in range(len(dataset))]
    return PeopleReport(
        source=dataset.source,
        photographs=len(dataset),
        oddities=_oddities(dataset, keypoints),
        faults=tuple(faults),
        empty_photographs=looked_at.count(0),
        people=int((~dataset.file.iscrowd).sum()),
        with_keypoints=int(dataset.has_pose.sum()),
        crowd_regions=int(dataset.file.iscrowd.sum()),
        looked_at=sum(looked_at),
        keypoints=tuple(keypoints),
    )


def print_people_report(report: PeopleReport, title: str) -> None:
    """Print a report as tables, oddities and faults below them."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    facts = Table(show_header=False, box=None, pad_edge=False, title=escape(title), title_justify="left")
    facts.add_row("annotations", escape(report.source))
    facts.add_row("photographs", f"{report.photographs}, {report.empty_photographs} without anybody to look at")
    facts.add_row("people", f"{report.people}, besides {report.crowd_regions} crowd regions")
    facts.add_row("with keypoints", str(report.with_keypoints))
    facts.add_row("looked at", str(report.looked_at))
    keypoints = Table("keypoint", "visible", "hidden", "not labelled")
    for row in report.keypoints:
        missing = report.with_keypoints - row.visible - row.hidden
        keypoints.add_row(escape(row.name), str(row.visible), str(row.hidden), str(missing))
    console = Console(soft_wrap=True)
    console.print(facts)
    console.print(keypoints)
    print_findings(report, console)


def _oddities(dataset: PeopleDataset, keypoints: list[KeypointCount]) -> dict[str, tuple[str, ...]]:
    sizes_wh = dataset.file.sizes_hw[dataset.file.image_index][:, None, ::-1]
    places, labelled = dataset.keypoints[..., :2], dataset.keypoints[..., 2] > 0
    outside = (labelled & ((places < 0) | (places > sizes_wh)).any(axis=-1)).any(axis=1)
    claimed = dataset.num_keypoints != labelled.sum(axis=1)
    found = {
        **{what: rows for what, rows in dataset.oddities.items() if "polygon" not in what},
        "a labelled keypoint is outside of its photograph": np.flatnonzero(outside),
        "num_keypoints is not the number of labelled keypoints": np.flatnonzero(claimed),
    }
    lines = {what: tuple(map(dataset.cite, rows.tolist())) for what, rows in found.items()}
    if dataset.has_pose.any():
        lines["a keypoint that nobody has"] = tuple(row.name for row in keypoints if not row.visible + row.hidden)
    lines["to be known"] = tuple(dataset.remarks)
    return {what: cases for what, cases in lines.items() if cases}


def _fault(dataset: PeopleDataset, index: int) -> str | None:
    try:
        dataset.read(index)
    except DataError as error:
        return str(error)
    return None
