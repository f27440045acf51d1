"""Several processes on the command line, started by splitnest or by torchrun."""

import json
import os
import signal
import subprocess
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
import yaml

from helpers.command_line import Run, start_splitnest, write_bright_and_dark
from helpers.processes import children, wait_for


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write images of two classes, and a recipe."""
    return write_bright_and_dark(tmp_path, epochs=2)


def start_training(folder: Path, *arguments: str) -> BaseProcess:
    """Start a long training in two processes, and wait for its first step."""
    outputs = {"stdout": folder / "stdout.txt", "stderr": folder / "stderr.txt"}
    arguments = ("train", "small.yaml", "train.epochs=100000", "--devices", "2", *arguments)
    launcher = start_splitnest(folder, *arguments, **outputs, OMP_NUM_THREADS="1")
    wait_for(lambda: outputs["stderr"].exists() and "step 1/" in outputs["stderr"].read_text(), launcher)
    return launcher


def has_rank(process: int, rank: int) -> bool:
    return f"RANK={rank}".encode() in Path(f"/proc/{process}/environ").read_bytes().split(b"\0")


def test_usage_error_is_printed_once(run: Run, folder: Path) -> None:
    done = run("train", "small.yaml", "train.batch_size=1", "--devices", "2", code=2)
    assert done.stderr.count("is less than one image for each of 2 processes") == 1


def test_torchrun(folder: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "splitnest", "eval", "small.yaml", "--weights", "none", "--results", "results"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.count("mean_class_top1") == 1
    assert len((folder / "results" / "predictions.csv").read_text().splitlines()) == 1 + 6


def test_killed_process_ends_the_others(folder: Path) -> None:
    launcher = start_training(folder)
    assert launcher.pid is not None
    (worker,) = (process for process in children(launcher) if has_rank(process, 1))
    os.kill(worker, signal.SIGKILL)
    launcher.join(60)
    assert launcher.exitcode == 1
    errors = (folder / "stderr.txt").read_text()
    assert "error: Process 1 of 2 exited with code -9; see above." in errors
    assert "Traceback" not in errors


def test_signal_stops_all_processes_and_they_resume(run: Run, folder: Path) -> None:
    launcher = start_training(folder, "train.save_every=0", "--out", "run1")
    launcher.terminate()
    launcher.join(60)
    errors = (folder / "stderr.txt").read_text()
    assert launcher.exitcode == 75, errors
    assert errors.count("Resume with: splitnest train run1 --resume") == 1
    assert "Traceback" not in errors
    step = torch.load(folder / "run1" / "last.pt", weights_only=True)["step"]
    recipe = yaml.safe_load((folder / "run1" / "recipe.yaml").read_text())
    recipe["train"]["epochs"] = step // 2 + 2  # an epoch has two steps
    (folder / "run1" / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    done = run("train", "run1", "--resume", "--devices", "2")
    assert done.stdout.count(f"resuming after step {step} of") == 1
    assert done.stdout.count("last checkpoint: run1/last.pt") == 1
    row = json.loads((folder / "run1" / "metrics.jsonl").read_text().splitlines()[-1])
    assert row["step"] == 2 * recipe["train"]["epochs"]  # of four images, two in each process
    assert 0 <= row["top1"] <= 1
