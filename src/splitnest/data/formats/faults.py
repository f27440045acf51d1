"""Faults of annotation files, which are told together: some examples and their number."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from splitnest.errors import DataError, first_few
from splitnest.structures.categories import MAX_NAMES_LENGTH, Categories, yaml_list

MAX_EXAMPLES = 5
"""Number of faults that a message lists."""


class Faults:
    """Faults of an annotation file or folder, collected while it is read.

    Args:
        origin: File or folder that is read.
    """

    def __init__(self, origin: str | Path) -> None:
        self._origin, self._count = origin, 0
        self._examples: list[str] = []

    def add(self, message: str) -> None:
        """Add a fault, described in sentences that name the place."""
        self._count += 1
        if len(self._examples) < MAX_EXAMPLES:
            self._examples.append(message)

    def raise_any(self) -> None:
        """Raise a DataError with the first faults and their number, if there are any."""
        if self._count == 1:
            raise DataError(self._examples[0])
        if self._count:
            more = f"\n  and {self._count - MAX_EXAMPLES} more" if self._count > MAX_EXAMPLES else ""
            examples = "\n  ".join(self._examples)
            raise DataError(f"{self._origin} has {self._count} faults:\n  {examples}{more}")


def unknown_classes(unknown: Sequence[tuple[str, str]], categories: Categories) -> str:
    """Return the fault of instances, (class, place), whose class is not one of the model."""
    (name, place), counts = unknown[0], Counter(name for name, _ in unknown)
    known = [*categories.names, *sorted(counts)]
    each = first_few([f"{name!r} in {count} instances" for name, count in counts.most_common()])
    others = f" The files have {each}." if len(unknown) > 1 else ""
    names = yaml_list(known)
    to_set = f"{names}, or to 'file'" if len(names) <= MAX_NAMES_LENGTH else "'file'"
    return (
        f"{place}: class {name!r} is not a class of the model. Its classes are {first_few(categories.names)}.{others} "
        f"Correct the name, or set data.classes to {to_set} for all names of the files."
    )
