"""Detections matched to ground truth, as arrays of the per-image results of hotcoco.

Shapes: N detections, T IoU or OKS thresholds, I images, K classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Matches:
    """Detections of any size in the order of falling scores, with at most 100 (20 persons) of an image and class.

    COCO's matching takes detections by falling score, so that a higher score threshold leaves out the last detections
    and changes nothing of the others.

    Attributes:
        rows: int64 ``[N]``, number of the detection among the results that were evaluated.
        images: int64 ``[N]``, index of the image.
        labels: int64 ``[N]``, index of the class among those of the annotation file.
        scores: float64 ``[N]``.
        is_matched: bool ``[T, N]``, whether a detection matches an instance of its class.
        is_ignored: bool ``[T, N]``, whether it counts neither as correct nor as wrong, as in crowd regions.
        num_gt: int64 ``[I, K]``, number of instances without crowd regions.
    """

    rows: NDArray[np.int64]
    images: NDArray[np.int64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    is_matched: NDArray[np.bool_]
    is_ignored: NDArray[np.bool_]
    num_gt: NDArray[np.int64]

    @classmethod
    def of(cls, evaluation: Any) -> "Matches":
        """Return the matches of an evaluated ``hotcoco.COCOeval``."""
        params = evaluation.params
        index_of = {id_: index for index, id_ in enumerate(params.img_ids)}
        label_of = {id_: label for label, id_ in enumerate(params.cat_ids)}
        num_gt = np.zeros((len(index_of), len(label_of)), np.int64)
        of_any_size = params.area_rng[0]
        rows, images, labels, scores, matched, ignored = [], [], [], [], [], []
        for each in evaluation.eval_imgs:
            if each is None or each["aRng"] != of_any_size:
                continue
            index, label, count = index_of[each["image_id"]], label_of[each["category_id"]], len(each["dtScores"])
            num_gt[index, label] = sum(each["gtInDenominator"])
            rows.append(np.array(each["dtIds"], np.int64) - 1)  # results are numbered from 1
            images.append(np.full(count, index))
            labels.append(np.full(count, label))
            scores.append(np.array(each["dtScores"], np.float64))
            matched.append(np.array(each["dtMatched"], bool).reshape(len(params.iou_thrs), count))
            ignored.append(np.array(each["dtIgnore"], bool).reshape(len(params.iou_thrs), count))
        none = np.zeros((len(params.iou_thrs), 0), bool)
        all_scores = np.concatenate([np.zeros(0), *scores])
        order = np.argsort(-all_scores, kind="stable")
        return cls(
            rows=np.concatenate([np.zeros(0, np.int64), *rows])[order],
            images=np.concatenate([np.zeros(0, np.int64), *images])[order],
            labels=np.concatenate([np.zeros(0, np.int64), *labels])[order],
            scores=all_scores[order],
            is_matched=np.concatenate([none, *matched], axis=1)[:, order],
            is_ignored=np.concatenate([none, *ignored], axis=1)[:, order],
            num_gt=num_gt,
        )

    def counts(self, min_scores: NDArray[np.float64], threshold: int = 0) -> NDArray[np.int64]:
        """Return the correct, wrong and missed instances of each image, ``[I, 3]``.

        Args:
            min_scores: Score from which on detections are taken, ``[K]``.
            threshold: Index of the IoU or OKS threshold.
        """
        num_images = len(self.num_gt)
        taken = (self.scores >= min_scores[self.labels]) & ~self.is_ignored[threshold]
        correct, wrong = (
            np.bincount(self.images[taken & rows], minlength=num_images)
            for rows in (self.is_matched[threshold], ~self.is_matched[threshold])
        )
        return np.stack([correct, wrong, self.num_gt.sum(axis=1) - correct], axis=1)


def f1_score(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return 2 TP / (2 TP + FP + FN) of counts ``[..., 3]``; NaN where there are neither instances nor detections."""
    correct, wrong, missed = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    total = 2 * correct + wrong + missed
    return np.divide(2 * correct, total, out=np.full(total.shape, np.nan), where=total > 0)
