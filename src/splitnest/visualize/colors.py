"""Colors of instances, keypoints and text that contrast with each other and with images."""

from collections.abc import Sequence

import numpy as np

Color = tuple[int, int, int]
"""RGB, from 0 to 255."""

PALETTE: tuple[Color, ...] = (
    (255, 92, 87),
    (38, 166, 255),
    (255, 193, 7),
    (46, 204, 113),
    (186, 104, 255),
    (255, 138, 48),
    (0, 210, 211),
    (255, 105, 180),
    (164, 222, 2),
    (121, 134, 255),
    (240, 160, 120),
    (0, 184, 148),
)
"""Bright instance colors; consecutive ones have distant hues."""

LEFT: Color = (64, 196, 255)
RIGHT: Color = (255, 152, 48)
MIDDLE: Color = (142, 232, 96)
"""Colors of keypoints on the left and right body side, and on neither."""


def side_color(*names: str) -> Color:
    """Return ``LEFT`` or ``RIGHT`` if all keypoint names start with that side, and ``MIDDLE`` otherwise."""
    if all(name.lower().startswith("left") for name in names):
        return LEFT
    return RIGHT if all(name.lower().startswith("right") for name in names) else MIDDLE


def luminance(color: Color) -> float:
    """Return the luminance of a color, from 0 to 255 (weights of ITU-R BT.601)."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


def text_color(background: Color) -> Color:
    """Return a text color with contrast to a background: near black or white."""
    return (20, 20, 20) if luminance(background) > 135 else (255, 255, 255)


def brighten(color: Color, min_luminance: float = 130) -> Color:
    """Blend a dark color with white up to a luminance; dark official class colors are hard to see in shadows.

    Args:
        color: Color.
        min_luminance: Minimum luminance of the result, from 0 to 255.
    """
    weight = max(0.0, (min_luminance - luminance(color)) / (255 - luminance(color) + 1e-6))
    red, green, blue = (round(channel + (255 - channel) * weight) for channel in color)
    return red, green, blue


def instance_colors(boxes_xyxy: np.ndarray) -> Sequence[Color]:
    """Return a palette color for each box; nearby boxes get different colors.

    Colors are assigned greedily: each box gets the color with the smallest sum of 1 / (1 + gap / 20) over the earlier
    boxes of that color, where the gap between boxes is in pixels.

    Args:
        boxes_xyxy: ``[N, 4]`` in pixels.
    """
    chosen: list[int] = []
    for index, box in enumerate(boxes_xyxy):
        earlier = boxes_xyxy[:index]
        gaps = np.maximum(np.maximum(earlier[:, :2] - box[2:], box[:2] - earlier[:, 2:]), 0).max(axis=1, initial=0)
        nearness = np.bincount(chosen, weights=1 / (1 + gaps / 20), minlength=len(PALETTE)) if chosen else np.zeros(1)
        chosen.append(int(nearness.argmin()))
    return [PALETTE[choice] for choice in chosen]
