"""Analysis of poses: object keypoint similarity (OKS) by keypoint and by size of the person.

Shapes: N matched persons, K keypoints.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.best_scores import ScoreCurve
from splitnest.metrics.matches import Matches
from splitnest.metrics.report.analysis import Analysis, Slices, percent_cell, plain
from splitnest.metrics.report.detection import DEFAULT_SCORE, slice_numbers, worst_images
from splitnest.metrics.report.slices import slices_section
from splitnest.visualize.report.page import Block, Section
from splitnest.visualize.report.table import table

SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Areas of persons in square pixels (pycocotools ``Params``)."""

SLICE_METRICS = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "ar": "AR"}
"""Metric of a slice -> its name in hotcoco."""


@dataclass(frozen=True)
class Persons:
    """Persons of the ground truth.

    Attributes:
        ids: Annotation ids, int64 ``[N]``.
        keypoints: x, y and visibility, ``[N, K, 3]``; keypoints with visibility 0 are not labeled.
        areas: Areas in square pixels, ``[N]``.
        names: Names of the keypoints.
        sigmas: Standard deviation of each keypoint, ``[K]``.
    """

    ids: NDArray[np.int64]
    keypoints: NDArray[np.float64]
    areas: NDArray[np.float64]
    names: Sequence[str]
    sigmas: NDArray[np.float64]


def analyze_keypoints(
    evaluation: Any, persons: Persons, rows: Sequence[dict[str, Any]], matches: Matches, slices: Slices
) -> Analysis:
    """Return the analysis of poses.

    Args:
        evaluation: Evaluated ``hotcoco.COCOeval``.
        persons: Persons of the ground truth.
        rows: Poses as rows of a COCO results file, whose ids in the evaluation are their numbers from 1.
        matches: Poses matched to persons.
        slices: Name -> ids of images.
    """
    gt_rows, dt_rows = matched_persons(evaluation, persons)
    gt = persons.keypoints[gt_rows]
    predicted = np.array([rows[row]["keypoints"] for row in dt_rows], np.float64).reshape(gt.shape)
    distances = np.linalg.norm(predicted[..., :2] - gt[..., :2], axis=2)
    areas = persons.areas[gt_rows] + np.spacing(1)
    similarity = np.exp(-(distances**2) / (2 * persons.sigmas) ** 2 / areas[:, None] / 2)
    is_labeled = gt[..., 2] > 0
    by_keypoint = keypoint_numbers(persons, similarity, distances, is_labeled)
    by_size = size_numbers(persons, gt_rows, similarity, is_labeled)
    of_slices = slice_numbers(evaluation, slices, SLICE_METRICS)
    best = ScoreCurve.of(matches).best()
    shown_score = DEFAULT_SCORE if best is None else best
    numbers = {"oks_by_keypoint": by_keypoint, "oks_by_size": by_size, "best_score": best, "slices": of_slices}
    return Analysis(
        numbers=plain(numbers),
        sections=[*slices_section("Slices", of_slices), keypoint_section(by_keypoint), size_section(by_size)],
        worst=worst_images(evaluation, matches, shown_score),
        shown_score=shown_score,
    )


def matched_persons(evaluation: Any, persons: Persons) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of matched persons and of their poses, at OKS 0.5."""
    row_of = {id_: row for row, id_ in enumerate(persons.ids.tolist())}
    of_any_size, pairs = evaluation.params.area_rng[0], []
    for each in evaluation.eval_imgs:
        if each is None or each["aRng"] != of_any_size:
            continue
        matched = zip(each["dtIds"], each["dtMatches"][0], each["dtMatched"][0], each["dtIgnore"][0], strict=True)
        pairs += [(row_of[gt], dt - 1) for dt, gt, is_matched, ignored in matched if is_matched and not ignored]
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def keypoint_numbers(
    persons: Persons,
    similarity: NDArray[np.float64],
    distances: NDArray[np.float64],
    is_labeled: NDArray[np.bool_],
) -> dict[str, dict[str, Any]]:
    """Return the number of labeled keypoints of matched persons, mean OKS, and median distance in pixels."""
    numbers: dict[str, dict[str, Any]] = {}
    for k, name in enumerate(persons.names):
        rows = is_labeled[:, k]
        numbers[name] = {
            "labeled": int(rows.sum()),
            "oks": float(similarity[rows, k].mean()) if rows.any() else -1.0,
            "median_distance": float(np.median(distances[rows, k])) if rows.any() else -1.0,
        }
    return numbers


def size_numbers(
    persons: Persons, gt_rows: NDArray[np.int64], similarity: NDArray[np.float64], is_labeled: NDArray[np.bool_]
) -> dict[str, dict[str, Any]]:
    """Return the number of persons with labeled keypoints of each size, how many are matched, and their mean OKS."""
    counts = is_labeled.sum(axis=1)
    oks = (similarity * is_labeled).sum(axis=1) / np.maximum(counts, 1)
    has_keypoints = (persons.keypoints[..., 2] > 0).any(axis=1)
    numbers: dict[str, dict[str, Any]] = {}
    for name, (low, high) in SIZES.items():
        is_size = (persons.areas >= low) & (persons.areas < high)
        of_size = oks[is_size[gt_rows]]
        numbers[name] = {
            "persons": int((is_size & has_keypoints).sum()),
            "matched": len(of_size),
            "oks": float(of_size.mean()) if len(of_size) else -1.0,
        }
    return numbers


def keypoint_section(numbers: dict[str, dict[str, Any]]) -> Section:
    """Return OKS by keypoint."""
    rows = [
        [name, row["labeled"], percent_cell(row["oks"]), row["median_distance"] if row["labeled"] else None]
        for name, row in numbers.items()
    ]
    text = (
        "Of persons that are matched at OKS 0.5: the similarity of each labeled keypoint with its annotation, 100 for "
        "the same place, and the median distance in pixels."
    )
    bars = [max(row["oks"], 0.0) for row in numbers.values()]
    content = table(["keypoint", "labeled", "OKS in percent", "median distance"], rows, bars)
    return Section("OKS by keypoint", text, [Block(content, is_wide=True)])


def size_section(numbers: dict[str, dict[str, Any]]) -> Section:
    """Return OKS by size of the person."""
    rows = [[name, row["persons"], row["matched"], percent_cell(row["oks"])] for name, row in numbers.items()]
    text = "Small persons have an area of less than 32 x 32 pixels, large ones of at least 96 x 96."
    content = table(["size", "persons", "matched at OKS 0.5", "mean OKS in percent"], rows)
    return Section("OKS by size", text, [Block(content)])
