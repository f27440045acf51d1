"""Batches: images of different sizes, padded to one tensor."""

from typing import Any

import pytest
import torch

from splitnest.structures.batch import collate
from splitnest.structures.panoptic_labels import UNLABELED


def test_batch_needs_an_image() -> None:
    with pytest.raises(ValueError, match="at least one"):
        collate([])


def test_images_are_padded_with_zeros_at_the_right_and_bottom() -> None:
    batch = collate([torch.ones(3, 5, 9), torch.ones(3, 8, 4)], divisor=4)
    assert batch.images.shape == (2, 3, 8, 12)
    assert batch.sizes == batch.original_sizes == ((5, 9), (8, 4))
    assert len(batch) == 2
    assert batch.images[0, :, :5, :9].all()
    assert batch.images.sum() == 3 * (45 + 32)


def test_padding_of_label_maps_is_unlabeled() -> None:
    label_maps = [torch.zeros(5, 9, dtype=torch.uint8), torch.full((8, 4), 3, dtype=torch.uint8)]
    batch = collate([torch.ones(3, 5, 9), torch.ones(3, 8, 4)], divisor=4, semantic=label_maps)
    batch = batch.to(torch.device("cpu"), torch.float64)
    assert batch.semantic is not None
    assert batch.semantic.dtype == torch.uint8
    assert batch.semantic.shape == (2, 8, 12)
    assert (batch.semantic == UNLABELED).sum() == 2 * 8 * 12 - 5 * 9 - 8 * 4
    for padded, label_map in zip(batch.semantic, label_maps, strict=True):
        assert torch.equal(padded[: label_map.shape[0], : label_map.shape[1]], label_map)


def test_to_keeps_the_sizes() -> None:
    batch = collate([torch.ones(3, 2, 2)], [(20, 20)]).to(torch.device("cpu"), torch.float64)
    assert batch.images.dtype == torch.float64
    assert batch.original_sizes == ((20, 20),)


@pytest.mark.parametrize("lists", [{"original_sizes": [(1, 1)]}, {"instances": []}, {"names": ["a", "b", "c"]}])
def test_lists_have_one_item_for_each_image(lists: dict[str, Any]) -> None:
    ((key, values),) = lists.items()
    with pytest.raises(ValueError, match=f"2 images have {len(values)} {key}"):
        collate([torch.ones(3, 2, 2)] * 2, **lists)


def test_each_image_has_a_label_map() -> None:
    with pytest.raises(ValueError, match="2 images have 1 semantic"):
        collate([torch.ones(3, 2, 2)] * 2, semantic=[torch.zeros(2, 2, dtype=torch.uint8)])
