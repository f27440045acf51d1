"""The evaluation loader: order, batches, and plain errors, also out of worker processes."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import people_tree
import pytest
import torch
from PIL import Image

from splitnest.build import build_categories
from splitnest.data.coco import CocoDetection
from splitnest.data.loader import evaluation_loader, people_loader
from splitnest.data.people import open_people
from splitnest.data.transforms import prepare
from splitnest.errors import DataError
from splitnest.recipe.inputs import DetectionInput

FACTS = DetectionInput(mean=(1, 2, 3), std=(4, 5, 6), short_side=16, long_side=24)


def dataset(folder: Path, num_images: int) -> CocoDetection:
    images = [{"id": 10 * n, "file_name": f"{n}.png", "height": 20, "width": 20 + n} for n in range(num_images)]
    for image in images:
        Image.new("RGB", (image["width"], image["height"]), (image["id"], 0, 0)).save(folder / image["file_name"])
    path = folder / "annotations.json"
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    return CocoDetection(folder, path)


@pytest.mark.parametrize("make", [evaluation_loader, people_loader])
def test_what_is_sent_to_workers_can_be_sent(make: Any) -> None:
    """Where processes are spawned, not forked, it is pickled."""
    scenes = {"train_count": 1, "val_count": 2, "height": 64, "width": 64}
    recipe = people_tree.recipe_of({"format": "scenes", "scenes": scenes, "keypoints": "coco", "classes": ["person"]})
    dataset = open_people(recipe, "val", build_categories(recipe))
    loader = make(dataset, None if make is evaluation_loader else recipe.input)
    again = pickle.loads(pickle.dumps(loader._batches.dataset))
    assert len(again) == 2
    assert not isinstance(again[1], DataError)


def test_no_images(tmp_path: Path) -> None:
    loader = evaluation_loader(dataset(tmp_path, 0), FACTS, batch_size=2, workers=0)
    assert len(loader) == 0
    assert list(loader) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_images_come_in_order_and_prepared(tmp_path: Path, workers: int) -> None:
    data = dataset(tmp_path, 5)
    loader = evaluation_loader(data, FACTS, batch_size=2, workers=workers)
    assert len(loader) == 3
    for _ in range(2):
        batches = list(loader)
        assert [len(batch) for batch in batches] == [2, 2, 1]
        images = [image for batch in batches for image in batch]
        assert [image.image_id for image in images] == [0, 10, 20, 30, 40]
        for index, image in enumerate(images):
            assert image.original_size == (20, 20 + index)
            assert image.file_name == f"{index}.png"
            assert torch.equal(image.image, prepare(data[index].image, FACTS))


@pytest.mark.parametrize("workers", [0, 1])
def test_images_as_they_are(tmp_path: Path, workers: int) -> None:
    data = dataset(tmp_path, 2)
    images = [image for batch in evaluation_loader(data, None, workers=workers) for image in batch]
    for index, image in enumerate(images):
        assert image.image.dtype == torch.uint8
        assert np.array_equal(image.image, data[index].image)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_is_a_plain_error(tmp_path: Path, workers: int) -> None:
    data = dataset(tmp_path, 4)
    (tmp_path / "2.png").write_text("no image")
    batches = iter(evaluation_loader(data, FACTS, batch_size=1, workers=workers))
    assert [next(batches)[0].image_id for _ in range(2)] == [0, 10]
    with pytest.raises(DataError) as caught:
        next(batches)
    assert str(caught.value) == (
        f"{tmp_path / '2.png'} cannot be read as an image (no known image format). "
        f"It is damaged or something else: replace it."
    )
