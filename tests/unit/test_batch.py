"""Images of several sizes in one tensor."""

from typing import Any

import pytest
import torch

from splitnest.batch import collate
from splitnest.data.panoptic_labels import UNLABELLED


def test_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        collate([])


def test_padding_is_zero_at_the_right_and_below() -> None:
    batch = collate([torch.ones(3, 5, 9), torch.ones(3, 8, 4)], divisor=4)
    assert batch.images.shape == (2, 3, 8, 12)
    assert batch.sizes == batch.original_sizes == ((5, 9), (8, 4))
    assert len(batch) == 2
    assert batch.images[0, :, :5, :9].all()
    assert batch.images.sum() == 3 * (45 + 32)


def test_stuff_is_not_known_in_the_padding() -> None:
    stuff = [torch.zeros(5, 9, dtype=torch.uint8), torch.full((8, 4), 3, dtype=torch.uint8)]
    batch = collate([torch.ones(3, 5, 9), torch.ones(3, 8, 4)], divisor=4, semantic=stuff)
    batch = batch.to(torch.device("cpu"), torch.float64)
    assert batch.semantic is not None
    assert batch.semantic.dtype == torch.uint8
    assert batch.semantic.shape == (2, 8, 12)
    assert (batch.semantic == UNLABELLED).sum() == 2 * 8 * 12 - 5 * 9 - 8 * 4
    for padded, given in zip(batch.semantic, stuff, strict=True):
        assert torch.equal(padded[: given.shape[0], : given.shape[1]], given)


def test_to_keeps_the_sizes() -> None:
    batch = collate([torch.ones(3, 2, 2)], [(20, 20)]).to(torch.device("cpu"), torch.float64)
    assert batch.images.dtype == torch.float64
    assert batch.original_sizes == ((20, 20),)


@pytest.mark.parametrize("lists", [{"original_sizes": [(1, 1)]}, {"instances": []}, {"names": ["a", "b", "c"]}])
def test_each_image_has_its_own(lists: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"2 images do not go with . {next(iter(lists))}"):
        collate([torch.ones(3, 2, 2)] * 2, **lists)


def test_each_image_has_its_own_stuff() -> None:
    with pytest.raises(ValueError, match="2 images do not go with 1 semantic"):
        collate([torch.ones(3, 2, 2)] * 2, semantic=[torch.zeros(2, 2, dtype=torch.uint8)])
