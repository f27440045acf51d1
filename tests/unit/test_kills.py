"""Trainings that are killed (SIGKILL) at random moments and resumed end with the weights of one that never was.

``SPLITNEST_SOAK`` is how many kills there are; ``make soak`` sets it to 50.
"""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import image_tree
import pytest
import torch
from processes import start
from test_checkpoint import flat

from splitnest.recipe import overrides

KILLS = int(os.environ.get("SPLITNEST_SOAK", "5"))
SEED = 20260731
SECONDS = 1.5
"""Longest time between a start and the kill. A whole training takes longer."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier with all that a checkpoint holds: average, momentum, mixing, DropBlock, statistics."""
    root = tmp_path_factory.mktemp("images")
    image_tree.write_classes(root, {"train": 4, "val": 2})
    values = {"unit": "iteration", "length": 40, "warmup_epochs": 0, "warmup_steps": 10, "save_every": 1,
              "evaluate_every": 20, "ema_decay": 0.9, "precise_bn_steps": 1, "schedule": "cosine"}  # fmt: skip
    found = image_tree.recipe_of(root, **{f"train.{key}": value for key, value in values.items()})
    path = root / "recipe.yaml"
    path.write_text(overrides.dump_yaml(found))
    return path


def command(recipe: Path, folder: Path) -> tuple[str | Path, ...]:
    """Return what begins a training, or goes on with it."""
    if list(folder.glob("last*.pt")):
        return "train", folder, "--resume"
    return "train", recipe, "--out", folder


def leaves(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield what a checkpoint holds."""
    yield from flat(torch.load(path, weights_only=True))


def test_killed_and_resumed_equals_never_stopped(recipe: Path, tmp_path: Path) -> None:
    log, whole = tmp_path / "log", tmp_path / "whole"
    process = start(*command(recipe, whole), log=log)
    process.join(120)
    assert process.exitcode == 0, log.read_text()
    kills, trainings, rng = 0, 0, random.Random(SEED)
    while kills < KILLS:
        folder = tmp_path / f"killed{trainings}"
        finished = False
        while not finished:
            process = start(*command(recipe, folder), log=log)
            process.join(rng.uniform(0, SECONDS) if kills < KILLS else 120)
            finished = not process.is_alive()
            if not finished:
                process.kill()
                process.join()
                kills += 1
            assert process.exitcode in (0, -9), log.read_text()
            assert kills <= KILLS, "it takes too long"
        trainings += 1
        for name in ("last.pt", "best.pt"):
            expected = dict(leaves(whole / name))
            for key, value in leaves(folder / name):
                same = torch.equal(value, expected[key]) if isinstance(value, torch.Tensor) else value == expected[key]
                assert same, f"{key} of {folder / name}"
        rows = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert rows == list(range(1, 41))
        assert not list(folder.glob(".*.pt.*"))
    assert "Traceback" not in log.read_text()
    print(f"{kills} kills in {trainings} trainings")
