"""The order of photographs: complete, grouped, the same for any number of workers, resumed exactly."""

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from splitnest import recipes
from splitnest.data.coco import CocoDetection
from splitnest.data.order import BatchOrder, training_loader
from splitnest.data.training_set import TrainingSet
from splitnest.errors import DataError, UsageError
from splitnest.recipe import DetectionRecipe, DetectionTraining, overrides


def sizes(*is_wide: bool) -> np.ndarray:
    return np.array([(30, 40) if wide else (40, 30) for wide in is_wide], np.int64).reshape(-1, 2)


def test_fewer_photographs_than_a_batch() -> None:
    for count in (0, 3):
        with pytest.raises(UsageError, match=f"batch of 4 needs more samples than the {count} .* to {count} or less"):
            BatchOrder(sizes(*[True] * count), 4, seed=0)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 6), st.integers(0, 5), st.booleans())
def test_an_epoch(is_wide: list[bool], batch_size: int, epoch: int, grouped: bool) -> None:
    batch_size = min(batch_size, len(is_wide))
    order = BatchOrder(sizes(*is_wide), batch_size, seed=3, group_by_aspect=grouped)
    batches = order.epoch(epoch)
    assert batches.shape == (order.steps_per_epoch, batch_size)
    assert len(set(batches.ravel().tolist())) == batches.size > len(is_wide) - batch_size
    kinds = [{is_wide[index] for index in batch} for batch in batches.tolist()]
    if grouped:
        assert all(len(kind) == 1 for kind in kinds[:-1])
    np.testing.assert_array_equal(batches, BatchOrder(sizes(*is_wide), batch_size, 3, grouped).epoch(epoch))


def test_epochs_and_seeds_differ_and_leave_out_other_photographs() -> None:
    order = BatchOrder(sizes(*[True, False] * 15), 8, seed=0)
    assert order.steps_per_epoch == 3
    seen = Counter(index for epoch in range(200) for index in order.epoch(epoch).ravel().tolist())
    assert len(seen) == 30
    assert 140 < min(seen.values()) <= max(seen.values()) < 180  # 160 is expected
    assert (order.epoch(0) != order.epoch(1)).any()
    assert (order.epoch(0) != BatchOrder(sizes(*[True, False] * 15), 8, seed=1).epoch(0)).any()
    kinds = [[index % 2 for index in batch] for epoch in range(9) for batch in order.epoch(epoch)[:2].tolist()]
    assert {kind[0] for kind in kinds} == {0, 1}


@given(st.integers(0, 40))
def test_steps_go_on_where_they_were(step: int) -> None:
    order = BatchOrder(sizes(*[True] * 11), 3, seed=5)
    from_start = list(islice(order.from_step(0), step + 5))[step:]
    resumed = list(islice(order.from_step(step), 5))
    assert [epoch for epoch, _ in resumed] == [(step + n) // 3 for n in range(5)]
    for (epoch, batch), (epoch_again, again) in zip(from_start, resumed, strict=True):
        assert epoch == epoch_again
        np.testing.assert_array_equal(batch, again)


def training_set(folder: Path, num_images: int = 7, **train: Any) -> TrainingSet:
    images = [{"id": n, "file_name": f"{n}.png", "height": 40, "width": 30 + 5 * n} for n in range(num_images)]
    for image in images:
        Image.new("RGB", (image["width"], image["height"]), (10 * image["id"], 0, 0)).save(folder / image["file_name"])
    rows = [{"id": n, "image_id": n, "category_id": 1, "bbox": [5, 5, 20, 20]} for n in range(num_images)]
    path = folder / "train.json"
    content = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "cat"}]}
    path.write_text(json.dumps(content))
    facts: dict[str, Any] = {"length": 1, "learning_rate": 0.1, "batch_size": 2, "short_sides": (20, 30), "workers": 0}
    recipe = overrides.apply(recipes.get("faster_rcnn_resnest50_fpn_1x_coco.mmdet"), {"data.classes": ["cat"]})
    assert isinstance(recipe, DetectionRecipe)
    training = DetectionTraining(**{**facts, "color_jitter": 0.3, **train})
    return TrainingSet(CocoDetection(folder, path), recipe.model_copy(update={"train": training}))


def test_samples_are_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    data = training_set(tmp_path)
    state = torch.get_rng_state()
    expected = list(islice(training_loader(data, data.train), 8))
    assert [epoch for epoch, _ in expected] == [0, 0, 0, 1, 1, 1, 2, 2]
    assert torch.equal(torch.get_rng_state(), state)
    for workers, start in ((1, 0), (2, 0), (0, 4), (2, 4)):
        train = data.train.model_copy(update={"workers": workers})
        steps = list(islice(training_loader(data, train, start), 8 - start))
        for (epoch, samples), (expected_epoch, expected_samples) in zip(steps, expected[start:], strict=True):
            assert epoch == expected_epoch
            for sample, other in zip(samples, expected_samples, strict=True):
                assert sample.name == other.name
                assert torch.equal(sample.image, other.image)
                assert torch.equal(sample.instances.boxes, other.instances.boxes)


def test_a_data_set_smaller_than_a_batch(tmp_path: Path) -> None:
    data = training_set(tmp_path, batch_size=8)
    with pytest.raises(UsageError, match="batch of 8 needs more samples than the 7"):
        training_loader(data, data.train)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_photograph_is_a_plain_error(tmp_path: Path, workers: int) -> None:
    data = training_set(tmp_path, workers=workers)
    (tmp_path / "3.png").write_text("no image")
    with pytest.raises(DataError) as caught:
        list(islice(training_loader(data, data.train), 8))
    assert str(caught.value) == (
        f"{tmp_path / '3.png'} cannot be read as an image (no known image format). "
        f"It is damaged or something else: replace it. 1 of 7 images cannot be used; at most 0 may be "
        f"(train.corrupt_share=0.001). splitnest data check names them all."
    )
