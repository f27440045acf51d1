"""Colours that can be told from each other and read on any photograph."""

from collections.abc import Sequence

import numpy as np

Color = tuple[int, int, int]

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
"""Bright colours of far hues, so that neighbours in the list are told apart and all stand out from photographs."""


def luminance(color: Color) -> float:
    """How bright a colour looks, from 0 to 255 (the weights of ITU-R BT.601)."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


def text_color(background: Color) -> Color:
    """Near black or white, whichever is the easier to read."""
    return (20, 20, 20) if luminance(background) > 135 else (255, 255, 255)


def bright(color: Color, least: float = 130) -> Color:
    """Mix a dark colour with white until its luminance is ``least``: the official dark blues vanish in shadows."""
    share = max(0.0, (least - luminance(color)) / (255 - luminance(color) + 1e-6))
    red, green, blue = (round(channel + (255 - channel) * share) for channel in color)
    return red, green, blue


def instance_colors(boxes_xyxy: np.ndarray) -> Sequence[Color]:
    """A palette colour for each box, so that boxes near each other differ.

    Each box in turn takes the colour whose earlier owners are the farthest away, counted as the sum of
    1 / (1 + gap / 20) over them, with the gap between boxes in pixels.

    Args:
        boxes_xyxy: [N, 4] in pixels.
    """
    chosen: list[int] = []
    for index, box in enumerate(boxes_xyxy):
        earlier = boxes_xyxy[:index]
        gaps = np.maximum(np.maximum(earlier[:, :2] - box[2:], box[:2] - earlier[:, 2:]), 0).max(axis=1, initial=0)
        nearness = np.bincount(chosen, weights=1 / (1 + gaps / 20), minlength=len(PALETTE)) if chosen else np.zeros(1)
        chosen.append(int(nearness.argmin()))
    return [PALETTE[choice] for choice in chosen]
