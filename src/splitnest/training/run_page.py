"""Page of a run, ``index.html`` in its folder: progress, curves, metrics, predictions. It refreshes while training."""

import html
import math
import time
from collections.abc import Sequence
from pathlib import Path

from splitnest.evaluation.report.files import REPORT_FILE
from splitnest.files import write_text
from splitnest.metrics.evaluator import readable
from splitnest.metrics.statistics.errors import is_error
from splitnest.training.display import duration
from splitnest.training.metrics_log import Row, headline
from splitnest.training.run_panels import METRICS, metric_names, panels
from splitnest.training.run_warnings import warnings_of
from splitnest.visualize.curves import highest, smoothed, ticks
from splitnest.visualize.report.line_chart import line_chart
from splitnest.visualize.report.page import Block, Section, report_page
from splitnest.visualize.report.pictures import Figure, pictures
from splitnest.visualize.report.table import Cell, table
from splitnest.visualize.write import WRITTEN_BY

INDEX_FILE = "index.html"

REFRESH_S = 10
"""Interval of the refresh in seconds, which is also the minimum time between two versions of the page."""

MAX_TIME_FRACTION = 1 / 200
"""Maximum fraction of the time that writing the page takes, from the second version on."""

TEXT_FILES = {"recipe.yaml": "recipe", "init_from.txt": "initial weights", "environment.txt": "environment"}
"""Text files of a run folder that the page shows, with their titles."""

IMAGE_FILES = {"confusion_matrix.png": "confusion matrix", "mistakes.jpg": "worst mistakes"}
"""Image files of a run folder that the page shows, with their titles."""

FACTS = {
    "loss": ("loss", "{:.4g}"),
    "lr": ("learning rate", "{:.3g}"),
    "images_per_second": ("images per second", "{:.3g}"),
    "data_fraction": ("waiting for data", "{:.0%}"),
}
"""Columns of the log that are shown with the progress, with their titles and formats."""

MAX_NOTES = 20
"""Number of the last notes that are shown."""

SHEET_FILE = "predictions.jpg"
"""Contact sheet of an earlier session, which is shown until the next evaluation."""


class RunPage:
    """Writer of the page of a run.

    Args:
        folder: Run folder.
        name: Name of the recipe.
        total: Number of steps of the training.
        done: Number of steps done before.

    Attributes:
        notes: Warnings of the training so far.
        figures: Ground truth and predictions of the last evaluation.
    """

    def __init__(self, folder: Path, name: str, total: int, done: int) -> None:
        self.notes: list[str] = []
        self.figures: list[Figure] = []
        self._path, self._name, self._total, self._first = folder / INDEX_FILE, name, total, done
        self._started = time.perf_counter()
        self._next = 0.0
        self._texts: dict[str, str] = {}
        self._images: dict[Path, tuple[float, bytes]] = {}

    def update(self, rows: Sequence[Row]) -> None:
        """Write the page of a training that goes on, unless that was done shortly before."""
        started = time.perf_counter()
        if started < self._next:
            return
        done = int(rows[-1]["step"]) if rows else self._first
        elapsed = started - self._started
        left = ""
        if done > self._first:
            left = f", about {duration(elapsed / (done - self._first) * (self._total - done))} left"
        self._write(rows, f"Training: step {done} of {self._total}{left}. The page refreshes.", refreshes=True)
        written = time.perf_counter()
        self._next = written + max(REFRESH_S, (written - started) / MAX_TIME_FRACTION)

    def finish(self, rows: Sequence[Row], status: str) -> None:
        """Write the page of a training that has ended, which does not refresh."""
        self._write(rows, status, refreshes=False)

    def _write(self, rows: Sequence[Row], status: str, *, refreshes: bool) -> None:
        of_rows = [self._progress(rows), _curves(rows, self._total), _metrics(rows)]
        sections = [*of_rows, self._predictions(), self._files()]
        written = time.strftime("%Y-%m-%d %H:%M:%S")
        text = f"{status} Written {written}."
        shown = [section for section in sections if section.blocks]
        page = report_page(self._name, text, shown, WRITTEN_BY, refresh_s=REFRESH_S if refreshes else None)
        write_text(self._path, page)

    def _progress(self, rows: Sequence[Row]) -> Section:
        last = {name: value for row in rows[-1:] for name, value in row.items()}
        training = {name: value for row in rows[-20:] for name, value in row.items()}  # an evaluation has no lr
        done = int(last.get("step", self._first))
        facts = {
            "step": f"{done} of {self._total}",
            "epoch": f"{last.get('epoch', 0.0):.2f}",
            "time, this session": duration(time.perf_counter() - self._started),
        }
        facts |= {title: form.format(training[key]) for key, (title, form) in FACTS.items() if key in training}
        items = "".join(f"<div><dt>{title}</dt><dd>{html.escape(text)}</dd></div>" for title, text in facts.items())
        bar = f'<progress max="{max(self._total, 1)}" value="{done}"></progress>'
        blocks = [Block(f'{bar}<dl class="facts">{items}</dl>', is_wide=True)]
        if notes := [*self.notes[-MAX_NOTES:], *warnings_of(rows)]:
            lines = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
            blocks.append(Block(f'<ul class="warnings">{lines}</ul>', "warnings", is_wide=True))
        return Section("Progress", "", blocks)

    def _predictions(self) -> Section:
        figures, text = self.figures, "Validation images: ground truth on the left, predictions on the right."
        blocks = [Block(pictures(figures), is_wide=True)] if figures else []
        files = dict(IMAGE_FILES) if figures else {SHEET_FILE: "predictions of an earlier session", **IMAGE_FILES}
        for name, title in files.items():
            if (image := self._image(self._path.with_name(name))) is not None:
                blocks.append(Block(pictures([Figure([image], title)]), is_wide=True))
        return Section("Predictions", text, blocks)

    def _files(self) -> Section:
        blocks = []
        if self._path.with_name(REPORT_FILE).is_file():
            link = f'<a href="{REPORT_FILE}">report of the last evaluation: where the model fails</a>'
            blocks.append(Block(link, is_wide=True))
        for name, title in TEXT_FILES.items():
            path = self._path.with_name(name)
            if name not in self._texts and path.is_file():  # they do not change
                self._texts[name] = path.read_text(encoding="utf-8", errors="replace")
            if name in self._texts:
                content = f"<details><summary>{title}</summary><pre>{html.escape(self._texts[name])}</pre></details>"
                blocks.append(Block(content, is_wide=True))
        return Section("Run", "Files of the run folder.", blocks)

    def _image(self, path: Path) -> bytes | None:
        """Return the content of an image file, which is read again when it was replaced."""
        if not path.is_file():
            return None
        changed = path.stat().st_mtime
        if path not in self._images or self._images[path][0] != changed:
            self._images[path] = changed, path.read_bytes()
        return self._images[path][1]


