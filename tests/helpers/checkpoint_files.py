"""Containers of checkpoints, and state dicts to store in them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

Save = Callable[[Any, Path], None]

CONTAINERS: dict[str, Save] = {
    "zip": torch.save,
    "legacy": lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
}
ARRAYS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.fortran": np.asfortranarray(np.arange(12, dtype=np.float64).reshape(3, 4)),
    "a.half": np.array([0.5, -2], np.float16),
    "a.big_endian": np.array([1, 2, 3], ">i4"),
    "a.flags": np.array([True, False]),
    "a.num_batches_tracked": np.array(7, np.int64),
    "a.scalar": np.float32(1.5),
    "a.empty": np.zeros((0, 4), np.float32),
}


def state() -> dict[str, torch.Tensor]:
    """Return a small state dict."""
    return {"a.weight": torch.arange(6.0).view(2, 3), "a.num_batches_tracked": torch.tensor(7)}


def check_state(actual: dict[str, torch.Tensor]) -> None:
    """Check that a state dict is that of ``state``."""
    assert list(actual) == list(state())
    assert all(torch.equal(actual[key], tensor) for key, tensor in state().items())


def check_arrays(actual: dict[str, torch.Tensor]) -> None:
    """Check that a state dict has the values and types of ``ARRAYS``."""
    assert list(actual) == list(ARRAYS)
    for key, array in ARRAYS.items():
        expected = torch.from_numpy(np.array(array, array.dtype.newbyteorder("=")))
        assert actual[key].dtype == expected.dtype, key
        assert torch.equal(actual[key], expected), key
