"""Evaluation pixels and tensors, held against recordings of the original pipelines (tests/data/pipelines.json)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from splitnest.data.images import read_image
from splitnest.data.transforms import crop_centre, normalise, prepare, resize_whole
from splitnest.recipe.inputs import ClassificationInput, DetectionInput, Input

DATA = Path(__file__).parents[1] / "data"
RECORDINGS: dict[str, Any] = json.loads((DATA / "pipelines.json").read_text())
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "pixel_range": 1}
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def names(kind: str) -> list[str]:
    return [name for name, recording in RECORDINGS.items() if kind in recording]


def compare(array: np.ndarray, recording: dict[str, Any], tolerance: float) -> None:
    assert list(array.shape) == recording["shape"]
    positions = np.linspace(0, array.size - 1, 256).astype(int)
    np.testing.assert_allclose(array.ravel()[positions], recording["values"], rtol=0, atol=tolerance)
    assert array.mean(dtype=np.float64) == pytest.approx(recording["mean"], abs=1e-6)
    assert array.std(dtype=np.float64) == pytest.approx(recording["std"], abs=1e-6)


@pytest.mark.parametrize("name", names("resized"))
def test_detection_pixels_are_the_recorded_ones(name: str) -> None:
    source, file_name, long_side, short_side = name.replace("(", "").replace(")", "").replace(",", "").split()
    facts = DetectionInput(
        **PLAIN,
        short_side=int(short_side),
        long_side=int(long_side),
        resize="opencv" if source == "mmdet" else "pillow",
    )
    resized = resize_whole(read_image(DATA / "inputs" / file_name), facts)
    compare(resized, RECORDINGS[name]["resized"], tolerance=0)


@pytest.mark.parametrize("name", names("tensor"))
def test_classification_tensor_is_the_recorded_one(name: str) -> None:
    recording = RECORDINGS[name]
    facts = ClassificationInput(
        **IMAGENET,
        size=recording["input_size"],
        crop="timm" if name.startswith("timm") else "official",
        crop_fraction=recording.get("crop_pct", 1.0),
        interpolation=recording.get("interpolation", "bilinear"),
    )
    tensor = prepare(read_image(DATA / "inputs" / "scene_a.png"), facts)
    compare(tensor.numpy(), recording["tensor"], tolerance=1e-6)


@pytest.mark.parametrize("crop", ["official", "timm"])
@pytest.mark.parametrize("size_hw", [(1, 1), (1, 3), (2, 1), (400, 2), (31, 33)])
def test_tiny_and_long_images_have_a_crop(crop: str, size_hw: tuple[int, int]) -> None:
    image = np.full((*size_hw, 3), 7, np.uint8)
    for size in (32, 224):
        facts = ClassificationInput(**IMAGENET, size=size, crop=crop)
        assert np.array_equal(crop_centre(image, facts), np.full((size, size, 3), 7))


def test_without_resize_the_pixels_are_taken_as_they_are() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    expected = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))
    assert torch.equal(prepare(image, DetectionInput(**PLAIN), resize=False), expected)
    assert torch.equal(prepare(image, ClassificationInput(**PLAIN, size=224), resize=False), expected)


def test_statistics_are_in_the_order_of_the_network() -> None:
    image = np.array([[[10, 20, 30]]], np.uint8)
    facts = Input(mean=(1, 2, 3), std=(1, 2, 4), channels="BGR")
    assert normalise(image, facts).flatten().tolist() == [29.0, 9.0, 1.75]


def test_normalise_leaves_a_read_only_image_alone() -> None:
    image = np.full((1, 1, 3), 255, np.uint8)
    image.flags.writeable = False
    tensor = normalise(image, Input(**IMAGENET))
    tensor.zero_()
    assert image.max() == 255
