"""Figures of colored polygons, in coordinates where a figure stands at (0, 0) and has height 1, y upwards."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Rgb = tuple[float, float, float]
Point = tuple[float, float]

_CIRCLE = np.array([(math.cos(step * math.pi / 12), math.sin(step * math.pi / 12)) for step in range(24)])


@dataclass(frozen=True)
class Part:
    """Filled polygon.

    Attributes:
        points: float ``[V, 2]``, x and y of its vertices.
        color: RGB color, from 0 to 255.
        opacity: Opacity from 0 to 1.
    """

    points: np.ndarray
    color: Rgb
    opacity: float = 1.0


@dataclass(frozen=True)
class Figure:
    """Drawing of an object.

    Attributes:
        parts: Polygons from back to front.
        keypoints: float ``[K, 2]``, x and y of the keypoints of a person; None for other classes.
        hidden: bool ``[K]``, keypoints on the side that faces away.
    """

    parts: list[Part]
    keypoints: np.ndarray | None = None
    hidden: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    def placed(self, base: Point, height: float, flip: int) -> "Figure":
        """Return the figure in pixels, y downwards.

        Args:
            base: Point (x, y) where the figure stands, in pixels.
            height: Height in pixels.
            flip: Factor of x: 1, or -1 for a horizontal flip.
        """
        scale = (height * flip, -height)
        parts = [Part(part.points * scale + base, part.color, part.opacity) for part in self.parts]
        return Figure(parts, None if self.keypoints is None else self.keypoints * scale + base, self.hidden)


def polygon(points: Sequence[Point], color: Rgb, opacity: float = 1.0) -> Part:
    """Return a polygon with these vertices."""
    return Part(np.array(points, np.float64), color, opacity)


def rectangle(x1: float, y1: float, x2: float, y2: float, color: Rgb) -> Part:
    """Return an axis-aligned rectangle."""
    return polygon([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], color)


def ellipse(center: Point, radii: Point, color: Rgb, opacity: float = 1.0) -> Part:
    """Return an axis-aligned ellipse."""
    return Part(_CIRCLE * radii + center, color, opacity)


def limb(start: Point, end: Point, radius_start: float, radius_end: float, color: Rgb) -> Part:
    """Return a tapered bar with round ends."""
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    rotation = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    angles = np.arange(7) * (math.pi / 6)
    cap = np.stack([np.sin(angles), -np.cos(angles)], axis=1)
    outline = np.concatenate(
        [cap * radius_end + (math.hypot(end[0] - start[0], end[1] - start[1]), 0), -cap * radius_start]
    )
    x, y = outline.T
    rotated = np.stack([x * rotation[0, 0] + y * rotation[1, 0], x * rotation[0, 1] + y * rotation[1, 1]], axis=1)
    return Part(rotated + start, color)


def standing(parts: list[Part]) -> Figure:
    """Return a figure of these parts, moved and scaled to y from 0 to 1."""
    heights = np.concatenate([part.points[:, 1] for part in parts])
    low, high = float(heights.min()), float(heights.max())
    return Figure([Part((part.points - (0, low)) / (high - low), part.color, part.opacity) for part in parts])


def shade(color: Rgb, factor: float) -> Rgb:
    """Return a darker color for a factor under 1, and one blended with white for a factor from 1 to 2."""
    if factor <= 1:
        return color[0] * factor, color[1] * factor, color[2] * factor
    red, green, blue = (channel + (255 - channel) * (factor - 1) for channel in color)
    return red, green, blue


def hsv(hue: float, saturation: float, value: float) -> Rgb:
    """Convert hue, saturation and value, each from 0 to 1, to RGB from 0 to 255."""
    sector, fraction = int(hue * 6) % 6, hue * 6 - int(hue * 6)
    low, falling, rising = 1 - saturation, 1 - saturation * fraction, 1 - saturation * (1 - fraction)
    red, green, blue = (
        (1, rising, low),
        (falling, 1, low),
        (low, 1, rising),
        (low, falling, 1),
        (rising, low, 1),
        (1, low, falling),
    )[sector]
    return red * value * 255, green * value * 255, blue * value * 255
