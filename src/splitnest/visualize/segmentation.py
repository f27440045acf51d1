"""Maps of classes and of segments, over the photograph."""

import numpy as np

from splitnest.results import PanopticSegmentation, SemanticSegmentation
from splitnest.visualize.canvas import Canvas, Tag, eroded
from splitnest.visualize.colors import Color, bright, instance_colors

TINT = 0.5
"""Share of the class colour in the picture; the photograph has the rest."""

SMALLEST_NAMED = 0.002
"""Segments under this share of the image get no name."""


def draw_semantic(image: np.ndarray, segmentation: SemanticSegmentation) -> np.ndarray:
    """Tint each class with its colour, and name the classes in a legend at the bottom, the largest first.

    Args:
        image: uint8 [H, W, 3], RGB; not changed.
        segmentation: Of an image of this size. Pixels without a label keep the photograph's colours.

    Returns:
        uint8 [H, W, 3].
    """
    canvas = Canvas(image, segmentation.image_size)
    areas = segmentation.areas()
    colors = {label: segmentation.categories[label].color for label in areas}
    _tint(canvas, segmentation.labels, colors)
    canvas.legend([(segmentation.categories[label].name, colors[label]) for label in areas])
    return canvas.pixels


def color_map(segmentation: SemanticSegmentation) -> np.ndarray:
    """Return each pixel in the colour of its class, black where it has none, uint8 [H, W, 3]."""
    palette = np.zeros((np.iinfo(segmentation.labels.dtype).max + 1, 3), np.uint8)
    palette[: len(segmentation.categories)] = [category.color for category in segmentation.categories]
    return palette[segmentation.labels]


def draw_panoptic(image: np.ndarray, segmentation: PanopticSegmentation) -> np.ndarray:
    """Tint each segment and write its name on it: stuff in the colour of its class, each thing in one of its own.

    Args:
        image: uint8 [H, W, 3], RGB; not changed.
        segmentation: Of an image of this size. Pixels of no segment keep the photograph's colours.

    Returns:
        uint8 [H, W, 3].
    """
    canvas = Canvas(image, segmentation.image_size)
    infos = sorted(segmentation.segments_info, key=lambda row: -row["area"])
    masks = [segmentation.mask(row["id"]) for row in infos]
    middles = [_middle(mask) for mask in masks]
    things = [index for index, row in enumerate(infos) if row["isthing"]]
    centres = np.array([[*middles[index], *middles[index]] for index in things], np.float64).reshape(-1, 4)
    own = dict(zip(things, instance_colors(centres), strict=True))
    colors = [
        own.get(index) or bright(segmentation.categories[row["category"]].color) for index, row in enumerate(infos)
    ]
    _tint(canvas, segmentation.segments, {row["id"]: color for row, color in zip(infos, colors, strict=True)})
    canvas.tags(
        Tag((segmentation.categories[row["category"]].name,), (x, y, x, y), color, centred=True)
        for row, (x, y), color in zip(infos, middles, colors, strict=True)
        if row["area"] >= SMALLEST_NAMED * segmentation.segments.size
    )
    return canvas.pixels


def _tint(canvas: Canvas, labels: np.ndarray, colors: dict[int, Color]) -> None:
    """Colour the pixels of each label, with a light line where two labels meet."""
    whole = slice(0, canvas.height), slice(0, canvas.width)
    for label, color in colors.items():
        canvas.blend(whole, (labels == label) * np.float32(TINT), color)
    border = np.zeros(labels.shape, bool)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    inside = ~border
    for _ in range((canvas.line - 1) // 2):
        inside = eroded(inside)
    canvas.blend(whole, ~inside * np.float32(0.85), (255, 255, 255))


def _middle(mask: np.ndarray) -> tuple[float, float]:
    """A point (x, y) deep inside a mask, bool [H, W], where a name can stand: what is left last when it shrinks."""
    step = max(1, min(mask.shape) // 96)
    left = mask[::step, ::step]
    if not left.any():
        left, step = mask, 1
    while (smaller := eroded(left)).any():
        left = smaller
    ys, xs = np.nonzero(left)
    nearest = np.abs(ys - np.median(ys)) + np.abs(xs - np.median(xs))
    return float(xs[nearest.argmin()] * step), float(ys[nearest.argmin()] * step)
