"""Faults of annotation files, which are told together: some examples and their number."""

from pathlib import Path

from splitnest.errors import DataError

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
