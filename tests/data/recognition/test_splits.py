"""Validation split: deterministic, stratified, and independent of the order of the images."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from splitnest.data.recognition.recognized import SplitContent
from splitnest.data.recognition.splits import training_rows, validation_rows


def content(classes: list[set[int]], order: list[int] | None = None) -> SplitContent:
    rows = range(len(classes)) if order is None else order
    names = [f"images/{row}.jpg" for row in rows]
    pairs = [(place, label) for place, row in enumerate(rows) for label in sorted(classes[row])]
    sizes = np.zeros((len(names), 2), np.int64)
    return SplitContent(names, np.array(pairs, np.int64).reshape(-1, 2), sizes, num_read=len(names))


def test_nothing_to_split() -> None:
    assert validation_rows(content([])) == []
    assert validation_rows(content([{0}] * 5)) == []
    assert len(validation_rows(content([{0}] * 6))) == 1


def test_each_class_has_its_share() -> None:
    split = content([{number % 4} for number in range(400)])
    rows = validation_rows(split)
    assert np.bincount([row % 4 for row in rows]).tolist() == [20] * 4
    assert training_rows(split, rows)[:3] == [row for row in range(400) if row not in rows][:3]


def test_names_are_sorted_by_number() -> None:
    split = content([{0}] * 30)
    assert [split.names[row] for row in training_rows(split, [])] == [f"images/{number}.jpg" for number in range(30)]


def test_a_tenth_of_many_images() -> None:
    assert len(validation_rows(content([{0}] * 2000))) == 200


@settings(deadline=None)
@given(st.lists(st.sets(st.integers(0, 4)), min_size=2, max_size=60), st.randoms(use_true_random=False))
def test_laws(classes: list[set[int]], random: object) -> None:
    split = content(classes)
    rows = validation_rows(split)
    train = training_rows(split, rows)
    assert sorted([*rows, *train]) == list(range(len(classes)))
    for label in {label for each in classes for label in each}:
        assert any(label in classes[row] for row in train), "every class has a training image"
    assert not rows or len(classes) >= 6
    order = list(range(len(classes)))
    random.shuffle(order)  # type: ignore[attr-defined]  # a random.Random
    shuffled = content(classes, order)
    assert [shuffled.names[row] for row in validation_rows(shuffled)] == [split.names[row] for row in rows]
