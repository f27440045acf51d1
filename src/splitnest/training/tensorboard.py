"""The log of a run for TensorBoard: the numbers of ``metrics.jsonl`` as event files in the folder of the run."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class EventLog:
    """Writes rows where the package ``tensorboard`` is installed (extra ``track``), and nothing elsewhere.

    The package is imported with the first row. A run that resumes goes on behind its checkpoint: TensorBoard is told to
    drop what it has of later steps, as those steps are taken again.

    Args:
        folder: Of the run.
        done: Steps that are done.
    """

    def __init__(self, folder: Path, done: int) -> None:
        self._folder, self._done = folder, done
        self._installed = find_spec("tensorboard") is not None
        self._writer: SummaryWriter | None = None

    def append(self, row: Mapping[str, float]) -> None:
        """Add the row of a step, which holds at least ``step``; it is in the file at once.

        Raises:
            OSError: It cannot be written.
        """
        if not self._installed:
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(self._folder, purge_step=self._done + 1)
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(row["step"]))
        self._writer.flush()
