"""Validation split of a dataset without one: deterministic, and stratified by class."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from splitnest.data.recognition.recognized import SplitContent

FRACTION, FRACTION_OF_MANY = 0.2, 0.1
"""Fraction of the images of a small, and of a large dataset."""

MANY = 1000
"""Number of images of a large dataset."""

MAX_COUNT = 5000
"""Maximum number of validation images."""

MIN_COUNT = 6
"""Number of images under which a dataset is not split: one or two images measure nothing."""


def validation_rows(content: SplitContent, num_classes: int) -> list[int]:
    """Return the indices of the images for validation, sorted as ``ordered`` sorts.

    Each class has its share of the validation images, rare classes first, as in iterative stratification (Sechidis et
    al. 2011). Images are taken in the order of the hash of their file names, so the split depends neither on the order
    of the files nor on the format. Every class keeps an image for training. Fewer than ``MIN_COUNT`` images are not
    split.

    Args:
        content: Images and their classes.
        num_classes: Number of classes.
    """
    total = len(content)
    if total < MIN_COUNT:
        return []
    fraction = FRACTION if total < MANY else FRACTION_OF_MANY
    fraction = min(fraction, MAX_COUNT / total)
    classes_of: list[set[int]] = [set() for _ in range(total)]
    for image, label in content.pairs.tolist():
        classes_of[image].add(label)
    by_hash = sorted(range(total), key=lambda row: _hash(content.names[row]))
    images_of: list[list[int]] = [[] for _ in range(num_classes)]
    for row in by_hash:
        for label in classes_of[row]:
            images_of[label].append(row)
    num_left = [len(rows) for rows in images_of]
    chosen: set[int] = set()
    decided: set[int] = set()

    def choose(row: int) -> bool:
        if any(num_left[label] <= 1 for label in classes_of[row]):
            return False
        chosen.add(row)
        for label in classes_of[row]:
            num_left[label] -= 1
        return True

    for label in sorted(range(num_classes), key=lambda label: (len(images_of[label]), label)):
        wanted = round(fraction * len(images_of[label])) - sum(row in chosen for row in images_of[label])
        for row in images_of[label]:
            if row not in decided and wanted > 0 and choose(row):
                wanted -= 1
            decided.add(row)
    empty = [row for row in by_hash if not classes_of[row]]
    chosen.update(empty[: round(fraction * len(empty))])
    if not chosen:
        next(filter(choose, by_hash), None)
    return ordered(content.names, chosen)


def training_rows(content: SplitContent, validation: Sequence[int]) -> list[int]:
    """Return the indices of the other images, sorted as ``ordered`` sorts."""
    return ordered(content.names, set(range(len(content))) - set(validation))


def ordered(names: Sequence[str], rows: set[int]) -> list[int]:
    """Return indices of images sorted by name, with numbers by their value, whatever order the format has."""
    return sorted(rows, key=lambda row: _natural(names[row]))


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    stem = str(PurePosixPath(name).with_suffix(""))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", stem)], name


def _hash(name: str) -> tuple[str, str]:
    """Return the sort key of an image: by the hash of its file name without suffix."""
    return hashlib.sha256(PurePosixPath(name).stem.encode("utf-8", "surrogateescape")).hexdigest(), name
