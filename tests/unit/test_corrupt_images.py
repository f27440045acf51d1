"""Photographs that cannot be used, and processes that die while they read."""

import multiprocessing
import os
import re
import signal
from itertools import islice
from pathlib import Path
from typing import Any

import image_tree
import pytest
import torch
from processes import CONTEXT, children, start, wait_for
from test_order import training_set

from splitnest.build import build_categories
from splitnest.data.corrupt import CorruptImages, Replacing
from splitnest.data.image_folders import open_image_labels
from splitnest.data.loader import evaluation_loader
from splitnest.data.order import training_loader
from splitnest.data.workers import plain_worker_errors
from splitnest.errors import DataError
from splitnest.recipe import overrides
from splitnest.trainer import train


class Numbers:
    """Samples ``(epoch, index)``, some of which cannot be used; two of them for the same reason."""

    def __init__(self, *corrupt: int) -> None:
        self.corrupt = corrupt

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, int]:
        if key[1] in self.corrupt:
            raise DataError(f"{key[1] // 2}.jpg is damaged.")
        return key


def test_nothing_is_corrupt() -> None:
    found = Replacing(Numbers(), 3, 0)[4, 2]
    assert (found.sample, found.errors) == ((4, 2), ())


@pytest.mark.parametrize(
    ("corrupt", "allowed", "sample", "errors"),
    [
        ((2,), 0, None, "1"),
        ((2,), 1, (4, 3), "1"),
        ((2, 3), 1, (4, 0), "1"),  # two people of one photograph
        ((2, 3, 0), 1, None, "10"),
        ((2, 3, 0), 2, (4, 1), "10"),
        ((0, 1, 2, 3), 9, None, "10"),
    ],
)
def test_the_next_one_takes_its_place(
    corrupt: tuple[int, ...], allowed: int, sample: tuple[int, int] | None, errors: str
) -> None:
    found = Replacing(Numbers(*corrupt), 4, allowed)[4, 2]
    assert (found.sample, found.errors) == (sample, tuple(f"{number}.jpg is damaged." for number in errors))


def test_each_is_reported_once_until_there_are_too_many(capsys: pytest.CaptureFixture[str]) -> None:
    images = CorruptImages(2999, 0.001)
    for _ in range(3):
        images.add(["a is damaged.", "b is damaged."])
    assert capsys.readouterr().err.splitlines() == [f"{x} is damaged. Another image takes its place." for x in "ab"]
    with pytest.raises(DataError, match=r"c is damaged\. 3 of 2999 images cannot be used; at most 2 may be"):
        images.add(["c is damaged."])
    assert CorruptImages(999, 0.001).allowed == 0
    assert CorruptImages(118_287, 0.001).allowed == 118


def test_all_photographs_are_corrupt() -> None:
    images = CorruptImages(4, 0.99)
    with pytest.raises(DataError, match="4 of 4"):
        images.add(Replacing(Corrupt(), 4, images.allowed)[0, 0].errors)


class Corrupt:
    def __getitem__(self, key: tuple[int, int]) -> int:
        raise DataError(f"{key[1]}.jpg is damaged.")


def names(data: Any, workers: int, start: int = 0) -> list[tuple[int, list[str], list[torch.Tensor]]]:
    facts = data.train.model_copy(update={"workers": workers})
    steps = islice(training_loader(data, facts, start), 9 - start)
    return [(epoch, [s.name for s in samples], [s.image for s in samples]) for epoch, samples in steps]


def test_which_one_takes_its_place_depends_on_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = training_set(tmp_path, corrupt_share=0.3)
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:-30])
    (tmp_path / "5.png").unlink()
    expected = names(data, 0)
    said = capsys.readouterr().err
    assert said.count("Another image takes its place.") == 2
    assert str(tmp_path / "3.png") in said
    seen = {name for _, batch, _ in expected for name in batch}
    assert seen == {f"{number}.png" for number in (0, 1, 2, 4, 6)}
    for workers, first in ((2, 0), (0, 4), (1, 4)):
        found = names(data, workers, first)
        for (epoch, batch, images), (expected_epoch, expected_batch, expected_images) in zip(
            found, expected[first:], strict=True
        ):
            assert (epoch, batch) == (expected_epoch, expected_batch)
            assert all(map(torch.equal, images, expected_images))


