"""Curves of a run: losses, metrics, learning rate, gradient norm and throughput, from the rows of its log."""

from collections.abc import Sequence

from splitnest.metrics.statistics.errors import VAL_LOSS
from splitnest.training.metrics_log import Row, headline
from splitnest.visualize.curves import Panel

OTHER_COLUMNS = ("images_per_second", "data_fraction", "lr", "grad_norm", "step", "epoch")
"""Columns of the log that are neither losses nor metrics."""


METRICS = "metrics"
"""Title of the plot of the metrics."""


def panels(rows: Sequence[Row]) -> list[Panel]:
    """Return the curves of losses, metrics, learning rate and gradient norm, without empty plots."""
    names = {name: value for row in rows for name, value in row.items()}
    curves = {name: [(row["step"], row[name]) for row in rows if name in row] for name in names}
    losses = {name.removeprefix("loss_"): curves[name] for name in names if name.startswith("loss")}
    if VAL_LOSS in names:
        losses[VAL_LOSS] = curves[VAL_LOSS]
    others = [name for name in headline(names) if not name.startswith(VAL_LOSS) and name in metric_names(names)]
    found = [
        Panel("losses", losses, noisy=True),
        Panel(METRICS, {name: curves[name] for name in others}),
        Panel("learning rate", {"learning rate": curves.get("lr", [])}),
        Panel("gradient norm", {"gradient norm": curves.get("grad_norm", [])}, noisy=True),
    ]
    return [panel for panel in found if any(panel.curves.values())]


def metric_names(row: Row) -> list[str]:
    """Return the names of the metrics in a row, including losses on validation data."""
    return [name for name in row if not name.startswith("loss") and name not in OTHER_COLUMNS]
