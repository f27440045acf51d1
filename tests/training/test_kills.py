"""Trainings that are killed (SIGKILL) at random moments and resumed end with the same weights as an uninterrupted one.

``SPLITNEST_SOAK`` is the number of kills; ``make soak`` sets it to 50.
"""

import json
import os
import random
from pathlib import Path

import pytest
import torch

from helpers import image_tree
from helpers.nested import flat
from helpers.processes import start
from splitnest.recipe.serialization import dump_yaml

NUM_KILLS = int(os.environ.get("SPLITNEST_SOAK", "5"))
SEED = 20260731
NUM_STEPS = 16
MAX_SECONDS = 1.0
"""Maximum time between a start and the kill. A whole training takes longer."""


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recipe of a small classifier whose checkpoint has every part: EMA, momentum, mixup, DropBlock, statistics."""
    root = tmp_path_factory.mktemp("images")
    image_tree.write_classes(root, {"train": 4, "val": 2})
    values = {"iterations": NUM_STEPS, "warmup_iterations": 4, "save_every": 1, "evaluate_every": NUM_STEPS // 2,
              "ema_decay": 0.9, "precise_bn_batches": 1, "schedule": "cosine"}  # fmt: skip
    recipe = image_tree.recipe_of(root, **{f"train.{key}": value for key, value in values.items()})
    path = root / "recipe.yaml"
    path.write_text(dump_yaml(recipe))
    return path


def arguments(recipe_file: Path, folder: Path) -> tuple[str | Path, ...]:
    """Return the arguments of the command line that start a training, or resume it."""
    if list(folder.glob("last*.pt")):
        return "train", folder, "--resume"
    return "train", recipe_file, "--out", folder


def test_killed_and_resumed_training_equals_an_uninterrupted_one(recipe_file: Path, tmp_path: Path) -> None:
    log, whole = tmp_path / "log", tmp_path / "whole"
    process = start(*arguments(recipe_file, whole), log=log)
    process.join(120)
    assert process.exitcode == 0, log.read_text()
    expected = {name: dict(flat(torch.load(whole / name, weights_only=True))) for name in ("last.pt", "best.pt")}
    kills, trainings, rng = 0, 0, random.Random(SEED)
    while kills < NUM_KILLS:
        folder = tmp_path / f"killed{trainings}"
        finished = False
        while not finished:
            process = start(*arguments(recipe_file, folder), log=log)
            process.join(rng.uniform(0, MAX_SECONDS) if kills < NUM_KILLS else 120)
            finished = not process.is_alive()
            if not finished:
                process.kill()
                process.join()
                kills += 1
            assert process.exitcode in (0, -9), log.read_text()
            assert kills <= NUM_KILLS, "the training takes too long"
        trainings += 1
        for name, values in expected.items():
            for key, value in flat(torch.load(folder / name, weights_only=True)):
                same = torch.equal(value, values[key]) if isinstance(value, torch.Tensor) else value == values[key]
                assert same, f"{key} of {folder / name}"
        steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert steps == list(range(1, NUM_STEPS + 1))
        assert not list(folder.glob(".*.pt.*"))
    assert "Traceback" not in log.read_text()
    print(f"{kills} kills in {trainings} trainings")
