"""Several processes from the shell: started by splitnest, and by torchrun."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from conftest import CLASSIFIER, Run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write photographs of two classes, and a recipe."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 3)):
        for name, color in (("bright", 220), ("dark", 30)):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = color + rng.integers(-10, 11, (36, 40, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / split / name / f"{number}.png")
    recipe = {**CLASSIFIER, "data": {"classes": "folders", "root": str(tmp_path)}}
    recipe["train"] = {**CLASSIFIER["train"], "batch_size": 4, "length": 2}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path


def test_what_goes_wrong_is_said_once(run: Run, folder: Path) -> None:
    done = run("train", "small.yaml", "train.batch_size=1", "--devices", "2", code=2)
    assert done.stderr.count("leaves less than one image to each of 2 processes") == 1


def test_torchrun(folder: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "splitnest", "eval", "small.yaml", "--weights", "none", "--results", "found"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.count("mean_class_top1") == 1
    assert len((folder / "found" / "predictions.csv").read_text().splitlines()) == 1 + 6


def test_a_dead_process_ends_the_others(folder: Path) -> None:
    command = [sys.executable, "-m", "splitnest", "train", "small.yaml", "train.length=100000", "--devices", "2"]
    launcher = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert launcher.stderr is not None
    while "step 1/" not in launcher.stderr.readline():
        assert launcher.poll() is None
    os.kill(process_of(launcher.pid, rank=1), signal.SIGKILL)
    _, errors = launcher.communicate(timeout=60)
    assert launcher.returncode == 1
    assert "error: Process 1 of 2 ended with exit code -9; see above." in errors
    assert "Traceback" not in errors


def process_of(launcher: int, rank: int) -> int:
    """Return the process that was started with a rank."""
    for child in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError("there is no such process")


def test_a_signal_stops_all_and_they_resume(run: Run, folder: Path) -> None:
    command = [sys.executable, "-m", "splitnest", "train", "small.yaml", "train.length=100000", "train.save_every=0",
               "--devices", "2", "--out", "run1"]  # fmt: skip
    launcher = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert launcher.stderr is not None
    while "step 1/" not in launcher.stderr.readline():
        assert launcher.poll() is None
    launcher.send_signal(signal.SIGTERM)
    _, errors = launcher.communicate(timeout=60)
    assert launcher.returncode == 75, errors
    assert errors.count("go on with: splitnest train run1 --resume") == 1
    assert "Traceback" not in errors
    step = torch.load(folder / "run1" / "last.pt", weights_only=True)["step"]
    recipe = yaml.safe_load((folder / "run1" / "recipe.yaml").read_text())
    recipe["train"]["length"] = step // 2 + 2  # in epochs of two steps
    (folder / "run1" / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    done = run("train", "run1", "--resume", "--devices", "2")
    assert done.stdout.count(f"going on after step {step} of") == 1
    assert done.stdout.count("last checkpoint: run1/last.pt") == 1
    row = json.loads((folder / "run1" / "metrics.jsonl").read_text().splitlines()[-1])
    assert row["step"] == 2 * recipe["train"]["length"]  # of four images, two in each process
    assert 0 <= row["top1"] <= 1
