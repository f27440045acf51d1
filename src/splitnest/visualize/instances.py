"""Boxes and masks of objects."""

import numpy as np

from splitnest.results import Detections
from splitnest.visualize.canvas import Canvas, Tag
from splitnest.visualize.colors import bright, instance_colors


def draw_detections(
    image: np.ndarray, detections: Detections, score_threshold: float = 0.5, scores: bool = True
) -> np.ndarray:
    """Draw the boxes, masks and names of objects.

    Objects with masks have a colour each, so that neighbours are told apart; without masks the colour is that of the
    class.

    Args:
        image: uint8 [H, W, 3], RGB; not changed.
        detections: Of an image of this size.
        score_threshold: Objects from this score on are drawn.
        scores: Whether tags tell the score in percent; ground truth has none to tell.

    Returns:
        uint8 [H, W, 3].
    """
    canvas = Canvas(image, detections.image_size)
    shown = detections.above(score_threshold)
    areas = (shown.boxes[:, 2:] - shown.boxes[:, :2]).prod(axis=1)
    shown = shown[np.argsort(-areas, kind="stable")]
    names = [shown.categories[label].name for label in shown.labels.tolist()]
    if shown.masks is None:
        colors = [bright(shown.categories[label].color) for label in shown.labels.tolist()]
    else:
        colors = list(instance_colors(shown.boxes))
        for mask, color in zip(shown.masks, colors, strict=True):
            canvas.fill(mask, color, alpha=0.45)
    boxes = [(float(x1), float(y1), float(x2), float(y2)) for x1, y1, x2, y2 in shown.boxes]
    for box, color in zip(boxes, colors, strict=True):
        if shown.masks is None:
            canvas.rectangle(box, color, canvas.line)
        else:
            canvas.rectangle(box, color, max(1, canvas.line // 2), alpha=0.7)
    canvas.tags(
        Tag((f"{names[row]} {shown.scores[row]:.0%}", names[row]) if scores else (names[row],), boxes[row], colors[row])
        for row in np.argsort(-shown.scores, kind="stable").tolist()
    )
    return canvas.pixels
