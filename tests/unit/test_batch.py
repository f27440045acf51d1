"""Images of several sizes in one tensor."""

from typing import Any

import pytest
import torch

from splitnest.batch import collate


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


def test_to_keeps_the_sizes() -> None:
    batch = collate([torch.ones(3, 2, 2)], [(20, 20)]).to(torch.device("cpu"), torch.float64)
    assert batch.images.dtype == torch.float64
    assert batch.original_sizes == ((20, 20),)


@pytest.mark.parametrize("lists", [{"original_sizes": [(1, 1)]}, {"instances": []}, {"names": ["a", "b", "c"]}])
def test_each_image_has_its_own(lists: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"2 images do not go with . {next(iter(lists))}"):
        collate([torch.ones(3, 2, 2)] * 2, **lists)
