"""Batches of prepared images: inputs of one padded size, results in the order of the images."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from splitnest import zoo
from splitnest.inference.batching import MAX_WAITING_BATCHES, predict_prepared
from splitnest.recipe import Recipe
from splitnest.structures import Detections, SemanticSegmentation
from splitnest.structures.batch import Batch
from splitnest.structures.class_tables import class_table
from splitnest.structures.prepared import PreparedImage

DETECTOR = zoo.get("faster_rcnn_resnest50_fpn_1x_coco.mmdet")
SEGMENTOR = zoo.get("fcn_resnest101_d8_cityscapes.mmseg")


class Sizes(nn.Module):
    """Model that records the padded sizes of its batches and finds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.batches: list[tuple[int, int, int]] = []

    def predict(self, batch: Batch) -> list[Any]:
        self.batches.append((len(batch), *batch.images.shape[2:]))
        return [Detections.empty(size, class_table("coco")) for size in batch.original_sizes]


class LabelSizes(Sizes):
    """The same for a segmentor."""

    def predict(self, batch: Batch) -> list[Any]:
        super().predict(batch)
        return [
            SemanticSegmentation(np.zeros(size, np.uint8), image_size=size, categories=class_table("cityscapes"))
            for size in batch.original_sizes
        ]


def images(sizes: list[tuple[int, int]], read: list[int] | None = None) -> Iterator[tuple[int, PreparedImage]]:
    for index, size in enumerate(sizes):
        if read is not None:
            read.append(index)
        yield index, PreparedImage(torch.zeros(1, 3, *size), size)


def predicted(model: Sizes, recipe: Recipe, sizes: list[tuple[int, int]], batch_size: int) -> list[Any]:
    network: Any = model
    return list(predict_prepared(network, recipe, images(sizes), batch_size))


def test_no_images() -> None:
    assert predicted(Sizes(), DETECTOR, [], 4) == []


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_images_of_one_padded_size_are_predicted_together(batch_size: int) -> None:
    """An image is padded to multiples of 32, whatever the images beside it are."""
    sizes = [(40, 60), (64, 64), (100, 30), (33, 64), (97, 1), (64, 33)]
    model = Sizes()
    results = predicted(model, DETECTOR, sizes, batch_size)
    assert [(index, result.image_size) for index, result in results] == list(enumerate(sizes))
    assert {size for _, *size_hw in model.batches if (size := tuple(size_hw))} == {(64, 64), (128, 32)}
    assert max(count for count, *_ in model.batches) == min(batch_size, 4)


def test_segmentors_see_no_padding() -> None:
    sizes = [(40, 60), (40, 61), (40, 60), (40, 61)]
    model = LabelSizes()
    assert [index for index, _ in predicted(model, SEGMENTOR, sizes, 2)] == [0, 1, 2, 3]
    assert model.batches == [(2, 40, 60), (2, 40, 61)]


def test_an_image_of_a_rare_size_does_not_wait_for_ever() -> None:
    model: Any = Sizes()
    read: list[int] = []
    sizes = [(100, 30), *[(40, 60)] * 50]
    results = predict_prepared(model, DETECTOR, images(sizes, read), 2)
    assert next(results)[0] == 0
    assert len(read) == 2 * MAX_WAITING_BATCHES
    assert [index for index, _ in results] == list(range(1, 51))
