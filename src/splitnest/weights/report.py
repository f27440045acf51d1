"""What became of each tensor of a checkpoint, in a table."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Line:
    """Tensors of one module that had the same fate.

    Attributes:
        module: The first one or two parts of their name.
        tensors, values: How many of them, and of numbers in them.
        fate: ``loaded``, or in words what else happened and why.
    """

    module: str
    tensors: int
    values: int
    fate: str


@dataclass(frozen=True)
class Report:
    """What a load did; ``str`` gives a table.

    Attributes:
        path: The file.
        layout: Whose key names it has.
        loaded: By our module names.
        reinitialised: Layers that keep their initial values, because the file has another number of classes.
        dropped: What was not needed, by the names in the file.
    """

    path: Path
    layout: str
    loaded: tuple[Line, ...]
    reinitialised: tuple[Line, ...]
    dropped: tuple[Line, ...]

    def __str__(self) -> str:
        lines = (*self.loaded, *self.reinitialised, *self.dropped)
        rows = [("module", "tensors", "values", "")]
        rows += [(line.module, f"{line.tensors:,}", f"{line.values:,}", line.fate) for line in lines]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        table = [f"{m:<{widths[0]}}  {t:>{widths[1]}}  {v:>{widths[2]}}  {fate}".rstrip() for m, t, v, fate in rows]
        return "\n".join([f"{self.path} ({self.layout} layout)", *table])


def group(tensors: Iterable[tuple[str, int, str]]) -> tuple[Line, ...]:
    """Return one line for each module and fate, in order, from (key, number of values, fate) of tensors."""
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for key, values, fate in tensors:
        module = ".".join(key.split(".")[:-1][:2]) or key
        number, total = counts.get((module, fate), (0, 0))
        counts[module, fate] = number + 1, total + values
    return tuple(Line(module, number, total, fate) for (module, fate), (number, total) in counts.items())
