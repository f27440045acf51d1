"""Report of a loaded checkpoint: what happened to each tensor."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from splitnest.errors import printable

MAX_MODULE_CHARACTERS = 80
"""Maximum length of a module name in a report."""


@dataclass(frozen=True)
class Line:
    """Tensors of one module with the same outcome.

    Attributes:
        module: First one or two parts of their name.
        tensors, values: Number of tensors, and of values in them.
        outcome: ``loaded``, or another outcome and its reason.
    """

    module: str
    tensors: int
    values: int
    outcome: str


@dataclass(frozen=True)
class Report:
    """Outcome of loading a checkpoint; ``str`` returns a table.

    Attributes:
        path: Checkpoint.
        layout: Code base of its keys.
        loaded: Loaded tensors by our module names.
        kept: Layers of the network that keep their random weights, and why.
        dropped: Tensors that were not needed, by the names in the file, and why.
    """

    path: Path
    layout: str
    loaded: tuple[Line, ...]
    kept: tuple[Line, ...]
    dropped: tuple[Line, ...]

    def __str__(self) -> str:
        lines = (*self.loaded, *self.kept, *self.dropped)
        rows = [("module", "tensors", "values", "")]
        rows += [(line.module, f"{line.tensors:,}", f"{line.values:,}", line.outcome) for line in lines]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        table = [f"{m:<{widths[0]}}  {t:>{widths[1]}}  {v:>{widths[2]}}  {end}".rstrip() for m, t, v, end in rows]
        return "\n".join([f"{self.path} ({self.layout} layout)", *table])


def group(tensors: Iterable[tuple[str, int, str]]) -> tuple[Line, ...]:
    """Return one line for each module and outcome, in order, from (key, number of values, outcome) of tensors."""
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for key, values, outcome in tensors:
        module = printable(".".join(key.split(".")[:-1][:2]) or key)[:MAX_MODULE_CHARACTERS]
        number, total = counts.get((module, outcome), (0, 0))
        counts[module, outcome] = number + 1, total + values
    return tuple(Line(module, number, total, outcome) for (module, outcome), (number, total) in counts.items())
