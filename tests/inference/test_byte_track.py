"""ByteTrack: ids of drawn boxes through crossings, gaps and low scores; assignment against all permutations."""

from itertools import permutations

import numpy as np
import pytest

from splitnest.inference.byte_track import ByteTracker, match


def box(x: float, y: float, side: float = 40) -> list[float]:
    return [x, y, x + side, y + side]


def run(frames: list[list[tuple[list[float], float, int]]], frame_rate: float = 30) -> list[list[int]]:
    tracker, ids = ByteTracker(frame_rate), []
    for frame in frames:
        boxes = np.array([entry[0] for entry in frame], np.float32).reshape(-1, 4)
        scores, labels = np.array([entry[1] for entry in frame]), np.array([entry[2] for entry in frame], np.int64)
        ids.append(tracker.update(boxes, scores, labels).tolist())
    return ids


def test_no_boxes() -> None:
    assert run([[], [], []]) == [[], [], []]
    assert run([[(box(0, 0), 0.3, 0)]] * 3) == [[0]] * 3  # too weak to start a track


def test_moving_objects_keep_their_ids() -> None:
    frames = [[(box(10 + 4 * t, 50), 0.9, 0), (box(300 - 4 * t, 200), 0.8, 0)] for t in range(40)]
    assert run(frames) == [[1, 2]] * 40


def test_order_of_boxes_has_no_influence() -> None:
    frames = [[(box(10 + 4 * t, 50), 0.9, 0), (box(300 - 4 * t, 200), 0.8, 0)][:: 1 if t % 2 else -1] for t in range(9)]
    assert run(frames) == [[1, 2] if t % 2 == 0 else [2, 1] for t in range(9)]


def test_objects_that_cross() -> None:
    frames = [[(box(5 * t, 100), 0.9, 0), (box(300 - 5 * t, 110), 0.9, 0)] for t in range(60)]
    assert run(frames) == [[1, 2]] * 60


def test_second_association_keeps_occluded_objects() -> None:
    """The point of the paper: boxes of low scores continue tracks, though they start none."""
    scores = [0.9] * 5 + [0.3] * 10 + [0.9] * 5
    frames = [[(box(10 + 3 * t, 50), score, 0), (box(400, 300), 0.3, 0)] for t, score in enumerate(scores)]
    assert run(frames) == [[1, 0]] * 20


def test_gap_and_its_limit() -> None:
    def frames(gap: int) -> list[list[tuple[list[float], float, int]]]:
        return [[] if 5 <= t < 5 + gap else [(box(10 + t, 50), 0.9, 0)] for t in range(12 + gap)]

    assert [ids for ids in run(frames(20)) if ids] == [[1]] * 12
    after = [ids for ids in run(frames(40)) if ids]
    assert after[:5] == [[1]] * 5
    assert after[5:] == [[0]] + [[2]] * 6  # a new track gets its id with its second box
    assert [ids for ids in run(frames(20), frame_rate=10) if ids][5:] == [[0]] + [[2]] * 6


def test_single_false_detection_gets_no_id() -> None:
    frames = [[(box(10, 50), 0.9, 0), *([(box(200, 200), 0.9, 0)] if t == 3 else [])] for t in range(6)]
    assert run(frames) == [[1], [1], [1], [1, 0], [1], [1]]


def test_classes_are_tracked_apart() -> None:
    frames = [[(box(10, 50), 0.9, 0)]] * 3 + [[(box(10, 50), 0.9, 1)]] * 3
    assert run(frames) == [[1], [1], [1], [0], [2], [2]]


def test_degenerate_boxes() -> None:
    frames = [[([5.0, 5.0, 5.0, 5.0], 0.9, 0), (box(50, 50), 0.9, 0)]] * 4
    assert [ids[1] for ids in run(frames)] == [2] * 4


@pytest.mark.parametrize("seed", range(20))
def test_assignment_has_the_smallest_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 5, 2)
    costs = rng.random((rows, columns)).round(2)
    costs[rng.random((rows, columns)) < 0.2] = np.inf
    most = 0.6

    def total(pairs: list[tuple[int, int]]) -> float:
        return sum(costs[pair] for pair in pairs) + (rows + columns - 2 * len(pairs)) * most / 2

    found = match(costs, most)
    assert len({row for row, _ in found}) == len({column for _, column in found}) == len(found)
    assert all(costs[pair] <= most for pair in found)
    size = max(rows, columns)
    best = min(
        total([(r, c) for r, c in enumerate(order) if r < rows and c < columns and costs[r, c] <= most])
        for order in permutations(range(size))
    )
    assert total(found) == pytest.approx(best)
