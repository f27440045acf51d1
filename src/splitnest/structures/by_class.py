"""Drawing of results in class colors, so that pictures can be compared."""

import numpy as np
from numpy.typing import NDArray

from splitnest.structures import Detections, PanopticSegmentation, Poses, Result


def draw_by_class(
    result: Result, image: NDArray[np.uint8], scores: bool = True, score_threshold: float = 0.5
) -> NDArray[np.uint8]:
    """Draw a result in class colors: a class has one color in ground truth and predictions.

    Args:
        result: Result of any task.
        image: uint8 RGB ``[H, W, 3]``.
        scores: Whether to show scores of detections.
        score_threshold: Minimum score of the detections or persons to draw.
    """
    match result:
        case Detections():
            return result.draw(image, score_threshold=score_threshold, scores=scores, by_class=True)
        case Poses():
            return result.draw(image, score_threshold=score_threshold)
        case PanopticSegmentation():
            return result.draw(image, by_class=True)
    return result.draw(image)
