"""Seeds of random numbers in training: pure functions of the training seed and a key."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

MIXUP, LOSS = 1, 2
"""Last element of a key with more than two elements; augmentation has keys (epoch, index)."""


def generator(seed: int, *key: int) -> np.random.Generator:
    """Return a numpy generator for a key of non-negative integers."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def torch_seed(seed: int, *key: int) -> int:
    """Return a 64-bit seed of torch for a key of non-negative integers."""
    high, low = np.random.SeedSequence(seed, spawn_key=key).generate_state(2, np.uint32).tolist()
    return high << 32 | low


@contextmanager
def torch_seeded(seed: int, *key: int) -> Iterator[None]:
    """Seed torch's CPU generator for a key inside the context, and restore its state afterwards."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(torch_seed(seed, *key))  # torch.manual_seed would seed CUDA too
    try:
        yield
    finally:
        torch.set_rng_state(state)