def test_a_training_survives_one_and_not_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image_tree.write_classes(tmp_path, {"train": 4})
    values = {"data.val_images": None, "train.length": 3, "train.corrupt_share": 0.1, "train.precise_bn_steps": 2}
    recipe = image_tree.recipe_of(tmp_path, **values)
    path = tmp_path / "recipe.yaml"
    path.write_text(overrides.dump_yaml(recipe))
    damaged = [tmp_path / "train" / "red" / f"train{number}.png" for number in range(2)]
    damaged[0].write_text("no image")
    train(path, out=tmp_path / "one", device="cpu")
    assert capsys.readouterr().err.count(f"{damaged[0]} cannot be read") == 1
    damaged[1].write_text("no image")
    with pytest.raises(DataError, match="2 of 12 images cannot be used; at most 1 may be"):
        train(path, out=tmp_path / "two", device="cpu")


def test_in_an_evaluation_none_is_replaced(tmp_path: Path) -> None:
    image_tree.write_classes(tmp_path, {"train": 4, "val": 2})
    recipe = image_tree.recipe_of(tmp_path, **{"train.length": 2, "train.corrupt_share": 0.5})
    path, damaged = tmp_path / "recipe.yaml", tmp_path / "val" / "red" / "val1.png"
    path.write_text(overrides.dump_yaml(recipe))
    content = damaged.read_bytes()
    damaged.write_bytes(content[:50])
    with pytest.raises(DataError, match=r"val1\.png cannot be read"):
        train(path, out=tmp_path / "run", device="cpu")
    damaged.write_bytes(content)
    run = train(tmp_path / "run", resume=True, device="cpu")  # only the evaluation is left
    assert 0 <= run.metrics["top1"] <= 1
    assert run.best is not None


def test_a_worker_is_killed_in_training(tmp_path: Path) -> None:
    image_tree.write_classes(tmp_path, {"train": 4})
    recipe = image_tree.recipe_of(tmp_path, **{"data.val_images": None, "train.workers": 1, "train.length": 100_000})
    path, log, rows = tmp_path / "recipe.yaml", tmp_path / "log", tmp_path / "run" / "metrics.csv"
    path.write_text(overrides.dump_yaml(recipe))
    process = start("train", path, "--out", tmp_path / "run", log=log)
    wait_for(lambda: rows.exists() and rows.stat().st_size > 0, process)
    (worker,) = children(process)
    os.kill(worker, signal.SIGKILL)
    process.join(60)
    assert process.exitcode == 3
    last = log.read_text().splitlines()[-1]
    assert re.match(rf"error: A process that reads images has died \(process {worker} \D*\).*train\.workers", last)
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("DataLoader worker (pid 17) is killed by signal: Killed. ", r"\(process 17 is killed by signal: Killed\)"),
        ("DataLoader worker (pid 17) is killed by signal: Bus error. It is possible", r"\(.* Bus error\).*/dev/shm"),
        ("DataLoader worker (pid(s) 17, 18) exited unexpectedly", r"\(process 17, 18 exited unexpectedly\)"),
    ],
)
def test_how_torch_says_that_a_worker_died(said: str, shown: str) -> None:
    with pytest.raises(DataError, match=shown), plain_worker_errors():
        raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="sizes"), plain_worker_errors():
        raise RuntimeError("sizes do not match")
    later = RuntimeError("unexpected pos 710336 vs 710224")  # it came in the middle of writing a checkpoint
    later.__context__ = RuntimeError(said)
    with pytest.raises(DataError, match=shown), plain_worker_errors():
        raise later


def test_a_worker_is_killed_in_evaluation(tmp_path: Path) -> None:
    image_tree.write_classes(tmp_path, {"val": 20})
    process = CONTEXT.Process(target=_evaluate_with_a_killed_worker, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == 3


def _evaluate_with_a_killed_worker(root: Path) -> None:
    multiprocessing.set_start_method("fork", force=True)
    recipe = image_tree.recipe_of(root, **{"data.classes": list(image_tree.COLORS)})
    data = open_image_labels(recipe.data, "val", build_categories(recipe))
    batches = iter(evaluation_loader(data, recipe.input, workers=1))
    next(batches)
    (worker,) = multiprocessing.active_children()
    try:
        with plain_worker_errors():
            worker.kill()
            list(batches)
    except DataError as error:
        os._exit(error.exit_code)
