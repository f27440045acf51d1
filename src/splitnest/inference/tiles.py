"""Tiled prediction: detection and semantic segmentation of a large image by overlapping tiles.

Each tile is resized as an image of its own, so small objects of a large image keep their size.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.errors import UsageError
from splitnest.inference.batching import make_batch, predict_prepared
from splitnest.inference.exported_model import ExportedModel
from splitnest.inference.prefetch import prefetch
from splitnest.inference.tile_merge import merge_tiles
from splitnest.models.base import Model
from splitnest.models.layers.logit_rows import Placed, joined
from splitnest.models.segmentation.segmentor import Segmentor
from splitnest.recipe import Recipe
from splitnest.structures import Result
from splitnest.structures.prepared import PreparedImage
from splitnest.structures.windows import Window, sliding_windows
from splitnest.tasks import task_of

Tile = int | tuple[int, int]
"""Side of a square tile, or height and width, in pixels."""

OVERLAP = 0.2
"""Default overlap of two neighboring tiles as a fraction of a tile."""

MAX_OVERLAP = 0.9
"""Maximum overlap; the number of tiles grows with 1 / (1 - overlap) squared."""

TASKS = ("detection", "instance", "semantic")
"""Tasks that have tiled prediction."""

STRIDE = 32
"""Minimum side of a tile in pixels: the largest stride of the networks."""


class TiledPrediction:
    """Prediction of large images by tiles.

    Detections are merged by the rule of ``merge_tiles``, and are as many as remain. Logits of a segmentor are averaged
    where tiles overlap. An image that is no larger than a tile is predicted as a whole.

    Args:
        model: Model in evaluation mode.
        recipe: Recipe of the model.
        tile: Size of a tile in pixels of the original image.
        overlap: Overlap of two neighboring tiles as a fraction of a tile; None for the default.
        batch_size: Maximum number of tiles that are processed together.

    Raises:
        UsageError: The task has no tiled prediction, or a size is out of range.
    """

    def __init__(
        self, model: Model, recipe: Recipe, tile: Tile, overlap: float | None = None, batch_size: int = 1
    ) -> None:
        if recipe.task not in TASKS:
            raise UsageError(
                f"{recipe.name} has no tiled prediction: its task is {recipe.task}, and it exists for "
                f"{', '.join(TASKS)}. Omit tile."
            )
        if not task_of(recipe).has_boxes and not isinstance(model, Segmentor):
            kind = "an exported model" if isinstance(model, ExportedModel) else f"a {type(model).__name__} of Python"
            raise UsageError(f"{recipe.name} is {kind}, whose logits cannot be joined over tiles. Omit tile.")
        self.model, self.recipe, self.batch_size = model, recipe, batch_size
        self.tile = _checked_tile(tile)
        self.stride = _stride(self.tile, OVERLAP if overlap is None else overlap)
        dtype = next(model.parameters()).dtype
        self._input_dtype = torch.promote_types(dtype, torch.float32)  # preprocessing is never in half precision

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8], resize: bool = True) -> Result:
        """Predict for an image, in its pixels.

        Args:
            image: uint8 RGB ``[H, W, 3]``.
            resize: Whether to resize each tile as the recipe says.
        """
        size_hw = image.shape[0], image.shape[1]
        windows = sliding_windows(size_hw, self.tile, self.stride)
        tiles = prefetch(self._prepared(image, windows, resize), self.batch_size)
        if isinstance(self.model, Segmentor) and len(windows) > 1:
            return self._joined(self.model, tiles, size_hw)
        results: list[Any] = [result for _, result in predict_prepared(self.model, self.recipe, tiles, self.batch_size)]
        if len(windows) == 1:
            return results[0]
        return merge_tiles(windows, results, size_hw, self.recipe.model.nms_threshold)  # type: ignore[union-attr]

    def _prepared(
        self, image: NDArray[np.uint8], windows: list[Window], resize: bool
    ) -> Iterator[tuple[Window, PreparedImage]]:
        task = task_of(self.recipe)
        for window in windows:
            pixels = np.ascontiguousarray(image[window.slices])
            yield window, task.prepare(pixels, self.recipe, resize=resize, dtype=self._input_dtype)

    def _joined(
        self, model: Segmentor, tiles: Iterator[tuple[Window, PreparedImage]], size_hw: tuple[int, int]
    ) -> Result:
        """Return the class of each pixel; in memory are the logits of the decode head, not those of the pixels."""
        like, placed = next(model.parameters()), list[Placed]()
        task = task_of(self.recipe)
        for windows, prepared in _batches(tiles, self.batch_size):
            batch = make_batch(task, self.recipe, prepared).to(like.device, like.dtype)
            for window, rows in zip(windows, model.rows(batch.images), strict=True):
                placed.append(Placed(model.resized(rows, (window.height, window.width)), window.top, window.left))
        return model.to_result([joined(placed, size_hw)], size_hw)


def check_tiling(tile: Tile | None, overlap: float | None, tta: bool) -> None:
    """Raise a UsageError for an overlap without a tile, and for tiles with test-time augmentation."""
    if tile is None and overlap is not None:
        raise UsageError("overlap has no effect without tile. Give the size of a tile in pixels, or omit both.")
    if tile is not None and tta:
        raise UsageError("Tiles have no test-time augmentation. Omit tile or tta.")


def _batches(
    tiles: Iterator[tuple[Window, PreparedImage]], batch_size: int
) -> Iterator[tuple[list[Window], list[PreparedImage]]]:
    """Yield tiles, which have one size, in batches."""
    batch: list[tuple[Window, PreparedImage]] = []
    for tile in tiles:
        batch.append(tile)
        if len(batch) == batch_size:
            yield [window for window, _ in batch], [prepared for _, prepared in batch]
            batch = []
    if batch:
        yield [window for window, _ in batch], [prepared for _, prepared in batch]


def _checked_tile(tile: Tile) -> tuple[int, int]:
    sides = tile if isinstance(tile, tuple | list) else (tile, tile)
    if len(sides) != 2 or any(not isinstance(side, int | np.integer) or isinstance(side, bool) for side in sides):
        raise UsageError(f"tile is {tile!r}. Give the side of a tile in pixels, or its height and width.")
    if min(sides) < STRIDE:
        raise UsageError(
            f"tile is {tile!r}, smaller than {STRIDE} pixels, the stride of the network. Give a larger tile, such as "
            f"1024."
        )
    return int(sides[0]), int(sides[1])


def _stride(tile: tuple[int, int], overlap: float) -> tuple[int, int]:
    if not isinstance(overlap, int | float | np.number) or not 0 <= overlap <= MAX_OVERLAP:
        raise UsageError(
            f"overlap is {overlap!r}. Give the fraction of a tile that neighbors share, from 0 to {MAX_OVERLAP}, such "
            f"as {OVERLAP}."
        )
    return max(1, tile[0] - round(tile[0] * overlap)), max(1, tile[1] - round(tile[1] * overlap))
