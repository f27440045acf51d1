"""Validation split of a dataset without one: deterministic, and stratified by class."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from splitnest.data.recognition.recognized import SplitContent
from splitnest.data.stratified_split import stratified_split

FRACTION, FRACTION_OF_MANY = 0.2, 0.1
"""Fraction of the images of a small, and of a large dataset."""

MANY = 1000
"""Number of images of a large dataset."""

MAX_COUNT = 5000
"""Maximum number of validation images."""

MIN_COUNT = 6
"""Number of images under which a dataset is not split: one or two images measure nothing."""


def validation_rows(content: SplitContent) -> list[int]:
    """Return the indices of the images for validation, sorted as ``ordered`` sorts.

    Every class keeps an image for training; see ``stratified_split``. Fewer than ``MIN_COUNT`` images are not split,
    nor are images of which each has a class of its own.

    Args:
        content: Images and their classes.
    """
    total = len(content)
    if total < MIN_COUNT:
        return []
    fraction = min(FRACTION if total < MANY else FRACTION_OF_MANY, MAX_COUNT / total)
    is_validation = stratified_split(content.names, content.pairs, [1 - fraction, fraction]) == 1
    of_pairs, labels = is_validation[content.pairs[:, 0]], content.pairs[:, 1]
    if np.setdiff1d(labels[of_pairs], labels[~of_pairs]).size:
        return []
    return ordered(content.names, set(np.flatnonzero(is_validation).tolist()))


def training_rows(content: SplitContent, validation: Sequence[int]) -> list[int]:
    """Return the indices of the other images, sorted as ``ordered`` sorts."""
    return ordered(content.names, set(range(len(content))) - set(validation))


def ordered(names: Sequence[str], rows: set[int]) -> list[int]:
    """Return indices of images sorted by name, with numbers by their value, whatever order the format has."""
    return sorted(rows, key=lambda row: _natural(names[row]))


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    stem = str(PurePosixPath(name).with_suffix(""))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", stem)], name
