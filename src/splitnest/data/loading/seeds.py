"""Seeds of random numbers in training: pure functions of the training seed and a key."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

MIXUP, LOSS, AUGMENT = 1, 2, 3
"""Last element of a key with more than two elements; augmentation by the keys of a task has keys (epoch, index)."""


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


@contextmanager
def all_seeded(seed: int, *key: int) -> Iterator[None]:
    """Seed the global generators of torch, numpy and Python inside the context, and restore their states afterwards.

    Torch uses one thread inside, because sums of pixels depend on the number of threads in their last digit.
    """
    numpy_state, python_state, threads = np.random.get_state(), random.getstate(), torch.get_num_threads()
    value = torch_seed(seed, *key)
    np.random.seed(value % 2**32)
    random.seed(value)
    torch.set_num_threads(1)
    try:
        with torch_seeded(seed, *key):
            yield
    finally:
        torch.set_num_threads(threads)
        np.random.set_state(numpy_state)
        random.setstate(python_state)
