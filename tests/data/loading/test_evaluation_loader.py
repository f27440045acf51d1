"""Evaluation loader: order, prepared and original images, and data errors from worker processes."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from helpers import person_tree
from splitnest import zoo
from splitnest.data.dataset import ImageDataset
from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.loading.evaluation_loader import EvaluationLoader
from splitnest.errors import DataError
from splitnest.evaluation.predict_dataset import _Prepare, _Read
from splitnest.inference.batching import predict_prepared
from splitnest.recipe.inputs import DetectionInput
from splitnest.structures import Detections
from splitnest.structures.batch import Batch
from splitnest.structures.class_tables import class_table
from splitnest.structures.prepared import PreparedImage
from splitnest.tasks import task_of

INPUT_CFG = DetectionInput(mean=(1, 2, 3), std=(4, 5, 6), short_side=16, long_side=24)
RECIPE = zoo.get("faster_rcnn_resnest50_fpn_1x_coco.mmdet").model_copy(update={"input": INPUT_CFG})


def dataset(folder: Path, num_images: int) -> DetectionDataset:
    images = [{"id": 10 * n, "file_name": f"{n}.png", "height": 20, "width": 20 + n} for n in range(num_images)]
    for image in images:
        Image.new("RGB", (image["width"], image["height"]), (image["id"], 0, 0)).save(folder / image["file_name"])
    path = folder / "annotations.json"
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    return DetectionDataset.from_coco(folder, path)


def prepared_loader(data: ImageDataset, workers: int = 0) -> EvaluationLoader[tuple[int, PreparedImage]]:
    return EvaluationLoader(_Prepare(task_of(RECIPE), data, RECIPE), len(data), workers)


@pytest.mark.parametrize("resize", [True, False])
def test_loader_can_be_pickled(resize: bool) -> None:
    """Worker processes that are spawned, not forked, get their loader by pickling."""
    scenes = {"format": "scenes", "train_count": 1, "val_count": 2, "height": 64, "width": 64}
    recipe: Any = person_tree.recipe_of({**scenes, "keypoints": "coco", "classes": ["person"]})
    data = task_of(recipe).open_dataset(recipe, "val")
    prepare = _Prepare(task_of(recipe), data, recipe) if resize else _Read(data)
    loader: EvaluationLoader[Any] = EvaluationLoader(prepare, len(data))
    items = pickle.loads(pickle.dumps(loader._items.dataset))
    assert len(items) == 2
    assert not isinstance(items[1], DataError)


def test_no_images(tmp_path: Path) -> None:
    loader = prepared_loader(dataset(tmp_path, 0))
    assert len(loader) == 0
    assert list(loader) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_prepared_images_come_in_order(tmp_path: Path, workers: int) -> None:
    data = dataset(tmp_path, 5)
    loader = prepared_loader(data, workers)
    assert len(loader) == 5
    for _ in range(2):
        items = list(loader)
        assert [index for index, _ in items] == [0, 1, 2, 3, 4]
        for index, prepared in items:
            assert prepared.original_size == (20, 20 + index)
            assert torch.equal(prepared.inputs, task_of(RECIPE).prepare(data.read(index), RECIPE).inputs)


class BatchSizes(nn.Module):
    """Model that records the sizes of its batches and detects nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.sizes: list[int] = []

    def predict(self, batch: Batch) -> list[Detections]:
        self.sizes.append(len(batch))
        return [Detections.empty(size, class_table("coco")) for size in batch.original_sizes]


def test_prepared_images_are_predicted_in_batches(tmp_path: Path) -> None:
    model: Any = BatchSizes()
    results = list(predict_prepared(model, RECIPE, prepared_loader(dataset(tmp_path, 5)), 2))
    assert model.sizes == [2, 2, 1]
    assert [(index, result.image_size) for index, result in results] == [(n, (20, 20 + n)) for n in range(5)]


@pytest.mark.parametrize("workers", [0, 1])
def test_original_images_are_not_changed(tmp_path: Path, workers: int) -> None:
    data = dataset(tmp_path, 2)
    items = list(EvaluationLoader(_Read(data), len(data), workers))
    assert [index for index, _ in items] == [0, 1]
    for index, image in items:
        assert image.dtype == torch.uint8
        assert np.array_equal(image, data.read(index))


def worker_of(index: int) -> tuple[int, int]:
    return index, os.getpid()


def test_workers_are_kept_for_the_next_iteration() -> None:
    """Also after an iteration that was not finished; and torch's random numbers are not drawn from."""
    loader = EvaluationLoader(worker_of, 6, workers=2)
    state = torch.get_rng_state()
    loader.start()
    first = list(loader)
    assert [index for index, _ in first] == list(range(6))
    assert len({pid for _, pid in first}) == 2
    assert next(iter(loader)) == first[0]
    assert list(loader) == first
    assert torch.equal(torch.get_rng_state(), state)
    (pid, *_) = {pid for _, pid in first}
    del loader
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_image_is_a_data_error(tmp_path: Path, workers: int) -> None:
    data = dataset(tmp_path, 4)
    (tmp_path / "2.png").write_text("no image")
    items = iter(prepared_loader(data, workers))
    assert [next(items)[0] for _ in range(2)] == [0, 1]
    with pytest.raises(DataError) as caught:
        next(items)
    assert str(caught.value) == (
        f"{tmp_path / '2.png'} cannot be read as an image (unknown image format). Replace the file."
    )
