"""Metrics of keypoints by their distance from the annotation: PCK, PCKh, AUC, EPE and NME, as mmpose computes them.

Poses are predicted in the boxes of the annotations, so that each belongs to one person.

Shapes: N persons, K keypoints, I images, T thresholds.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from splitnest.data.pose.dataset import PoseDataset
from splitnest.errors import DataError, UsageError
from splitnest.metrics.statistics.ratios import RatioStatistics, Sums
from splitnest.recipe.pose_evaluation import NmeEvaluation, PckEvaluation, PckhEvaluation

DistanceEvaluation = PckEvaluation | PckhEvaluation | NmeEvaluation

AUC_PIXELS, AUC_STEPS = 30.0, 20
"""Largest distance of AUC in pixels, and number of thresholds from 0 below it (mmpose ``AUC``)."""

STRICT_PCKH = 0.1
"""Threshold of the stricter PCKh, which MPII is published with too."""

NOT_IN_PCKH = ("pelvis", "thorax")
"""Keypoints of MPII that its evaluation leaves out."""

Distances = NDArray[np.float64]
"""``[N, K]``; NaN for a keypoint that is not labeled, or whose person has no size."""


def relative(distances: Distances, sizes: NDArray[np.float64]) -> Distances:
    """Return distances relative to the size ``[N]`` of each person; NaN for a size of 0."""
    sizes = np.where(sizes > 0, sizes, np.nan)
    return distances / sizes[:, None]


def correct(distances: Distances, thresholds: Sequence[float], images: NDArray[np.intp], count: int) -> Sums:
    """Return the number of keypoints nearer than each threshold, and of all, of each image, ``[I, T * K]``."""
    labeled = ~np.isnan(distances)
    with np.errstate(invalid="ignore"):
        hits = [distances < threshold for threshold in thresholds]
    return _sum(np.concatenate(hits, axis=1), images, count), _sum(np.tile(labeled, len(hits)), images, count)


def mean(distances: Distances, images: NDArray[np.intp], count: int) -> Sums:
    """Return the sum of the distances and the number of labeled keypoints of each image, ``[I, 1]``."""
    labeled = ~np.isnan(distances)
    totals = np.where(labeled, distances, 0).sum(axis=1, keepdims=True)
    return _sum(totals, images, count), _sum(labeled.sum(axis=1, keepdims=True), images, count)


def pooled(sums: Sums) -> Sums:
    """Return sums of all keypoints together, ``[I, 1]``: the mean over keypoints weighted by their number."""
    return sums[0].sum(axis=1, keepdims=True), sums[1].sum(axis=1, keepdims=True)


def _sum(rows: NDArray[np.generic], images: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, images, rows)
    return sums


class PersonSizes:
    """Sizes of persons that distances are relative to.

    Args:
        dataset: Persons.
        rows: Rows of the persons among the annotations, ``[N]``.
    """

    def __init__(self, dataset: PoseDataset, rows: NDArray[np.intp]) -> None:
        self._dataset, self._rows = dataset, rows

    def box(self) -> NDArray[np.float64]:
        """Return the longer side of each box."""
        boxes = self._dataset.boxes[self._rows]
        return (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)

    def head(self) -> NDArray[np.float64]:
        """Return the head sizes."""
        return self._dataset.head_sizes[self._rows]

    def between(self, names: tuple[str, str]) -> NDArray[np.float64]:
        """Return the distance of two keypoints."""
        first, second = (self._dataset.skeleton.names.index(name) for name in names)
        points = self._dataset.keypoints[self._rows, :, :2]
        return np.linalg.norm(points[:, first] - points[:, second], axis=1)


def check_sizes(dataset: PoseDataset, cfg: DistanceEvaluation) -> None:
    """Raise an error if a dataset has not got what metrics need.

    Raises:
        UsageError: Persons are to be found by a detector, or a keypoint that the metrics name does not exist.
        DataError: A person has no head box.
    """
    if dataset.detections is not None:
        raise UsageError(
            f"{cfg.type} compares each person with the pose in its own box, and data.val_detections gives boxes of a "
            f"detector. Set data.val_detections=null, or evaluation.type=oks."
        )
    named = cfg.normalize if isinstance(cfg, NmeEvaluation) else cfg.torso if isinstance(cfg, PckEvaluation) else None
    key = "torso" if isinstance(cfg, PckEvaluation) else "normalize"
    for name in named if isinstance(named, tuple) else ():
        if name not in dataset.skeleton.names:
            raise UsageError(
                f"evaluation.{key} names the keypoint {name!r}, which the model does not have. Use two of "
                f"{', '.join(dataset.skeleton.names[:20])}."
            )
    if isinstance(cfg, PckhEvaluation):
        missing = np.flatnonzero(dataset.has_pose & np.isnan(dataset.head_sizes))
        if len(missing):
            raise DataError(
                f"{dataset.source}: {dataset.file.cite(int(missing[0]))} has no 'head_box' (x, y, width, height), "
                f"which PCKh is relative to. Add it, or set evaluation.type=pck or oks."
            )


def distances_to_annotations(
    dataset: PoseDataset, rows: NDArray[np.intp], keypoints: NDArray[np.floating]
) -> Distances:
    """Return the distances in pixels; the arguments are those of ``distance_statistics``."""
    annotated = dataset.keypoints[rows]
    distances: Distances = np.linalg.norm(keypoints - annotated[..., :2], axis=-1)
    distances[annotated[..., 2] <= 0] = np.nan
    return distances


def distance_statistics(
    dataset: PoseDataset, rows: NDArray[np.intp], keypoints: NDArray[np.floating], cfg: DistanceEvaluation
) -> RatioStatistics:
    """Return the statistics of the metrics of a recipe; models are compared by the first metric.

    Args:
        dataset: Persons.
        rows: Rows of the persons among the annotations, ``[N]``.
        keypoints: Predicted keypoints of these persons, ``[N, K, 2]``.
        cfg: Metrics.
    """
    distances = distances_to_annotations(dataset, rows, keypoints)
    sizes, images, count = PersonSizes(dataset, rows), dataset.file.image_index[rows], len(dataset)
    if isinstance(cfg, NmeEvaluation):
        size = sizes.between(cfg.normalize) if isinstance(cfg.normalize, tuple) else sizes.box()
        return RatioStatistics({"nme": mean(relative(distances, size), images, count)})
    if isinstance(cfg, PckhEvaluation):
        kept = [k for k, name in enumerate(dataset.skeleton.names) if name not in NOT_IN_PCKH]
        by_head = relative(distances, sizes.head())[:, kept]
        thresholds = {"pckh": cfg.threshold, "pckh_0_1": STRICT_PCKH}
        return RatioStatistics(
            {name: pooled(correct(by_head, (one,), images, count)) for name, one in thresholds.items()}
        )
    sums = {"pck": correct(relative(distances, sizes.box()), (cfg.threshold,), images, count)}
    if cfg.torso is not None:
        by_torso = relative(distances, _torso(sizes, cfg.torso, keypoints, dataset))
        sums["tpck"] = correct(by_torso, (cfg.threshold,), images, count)
    if cfg.auc:
        thresholds_px = [AUC_PIXELS * step / AUC_STEPS for step in range(AUC_STEPS)]
        sums["auc"] = correct(distances, thresholds_px, images, count)
    if cfg.epe:
        sums["epe"] = mean(distances, images, count)
    return RatioStatistics(sums)


def _torso(
    sizes: PersonSizes, names: tuple[str, str], keypoints: NDArray[np.floating], dataset: PoseDataset
) -> NDArray[np.float64]:
    """Return torso sizes; that of the prediction where that of the annotation is under a pixel, as in mmpose."""
    first, second = (dataset.skeleton.names.index(name) for name in names)
    predicted = np.linalg.norm(keypoints[:, first] - keypoints[:, second], axis=1)
    annotated = sizes.between(names)
    return np.where(annotated < 1, predicted, annotated)
