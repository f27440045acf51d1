"""Stratified split of images, the same for the same names on every machine.

Source: Sechidis et al. 2011, "On the Stratification of Multi-Label Data".

Shapes: I images, P pairs.
"""

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray


def stratified_split(
    names: Sequence[str],
    pairs: NDArray[np.int64],
    fractions: Sequence[float],
    groups: Sequence[str] | None = None,
) -> NDArray[np.int64]:
    """Return the split of each image, ``[I]``, so that each class has its share of images in each split.

    Classes are distributed from the rarest to the most frequent one. Images take turns in the order of the hashes of
    their file names without suffix, so the split depends neither on the order of the files nor on the format. Each
    class keeps an image in the first split, and no split is empty, as far as the number of images allows.

    Args:
        names: Path of each of the I images in its folder.
        pairs: int64 ``[P, 2]``, image index and class index of each instance, or of each class of an image.
        fractions: Fraction of each split.
        groups: Group of each image, whose images stay together; None makes each image its own.
    """
    keys = list(names) if groups is None else sorted(set(groups))
    place = {key: unit for unit, key in enumerate(keys)} if groups is not None else {}
    members = np.arange(len(names)) if groups is None else np.array([place[group] for group in groups], np.int64)
    classes_of = _class_counts(members, pairs, len(keys))
    order = sorted(range(len(keys)), key=lambda unit: (_hash(keys[unit]), keys[unit]))
    splitting = _Splitting(classes_of, np.bincount(members, minlength=len(keys)).tolist(), fractions)
    splitting.distribute(order)
    splitting.fill_empty(order)
    return np.array(splitting.chosen, np.int64)[members]


class _Splitting:
    """Distribution of images, or groups of images, among splits.

    Args:
        classes_of: Class -> number of images with it, of each unit.
        sizes: Number of images of each unit.
        fractions: Fraction of each split.
    """

    def __init__(self, classes_of: Sequence[dict[int, int]], sizes: Sequence[int], fractions: Sequence[float]) -> None:
        self._classes_of, self._sizes = classes_of, sizes
        self.chosen = [-1] * len(sizes)
        self._total: dict[int, int] = {}
        self._units: dict[int, int] = {}
        for counts in classes_of:
            for label, count in counts.items():
                self._total[label] = self._total.get(label, 0) + count
                self._units[label] = self._units.get(label, 0) + 1
        self._wanted = [{label: fraction * n for label, n in self._total.items()} for fraction in fractions]
        self._shares = [fraction * sum(sizes) for fraction in fractions]

    def distribute(self, order: Sequence[int]) -> None:
        """Choose the split of each unit, classes with few images left first."""
        left = dict(self._total)
        units_of: dict[int, list[int]] = {label: [] for label in left}
        for unit in order:
            for label in self._classes_of[unit]:
                units_of[label].append(unit)
        while left:
            rarest = min(left, key=lambda label: (left[label], label))
            for unit in units_of[rarest]:
                if self.chosen[unit] >= 0:
                    continue
                splits = range(len(self._shares)) if self._may_leave(unit) else range(1)
                self._choose(unit, max(splits, key=lambda n: (self._wanted[n][rarest], self._shares[n], -n)))
                for label, count in self._classes_of[unit].items():
                    left[label] -= count
            left = {label: count for label, count in left.items() if count > 0}

    def fill_empty(self, order: Sequence[int]) -> None:
        """Move a unit into each empty split, from the split that has most of them."""
        for split in range(len(self._shares)):
            if split in self.chosen:
                continue
            fullest = max(range(len(self._shares)), key=self.chosen.count)
            if self.chosen.count(fullest) < 2:
                return
            units = [unit for unit in order if self.chosen[unit] == fullest]
            unit = next((unit for unit in units if fullest or self._may_leave(unit)), units[0])
            if not fullest:
                self._leave_first(unit)
            self.chosen[unit] = split

    def _choose(self, unit: int, split: int) -> None:
        self.chosen[unit] = split
        self._shares[split] -= self._sizes[unit]
        for label, count in self._classes_of[unit].items():
            self._wanted[split][label] -= count
        if split:
            self._leave_first(unit)

    def _may_leave(self, unit: int) -> bool:
        """Return whether the first split has, or can get, another unit with each class of a unit."""
        return all(self._units[label] > 1 for label in self._classes_of[unit] if label >= 0)

    def _leave_first(self, unit: int) -> None:
        for label in self._classes_of[unit]:
            self._units[label] -= 1


def _class_counts(members: NDArray[np.int64], pairs: NDArray[np.int64], num_units: int) -> list[dict[int, int]]:
    """Return class -> number of images of each unit; images without a class count as class -1."""
    empty = np.setdiff1d(np.arange(len(members)), pairs[:, 0])
    distinct = np.unique(pairs[:, 0] + pairs[:, 1] * len(members)) if len(pairs) else np.zeros(0, np.int64)
    distinct = np.column_stack([distinct % max(len(members), 1), distinct // max(len(members), 1)])
    rows = np.concatenate([distinct, np.column_stack([empty, np.full_like(empty, -1)])])
    classes_of: list[dict[int, int]] = [{} for _ in range(num_units)]
    for unit, label in zip(members[rows[:, 0]].tolist(), rows[:, 1].tolist(), strict=True):
        classes_of[unit][label] = classes_of[unit].get(label, 0) + 1
    return classes_of


def _hash(name: str) -> bytes:
    return hashlib.sha256(PurePosixPath(name).stem.encode("utf-8", "surrogateescape")).digest()
