"""Repeat-factor sampling: factors of LVIS, and the frequencies that are drawn."""

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.detection_training_set import training_set
from splitnest.data.loading.batch_sampler import REPEAT, BatchSampler
from splitnest.data.loading.repeat_factors import draws, min_draws, occurrences, repeat_factors
from splitnest.data.loading.training_loader import TrainingLoader


def array(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_no_labels_and_no_samples() -> None:
    assert repeat_factors(array(), array(), 3, 0.5).tolist() == [1, 1, 1]
    assert repeat_factors(array(), array(), 0, 0.5).tolist() == []
    assert draws(np.ones(0), np.random.default_rng(0)).tolist() == []
    assert min_draws(np.ones(0)) == 0
    assert occurrences(array()).tolist() == []


def test_factors_follow_the_formula() -> None:
    """Section 5 of the paper: r(c) = max(1, sqrt(t / f(c))), r(i) = max of r(c) over the classes of image i."""
    samples, labels = array(0, 0, 0, 1, 2, 3, 4, 4), array(0, 0, 2, 0, 0, 0, 1, 0)
    factors = repeat_factors(samples, labels, 8, 0.5)  # class 0 in 5 of 8 images, classes 1 and 2 in one each
    np.testing.assert_allclose(factors, [2, 1, 1, 1, 2, 1, 1, 1])
    np.testing.assert_allclose(repeat_factors(samples, labels, 8, 0.001), 1)


def test_drawn_frequencies_are_the_factors() -> None:
    """Counted over many epochs, each image is drawn as often as its factor says, and repeated in each epoch."""
    factors = np.array([1, 1.25, 3.7, 1, 2, 1.5, 1, 1, 10.05, 1])
    sampler = BatchSampler(np.ones((10, 2), np.int64), 1, seed=0, group_by_aspect_ratio=False, repeat_factors=factors)
    assert sampler.steps_per_epoch == 23  # of an expected 23.5
    rng = np.random.default_rng(0)
    counts = np.array([draws(factors, rng) for _ in range(4000)])
    assert (counts >= np.floor(factors)).all()
    assert (counts <= np.ceil(factors)).all()
    assert set(counts.sum(axis=1).tolist()) == {23, 24}
    np.testing.assert_allclose(counts.mean(axis=0), factors, atol=0.03)
    drawn = Counter(index for epoch in range(1000) for index in sampler.epoch(epoch).ravel().tolist())
    measured = np.array([drawn[index] / 1000 for index in range(10)])
    np.testing.assert_allclose(measured, factors * 23 / 23.5, rtol=0.05)  # what is left over is not drawn


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1, 9), min_size=1, max_size=30), st.integers(0, 100))
def test_every_epoch_has_the_minimum_number_of_draws(factors: list[float], seed: int) -> None:
    counts = draws(np.array(factors), np.random.default_rng(seed))
    assert (counts >= np.floor(factors)).all()
    assert len(factors) <= min_draws(np.array(factors)) <= counts.sum()


def test_each_draw_of_a_sample_has_its_own_key() -> None:
    assert occurrences(array(3, 1, 3, 3, 1, 0)).tolist() == [0, 0, 1, 2, 1, 0]
    factors = np.array([4.0, 1, 1, 1, 1])
    sampler = BatchSampler(np.ones((5, 2), np.int64), 4, seed=0, repeat_factors=factors)
    assert sampler.steps_per_epoch == 2
    steps = list(islice(sampler.from_step(0), 6))
    keys = sorted(key for step in steps[4:] for key in step)  # of epoch 2
    assert keys == [*((2, index) for index in range(5)), *((2 + n * REPEAT, 0) for n in (1, 2, 3))]
    assert list(islice(sampler.from_step(3), 3)) == steps[3:]


def test_rare_classes_are_drawn_more_often_in_training(tmp_path: Path) -> None:
    plain = training_set(tmp_path, 7)
    images, labels = plain.class_pairs()
    assert (images.tolist(), labels.tolist()) == (list(range(7)), [0] * 7)
    assert TrainingLoader(plain, plain.train_cfg).steps_per_epoch == 3
    plain.class_pairs = lambda: (images, array(0, 0, 0, 0, 0, 0, 1))  # type: ignore[method-assign]
    loader = TrainingLoader(plain, plain.train_cfg.model_copy(update={"repeat_threshold": 4 / 7}))
    np.testing.assert_allclose(loader.sampler.repeat_factors, [1, 1, 1, 1, 1, 1, 2])
    assert loader.steps_per_epoch == 4
    changes = {"repeat_threshold": 3 / 7, "repeat_rounding": "up"}  # a factor of sqrt(3)
    rounded = TrainingLoader(plain, plain.train_cfg.model_copy(update=changes))
    np.testing.assert_array_equal(rounded.sampler.repeat_factors, [1, 1, 1, 1, 1, 1, 2])
    samples = [loaded for step in islice(loader.steps(0), 4) for part in step for loaded in part]
    rare = [loaded for loaded in samples if loaded.key[1] == 6]
    assert [loaded.key[0] for loaded in rare] in ([0, REPEAT], [REPEAT, 0])
    first, second = (loaded.sample for loaded in rare)
    assert first is not None
    assert second is not None
    assert first.image.shape != second.image.shape or not np.array_equal(first.image, second.image)


@pytest.mark.parametrize("threshold", [None, 0.5])
def test_published_order_does_not_change(threshold: float | None) -> None:
    """Factors of 1 draw each sample once; without factors the order is as before."""
    factors = None if threshold is None else np.ones(9)
    sampler = BatchSampler(np.ones((9, 2), np.int64), 3, seed=1, repeat_factors=factors)
    assert sorted(sampler.epoch(0).ravel().tolist()) == list(range(9))
    if threshold is None:
        expected = np.random.default_rng(np.random.SeedSequence(1, spawn_key=(0,))).permutation(9)
        np.testing.assert_array_equal(sampler.epoch(0).ravel(), expected)
