"""Unreadable images, and worker processes that die."""

import os
import re
import signal
from itertools import islice
from pathlib import Path

import pytest
import torch

from helpers import image_tree
from helpers.detection_training_set import training_set
from helpers.killed_worker import evaluate_with_a_killed_worker
from helpers.processes import children, start, start_function, wait_for
from splitnest.data.detection.training_set import DetectionTrainingSet
from splitnest.data.loading.corrupt import CorruptImages, Replacing
from splitnest.data.loading.training_loader import TrainingLoader
from splitnest.data.loading.workers import plain_worker_errors
from splitnest.errors import DataError
from splitnest.recipe.serialization import dump_yaml
from splitnest.training.train import train


class Numbers:
    """Samples that are their keys, some of them corrupt. Two consecutive samples share one image."""

    def __init__(self, *corrupt: int) -> None:
        self.corrupt = corrupt

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, int]:
        if key[1] in self.corrupt:
            raise DataError(f"{key[1] // 2}.jpg is damaged.")
        return key


def test_readable_sample_is_returned() -> None:
    loaded = Replacing(Numbers(), 3, 0)[4, 2]
    assert (loaded.sample, loaded.errors) == ((4, 2), ())


@pytest.mark.parametrize(
    ("corrupt", "allowed", "sample", "errors"),
    [
        ((2,), 0, None, "1"),
        ((2,), 1, (4, 3), "1"),
        ((2, 3), 1, (4, 0), "1"),  # two persons of one image
        ((2, 3, 0), 1, None, "10"),
        ((2, 3, 0), 2, (4, 1), "10"),
        ((0, 1, 2, 3), 9, None, "10"),
    ],
)
def test_corrupt_sample_is_replaced_by_the_next(
    corrupt: tuple[int, ...], allowed: int, sample: tuple[int, int] | None, errors: str
) -> None:
    loaded = Replacing(Numbers(*corrupt), 4, allowed)[4, 2]
    assert (loaded.sample, loaded.errors) == (sample, tuple(f"{number}.jpg is damaged." for number in errors))


def test_each_corrupt_image_is_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    images = CorruptImages(2999, 0.001)
    for _ in range(3):
        images.add(["a is damaged.", "b is damaged."])
    assert capsys.readouterr().err.splitlines() == [f"{x} is damaged. It is replaced by another image." for x in "ab"]
    with pytest.raises(DataError, match=r"c is damaged\. 3 of 2999 images are unreadable, more than the 2 allowed"):
        images.add(["c is damaged."])
    assert CorruptImages(999, 0.001).allowed == 0
    assert CorruptImages(118_287, 0.001).allowed == 118


def test_all_images_are_corrupt() -> None:
    images = CorruptImages(4, 0.99)
    with pytest.raises(DataError, match="4 of 4"):
        images.add(Replacing(Corrupt(), 4, images.allowed)[0, 0].errors)


class Corrupt:
    def __getitem__(self, key: tuple[int, int]) -> int:
        raise DataError(f"{key[1]}.jpg is damaged.")


def load(data: DetectionTrainingSet, workers: int, start: int = 0) -> list[tuple[tuple[int, int], str, torch.Tensor]]:
    """Return key, name and image of all samples of the steps from ``start`` to 8."""
    train_cfg = data.train_cfg.model_copy(update={"workers": workers})
    steps = islice(TrainingLoader(data, train_cfg).steps(start), 9 - start)
    loaded = [item for step in steps for part in step for item in part]
    return [(item.key, item.sample.name, item.sample.image) for item in loaded if item.sample is not None]


def test_replacement_is_the_same_for_any_number_of_workers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = training_set(tmp_path, max_corrupt_fraction=0.3)
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:-30])
    (tmp_path / "5.png").unlink()
    expected = load(data, 0)
    assert len(expected) == 9 * data.train_cfg.batch_size
    messages = capsys.readouterr().err
    assert messages.count("It is replaced by another image.") == 2
    assert str(tmp_path / "3.png") in messages
    assert {name for _, name, _ in expected} == {f"{number}.png" for number in (0, 1, 2, 4, 6)}
    for workers, first in ((2, 0), (0, 4), (1, 4)):
        samples = load(data, workers, first)
        for (*names, image), (*expected_names, expected_image) in zip(
            samples, expected[first * data.train_cfg.batch_size :], strict=True
        ):
            assert names == expected_names
            assert torch.equal(image, expected_image)


