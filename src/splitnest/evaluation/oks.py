"""Object keypoint similarity of people that were found, and what is suppressed by it.

N people, K keypoints.
"""

import numpy as np
from numpy.typing import NDArray

MAX_SIMILARITY = 0.9
"""Over which the person with the lower score is dropped (``nms_thr`` of the published configurations)."""


def similarities(
    one: NDArray[np.floating], others: NDArray[np.floating], areas: NDArray[np.floating], sigmas: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the similarity of one person to each of N others, from 0 to 1 (mmpose ``oks_iou``).

    All keypoints count, and the area is the mean of the two people's.

    Args:
        one: ``[K, 2]``, x and y in pixels.
        others: ``[N, K, 2]``.
        areas: ``[N]`` in square pixels, the means.
        sigmas: ``[K]``.
    """
    distances = ((others - one) ** 2).sum(axis=-1, dtype=np.float64)
    exponents = distances / (2 * sigmas) ** 2 / (areas[:, None] + np.spacing(1)) / 2
    return np.exp(-exponents).mean(axis=-1)


def suppress(
    keypoints: NDArray[np.floating],
    scores: NDArray[np.floating],
    areas: NDArray[np.floating],
    sigmas: NDArray[np.floating],
) -> NDArray[np.int64]:
    """Return which people stay, the best first: those who are not similar to a better one (mmpose ``oks_nms``).

    Args:
        keypoints: ``[N, K, 2]``, x and y in pixels.
        scores: ``[N]``, of people.
        areas: ``[N]`` in square pixels, of what was cut out around each.
        sigmas: ``[K]``.
    """
    order = np.argsort(scores, kind="stable")[::-1]
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        found = similarities(keypoints[best], keypoints[rest], (areas[best] + areas[rest]) / 2, sigmas)
        order = rest[found <= MAX_SIMILARITY]
    return np.array(kept, np.int64)
