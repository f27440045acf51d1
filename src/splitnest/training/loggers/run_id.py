"""Id of a run in a tracking service, stored in the run folder so that a resumed training continues that run."""

from pathlib import Path

from splitnest.files import write_text


class RunId:
    """File with the id of a run.

    Args:
        path: Path of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> str | None:
        """Return the id; None if there is none."""
        return self.path.read_text(encoding="utf-8").strip() or None if self.path.is_file() else None

    def write(self, run_id: str) -> None:
        """Store an id.

        Raises:
            OutputError: The file cannot be written.
        """
        write_text(self.path, f"{run_id}\n")