def _curves(rows: Sequence[Row], total: int) -> Section:
    """Return the section of the curves."""
    length = ticks(0.0, max(total, 1, *(row["step"] for row in rows)))[-1]
    blocks = []
    for panel in panels(rows):
        factor = 100 if panel.title == METRICS else 1
        drawn = {
            name: [(x, factor * y) for x, y in points if 0 <= y < math.inf] for name, points in panel.curves.items()
        }
        drawn = {f"{name} {points[-1][1]:.3g}": points for name, points in drawn.items() if points}
        if drawn:
            lines = {name: smoothed(points) for name, points in drawn.items()} if panel.noisy else drawn
            high = ticks(0.0, max(highest(points, panel.noisy) for points in drawn.values()) or 1.0)[-1]
            chart = line_chart(
                lines,
                x_label="step",
                y_label="percent" if panel.title == METRICS else "",
                bold=next(iter(lines)),
                pale=drawn if panel.noisy else None,
                end=(length, high),
            )
            blocks.append(Block(chart, panel.title))
    text = "The last value is beside the name. Losses and gradient norm are smoothed; pale lines are the values."
    return Section("Curves", text, blocks)


def _metrics(rows: Sequence[Row]) -> Section:
    """Return the section of the metrics: those of the last evaluation, and the best value of each."""
    evaluations = [row for row in rows if metric_names(row)]
    if not evaluations:
        return Section("Metrics", "", [])
    last = {name: evaluations[-1][name] for name in metric_names(evaluations[-1])}
    lines: dict[str, Sequence[Cell]] = {}
    for name in last:
        values = [(row[name], -int(row["step"])) for row in evaluations if name in row]
        best, step = min(values) if is_error(name) else max(values)
        lines[name] = (name, readable(name, last[name]), readable(name, best), -step)
    header = ("metric", "last", "best", "at step")
    blocks = [Block(table(header, [lines[name] for name in headline(last)]))]
    if details := [line for name, line in lines.items() if name not in headline(last)]:
        blocks.append(Block(f"<details><summary>all metrics</summary>{table(header, details)}</details>"))
    text = f"In percent, losses as they are. The last evaluation was after step {int(evaluations[-1]['step'])}."
    return Section("Metrics", text, blocks)
