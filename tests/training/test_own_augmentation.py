"""Augmentation of the user in a training, and on the page of samples: errors name function and image."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import splitnest
from helpers.python_data import SceneItems
from helpers.tiny_detector import CONTENT
from splitnest.errors import UsageError, UserCodeError


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(copy.deepcopy(CONTENT)))
    return path


def invert(image: Tensor, target: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
    return 255 - image, target


class FailsLate:
    """Augmentation that fails from the second epoch on, which random numbers do not tell: the calls are counted."""

    def __init__(self, first: int) -> None:
        self.first, self.calls = first, 0

    def __call__(self, image: Tensor, target: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        self.calls += 1
        if self.calls >= self.first:
            raise ValueError("no fog today")
        return image, target


@pytest.mark.parametrize(("workers", "first"), [(0, 6), (2, 1)])
def test_error_names_function_and_image(recipe_file: Path, tmp_path: Path, workers: int, first: int) -> None:
    """A worker process sends the error instead of its traceback. What was trained before is saved."""
    message = (
        r"^The augmentation FailsLate failed for train_data\[\d\] in epoch 0: ValueError: no fog today\. Correct it\.$"
    )
    with pytest.raises(UserCodeError, match=message):
        splitnest.train(
            recipe_file,
            {"train.workers": workers},
            train_data=SceneItems(8),
            out=tmp_path / "run",
            device="cpu",
            augment=FailsLate(first),
        )
    saved = tmp_path / "run" / "last.pt"
    assert not workers or not saved.exists()
    assert workers or torch.load(saved, weights_only=True)["step"] == 1


def test_page_of_samples_from_python(recipe_file: Path, tmp_path: Path) -> None:
    pages = {}
    for name, augment in (("plain", None), ("own", invert)):
        path = tmp_path / f"{name}.html"
        assert splitnest.data_show(recipe_file, out=path, count=2, train_data=SceneItems(5), augment=augment) == 5
        pages[name] = path.read_text()
    assert "train_data[" in pages["own"]
    assert "train.augment: invert" in pages["own"]
    assert "train.augment is empty" in pages["plain"]
    with pytest.raises(UserCodeError, match=r"The augmentation FailsLate failed for train_data\[\d\] in epoch 0"):
        splitnest.data_show(recipe_file, out=tmp_path / "x.html", train_data=SceneItems(5), augment=FailsLate(1))
    assert not (tmp_path / "x.html").exists()
    with pytest.raises(UsageError, match="count is 0"):
        splitnest.data_show(recipe_file, out=tmp_path / "x.html", count=0)
