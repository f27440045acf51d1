"""Preprocessing for evaluation, compared with recordings of the original pipelines (tests/inputs/pipelines.json)."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from helpers.paths import INPUTS
from splitnest import zoo
from splitnest.data.images.normalize import center_crop, denormalize, mean_color, normalize, resize_image
from splitnest.data.images.read import read_image
from splitnest.recipe.inputs import ClassificationInput, DetectionInput, Input
from splitnest.tasks import task_of

RECORDINGS: dict[str, Any] = json.loads((INPUTS / "pipelines.json").read_text())
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
def test_detection_resize_matches_the_recording(name: str) -> None:
    source, file_name, long_side, short_side = name.replace("(", "").replace(")", "").replace(",", "").split()
    input_cfg = DetectionInput(
        **PLAIN,
        short_side=int(short_side),
        long_side=int(long_side),
        resize="opencv" if source == "mmdet" else "pillow",
    )
    resized = resize_image(read_image(INPUTS / file_name), input_cfg)
    compare(resized, RECORDINGS[name]["resized"], tolerance=0)


@pytest.mark.parametrize("name", names("tensor"))
def test_classification_tensor_matches_the_recording(name: str) -> None:
    recording = RECORDINGS[name]
    input_cfg = ClassificationInput(
        **IMAGENET,
        size=recording["input_size"],
        crop="timm" if name.startswith("timm") else "official",
        crop_fraction=recording.get("crop_pct", 1.0),
        interpolation=recording.get("interpolation", "bilinear"),
    )
    tensor = normalize(center_crop(read_image(INPUTS / "scene_a.png"), input_cfg), input_cfg)
    compare(tensor.numpy(), recording["tensor"], tolerance=1e-6)


@pytest.mark.parametrize("crop", ["official", "timm"])
@pytest.mark.parametrize("size_hw", [(1, 1), (1, 3), (2, 1), (400, 2), (31, 33)])
def test_tiny_and_long_images_can_be_cropped(crop: str, size_hw: tuple[int, int]) -> None:
    image = np.full((*size_hw, 3), 7, np.uint8)
    for size in (32, 96):
        input_cfg = ClassificationInput(**IMAGENET, size=size, crop=crop)
        assert np.array_equal(center_crop(image, input_cfg), np.full((size, size, 3), 7))


@pytest.mark.parametrize(
    ("name", "input_cfg"),
    [
        ("faster_rcnn_resnest50_fpn_1x_coco.mmdet", DetectionInput(**PLAIN)),
        ("resnest50_imagenet.official", ClassificationInput(**PLAIN, size=224)),
    ],
)
def test_prepare_without_resize_keeps_the_size(name: str, input_cfg: Input) -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    expected = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))
    recipe = zoo.get(name).model_copy(update={"input": input_cfg})
    assert torch.equal(task_of(recipe).prepare(image, recipe, resize=False).inputs[0], expected)


def test_statistics_are_in_the_channel_order_of_the_network() -> None:
    image = np.array([[[10, 20, 30]]], np.uint8)
    input_cfg = Input(mean=(1, 2, 3), std=(1, 2, 4), channels="BGR")
    assert normalize(image, input_cfg).flatten().tolist() == [29.0, 9.0, 1.75]


def test_normalize_does_not_change_the_image() -> None:
    image = np.full((1, 1, 3), 255, np.uint8)
    image.flags.writeable = False
    tensor = normalize(image, Input(**IMAGENET))
    tensor.zero_()
    assert image.max() == 255


@pytest.mark.parametrize("name", ["resnest50_imagenet.official", "mask_rcnn_resnest50_fpn_1x_coco.detectron2"])
def test_denormalization_returns_the_pixels(name: str) -> None:
    input_cfg = zoo.get(name).input
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert np.array_equal(denormalize(normalize(image, input_cfg), input_cfg), image)
    color = np.array(mean_color(input_cfg), np.uint8).reshape(1, 1, 3)
    assert normalize(color, input_cfg).abs().max() < 0.51 / min(input_cfg.std) / (255 if max(input_cfg.std) < 1 else 1)
