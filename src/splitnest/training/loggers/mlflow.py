"""Run of MLflow: the rows of ``metrics.jsonl``, and the recipe as its parameters."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splitnest.recipe import Recipe
from splitnest.recipe.serialization import dump_yaml
from splitnest.training.callbacks import Callback
from splitnest.training.loggers.run_id import RunId
from splitnest.training.run_folder import Run

ID_FILE = "mlflow_id.txt"


class MLflow(Callback):
    """Run of MLflow with the name of the run folder, which a resumed training continues.

    The package is imported with the first row, and reads its own environment variables, such as
    ``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME``. The experiment is ``splitnest`` unless one is named there.

    Args:
        folder: Run folder.
        recipe: Recipe of the training.
        done: Number of steps done.
    """

    def __init__(self, folder: Path, recipe: Recipe, done: int) -> None:
        self._folder, self._recipe, self._done = folder, recipe, done
        self._client: Any = None
        self._id = ""
        self._logged = 0

    def on_row(self, row: Mapping[str, float]) -> None:
        """Add a row, unless the run has one of this step or a later one from before an interruption."""
        import time

        from mlflow.entities import Metric

        self._open()
        step = int(row["step"])
        if step <= self._logged:
            return
        now = int(1000 * time.time())
        values = [Metric(name, float(value), now, step) for name, value in row.items() if name != "step"]
        self._client.log_batch(self._id, metrics=values)

    def on_end(self, run: Run | None) -> None:
        """End the run, as failed for a training that did not finish."""
        if self._client is not None:
            self._client.set_terminated(self._id, "FINISHED" if run is not None else "FAILED")
            self._client = None

    def _open(self) -> None:
        if self._client is not None:
            return
        from mlflow import MlflowClient

        client, stored = MlflowClient(), RunId(self._folder / ID_FILE)
        known = stored.read() if self._done else None
        if known is None:
            run = client.create_run(_experiment(client), run_name=self._folder.name)
            self._id = run.info.run_id
            stored.write(self._id)
            client.log_text(self._id, dump_yaml(self._recipe), "recipe.yaml")
        else:
            self._id = known
            client.set_terminated(self._id, "RUNNING")
            self._logged = max((metric.step for metric in client.get_metric_history(self._id, "epoch")), default=0)
        self._client = client


def _experiment(client: Any) -> str:
    """Return the id of the experiment, which is created if it does not exist."""
    if experiment_id := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return experiment_id
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "splitnest")
    experiment = client.get_experiment_by_name(name)
    return str(client.create_experiment(name) if experiment is None else experiment.experiment_id)
