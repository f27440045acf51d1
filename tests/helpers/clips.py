"""Drawn video clips, and a detector of their squares."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from splitnest import zoo
from splitnest.inference.predictor import Predictor
from splitnest.recipe import overrides
from splitnest.structures import Detections
from splitnest.structures.batch import Batch
from splitnest.structures.categories import from_names

SIZE = (96, 128)
COLORS = np.array([[220, 30, 30], [30, 200, 40], [40, 60, 230]], np.uint8)
CLASSES = ("red", "green", "blue")


def corner(number: int, index: int) -> tuple[int, int]:
    """Return the top left corner of a square, whose side is 16 pixels, in a frame: x and y."""
    return (4 + index, 12) if number == 0 else (100 - index, 16) if number == 1 else (60, 8 + index)


def frame(index: int, size_hw: tuple[int, int] = SIZE) -> np.ndarray:
    """Return a frame with three squares, two of which cross."""
    pixels = np.full((*size_hw, 3), 120, np.uint8)
    for number, color in enumerate(COLORS):
        x, y = corner(number, index)
        pixels[y : y + 16, x : x + 16] = color
    return pixels


def write_clip(
    path: Path, count: int, rate: Fraction = Fraction(25), size_hw: tuple[int, int] = SIZE, gap: int = 0
) -> Path:
    """Write a clip; after half of its frames there is a gap in time of some frames."""
    av = pytest.importorskip("av", reason="av is not installed")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width, stream.pix_fmt = *size_hw, "yuv444p"
        stream.options = {"crf": "10"}
        stream.codec_context.time_base = 1 / rate
        for index in range(count):
            image = av.VideoFrame.from_ndarray(frame(index, size_hw), format="rgb24")
            image.pts, image.time_base = index + (gap if index >= count / 2 else 0), 1 / rate
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return path


def frame_times(path: Path) -> list[float]:
    """Return the time of each frame of a video in seconds."""
    av = pytest.importorskip("av", reason="av is not installed")
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


class SquareFinder(nn.Module):
    """Network that finds the squares by their colors."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def predict(self, batch: Batch) -> list[Any]:
        return [self._find(image, size) for image, size in zip(batch.images, batch.original_sizes, strict=True)]

    def _find(self, image: torch.Tensor, size_hw: tuple[int, int]) -> Detections:
        boxes, labels = [], []
        for label, color in enumerate(COLORS):
            near = (image - torch.tensor(color)[:, None, None]).abs().amax(0) < 60
            rows, columns = near.any(1).nonzero()[:, 0], near.any(0).nonzero()[:, 0]
            if len(rows):
                boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
                labels.append(label)
        return Detections(
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            scores=np.full(len(boxes), 0.9, np.float32),
            labels=np.array(labels, np.int64),
            image_size=size_hw,
            categories=from_names(CLASSES),
        )


def square_finder() -> Predictor:
    """Return a detector of the squares."""
    values = {
        "input.short_side": min(SIZE),
        "input.long_side": max(SIZE),
        "input.mean": [0.0, 0.0, 0.0],
        "input.std": [1.0, 1.0, 1.0],
        "data.classes": list(CLASSES),
    }
    network: Any = SquareFinder()
    return Predictor(network, overrides.apply(zoo.get("faster_rcnn_resnest50_fpn_1x_coco.mmdet"), values))
