"""Mutated files of six kinds: only errors of splitnest, within limits, and nothing executed or written elsewhere.

``SPLITNEST_FUZZ=2000`` runs that number of cases of each kind, ``SPLITNEST_FUZZ_FIRST=17`` begins with case 17.
"""

import os
from pathlib import Path

import pytest

from fuzz import annotations, checkpoints, configurations, faulty, images, recipes, scans
from helpers.fuzzing import Target, fuzz

COUNT = int(os.environ.get("SPLITNEST_FUZZ", "40"))
FIRST = int(os.environ.get("SPLITNEST_FUZZ_FIRST", "0"))
TARGETS: dict[str, Target] = {
    "checkpoints": checkpoints.start,
    "images": images.start,
    "annotations": annotations.start,
    "recipes": recipes.start,
    "configurations": configurations.start,
    "scans": scans.start,
}


@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", TARGETS)
def test_mutated_files(kind: str, tmp_path: Path) -> None:
    if kind == "scans":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed (pip install 'splitnest[scan]')")
    count = COUNT // 2 if kind == "recipes" else COUNT
    faults = fuzz(TARGETS[kind], kind, count, tmp_path, FIRST)
    assert not faults, f"{len(faults)} of {count} cases:\n" + "\n".join(faults)


def test_faults_are_found(tmp_path: Path) -> None:
    """The process that was killed in case 3 is replaced by another one, which begins with the first fault again."""
    faults = fuzz(faulty.start, "faulty", 5, tmp_path)
    starts = (
        "0: Traceback",
        "1: executed os.system",
        "2: open outside",
        "3: the process ended with -9",
        "4: Traceback",
    )
    for number, (fault, start) in enumerate(zip(faults, starts, strict=True)):
        assert fault.startswith(f"faulty {start}"), number
