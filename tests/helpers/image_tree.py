"""Small classification dataset: a folder of images for each class."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from splitnest import zoo
from splitnest.recipe import ClassificationRecipe, overrides

COLORS = {"blue": (20, 30, 200), "green": (30, 180, 40), "red": (210, 30, 20)}
"""Class name -> color of its images, which a small network can distinguish."""

SMALL: dict[str, Any] = {
    "name": "small",
    "model": {"backbone": {"depth": 14, "planes": 8, "stem_width": 8, "stem_stride": 1}},
    "input": {"size": 32, "crop": "timm", "crop_fraction": 1.0},
    "data": {"classes": "folders"},
    "train": {"batch_size": 6, "epochs": 8, "lr": 0.05, "warmup_epochs": 1, "workers": 0,
              "evaluate_every": 4, "mixup": 0.2, "drop_block": 0.05},
}  # fmt: skip


def write(path: Path, color: tuple[int, int, int] = (90, 90, 90), size_wh: tuple[int, int] = (40, 36)) -> None:
    """Write an image of a color with noise that depends on the file name alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(sum(map(ord, path.name)))
    pixels = np.array(color) + rng.integers(-30, 31, (size_wh[1], size_wh[0], 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def write_classes(root: Path, splits: Mapping[str, int]) -> None:
    """Write class folders for ``COLORS`` in a folder for each split, with the given number of images per class."""
    for split, count in splits.items():
        for name, color in COLORS.items():
            for number in range(count):
                write(root / split / name / f"{split}{number}.png", color)


def recipe_of(root: Path | None, base: str = "resnest50_imagenet.official", **changes: Any) -> ClassificationRecipe:
    """Return the recipe of a small classifier with its data in ``root``."""
    recipe = overrides.apply(zoo.get(base), SMALL)
    recipe = overrides.apply(recipe, {"data.root": root and str(root), **changes})
    assert isinstance(recipe, ClassificationRecipe)
    return recipe
