"""Samples of large datasets, whose annotations are in one file for each image."""

from collections.abc import Sequence

from splitnest.data.recognition.tree import spread

MAX_READ = 5000
"""Number of annotation files up to which all are read."""

SAMPLE = 2000
"""Number of annotation files that are read of a larger dataset, evenly spread."""


def sample_of(names: Sequence[str]) -> frozenset[str]:
    """Return the names that are read: all up to ``MAX_READ``, otherwise a sample."""
    return frozenset(names if len(names) <= MAX_READ else spread(names, SAMPLE))


def sampled_note(count: int, kind: str) -> str:
    """Return the note on a sample of a number of files."""
    return f"{SAMPLE} of {count} {kind} were read, evenly spread: rare classes may be missing"
