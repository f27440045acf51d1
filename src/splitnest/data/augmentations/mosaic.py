"""Mosaic of four images with boxes, masks and label maps (Bochkovskiy et al. 2020, YOLOv4)."""

from collections.abc import Sequence

import torch
from torchvision import tv_tensors

from splitnest.data.augmentations.view import Fill, View, joined, padded, resized, size_hw


def mosaic(views: Sequence[View], center: tuple[float, float], fill: Fill) -> View:
    """Arrange four views around a random center, on a canvas of the size of the first one.

    Each view is resized to cover its tile, which shows a random part of it; instances outside of that part end without
    area.

    Args:
        views: Four images with ground truth.
        center: Minimum and maximum position of the center, as a fraction of each side.
        fill: Color that the tiles are padded with; none of it is left.
    """
    canvas_hw = size_hw(views[0][0])
    edges = []
    for side in canvas_hw:
        middle = int(side * float(torch.empty(()).uniform_(*center)))
        edges.append((0, min(max(1, middle), max(1, side - 1)), side))
    image, labels = torch.zeros(3, *canvas_hw, dtype=torch.uint8), torch.zeros(canvas_hw, dtype=torch.uint8)
    tiles = []
    for number, view in enumerate(views):
        rows, columns = (slice(*edges[axis][place : place + 2]) for axis, place in enumerate(divmod(number, 2)))
        tile_hw = rows.stop - rows.start, columns.stop - columns.start
        if min(tile_hw) < 1:  # an image that is one pixel high or wide
            continue
        pixels, target = padded(_covering(view, tile_hw), canvas_hw, (rows.start, columns.start), fill)
        image[:, rows, columns] = pixels[:, rows, columns]
        if "semantic" in target:
            labels[rows, columns] = target["semantic"][rows, columns]
        tiles.append(target)
    result = joined(tiles, canvas_hw) if "labels" in tiles[0] else tiles[0]
    if "semantic" in result:
        result["semantic"] = tv_tensors.Mask(labels)
    return tv_tensors.Image(image), result


def _covering(view: View, tile_hw: tuple[int, int]) -> View:
    """Resize a view to the smallest size that covers a tile, and crop a random part of the tile's size."""
    factor = max(tile / side for tile, side in zip(tile_hw, size_hw(view[0]), strict=True))
    height, width = (max(tile, round(side * factor)) for tile, side in zip(tile_hw, size_hw(view[0]), strict=True))
    top, left = (int(torch.randint(full - kept + 1, ())) for full, kept in zip((height, width), tile_hw, strict=True))
    return resized(view, (height, width), (top, left, *tile_hw))
