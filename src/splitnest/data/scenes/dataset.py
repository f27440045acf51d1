"""Synthetic dataset of drawn scenes."""

from collections.abc import Iterator
from pathlib import Path

from splitnest.data.scenes.classes import THINGS
from splitnest.data.scenes.coco import write_coco
from splitnest.data.scenes.render import render
from splitnest.data.scenes.rng import StableRng
from splitnest.data.scenes.scene import Scene

MIN_SIDE = 64
"""Minimum height and width of a scene in pixels."""


class Scenes:
    """Synthetic scenes with ground truth for every task, for demonstrations and tests without downloads.

    A scene depends only on its index, ``seed`` and ``size_hw``, and is identical on any machine.

    Args:
        count: Number of scenes.
        size_hw: Height and width of each scene in pixels, at least 64.
        seed: Non-negative random seed.

    Attributes:
        categories: Thing classes. Semantic and panoptic labels index ``CATEGORIES``.

    Raises:
        ValueError: A number is out of range.
    """

    def __init__(self, count: int, size_hw: tuple[int, int] = (240, 320), seed: int = 0) -> None:
        if count < 0 or seed < 0 or min(size_hw) < MIN_SIDE:
            raise ValueError(
                f"Scenes got count {count}, seed {seed} and size {size_hw}. Set count and seed to at least 0, and "
                f"height and width to at least {MIN_SIDE} pixels."
            )
        self.categories = THINGS
        self.count, self.size_hw, self.seed = count, size_hw, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Scene:
        index = range(self.count)[index]
        attempt = 0
        while (scene := render(StableRng(self.seed, index, attempt), self.size_hw)) is None:
            attempt += 1
        return scene

    def __iter__(self) -> Iterator[Scene]:
        return (self[index] for index in range(self.count))

    def write_coco(self, folder: str | Path, split: str = "train") -> None:
        """Write all scenes as a COCO dataset; see ``splitnest.data.scenes.coco``.

        Args:
            folder: Root folder of the dataset.
            split: Name of the split, as in ``train`` or ``val``.

        Raises:
            OutputError: A file cannot be written.
        """
        write_coco(self, Path(folder), split)
