"""Object keypoint similarity (OKS), and suppression of duplicate poses by it.

Shapes: N persons, K keypoints.
"""

import numpy as np
from numpy.typing import NDArray

MAX_SIMILARITY = 0.9
"""OKS above which the person with the lower score is removed (``nms_thr`` of the published configurations)."""


def oks(
    pose: NDArray[np.floating], others: NDArray[np.floating], areas: NDArray[np.floating], sigmas: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the OKS of one person with each of N others, from 0 to 1 (mmpose ``oks_iou``).

    All keypoints count, and the area is the mean of both persons.

    Args:
        pose: ``[K, 2]``, x and y in pixels.
        others: ``[N, K, 2]``.
        areas: Mean areas in square pixels, ``[N]``.
        sigmas: ``[K]``.
    """
    distances = ((others - pose) ** 2).sum(axis=-1, dtype=np.float64)
    exponents = distances / (2 * sigmas) ** 2 / (areas[:, None] + np.spacing(1)) / 2
    return np.exp(-exponents).mean(axis=-1)


def oks_nms(
    keypoints: NDArray[np.floating],
    scores: NDArray[np.floating],
    areas: NDArray[np.floating],
    sigmas: NDArray[np.floating],
) -> NDArray[np.int64]:
    """Return the indices of the persons that are not similar to a better one, best first (mmpose ``oks_nms``).

    Args:
        keypoints: ``[N, K, 2]``, x and y in pixels.
        scores: Person scores, ``[N]``.
        areas: Areas of the crop regions in square pixels, ``[N]``.
        sigmas: ``[K]``.
    """
    order = np.argsort(scores, kind="stable")[::-1]
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        similarity = oks(keypoints[best], keypoints[rest], (areas[best] + areas[rest]) / 2, sigmas)
        order = rest[similarity <= MAX_SIMILARITY]
    return np.array(kept, np.int64)
