"""The drawn data set."""

from collections.abc import Iterator
from pathlib import Path

from splitnest.data.scenes.classes import THINGS
from splitnest.data.scenes.coco import write_coco
from splitnest.data.scenes.dice import Dice
from splitnest.data.scenes.render import render
from splitnest.data.scenes.scene import Scene

SMALLEST = 64
"""Least height and width of a scene in pixels."""


class Scenes:
    """Drawn scenes with labels for every task, for demonstrations and tests that need no download.

    Scene ``index`` depends on ``seed``, ``index`` and ``size_hw`` alone, and is the same on any machine.

    Args:
        count: Number of scenes.
        size_hw: (height, width) in pixels, 64 or more each.
        seed: From 0; another seed gives other scenes.

    Attributes:
        categories: The classes of the objects. Semantic and panoptic labels have more: ``CATEGORIES``.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, count: int, size_hw: tuple[int, int] = (240, 320), seed: int = 0) -> None:
        if count < 0 or seed < 0 or min(size_hw) < SMALLEST:
            raise ValueError(
                f"Scenes needs count and seed of 0 or more and sides of {SMALLEST} pixels or more, "
                f"but has count {count}, seed {seed} and size {size_hw}."
            )
        self.categories = THINGS
        self.count, self.size_hw, self.seed = count, size_hw, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Scene:
        index = range(self.count)[index]
        attempt = 0
        while (scene := render(Dice(self.seed, index, attempt), self.size_hw)) is None:
            attempt += 1
        return scene

    def __iter__(self) -> Iterator[Scene]:
        return (self[index] for index in range(self.count))

    def write_coco(self, folder: str | Path, split: str = "train") -> None:
        """Write all scenes and labels in COCO's layout: see ``splitnest.data.scenes.coco``."""
        write_coco(self, Path(folder), split)