def test_training_stops_when_too_many_images_are_corrupt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image_tree.write_classes(tmp_path, {"train": 4})
    values = {
        "data.val_images": None,
        "train.epochs": 2,
        "train.max_corrupt_fraction": 0.1,
        "train.precise_bn_batches": 2,
    }
    recipe = image_tree.recipe_of(tmp_path, **values)
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_yaml(recipe))
    damaged = [tmp_path / "train" / "red" / f"train{number}.png" for number in range(2)]
    damaged[0].write_text("no image")
    train(path, out=tmp_path / "one", device="cpu")
    assert capsys.readouterr().err.count(f"{damaged[0]} cannot be read") == 1
    damaged[1].write_text("no image")
    with pytest.raises(DataError, match="2 of 12 images are unreadable, more than the 1 allowed"):
        train(path, out=tmp_path / "two", device="cpu")


def test_corrupt_image_is_not_replaced_in_evaluation(tmp_path: Path) -> None:
    image_tree.write_classes(tmp_path, {"train": 2, "val": 2})
    recipe = image_tree.recipe_of(tmp_path, **{"train.epochs": 1, "train.max_corrupt_fraction": 0.5})
    path, damaged = tmp_path / "recipe.yaml", tmp_path / "val" / "red" / "val1.png"
    path.write_text(dump_yaml(recipe))
    content = damaged.read_bytes()
    damaged.write_bytes(content[:50])
    with pytest.raises(DataError, match=r"val1\.png cannot be read"):
        train(path, out=tmp_path / "run", device="cpu")
    damaged.write_bytes(content)
    run = train(tmp_path / "run", resume=True, device="cpu")  # only the evaluation remains
    assert 0 <= run.metrics["top1"] <= 1
    assert run.best is not None


def test_killed_worker_ends_training_with_an_error(tmp_path: Path) -> None:
    image_tree.write_classes(tmp_path, {"train": 4})
    recipe = image_tree.recipe_of(tmp_path, **{"data.val_images": None, "train.workers": 1, "train.epochs": 100_000})
    path, log, rows = tmp_path / "recipe.yaml", tmp_path / "log", tmp_path / "run" / "metrics.csv"
    path.write_text(dump_yaml(recipe))
    process = start("train", path, "--out", tmp_path / "run", log=log)
    wait_for(lambda: rows.exists() and rows.stat().st_size > 0, process)
    (worker,) = children(process)
    os.kill(worker, signal.SIGKILL)
    process.join(60)
    assert process.exitcode == 3
    last = log.read_text().splitlines()[-1]
    assert re.match(rf"error: A data loading worker died \(process {worker} \D*\).*train\.workers", last)
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("DataLoader worker (pid 17) is killed by signal: Killed. ", r"\(process 17 is killed by signal: Killed\)"),
        ("DataLoader worker (pid 17) is killed by signal: Bus error. It is possible", r"\(.* Bus error\).*/dev/shm"),
        ("DataLoader worker (pid(s) 17, 18) exited unexpectedly", r"\(process 17, 18 exited unexpectedly\)"),
    ],
)
def test_torch_errors_about_dead_workers_become_data_errors(message: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected), plain_worker_errors():
        raise RuntimeError(message)
    with pytest.raises(RuntimeError, match="sizes"), plain_worker_errors():
        raise RuntimeError("sizes do not match")
    later = RuntimeError("unexpected pos 710336 vs 710224")  # raised while a checkpoint is written
    later.__context__ = RuntimeError(message)
    with pytest.raises(DataError, match=expected), plain_worker_errors():
        raise later


def test_killed_worker_ends_evaluation_with_an_error(tmp_path: Path) -> None:
    image_tree.write_classes(tmp_path, {"val": 20})
    process = start_function(evaluate_with_a_killed_worker, tmp_path, log=tmp_path / "log")
    process.join(60)
    assert process.exitcode == 3
