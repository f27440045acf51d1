"""Mutated files of four kinds: only errors of splitnest, within limits, and nothing executed or written elsewhere.

``SPLITNEST_FUZZ=2000`` runs that number of cases of each kind, ``SPLITNEST_FUZZ_FIRST=17`` begins with case 17.
"""

import os
import random
from pathlib import Path

import pytest

from fuzz import annotations, checkpoints, images, recipes
from helpers.fuzzing import Case, Target, fuzz

COUNT = int(os.environ.get("SPLITNEST_FUZZ", "40"))
FIRST = int(os.environ.get("SPLITNEST_FUZZ_FIRST", "0"))
TARGETS: dict[str, Target] = {
    "checkpoints": checkpoints.start,
    "images": images.start,
    "annotations": annotations.start,
    "recipes": recipes.start,
}


@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", TARGETS)
def test_mutated_files(kind: str, tmp_path: Path) -> None:
    count = COUNT // 2 if kind == "recipes" else COUNT
    faults = fuzz(TARGETS[kind], kind, count, tmp_path, FIRST)
    assert not faults, f"{len(faults)} of {count} cases:\n" + "\n".join(faults)


def _faulty(folder: Path) -> Case:
    """Return a target whose cases break every rule in turn."""
    number = iter(range(5))

    def run(rng: random.Random) -> None:
        match next(number):
            case 0:
                raise ZeroDivisionError
            case 1:
                os.system("true")
            case 2:
                (folder.parent / "outside.txt").write_text("x")
            case 3:
                os.kill(os.getpid(), 9)
            case 4:
                pass

    return run


def test_faults_are_found(tmp_path: Path) -> None:
    """The process that was killed is started again, with the first rules broken once more."""
    faults = fuzz(_faulty, "faulty", 4, tmp_path)
    found = "\n".join(faults)
    for expected in (
        "faulty 0: Traceback",
        "faulty 1: executed os.system",
        "faulty 2: open outside",
        "faulty 3: the proc",
    ):
        assert expected in found
