"""Page of a run: it refreshes while training, shows what the log has, escapes what it shows, and costs little."""

import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.tiny_training import TinyData, train
from splitnest.errors import DataError, UsageError
from splitnest.training import run_page
from splitnest.training.run_folder import check_new_folder
from splitnest.training.run_page import INDEX_FILE, MAX_TIME_FRACTION, RunPage
from splitnest.training.run_warnings import warnings_of
from splitnest.visualize.report.pictures import Figure, thumbnail
from splitnest.visualize.write import is_written_here

REFRESH = '<meta http-equiv="refresh"'


class Addresses(HTMLParser):
    """Collector of addresses of other files in a page, and of the tags that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.others: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br", "line", "circle", "polyline"):
            self.open.append(tag)
        self.others += [str(value) for name, value in attrs if name in ("src", "href") and is_other(str(value))]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("line", "circle", "polyline"):
            return
        assert self.open.pop() == tag


def is_other(address: str) -> bool:
    return not address.startswith(("#", "data:image/"))


def row(step: int, **values: float) -> dict[str, float]:
    return {"step": step, "epoch": step / 10, "lr": 0.1, "loss": 2 / step, "data_fraction": 0.0, **values}


def read(folder: Path) -> str:
    text = (folder / INDEX_FILE).read_text()
    parser = Addresses()
    parser.feed(text)
    assert parser.others == []  # it needs no other file
    assert parser.open == []
    return text


def test_a_run_without_rows(tmp_path: Path) -> None:
    RunPage(tmp_path, "empty", 0, 0).update([])
    text = read(tmp_path)
    assert REFRESH in text
    assert "Training: step 0 of 0." in text
    assert is_written_here(tmp_path / INDEX_FILE)


def test_curves_metrics_and_files(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: <b>mine</b>\n")
    page = RunPage(tmp_path, "a & b", 100, 0)
    metrics = {"box_ap": 0.25, "box_ap_small": 0.125}
    rows = [row(10), row(20, box_ap=0.5, box_ap_small=-1.0), row(30, **metrics, val_loss=3.0), row(40)]
    page.update(rows)
    text = read(tmp_path)
    assert "<h1>a &amp; b</h1>" in text
    assert "step 40 of 100, about " in text
    assert "&lt;b&gt;mine&lt;/b&gt;" in text
    for title in ("losses", "metrics", "learning rate"):
        assert f"<h3>{title}</h3>" in text
    assert "gradient norm</h3>" not in text
    assert "<td>box_ap</td><td>25.00</td><td>50.00</td><td>20</td>" in text
    assert "<td>val_loss</td><td>3</td><td>3</td><td>30</td>" in text
    assert "<summary>all metrics</summary>" in text
    assert "box_ap 25</span>" in text


def test_pictures_of_this_session_and_of_an_earlier_one(tmp_path: Path) -> None:
    page = RunPage(tmp_path, "mine", 10, 0)
    pixels = np.zeros((20, 30, 3), np.uint8)
    page.finish([], "Finished.")
    assert "<img" not in read(tmp_path)
    Image.fromarray(pixels).save(tmp_path / "predictions.jpg")
    page.finish([], "Finished.")
    assert read(tmp_path).count("<img") == 1
    page.figures = [Figure([thumbnail(pixels, 16)] * 2, "7.jpg")]
    page.finish([], "Finished.")
    text = read(tmp_path)
    assert text.count("<img") == 2
    assert "7.jpg" in text


def test_the_page_is_written_rarely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, writes = [100.0], []
    monkeypatch.setattr(run_page.time, "perf_counter", lambda: now[0])

    def write(path: Path, text: str) -> None:
        writes.append(now[0])
        now[0] += 0.1

    monkeypatch.setattr(run_page, "write_text", write)
    page = RunPage(tmp_path, "mine", 1000, 0)
    rows = []
    for step in range(1, 1001):
        now[0] += 0.5
        rows.append(row(step))
        page.update(rows)
    assert len(writes) * 0.1 / (now[0] - 100) < MAX_TIME_FRACTION * 1.1
    assert len(writes) > 20
    page.finish(rows, "Finished.")
    assert writes[-1] == now[0] - 0.1


def test_a_finished_training_does_not_refresh(tmp_path: Path) -> None:
    train(tmp_path, evaluate=lambda _: {"ap": 0.5}, iterations=4)
    text = read(tmp_path)
    assert REFRESH not in text
    assert "Finished." in text
    assert "<td>ap</td><td>50.00</td>" in text


def test_a_resumed_training_shows_all_rows(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, TinyData(interrupt=7), save_every=5, iterations=10)
    text = read(tmp_path)
    assert "The training has ended: KeyboardInterrupt" in text
    assert REFRESH not in text
    train(tmp_path, save_every=5, iterations=10)
    text = read(tmp_path)
    assert "Finished." in text
    assert "10 of 10" in text


def test_an_error_is_shown(tmp_path: Path) -> None:
    class Failing(TinyData):
        def steps(self, start: int):  # type: ignore[no-untyped-def]
            raise DataError("<7.jpg> is damaged.")
            yield

    with pytest.raises(DataError):
        train(tmp_path, Failing(), iterations=4)
    assert "The training has ended: &lt;7.jpg&gt; is damaged." in read(tmp_path)


def test_a_page_of_others_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / INDEX_FILE).write_text("<h1>mine</h1>")
    with pytest.raises(UsageError, match=r"has files that are not of a run and would be replaced: index\.html"):
        check_new_folder(tmp_path)


def test_skipped_steps_are_warnings(tmp_path: Path) -> None:
    page = RunPage(tmp_path, "mine", 10, 0)
    page.notes.append("step 3 is skipped <nan>")
    page.finish([row(1)], "Finished.")
    assert "<li>step 3 is skipped &lt;nan&gt;</li>" in read(tmp_path)


def test_warnings() -> None:
    assert warnings_of([]) == []
    assert warnings_of([row(step) for step in range(1, 200)]) == []
    (slow,) = warnings_of([row(step, data_fraction=0.6) for step in range(1, 30)])
    assert slow.startswith("60% of the time is spent waiting for data. Raise train.workers")
    (rising,) = warnings_of([row(step, loss=float(step)) for step in range(1, 200)])
    assert rising.startswith("The loss has not fallen")
    assert warnings_of([row(step, loss=float("nan")) for step in range(1, 200)]) == []
    losses = [3.0, 2.0, 1.0, 1.5, 1.6]
    (overfit,) = warnings_of([row(step, val_loss=loss) for step, loss in enumerate(losses, start=1)])
    assert "lowest after step 3 (1) and is 1.6 now" in overfit


@pytest.mark.parametrize("count", [1, 6000])
def test_long_runs_are_small_pages(tmp_path: Path, count: int) -> None:
    rows = [row(step, **{f"loss_{name}": 1.0 for name in "abcde"}, grad_norm=2.0) for step in range(1, count + 1)]
    started = time.perf_counter()
    RunPage(tmp_path, "mine", count, 0).finish(rows, "Finished.")
    assert time.perf_counter() - started < 5
    assert len(read(tmp_path)) < 100_000
