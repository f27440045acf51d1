"""Run of Weights & Biases: the rows of ``metrics.jsonl``, and the recipe as its configuration."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from splitnest.recipe import Recipe
from splitnest.training.callbacks import Callback
from splitnest.training.loggers.run_id import RunId
from splitnest.training.run_folder import Run

ID_FILE = "wandb_id.txt"


class WeightsAndBiases(Callback):
    """Run of Weights & Biases with the name of the run folder, which a resumed training continues.

    The package is imported with the first row, and reads its own environment variables, such as ``WANDB_MODE`` and
    ``WANDB_PROJECT``. The project is ``splitnest`` unless they name another one.

    Args:
        folder: Run folder.
        recipe: Recipe of the training.
        done: Number of steps done.
    """

    def __init__(self, folder: Path, recipe: Recipe, done: int) -> None:
        self._folder, self._recipe, self._done = folder, recipe, done
        self._run: Any = None

    def on_row(self, row: Mapping[str, float]) -> None:
        """Add a row."""
        run = self._opened()
        run.log({name: value for name, value in row.items() if name != "step"}, step=int(row["step"]), commit=True)

    def on_end(self, run: Run | None) -> None:
        """Finish the run, with exit code 1 for a training that did not finish, and store the best metrics."""
        if self._run is None:
            return
        if run is not None:
            self._run.summary.update({f"best/{name}": value for name, value in run.metrics.items()})
        self._run.finish(exit_code=0 if run is not None else 1)
        self._run = None

    def _opened(self) -> Any:
        if self._run is None:
            import wandb

            stored = RunId(self._folder / ID_FILE)
            known = stored.read() if self._done else None
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "splitnest"),
                name=self._folder.name,
                id=known or uuid4().hex,
                resume="allow" if known else None,
                dir=str(self._folder),
                config=self._recipe.model_dump(mode="json"),
                reinit="create_new",
            )
            stored.write(self._run.id)
        return self._run
