"""Drawing of keypoints and skeletons.

Shapes: N persons, K keypoints.
"""

from collections.abc import Sequence

import numpy as np

from splitnest.visualize.canvas import Canvas
from splitnest.visualize.colors import MIDDLE, Color


def draw_poses(
    image: np.ndarray,
    keypoints: np.ndarray,
    visible: np.ndarray,
    heights: np.ndarray,
    skeleton: Sequence[tuple[int, int]],
    colors: Sequence[Color],
) -> np.ndarray:
    """Draw keypoints and skeletons of persons.

    A line of the skeleton has the color of its two keypoints if they are equal, and a neutral color otherwise.

    Args:
        image: uint8 RGB ``[H, W, 3]``; not modified.
        keypoints: ``[N, K, 2]``, x and y in pixels.
        visible: bool ``[N, K]``, keypoints to draw; lines are drawn between visible keypoints.
        heights: ``[N]``, height of each person in pixels; smaller persons get thinner lines and are drawn first.
        skeleton: Pairs of keypoint indices that are connected by a line.
        colors: Color of each keypoint.

    Returns:
        uint8 RGB ``[H, W, 3]``.
    """
    canvas = Canvas(image)
    for row in np.argsort(heights, kind="stable").tolist():
        points, is_visible = keypoints[row].astype(np.float64), visible[row]
        radius = max(0.9, min(canvas.line_width * 1.5, float(heights[row]) / 90))
        edges = [(a, b) for a, b in skeleton if is_visible[a] and is_visible[b]]
        for a, b in edges:
            canvas.stroke(points[a], points[b], radius + 1, (0, 0, 0), alpha=0.4)
        for a, b in edges:
            canvas.stroke(points[a], points[b], radius, colors[a] if colors[a] == colors[b] else MIDDLE)
        for point in np.flatnonzero(is_visible).tolist():
            canvas.stroke(points[point], points[point], radius * 1.5 + 0.7, (255, 255, 255))
            canvas.stroke(points[point], points[point], radius * 1.5, colors[point])
    return canvas.pixels
