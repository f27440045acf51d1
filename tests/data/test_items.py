"""Items of datasets from Python: types of images, optional methods, datasets of torch."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Subset
from torchvision import tv_tensors

from helpers.python_data import KnownItems, SceneItems
from splitnest.data.items import Items, class_index
from splitnest.errors import DataError, UsageError

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


def test_no_items() -> None:
    with pytest.raises(DataError, match="data has no items"):
        Items([], "data")


@pytest.mark.parametrize(
    "image",
    [
        PIXELS,
        PIXELS[::-1][::-1],
        np.broadcast_to(PIXELS, PIXELS.shape),  # read-only
        Image.fromarray(PIXELS),
        torch.from_numpy(PIXELS).permute(2, 0, 1),
        tv_tensors.Image(torch.from_numpy(PIXELS).permute(2, 0, 1)),
    ],
)
def test_images(image: Any) -> None:
    items = Items([(image, 0)], "data")
    pixels = items.image(0)
    assert np.array_equal(pixels, PIXELS)
    assert pixels.flags.writeable
    assert items.size_hw(0) == (4, 6)


@pytest.mark.parametrize("image", [PIXELS.astype(np.float32), PIXELS[..., 0], PIXELS.transpose(2, 0, 1), None, 3.5])
def test_other_images_are_refused(image: Any) -> None:
    with pytest.raises(DataError, match=r"data\[0\] has .* as image\. Give a uint8 RGB array"):
        Items([(image, 0)], "data").image(0)


def test_methods_avoid_reading_also_in_datasets_of_torch() -> None:
    first, second = KnownItems(3), SceneItems(2)
    items = Items(ConcatDataset([first, Subset(ConcatDataset([second, first]), [4, 1])]), "data")
    assert len(items) == 5
    assert len(items.target(3)) == len(first.label(2))  # item 4 of the inner dataset is item 2 of the first
    assert items.size_hw(3) == (64, 96)
    assert (first.num_read, second.num_read) == (0, 0)
    assert len(items.target(4)) == len(second.label(1))
    assert (first.num_read, second.num_read) == (0, 1)
    items.image(4)
    assert second.num_read == 1  # the last item is kept


def test_errors_of_a_dataset_name_item_and_place() -> None:
    class Failing(KnownItems):
        def size(self, index: int) -> Any:
            raise ValueError("no size.")

    with pytest.raises(DataError, match=r"data\[2\] raised ValueError: no size \(.*test_items\.py, line \d+\)\."):
        Items(Failing(3), "data").size_hw(2)


def test_iterable_datasets_are_refused() -> None:
    class Endless:
        def __getitem__(self, index: int) -> Any:
            return PIXELS, 0

    with pytest.raises(UsageError, match="data is a Endless without a length"):
        Items(Endless(), "data")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [2, np.int32(2), torch.tensor(2), torch.tensor([2]), np.array(2)])
def test_class_index(value: Any) -> None:
    assert class_index(value, 3, "label") == 2


@pytest.mark.parametrize("value", [3, -1, 1.0, True, "cat", None, torch.tensor([1, 2])])
def test_other_class_indices_are_refused(value: Any) -> None:
    with pytest.raises(DataError, match=r"label is .*Give an in"):
        class_index(value, 3, "label")
