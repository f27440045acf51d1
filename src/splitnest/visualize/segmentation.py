"""Drawing of semantic and panoptic segmentations."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from splitnest.visualize.canvas import Canvas, Tag, erode
from splitnest.visualize.colors import Color, brighten, instance_colors

TINT_OPACITY = 0.5
"""Opacity of class and instance colors."""

MIN_TAG_AREA = 0.002
"""Minimum area of a segment with a tag, as a fraction of the image."""


class Segment(NamedTuple):
    """Segment of a panoptic segmentation.

    Attributes:
        id: Id in the segment map.
        name: Class name.
        color: Class color.
        is_thing: Whether the segment is an instance of a thing class.
        area: Number of pixels.
    """

    id: int
    name: str
    color: Color
    is_thing: bool
    area: int


def draw_semantic(
    image: np.ndarray,
    labels: np.ndarray,
    classes: Mapping[int, tuple[str, Color]],
    *,
    opacity: float = TINT_OPACITY,
    legend: bool = True,
) -> np.ndarray:
    """Tint each class with its color and draw a legend of the classes at the bottom.

    Args:
        image: uint8 RGB ``[H, W, 3]``; not modified.
        labels: ``[H, W]``, class of each pixel.
        classes: Name and color of each class to draw, in the order of the legend; other pixels are not tinted.
        opacity: Opacity of the tint, from 0 to 1.
        legend: Whether to draw the legend.

    Returns:
        uint8 RGB ``[H, W, 3]``.
    """
    canvas = Canvas(image)
    _tint(canvas, labels, {label: color for label, (_, color) in classes.items()}, opacity)
    if legend:
        canvas.legend(list(classes.values()))
    return canvas.pixels


def color_map(labels: np.ndarray, colors: Sequence[Color]) -> np.ndarray:
    """Return each pixel in the color of its class, black for labels without a color.

    Args:
        labels: uint8 or uint16 ``[H, W]``, class of each pixel.
        colors: Color of each class.

    Returns:
        uint8 RGB ``[H, W, 3]``.
    """
    palette = np.zeros((np.iinfo(labels.dtype).max + 1, 3), np.uint8)
    palette[: len(colors)] = colors
    return palette[labels]


def draw_panoptic(
    image: np.ndarray, segments: np.ndarray, infos: Sequence[Segment], by_class: bool = False
) -> np.ndarray:
    """Tint each segment and draw its class name.

    Stuff segments get their class color, instances of thing classes distinct colors unless ``by_class`` is set.

    Args:
        image: uint8 RGB ``[H, W, 3]``; not modified.
        segments: ``[H, W]``, segment id of each pixel. Other pixels are not tinted.
        infos: Segments to draw.
        by_class: Whether instances of thing classes get their class color too.

    Returns:
        uint8 RGB ``[H, W, 3]``.
    """
    canvas = Canvas(image)
    infos = sorted(infos, key=lambda info: -info.area)
    centers = [_inner_point(segments == info.id) for info in infos]
    things = [index for index, info in enumerate(infos) if info.is_thing and not by_class]
    boxes = np.array([[*centers[index], *centers[index]] for index in things], np.float64).reshape(-1, 4)
    distinct = dict(zip(things, instance_colors(boxes), strict=True))
    colors = [distinct.get(index) or brighten(info.color) for index, info in enumerate(infos)]
    _tint(canvas, segments, {info.id: color for info, color in zip(infos, colors, strict=True)})
    canvas.tags(
        Tag((info.name,), (x, y, x, y), color, is_centered=True)
        for info, (x, y), color in zip(infos, centers, colors, strict=True)
        if info.area >= MIN_TAG_AREA * segments.size
    )
    return canvas.pixels


def _tint(canvas: Canvas, labels: np.ndarray, colors: Mapping[int, Color], opacity: float = TINT_OPACITY) -> None:
    """Blend the color of each label over its pixels, and draw white borders between labels."""
    whole = slice(0, canvas.height), slice(0, canvas.width)
    for label, color in colors.items():
        canvas.blend(whole, (labels == label) * np.float32(opacity), color)
    border = np.zeros(labels.shape, bool)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    inside = ~border
    for _ in range((canvas.line_width - 1) // 2):
        inside = erode(inside)
    canvas.blend(whole, ~inside * np.float32(0.85), (255, 255, 255))


def _inner_point(mask: np.ndarray) -> tuple[float, float]:
    """Return a point (x, y) deep inside a mask, bool ``[H, W]``: the last pixel that remains under repeated erosion."""
    step = max(1, min(mask.shape) // 96)
    left = mask[::step, ::step]
    if not left.any():
        left, step = mask, 1
    while (smaller := erode(left)).any():
        left = smaller
    ys, xs = np.nonzero(left)
    nearest = np.abs(ys - np.median(ys)) + np.abs(xs - np.median(xs))
    return float(xs[nearest.argmin()] * step), float(ys[nearest.argmin()] * step)
