"""What objects are drawn from: coloured polygons in a plane where an object stands at (0, 0) and is 1 high."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Rgb = tuple[float, float, float]
Point = tuple[float, float]

_CIRCLE = np.array([(math.cos(step * math.pi / 12), math.sin(step * math.pi / 12)) for step in range(24)])


@dataclass(frozen=True)
class Part:
    """A polygon: float [V, 2] points, x to the right and y up, and its colour, channels from 0 to 255."""

    points: np.ndarray
    color: Rgb
    opacity: float = 1.0


@dataclass(frozen=True)
class Figure:
    """An object as it is drawn.

    Attributes:
        parts: From the back to the front.
        keypoints: float [K, 2] of a person, else None.
        hidden: bool [K], keypoints on the side that is turned away.
    """

    parts: list[Part]
    keypoints: np.ndarray | None = None
    hidden: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    def placed(self, base: Point, height: float, flip: int) -> "Figure":
        """The same in pixels, y down: ``height`` pixels high, standing at ``base``, mirrored if ``flip`` is -1."""
        scale = (height * flip, -height)
        parts = [Part(part.points * scale + base, part.color, part.opacity) for part in self.parts]
        return Figure(parts, None if self.keypoints is None else self.keypoints * scale + base, self.hidden)


def polygon(points: Sequence[Point], color: Rgb, opacity: float = 1.0) -> Part:
    """A polygon through some points."""
    return Part(np.array(points, np.float64), color, opacity)


def rectangle(x1: float, y1: float, x2: float, y2: float, color: Rgb) -> Part:
    """An upright rectangle."""
    return polygon([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], color)


def ellipse(center: Point, radii: Point, color: Rgb, opacity: float = 1.0) -> Part:
    """An upright ellipse."""
    return Part(_CIRCLE * radii + center, color, opacity)


def limb(start: Point, end: Point, radius_start: float, radius_end: float, color: Rgb) -> Part:
    """A tapering bar with round ends."""
    along = math.atan2(end[1] - start[1], end[0] - start[0])
    turn = np.array([[math.cos(along), math.sin(along)], [-math.sin(along), math.cos(along)]])
    steps = np.arange(7) * (math.pi / 6)
    cap = np.stack([np.sin(steps), -np.cos(steps)], axis=1)
    outline = np.concatenate(
        [cap * radius_end + (math.hypot(end[0] - start[0], end[1] - start[1]), 0), -cap * radius_start]
    )
    x, y = outline.T
    turned = np.stack([x * turn[0, 0] + y * turn[1, 0], x * turn[0, 1] + y * turn[1, 1]], axis=1)
    return Part(turned + start, color)


def standing(parts: list[Part]) -> Figure:
    """A figure of these parts, moved and scaled so that it reaches from 0 to 1."""
    heights = np.concatenate([part.points[:, 1] for part in parts])
    low, high = float(heights.min()), float(heights.max())
    return Figure([Part((part.points - (0, low)) / (high - low), part.color, part.opacity) for part in parts])


def shade(color: Rgb, factor: float) -> Rgb:
    """A darker (under 1) or lighter (over 1) colour; lighter ones go towards white."""
    if factor <= 1:
        return color[0] * factor, color[1] * factor, color[2] * factor
    red, green, blue = (channel + (255 - channel) * (factor - 1) for channel in color)
    return red, green, blue


def hsv(hue: float, saturation: float, value: float) -> Rgb:
    """A colour by hue, saturation and value, each from 0 to 1."""
    sector, share = int(hue * 6) % 6, hue * 6 - int(hue * 6)
    low, falling, rising = 1 - saturation, 1 - saturation * share, 1 - saturation * (1 - share)
    red, green, blue = (
        (1, rising, low),
        (falling, 1, low),
        (low, 1, rising),
        (low, falling, 1),
        (rising, low, 1),
        (1, low, falling),
    )[sector]
    return red * value * 255, green * value * 255, blue * value * 255
