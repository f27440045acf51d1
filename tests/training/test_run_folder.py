"""Run folder: rows of the log, curves, names and content."""

import csv
import json
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.tiny_training import TinyData, recipe_of, train, train_config
from splitnest.errors import OutputError, UsageError
from splitnest.files import replacing
from splitnest.training.environment import describe_environment
from splitnest.training.metrics_log import MetricsLog, headline
from splitnest.training.run_folder import RunFolder, find_folder, new_folder
from splitnest.visualize.curves import HEIGHT, WIDTH, Panel, draw_curves, ticks


def rows_of(folder: Path) -> tuple[list[dict[str, float]], list[dict[str, str]]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    with (folder / "metrics.csv").open(newline="") as file:
        return lines, list(csv.DictReader(file))


def test_log_without_rows_is_empty(tmp_path: Path) -> None:
    assert MetricsLog(tmp_path, 0).rows == []
    assert rows_of(tmp_path) == ([], [])


def test_rows_are_written_at_once_and_new_columns_are_added(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0)
    log.append({"step": 1, "loss": 1 / 3})
    assert rows_of(tmp_path) == ([{"step": 1, "loss": 1 / 3}], [{"step": "1", "loss": "0.333333"}])
    log.append({"step": 2, "loss": 0.25, "box_ap": 0.5})
    log.append({"step": 3, "loss": 0.125})
    lines, table = rows_of(tmp_path)
    assert [line.get("box_ap") for line in lines] == [None, 0.5, None]
    assert [row["box_ap"] for row in table] == ["", "0.5", ""]


def test_resumed_log_has_each_row_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0)
    for step in range(1, 6):
        log.append({"step": step, "loss": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # the machine crashed here
    log = MetricsLog(tmp_path, 3)
    log.append({"step": 4, "loss": 0.5})
    lines, table = rows_of(tmp_path)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert [(row["step"], row["loss"]) for row in table] == [("1", "1"), ("2", "1"), ("3", "1"), ("4", "0.5")]


def test_damaged_lines_are_moved_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = [
        b"\xff\x00",
        b'{"step": 2',
        b"[1]",
        b'{"loss": 1}',
        b'{"step": "3"}',
        b'{"step": 3, "loss": null}',
        b"[" * 9999,
        b"",
    ]
    rows = [b'{"step": 1, "loss": 0.5}', b'{"step": 4, "loss": NaN}']
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join([rows[0], *bad, rows[1], b""]))
    log = MetricsLog(tmp_path, 9)
    assert [row["step"] for row in log.rows] == [1, 4]
    expected = (
        f"{tmp_path / 'metrics.jsonl'} is damaged in lines 2, 3, 4, 5, 6 and 3 more, which are moved to metrics.jsonl."
    )
    assert capsys.readouterr().err.startswith(expected)
    assert (tmp_path / "metrics.jsonl.damaged").read_bytes() == b"\n".join([*bad, b""])
    assert MetricsLog(tmp_path, 9).rows[0] == log.rows[0]
    assert capsys.readouterr().err == ""


def test_resumed_run_logs_the_same_rows(tmp_path: Path) -> None:
    logged = {}
    for name, interrupts in (("whole", [None]), ("resumed", [9, None])):
        for interrupt in interrupts:
            folder = tmp_path / name
            try:
                train(folder, TinyData(interrupt=interrupt), lambda _: {}, draws=True, save_every=6, evaluate_every=10)
            except KeyboardInterrupt:
                assert rows_of(folder)[0][-1]["step"] == 9
        timed = ("images_per_second", "data_fraction")
        logged[name] = [{k: v for k, v in row.items() if k not in timed} for row in rows_of(folder)[0]]
    assert logged["whole"] == logged["resumed"]
    assert [row["step"] for row in logged["whole"]] == list(range(1, 21))
    assert logged["whole"][4]["epoch"] == 1
    assert Image.open(tmp_path / "whole" / "curves.png").size == (2 * WIDTH, 2 * HEIGHT)


def test_headline_has_no_detailed_metrics() -> None:
    names = ("box_ap", "box_ap50", "box_ap_small", "box_ar1", "box_ar100", "box_ar_large", "mask_ap75", "top1")
    assert list(headline(dict.fromkeys(names, 0.5))) == ["box_ap", "box_ap50", "mask_ap75", "top1"]
    assert list(headline(dict.fromkeys(("pq", "sq", "rq", "pq_things", "sq_stuff"), 0.5))) == ["pq", "pq_things"]


def test_new_folder_never_exists_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda _: "20250102-030405")
    recipe = recipe_of(train_config())
    assert [new_folder(recipe).name for _ in range(3)] == [
        f"{recipe.name}-20250102-030405{suffix}" for suffix in ("", "-2", "-3")
    ]
    assert new_folder(recipe, tmp_path / "a" / "b").is_dir()
    (tmp_path / "a" / "b" / "last.pt").touch()
    with pytest.raises(UsageError, match="has a run already"):
        new_folder(recipe, tmp_path / "a" / "b")


def test_latest_run_of_a_recipe_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = recipe_of(train_config())
    with pytest.raises(UsageError, match=f"has no run of {re.escape(recipe.name)} with a checkpoint"):
        find_folder(recipe)
    for number, name in enumerate((f"{recipe.name}-20250102-030405-2", f"{recipe.name}-20250102-030405")):
        path = Path("runs") / name / "last.pt"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (number, number))
    for name in (f"{recipe.name}-20250103-030405", f"{recipe.name}-other-20250103-030405"):
        (Path("runs") / name).mkdir()
    (Path("runs") / f"{recipe.name}-other-20250103-030405" / "last.pt").touch()
    assert find_folder(recipe).name == f"{recipe.name}-20250102-030405"
    with pytest.raises(UsageError, match=r"has no checkpoint last\.pt"):
        find_folder(recipe, tmp_path)


def test_full_disk_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path, recipe_of(train_config()))
    folder.write_text("a.txt", "first")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        folder.write_text("a.txt", "second")
    assert (tmp_path / "a.txt").read_text() == "first"


def test_file_is_complete_or_absent(tmp_path: Path) -> None:
    def interrupted() -> None:
        with replacing(tmp_path / "a") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_environment_lists_versions_and_machine() -> None:
    text = describe_environment()
    for key in ("command", "commit", "python", "splitnest", "torch", "numpy", "machine", "devices"):
        assert re.search(rf"^{key}: \S", text, re.MULTILINE)


def test_curves_need_a_panel() -> None:
    with pytest.raises(ValueError, match="needs at least one panel"):
        draw_curves([])


def test_curves_of_any_length_are_drawn() -> None:
    empty = draw_curves([Panel("empty", {"a": []})])
    assert empty.shape == (HEIGHT, WIDTH, 3)
    values = [float("nan"), -1.0, 0.0, 3.0]
    assert draw_curves([Panel("odd", {"a": list(enumerate(values))})]).shape == (HEIGHT, WIDTH, 3)
    one = draw_curves([Panel("one", {"a": [(5, 1.0)]}, noisy=True)] * 3)
    assert one.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    many = [(x, 1 + np.sin(x)) for x in range(500)]
    assert (draw_curves([Panel("many", {"a": many}, noisy=True)]) != draw_curves([Panel("many", {"a": many})])).any()


def test_ticks_are_round_numbers() -> None:
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert ticks(0, 90000) == [0, 20000, 40000, 60000, 80000, 100000]
    assert ticks(0, 0.0021) == pytest.approx([0, 0.0005, 0.001, 0.0015, 0.002, 0.0025])
    with pytest.raises(ValueError, match="high must be greater than low"):
        ticks(1, 1)
