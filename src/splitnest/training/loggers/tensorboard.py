"""TensorBoard event files of a run: the rows of ``metrics.jsonl``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from splitnest.files import output_errors
from splitnest.training.callbacks import Callback
from splitnest.training.run_folder import Run

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard(Callback):
    """Writer of event files into the run folder.

    The package is imported with the first row. A resumed run tells TensorBoard to drop the rows of later steps, which
    are trained again.

    Args:
        folder: Run folder.
        done: Number of steps done.
    """

    def __init__(self, folder: Path, done: int) -> None:
        self._folder, self._done = folder, done
        self._writer: SummaryWriter | None = None

    def on_row(self, row: Mapping[str, float]) -> None:
        """Add a row, and flush it.

        Raises:
            OutputError: The file cannot be written.
        """
        with output_errors(self._folder):
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter

                self._writer = SummaryWriter(self._folder, purge_step=self._done + 1)
            for name, value in row.items():
                if name != "step":
                    self._writer.add_scalar(name, value, int(row["step"]))
            self._writer.flush()

    def on_end(self, run: Run | None) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
