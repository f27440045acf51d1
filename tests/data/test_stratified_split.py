"""Stratified split of images: shares of classes, groups, and images that are few."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitnest.data.stratified_split import stratified_split


def pairs_of(classes: list[set[int]]) -> np.ndarray:
    pairs = [(image, label) for image, labels in enumerate(classes) for label in sorted(labels)]
    return np.array(pairs, np.int64).reshape(-1, 2)


def names_of(count: int) -> list[str]:
    return [f"{number}.jpg" for number in range(count)]


def test_no_images() -> None:
    assert stratified_split([], pairs_of([]), [0.8, 0.2]).tolist() == []
    assert stratified_split(["a.jpg"], pairs_of([set()]), [0.5, 0.5]).tolist() == [0]


@pytest.mark.parametrize(("count", "sizes"), [(2, [1, 1]), (3, [1, 1, 1]), (3, [2, 1])])
def test_no_split_is_empty_with_few_images(count: int, sizes: list[int]) -> None:
    classes = [{number} for number in range(count)]  # each image has a class of its own
    fractions = [0.8, *[0.2 / (len(sizes) - 1)] * (len(sizes) - 1)]
    chosen = stratified_split(names_of(count), pairs_of(classes), fractions)
    assert np.bincount(chosen, minlength=len(sizes)).tolist() == sizes


def test_each_class_has_its_share() -> None:
    classes = [{number % 4} if number % 10 else set[int]() for number in range(400)]
    chosen = stratified_split(names_of(400), pairs_of(classes), [0.7, 0.2, 0.1])
    for label in range(4):
        members = [chosen[image] for image, labels in enumerate(classes) if label in labels]
        np.testing.assert_allclose(np.bincount(members) / len(members), [0.7, 0.2, 0.1], atol=0.02)
    empty = [chosen[image] for image, labels in enumerate(classes) if not labels]
    np.testing.assert_allclose(np.bincount(empty) / len(empty), [0.7, 0.2, 0.1], atol=0.03)


def test_folders_and_suffixes_have_no_influence() -> None:
    classes = [{number % 3} for number in range(50)]
    first = stratified_split(names_of(50), pairs_of(classes), [0.8, 0.2])
    others = [f"images/train/{number}.png" for number in range(50)]
    np.testing.assert_array_equal(stratified_split(others, pairs_of(classes), [0.8, 0.2]), first)


@settings(deadline=None)
@given(st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=40), st.integers(1, 8), st.integers(2, 3))
def test_laws(classes: list[set[int]], num_groups: int, num_splits: int) -> None:
    names, groups = names_of(len(classes)), [f"g{number % num_groups}" for number in range(len(classes))]
    fractions = [0.6, *[0.4 / (num_splits - 1)] * (num_splits - 1)]
    for of_images in (None, groups):
        chosen = stratified_split(names, pairs_of(classes), fractions, of_images)
        keys = names if of_images is None else of_images
        of_key = {key: {chosen[i] for i in range(len(names)) if keys[i] == key} for key in keys}
        assert all(len(splits) == 1 for splits in of_key.values()), "groups stay together"
        assert len(set(chosen.tolist())) == min(num_splits, len(of_key)), "no split is empty"
        backwards = pairs_of(classes[::-1])
        reverse = stratified_split(names[::-1], backwards, fractions, of_images and of_images[::-1])
        np.testing.assert_array_equal(reverse[::-1], chosen)
