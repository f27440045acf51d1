"""Class-aware sampling: what is drawn, counted, and its place in the order of a training."""

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.detection_training_set import training_set
from splitnest import zoo
from splitnest.data.loading.batch_sampler import BatchSampler, process_share
from splitnest.data.loading.class_aware import ClassAwareDraws
from splitnest.data.loading.training_loader import TrainingLoader
from splitnest.errors import UsageError
from splitnest.recipe import required_training
from splitnest.recipe.overrides import apply


def array(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


SAMPLES, LABELS = array(0, 1, 2, 3, 4, 5, 6, 6, 6), array(0, 0, 0, 0, 0, 0, 0, 0, 3)
"""Sample 6 alone has class 3; classes 1 and 2 have no sample."""


def test_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="no sample has a class"):
        ClassAwareDraws(array(), array(), 1)
    assert ClassAwareDraws(SAMPLES, LABELS, 1).draw(0, np.random.default_rng(0)).tolist() == []


@pytest.mark.parametrize("per_turn", [1, 2, 5])
def test_classes_are_equally_frequent_and_so_are_the_images_of_a_class(per_turn: int) -> None:
    pairs = array(0, 1, 2, 3, 4, 5, 6), array(0, 0, 0, 0, 0, 0, 3)
    drawn = ClassAwareDraws(*pairs, per_turn).draw(60 * per_turn, np.random.default_rng(0))
    turns = (drawn.reshape(-1, per_turn) == 6).astype(int)
    assert (turns == turns[:, :1]).all()  # a turn has one class
    assert (turns[:, 0].reshape(-1, 2).sum(axis=1) == 1).all()  # each class has its turn before the first has another
    counts = Counter(drawn.tolist())
    assert counts == {6: 30 * per_turn} | dict.fromkeys(range(6), 5 * per_turn)


def test_image_of_several_classes_is_drawn_for_each() -> None:
    drawn = ClassAwareDraws(SAMPLES, LABELS, 1).draw(14_000, np.random.default_rng(1))
    counts = Counter(drawn.tolist())
    assert counts == {6: 7000 + 1000} | dict.fromkeys(range(6), 1000)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=30),
    st.integers(1, 7),
    st.integers(0, 90),
)
def test_every_draw_is_a_labeled_sample(pairs: list[tuple[int, int]], per_turn: int, count: int) -> None:
    samples, labels = np.array(pairs, np.int64).T
    drawn = ClassAwareDraws(samples, labels, per_turn).draw(count, np.random.default_rng(0))
    assert len(drawn) == count
    assert set(drawn.tolist()) <= set(samples.tolist())


def sampler(group_by_aspect_ratio: bool = False) -> BatchSampler:
    sizes = np.array([[1, 2]] * 4 + [[2, 1]] * 5)
    draws = ClassAwareDraws(SAMPLES, LABELS, 1)
    return BatchSampler(sizes, 4, 3, group_by_aspect_ratio, class_aware=draws)


def test_order_is_a_function_of_seed_and_step() -> None:
    """A resumed training continues with the same samples; samples 7 and 8, without classes, count but are not drawn."""
    batches = sampler()
    assert batches.steps_per_epoch == 2
    steps = list(islice(batches.from_step(0), 7))
    assert list(islice(sampler().from_step(3), 4)) == steps[3:]
    assert sampler().epoch(0).tolist() != sampler().epoch(1).tolist()
    keys = [key for step in steps[:2] for key in step]
    assert len(set(keys)) == 8  # each draw of sample 6 is augmented in its own way
    assert sum(index == 6 for _, index in keys) >= 4
    shares = [process_share(steps[0], 1, rank, 2)[0] for rank in (0, 1)]
    assert [*shares[0], *shares[1]] == steps[0]


def test_batches_are_grouped_by_aspect_ratio() -> None:
    groups = [{index < 4 for index in batch} for epoch in range(20) for batch in sampler(True).epoch(epoch).tolist()]
    assert sum(len(group) == 1 for group in groups) >= 20  # the last batch of an epoch may be mixed


def test_training_draws_rare_classes_as_often_as_others(tmp_path: Path) -> None:
    images = training_set(tmp_path, 7)
    images.class_pairs = lambda: (array(*range(7)), array(0, 0, 0, 0, 0, 0, 1))  # type: ignore[method-assign]
    loader = TrainingLoader(images, images.train_cfg.model_copy(update={"class_aware_samples": 1}))
    assert loader.steps_per_epoch == 3
    keys = [loaded.key for step in islice(loader.steps(0), 30) for part in step for loaded in part]
    assert 25 <= sum(index == 6 for _, index in keys) <= 35


@pytest.mark.parametrize("base", ["faster_rcnn_resnest50_fpn_1x_coco.mmdet", "resnest50_imagenet.official"])
def test_it_replaces_repeat_factor_sampling_of_the_base(base: str) -> None:
    repeating = apply(zoo.get(base), {"train.repeat_threshold": 0.001})
    changed = required_training(apply(repeating, {"train.class_aware_samples": 2}))
    assert (changed.repeat_threshold, changed.class_aware_samples) == (None, 2)
    back = required_training(apply(apply(repeating, {"train.class_aware_samples": 2}), {"train.repeat_threshold": 0.1}))
    assert (back.repeat_threshold, back.class_aware_samples) == (0.1, None)
    with pytest.raises(UsageError, match="train: set one of repeat_threshold and class_aware_samples"):
        apply(repeating, {"train.repeat_threshold": 0.1, "train.class_aware_samples": 2})
