"""Drawing of boxes and instance masks.

Shapes: N instances.
"""

from collections.abc import Sequence

import numpy as np

from splitnest.visualize.canvas import Canvas, Tag
from splitnest.visualize.colors import Color, brighten, instance_colors


def draw_detections(
    image: np.ndarray,
    boxes: np.ndarray,
    names: Sequence[str],
    colors: Sequence[Color],
    *,
    scores: np.ndarray | None = None,
    masks: Sequence[np.ndarray] | None = None,
    corners: np.ndarray | None = None,
    by_class: bool = False,
) -> np.ndarray:
    """Draw boxes, masks and class names of instances.

    Instances with masks get distinct colors, which separates neighbors, unless ``by_class`` is set; instances without
    masks get class colors.

    Args:
        image: uint8 RGB ``[H, W, 3]``; not modified.
        boxes: ``[N, 4]``, xyxy in pixels.
        names: Class name of each instance.
        colors: Color of the class of each instance.
        scores: ``[N]``, from 0 to 1, shown in percent; None shows names only. Tags of high scores are placed first.
        masks: Mask of each instance, bool ``[h, w]``: a part of the image that contains it; None draws boxes only.
        corners: ``[N, 2]``, row and column where the top left pixel of each mask lies.
        by_class: Whether instances with masks get class colors too.

    Returns:
        uint8 RGB ``[H, W, 3]``.
    """
    canvas = Canvas(image)
    largest_first = np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(axis=1), kind="stable").tolist()
    sides = [(float(x1), float(y1), float(x2), float(y2)) for x1, y1, x2, y2 in boxes]
    if masks is None or by_class:
        drawn = [brighten(color) for color in colors]
    else:
        distinct = instance_colors(boxes[largest_first])
        drawn = [color for _, color in sorted(zip(largest_first, distinct, strict=True))]
    if masks is not None:
        places = np.zeros((len(masks), 2), int) if corners is None else corners
        for row in largest_first:
            top, left = places[row].tolist()
            canvas.fill(masks[row], drawn[row], alpha=0.45, corner=(top, left))
    for row in largest_first:
        if masks is None:
            canvas.rectangle(sides[row], drawn[row], canvas.line_width)
        else:
            canvas.rectangle(sides[row], drawn[row], max(1, canvas.line_width // 2), alpha=0.7)
    by_score = largest_first if scores is None else sorted(largest_first, key=lambda row: -scores[row])
    texts = [(name,) if scores is None else (f"{name} {scores[row]:.0%}", name) for row, name in enumerate(names)]
    canvas.tags(Tag(texts[row], sides[row], drawn[row]) for row in by_score)
    return canvas.pixels
