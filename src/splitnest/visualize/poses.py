"""Keypoints and limbs of people."""

import numpy as np

from splitnest.data.skeleton import MIDDLE, side_color
from splitnest.results import Poses
from splitnest.visualize.canvas import Canvas
from splitnest.visualize.colors import Color


def draw_poses(
    image: np.ndarray, poses: Poses, score_threshold: float = 0.5, keypoint_threshold: float = 0.2
) -> np.ndarray:
    """Draw the limbs and keypoints of people in the colours of their categories.

    Without any, blue is their left side and orange their right. A limb has the colour of its two ends where they agree.

    Args:
        image: uint8 [H, W, 3], RGB; not changed.
        poses: Of an image of this size.
        score_threshold: People whose box has this score or more are drawn.
        keypoint_threshold: Keypoints from this score on are drawn, and limbs between two of them.

    Returns:
        uint8 [H, W, 3].
    """
    canvas = Canvas(image, poses.image_size)
    shown = poses.above(score_threshold)
    colors = shown.categories.keypoint_colors or [side_color(name) for name in shown.categories.keypoint_names]
    heights = shown.boxes[:, 3] - shown.boxes[:, 1]
    for row in np.argsort(heights, kind="stable").tolist():
        points, seen = shown.keypoints[row].astype(np.float64), shown.scores[row] >= keypoint_threshold
        radius = max(0.9, min(canvas.line * 1.5, float(heights[row]) / 90))
        limbs = [(a, b) for a, b in shown.categories.skeleton if seen[a] and seen[b]]
        for a, b in limbs:
            canvas.stroke(points[a], points[b], radius + 1, (0, 0, 0), alpha=0.4)
        for a, b in limbs:
            canvas.stroke(points[a], points[b], radius, _limb_color(colors[a], colors[b]))
        for point in np.flatnonzero(seen):
            canvas.stroke(points[point], points[point], radius * 1.5 + 0.7, (255, 255, 255))
            canvas.stroke(points[point], points[point], radius * 1.5, colors[point])
    return canvas.pixels


def _limb_color(one: Color, other: Color) -> Color:
    return one if one == other else MIDDLE
