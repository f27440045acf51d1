"""TensorBoard event files of a run: the rows of ``metrics.jsonl``."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class EventLog:
    """Writer of event files if the package ``tensorboard`` is installed (extra ``track``); otherwise without effect.

    The package is imported with the first row. A resumed run tells TensorBoard to drop the rows of later steps, which
    are trained again.

    Args:
        folder: Run folder.
        done: Number of steps done.
    """

    def __init__(self, folder: Path, done: int) -> None:
        self._folder, self._done = folder, done
        self._is_installed = find_spec("tensorboard") is not None
        self._writer: SummaryWriter | None = None

    def append(self, row: Mapping[str, float]) -> None:
        """Add a row with at least the key ``step``, and flush it.

        Raises:
            OSError: The file cannot be written.
        """
        if not self._is_installed:
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(self._folder, purge_step=self._done + 1)
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(row["step"]))
        self._writer.flush()
