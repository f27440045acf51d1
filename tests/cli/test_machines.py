"""Training and evaluation on two machines, as two elastic agents of torchrun on this one (``make soak``)."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from helpers.command_line import run_splitnest, write_bright_and_dark

pytestmark = pytest.mark.skipif(
    "SPLITNEST_SOAK" not in os.environ, reason="starts agents and processes again and again; make soak runs it"
)

EPOCHS = 24
TIMEOUT_S = 240


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write images of two classes, and a recipe."""
    return write_bright_and_dark(tmp_path, epochs=EPOCHS, save_every=2)


def start_agents(folder: Path, *arguments: str) -> list[subprocess.Popen[bytes]]:
    """Start the agents of two machines with one process each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"),
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "splitnest"),
        *("--max-restarts", "3", "-m", "splitnest", *arguments),
    ]
    agents = []
    for number in range(2):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        log = (folder / f"agent{number}.log").open("ab")
        agents.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log))
    return agents


def wait_for_rows(path: Path, count: int, agents: list[subprocess.Popen[bytes]]) -> None:
    """Wait for a number of rows in the log of a training."""
    end = time.monotonic() + TIMEOUT_S
    while not path.exists() or len(path.read_text().splitlines()) < count:
        assert time.monotonic() < end
        assert all(agent.poll() is None for agent in agents)
        time.sleep(0.05)


def worker_of(agent: subprocess.Popen[bytes]) -> int:
    (worker,) = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
    return int(worker)


def test_a_killed_process_is_restarted_and_the_training_is_the_same(folder: Path) -> None:
    run_splitnest(folder, "train", "small.yaml", "--out", "clean", "--devices", "2")
    agents = start_agents(folder, "train", "small.yaml", "--out", "run")
    rows = folder / "run" / "metrics.jsonl"
    wait_for_rows(rows, 2, agents)
    for agent in agents:  # of a job that is preempted
        agent.send_signal(signal.SIGTERM)
    for agent in agents:
        agent.wait(TIMEOUT_S)
    before = len(rows.read_text().splitlines())
    assert before < EPOCHS
    agents = start_agents(folder, "train", "run", "--resume")
    wait_for_rows(rows, before + 2, agents)
    os.kill(worker_of(agents[1]), signal.SIGKILL)
    for number, agent in enumerate(agents):
        assert agent.wait(TIMEOUT_S) == 0, (folder / f"agent{number}.log").read_text()[-3000:]
    one, other = (torch.load(folder / name / "last.pt", weights_only=True) for name in ("clean", "run"))
    assert one["step"] == other["step"]
    for key, tensor in one["state_dict"].items():
        assert torch.equal(tensor, other["state_dict"][key]), key


def test_two_machines_measure_the_metrics_of_one(folder: Path) -> None:
    run_splitnest(folder, "train", "small.yaml", "--out", "run")
    options = ("eval", "run", f"data.root={folder}", "--results")
    alone = run_splitnest(folder, *options, "one").stdout
    for number, agent in enumerate(start_agents(folder, *options, "two")):
        assert agent.wait(TIMEOUT_S) == 0, (folder / f"agent{number}.log").read_text()[-3000:]
    one, two = ((folder / name / "predictions.csv").read_text() for name in ("one", "two"))
    assert one == two
    assert len(one.splitlines()) == 1 + 6
    metrics = [line for line in alone.splitlines() if "top1" in line]
    logs = [(folder / f"agent{number}.log").read_text() for number in range(2)]
    assert metrics
    assert sorted(sum(line in log for log in logs) for line in metrics) == [1] * len(metrics)
