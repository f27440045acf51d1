"""SIGKILL to a random process of a scan, again and again: the folder equals that of a clean run, byte for byte.

``SPLITNEST_SOAK=50`` kills 50 times in a scan of 2,000 images in tars.
"""

import os
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import splitnest
from helpers.processes import children, start
from helpers.scan_data import content_of, write_tars

KILLS = int(os.environ.get("SPLITNEST_SOAK", "1"))
IMAGES, SHARD = (2000, 20) if KILLS > 1 else (80, 4)
TIMEOUT_S = 600


def test_killed_processes(model: Path, tmp_path: Path) -> None:
    sources = write_tars(tmp_path / "data", IMAGES // SHARD, SHARD, broken=range(0, IMAGES, 33))
    splitnest.scan(model, sources, tmp_path / "clean", device="cpu", batch_size=2)
    expected, out = content_of(tmp_path / "clean"), tmp_path / "out"
    arguments = ["scan", model, sources, "--out", out, "--batch-size", "2", "--devices", "2", "--device", "cpu"]
    rng, log = random.Random(0), tmp_path / "log"
    process = start(*arguments, log=log)
    for kill in range(KILLS):
        wanted = (kill + 1) * (IMAGES // SHARD) // (KILLS + 2)
        workers = wait_for_workers(process, out, wanted)
        is_main = kill % 5 == 4  # its workers go on alone, and the next ones work beside them
        os.kill(process.pid or 0 if is_main else rng.choice(workers), signal.SIGKILL)
        time.sleep(rng.random() * 0.3)
        if is_main:
            process.join()
            process = start(*arguments, log=log)
    process.join(TIMEOUT_S)
    assert process.exitcode == 0, log.read_text()
    assert "was killed by SIGKILL and is started again" in log.read_text()
    assert content_of(out) == expected


def wait_for_workers(process: BaseProcess, out: Path, num_parts: int) -> list[int]:
    """Wait until a number of shards is finished and a worker is alive; return the ids of the workers."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        assert process.is_alive(), f"the scan ended with {process.exitcode} before it was killed"
        workers = [pid for pid in children(process) if b"spawn_main" in command_line(pid)]
        if workers and len(list(out.glob("part-*.parquet"))) >= num_parts:
            return workers
        time.sleep(0.01)
    raise AssertionError(f"{num_parts} shards were not finished in {TIMEOUT_S} s")


def command_line(pid: int) -> bytes:
    """Return the command line of a process; nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
