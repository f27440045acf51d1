"""Scans on Ray, on this machine with two actors (``make scale``)."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import splitnest
from helpers.scan_data import content_of, encoded, write_tars
from splitnest.errors import SplitnestError

ray = pytest.importorskip("ray", reason="ray is not installed; make scale installs it")
pytest.importorskip("ray.data", reason="ray[data] is not installed; make scale installs it")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Start Ray with two CPUs, and end it."""
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("cluster")
def test_a_killed_actor_leaves_the_files_of_one_process(model: Path, tmp_path: Path) -> None:
    sources, out = write_tars(tmp_path, 40, 6, broken=[7]), tmp_path / "out"
    splitnest.scan(model, sources, tmp_path / "clean", device="cpu")
    killed: list[int] = []

    def kill() -> None:
        while not list(out.glob("part-*")):
            time.sleep(0.01)
        for pid in actor_pids()[:1]:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    status = splitnest.scan(model, sources, out, device="cpu", engine="ray", devices=2)
    thread.join()
    assert killed
    assert status.is_complete
    assert content_of(out) == content_of(tmp_path / "clean")


def actor_pids() -> list[int]:
    """Return the ids of the processes of Ray that run a shard actor."""
    pids = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                name = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if name.startswith(b"ray::") and b"MapWorker" in name:
                pids.append(int(folder.name))
    return pids


@pytest.mark.usefixtures("cluster")
def test_an_error_of_an_actor(model: Path, tmp_path: Path) -> None:
    with pytest.raises(SplitnestError, match="does not exist") as caught:
        splitnest.scan(model, tmp_path / "absent.tar", tmp_path / "out", engine="ray", device="cpu")
    assert caught.value.exit_code == 3
    with pytest.raises(splitnest.UsageError, match="Omit --shard"):
        splitnest.scan(model, tmp_path, tmp_path / "out", engine="ray", shard="0/2")


@pytest.mark.usefixtures("cluster")
def test_a_batch_predictor_in_map_batches(model: Path) -> None:
    predictor = splitnest.BatchPredictor(model, device="cpu", batch_size=2)
    rows = [{"image": encoded(number), "name": str(number)} for number in range(5)]
    found = ray.data.from_items(rows).map_batches(predictor, batch_size=3, num_cpus=0.5).take_all()
    assert sorted(row["name"] for row in found) == [row["name"] for row in rows]
    assert all(len(row["probabilities"]) == 3 for row in found)
