"""scan on the command line: sources, continuation, results, signals, faults."""

import json
import os
import signal
from pathlib import Path

import pytest

import splitnest
from helpers.command_line import CocoFolder, Run
from helpers.processes import start, wait_for
from helpers.scan_data import content_of, images, write_files, write_model, write_parquet, write_tar, write_tars

pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra scan)")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a small classifier."""
    return write_model(tmp_path_factory.mktemp("model") / "small.safetensors")


def test_a_scan_and_its_commands(run: Run, model: Path, tmp_path: Path) -> None:
    sources = write_tars(tmp_path, 2, 3, broken=[4])
    done = run("scan", model, sources, "--out", "out", "--batch-size", "2")
    assert "out: 2 of 2 shards finished, 5 images, 1 unreadable" in done.stdout
    assert "2 shards, 6 images, " in done.stderr
    assert "0 shards, 0 images" in run("scan", model, sources, "--out", "out", "--batch-size", "2").stderr
    assert "splitnest scan retry out" in run("scan", "status", "out").stdout
    assert "0 of 1 unreadable images have a result now" in run("scan", "retry", "out").stdout
    assert "6 lines" in run("scan", "to-jsonl", "out", "results.jsonl").stdout
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == list(images(6))
    assert ["error" in line for line in lines] == [False] * 4 + [True, False]
    assert "COCO has no form" in run("scan", "to-coco", "out", "a.json", code=2).stderr
    assert "differ in options.batch_size (2, not 1)" in run("scan", model, sources, "--out", "out", code=2).stderr


def test_results_of_a_detector(run: Run, small_checkpoint: Path, coco: CocoFolder, tmp_path: Path) -> None:
    root = coco.write()
    run("scan", small_checkpoint, root / "val2017", "--out", "out")
    run("scan", "to-coco", "out", "of_scan.json", "--annotations", root / "annotations" / "instances_val2017.json")
    by_scan = run("eval", small_checkpoint, f"data.root={root}", "--predictions", "out", "--results", "a.json").stdout
    by_model = run("eval", small_checkpoint, f"data.root={root}", "--results", "b.json").stdout
    assert by_scan.replace("a.json", "b.json") == by_model
    rows, expected = (json.loads((tmp_path / name).read_text()) for name in ("of_scan.json", "b.json"))
    assert len(rows) == len(expected) > 0
    assert {row["image_id"] for row in rows} == {row["image_id"] for row in expected}
    assert "has no number that is its id" in run("scan", "to-coco", "out", "c.json", code=3).stderr
    assert not (tmp_path / "c.json").exists()


def test_a_dry_run_writes_nothing(run: Run, model: Path, tmp_path: Path) -> None:
    sources = write_tars(tmp_path, 3, 4)
    done = run("scan", model, sources, "--out", "out", "--dry-run", "--devices", "2")
    assert "3 shards" in done.stdout
    assert " images by their mean size" in done.stdout
    assert "hours with 2 processes" in done.stdout
    assert not (tmp_path / "out").exists()


def test_help_and_wrong_arguments(run: Run, model: Path, tmp_path: Path) -> None:
    assert "to-coco" in run("scan", "--help").stdout
    assert "--shard-size" in run("scan", "run", "--help").stdout
    write_tar(tmp_path / "a.tar", images(1))
    assert "Missing option" in run("scan", model, "a.tar", code=2).stderr
    assert "has no option --batchsize" in run("scan", model, "a.tar", "--out", "o", "--batchsize", "2", code=2).stderr
    assert "does not exist" in run("scan", model, "absent.tar", "--out", "o", code=3).stderr
    assert "Random weights" in run("scan", model, "a.tar", "--out", "o", "--weights", "none", code=2).stderr
    assert "--score is 2" in run("scan", model, "a.tar", "--out", "o", "--score", "2", code=2).stderr
    assert "is no output folder" in run("scan", "status", ".", code=3).stderr
    write_parquet(tmp_path / "a.parquet", {"text": ["x"]})
    assert "has no column of images" in run("scan", model, "a.parquet", "--out", "o", code=3).stderr
    assert "protocol is unknown" in run("scan", model, "ssh://host/a.tar", "--out", "o", code=2).stderr
    assert "cannot be written" in run("scan", model, "a.tar", "--out", "/proc/none/o", code=5).stderr


@pytest.mark.parametrize("devices", [1, 2])
def test_sigterm(model: Path, tmp_path: Path, devices: int) -> None:
    write_files(tmp_path / "images", images(80))
    out = tmp_path / "out"
    arguments = ["scan", model, tmp_path / "images", "--out", out, "--shard-size", "2"]
    arguments += ["--devices", str(devices), "--device", "cpu"]
    process = start(*arguments, log=tmp_path / "log")
    wait_for(lambda: bool(list(out.glob("part-*"))), process)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGTERM)
    process.join(60)
    log = (tmp_path / "log").read_text()
    assert process.exitcode == 75, log
    assert "Interrupted by SIGTERM. Finished shards are in" in log
    assert not list(out.glob("_claim-*"))
    assert 0 < len(list(out.glob("part-*"))) < 40
    if devices == 1:
        for folder in (out, tmp_path / "clean"):
            splitnest.scan(model, tmp_path / "images", folder, shard_size=2, device="cpu")
        assert content_of(out) == content_of(tmp_path / "clean")
