"""Training with datasets from Python: equal to files, resumed bit for bit, faults named by their index."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch.utils.data import ConcatDataset, Subset

import splitnest
from helpers.python_data import KnownItems, SceneItems, write_files
from helpers.tiny_detector import CONTENT
from helpers.tiny_training import assert_equal_tensors, interrupted, state_dict_of
from splitnest.errors import DataError, UsageError

COUNT = 20


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    content = copy.deepcopy(CONTENT)
    del content["train"]["epochs"]
    content["train"] |= {"iterations": 5, "schedule": "cosine"}
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def finished(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> splitnest.Run:
    """Uninterrupted training of 5 steps on 20 items."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return splitnest.train(
        recipe_file, train_data=SceneItems(COUNT), val_data=SceneItems(2, 1), out=folder, device="cpu"
    )


def test_training_equals_one_on_files(finished: splitnest.Run, recipe_file: Path, tmp_path: Path) -> None:
    run = splitnest.train(recipe_file, write_files(tmp_path / "coco", COUNT), out=tmp_path / "run", device="cpu")
    assert_equal_tensors(state_dict_of(finished.last), state_dict_of(run.last))
    assert (finished.metrics.keys() >= {"box_ap", "mask_ap"}, run.metrics) == (True, {})


def test_resumed_training_equals_an_uninterrupted_one(
    finished: splitnest.Run, recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"train_data": KnownItems(COUNT), "val_data": KnownItems(2, 1)}
    with interrupted(3), pytest.raises(KeyboardInterrupt):
        splitnest.train(recipe_file, {"train.save_every": 1}, out=tmp_path / "run", device="cpu", **data)
    assert "to resume after an interruption: splitnest.train(" in capsys.readouterr().out
    for other in (None, SceneItems(COUNT - 1)):
        with pytest.raises(UsageError, match="was started with other training data: 20 of 20 images"):
            splitnest.train(tmp_path / "run", resume=True, train_data=other, device="cpu")
    data["train_data"] = ConcatDataset([SceneItems(COUNT), Subset(KnownItems(3), [])])
    run = splitnest.train(tmp_path / "run", {"train.workers": 2}, resume=True, device="cpu", **data)
    assert_equal_tensors(state_dict_of(finished.last), state_dict_of(run.last))
    assert run.metrics == finished.metrics


class Faulty(SceneItems):
    """Scenes whose item 7 is changed, or raises."""

    def __init__(self, fault: Callable[[Any, Any], Any]) -> None:
        super().__init__(8)
        self.fault = fault

    def __getitem__(self, index: int) -> Any:
        image, target = super().__getitem__(index)
        return self.fault(image, target) if index == 7 else (image, target)


def raise_error(image: Any, target: Any) -> Any:
    raise KeyError("no such row")


def moved(image: Any, target: splitnest.Instances) -> Any:
    return image, splitnest.Instances(target.boxes + 90, target.labels, target.masks)


def as_xywh(image: Any, target: splitnest.Instances) -> Any:
    boxes = torch.cat([target.boxes[:, :2] + 30, target.boxes[:, 2:] - target.boxes[:, :2]], dim=1)
    return image, splitnest.Instances(boxes, target.labels, target.masks)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (raise_error, r"train_data\[7\] raised KeyError: 'no such row' \(.*test_python_data\.py, line \d+\)"),
        (lambda image, target: {"image": image}, r"train_data\[7\] is a dict, not a pair \(image, target\)"),
        (lambda image, target: (image / 255, target), r"\[7\] has a ndarray of float64 with shape \[64, 96, 3\] as im"),
        (lambda image, target: ("a.jpg", target), r"train_data\[7\] has 'a.jpg' as image\. Give a uint8 RGB array"),
        (lambda image, target: (image, {"boxes": 1}), r"target of train_data\[7\] is a dict\. Give splitnest\.Inst"),
        (moved, r"Box 0 of train_data\[7\], \[.*\], lies outside its image of 96 x 64 pixels"),
        (as_xywh, r"Box \d of train_data\[7\], \[.*\], ends before it begins"),
        (
            lambda image, target: (image, splitnest.Instances(target.boxes, target.labels + 99, target.masks)),
            r"A label of train_data\[7\] is \d+, but the model has \d+ classes",
        ),
        (
            lambda image, target: (image[:32], target),
            r"train_data\[7\], \[.*\], lies outside its image of 96 x 32 pixels",
        ),
        (
            lambda image, target: (image, splitnest.Instances(target.boxes * np.nan, target.labels)),
            r"boxes of train_data\[7\] have a number that is not finite",
        ),
        (
            lambda image, target: (
                image,
                splitnest.Instances(target.boxes, target.labels, [torch.ones(9, 8, dtype=torch.bool)] * len(target)),
            ),
            r"A mask of train_data\[7\] has 8 x 9 pixels, but its image 96 x 64",
        ),
    ],
)
def test_faults_of_an_item_name_its_index(recipe_file: Path, fault: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        splitnest.train(recipe_file, train_data=Faulty(fault), out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("data", ["images", {"image": 1}, iter([]), 3])
def test_other_objects_are_refused(recipe_file: Path, data: Any) -> None:
    with pytest.raises(UsageError, match=r"train_data is a \w+"):
        splitnest.train(recipe_file, train_data=data, device="cpu")


def test_no_items(recipe_file: Path) -> None:
    with pytest.raises(DataError, match="train_data has no items"):
        splitnest.train(recipe_file, train_data=[], device="cpu")


class Unreadable(KnownItems):
    """Known scenes whose image 3 cannot be read."""

    def __getitem__(self, index: int) -> Any:
        if index == 3:
            raise OSError("disk error")
        return super().__getitem__(index)


def test_unreadable_images_are_replaced(recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"train_data\[3\] raised OSError: disk error .* 1 of 8 images are unreadable"):
        splitnest.train(recipe_file, train_data=Unreadable(8), out=tmp_path / "strict", device="cpu")
    overrides = {"train.max_corrupt_fraction": 0.2, "train.workers": 2}
    splitnest.train(recipe_file, overrides, train_data=Unreadable(8), out=tmp_path / "run", device="cpu")
    assert "It is replaced by another image" in capsys.readouterr().err


class Shrinking(KnownItems):
    """Known scenes that lose an item once images are read."""

    def __getitem__(self, index: int) -> Any:
        item = super().__getitem__(index)
        self.scenes = self.scenes[:-1]
        return item


def test_changing_length(recipe_file: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the dataset had 8 items at the start and has 7 now"):
        splitnest.train(recipe_file, train_data=Shrinking(8), out=tmp_path / "run", device="cpu")
