"""ByteTrack: multi-object tracking by associating every detection box (Zhang et al., ECCV 2022).

Boxes of high scores are matched with all tracks first, and boxes of low scores with the tracks that are left. Tracks
are predicted by the Kalman filter of DeepSORT (Wojke et al., 2017): center, aspect ratio and height with constant
velocity.

Shapes: N boxes, T tracks.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

HIGH_SCORE = 0.5
"""Minimum score of the first association (``track_thresh``)."""

LOW_SCORE = 0.1
"""Minimum score of the second association."""

NEW_SCORE = HIGH_SCORE + 0.1
"""Minimum score of a box that starts a track (``det_thresh``)."""

FIRST_COST, SECOND_COST, NEW_COST = 0.8, 0.5, 0.7
"""Maximum costs, 1 - IoU, of the first association (``match_thresh``), the second one, and that of new tracks."""

DUPLICATE_COST = 0.15
"""Cost below which a lost track is a duplicate of a tracked one, or the reverse."""

LOST_S = 1.0
"""Seconds that a track is kept without a box: ``track_buffer``, 30 frames at 30 frames per second."""

_STD_POSITION, _STD_VELOCITY = 1 / 20, 1 / 160
"""Standard deviations of the Kalman filter relative to the height of a box."""

Boxes = NDArray[np.floating]
"""``[N, 4]``, xyxy in pixels."""


@dataclass(eq=False)
class _Track:
    """Object that is followed.

    Attributes:
        label: Class index.
        mean, covariance: State ``[8]``, center x, center y, aspect ratio, height and their velocities, and ``[8, 8]``.
        number: Id of the object, from 1; 0 before it was confirmed.
        is_lost: Whether it had no box in the last frame.
        last: Index of the last frame with a box.
        first: Index of its first frame.
    """

    label: int
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    first: int
    last: int
    number: int = 0
    is_lost: bool = False

    @property
    def box(self) -> NDArray[np.float64]:
        """Box of the state, xyxy in pixels."""
        x, y, ratio, height = self.mean[:4]
        return np.array([x - ratio * height / 2, y - height / 2, x + ratio * height / 2, y + height / 2])

    def predict(self) -> None:
        """Advance the state by a frame. The height of a lost object stays."""
        if self.is_lost:
            self.mean[7] = 0
        height = self.mean[3]
        noise = [_STD_POSITION * height] * 4 + [_STD_VELOCITY * height] * 4
        noise[2], noise[6] = 1e-2, 1e-5
        self.mean = _MOTION @ self.mean
        self.covariance = _MOTION @ self.covariance @ _MOTION.T + np.diag(np.square(noise))

    def update(self, box: NDArray[np.floating], frame: int) -> None:
        """Correct the state by a box."""
        height = self.mean[3]
        noise = np.array([_STD_POSITION * height, _STD_POSITION * height, 1e-1, _STD_POSITION * height])
        innovation = self.covariance[:4, :4] + np.diag(noise**2)
        gain = np.linalg.solve(innovation, self.covariance[:4]).T
        self.mean = self.mean + gain @ (_to_state(box) - self.mean[:4])
        self.covariance = self.covariance - gain @ innovation @ gain.T
        self.last, self.is_lost = frame, False


_MOTION = np.eye(8) + np.eye(8, k=4)
"""Transition of the state from one frame to the next."""


@dataclass
class ByteTracker:
    """Tracker of the boxes of one video. Boxes are matched within their class.

    Args:
        frame_rate: Processed frames per second.
    """

    frame_rate: float = 30.0
    _tracks: list[_Track] = field(default_factory=list, init=False)
    _frame: int = field(default=-1, init=False)
    _count: int = field(default=0, init=False)

    def update(self, boxes: Boxes, scores: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the id of each box of the next frame, ``[N]``: from 1, and 0 for boxes of no track.

        Args:
            boxes: ``[N, 4]``, xyxy in pixels.
            scores: ``[N]``, from 0 to 1.
            labels: ``[N]``, class indices.
        """
        self._frame += 1
        ids = np.zeros(len(boxes), np.int64)
        for track in self._tracks:
            track.predict()
        confirmed = [track for track in self._tracks if track.number]
        high, low = np.flatnonzero(scores >= HIGH_SCORE), np.flatnonzero((scores > LOW_SCORE) & (scores < HIGH_SCORE))

        def associate(tracks: list[_Track], rows: NDArray[np.intp], most: float, fuses: bool) -> NDArray[np.intp]:
            """Match boxes with tracks, which are updated and leave the list, and return the boxes that are left."""
            costs = _costs(tracks, boxes[rows], labels[rows], scores[rows] if fuses else None)
            pairs = match(costs, most)
            for row, column in pairs:
                track, box = tracks[row], rows[column]
                track.update(boxes[box], self._frame)
                track.number = track.number or self._next()
                ids[box] = track.number
            for row in sorted((row for row, _ in pairs), reverse=True):
                del tracks[row]
            return np.delete(rows, [column for _, column in pairs])

        left = associate(confirmed, high, FIRST_COST, True)
        associate([track for track in confirmed if not track.is_lost], low, SECOND_COST, False)
        new = [track for track in self._tracks if not track.number]
        left = associate(new, left, NEW_COST, True)
        self._end(new)
        for box in left:
            if scores[box] >= NEW_SCORE:
                ids[box] = self._start(boxes[box], int(labels[box]))
        return ids

    def _start(self, box: NDArray[np.floating], label: int) -> int:
        """Start a track, and return its id: 0 until a second box confirms it, except in the first frame."""
        state = _to_state(box)
        height = state[3]
        stds = [2 * _STD_POSITION * height] * 4 + [10 * _STD_VELOCITY * height] * 4
        stds[2], stds[6] = 1e-2, 1e-5
        mean = np.concatenate([state, np.zeros(4)])
        track = _Track(label, mean, np.diag(np.square(stds)), self._frame, self._frame)
        if self._frame == 0:
            track.number = self._next()
        self._tracks.append(track)
        return track.number

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _end(self, unconfirmed: list[_Track]) -> None:
        """Remove new tracks without a second box, tracks lost for too long, and duplicates."""
        ended = set(map(id, unconfirmed))
        for track in self._tracks:
            track.is_lost = track.last < self._frame
            if self._frame - track.last > LOST_S * self.frame_rate:
                ended.add(id(track))
        self._tracks = [track for track in self._tracks if id(track) not in ended]
        tracked, lost = ([t for t in self._tracks if t.is_lost == is_lost] for is_lost in (False, True))
        if tracked and lost:
            costs = _costs(tracked, np.stack([t.box for t in lost]), np.array([t.label for t in lost]), None)
            pairs = zip(*np.nonzero(costs < DUPLICATE_COST), strict=True)
            longer = [(tracked[a], lost[b]) for a, b in pairs]
            ended = {id(min(pair, key=lambda track: track.last - track.first)) for pair in longer}
            self._tracks = [track for track in self._tracks if id(track) not in ended]


def _to_state(box: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return center x, center y, aspect ratio and height of a box."""
    x1, y1, x2, y2 = (float(value) for value in box)
    height = max(y2 - y1, 1e-3)
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, max(x2 - x1, 1e-3) / height, height])


def _costs(
    tracks: list[_Track], boxes: Boxes, labels: NDArray[np.integer], scores: NDArray[np.floating] | None
) -> NDArray[np.float64]:
    """Return 1 - IoU of tracks and boxes, ``[T, N]``; with scores 1 - IoU * score, and infinity between classes."""
    if not tracks or not len(boxes):
        return np.zeros((len(tracks), len(boxes)))
    first = np.stack([track.box for track in tracks])[:, None]
    second = boxes[None].astype(np.float64)
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    overlap = np.clip(sides, 0, None).prod(axis=2)
    areas = [np.clip(each[..., 2:] - each[..., :2], 0, None).prod(axis=2) for each in (first, second)]
    ious = overlap / np.maximum(areas[0] + areas[1] - overlap, 1e-9)
    costs = 1 - (ious if scores is None else ious * scores[None])
    costs[np.array([track.label for track in tracks])[:, None] != labels[None]] = np.inf
    return np.asarray(costs, np.float64)


def match(costs: NDArray[np.float64], most: float) -> list[tuple[int, int]]:
    """Return the pairs of rows and columns with the smallest sum of costs; a pair above ``most`` is not made.

    Rows and columns without a partner cost ``most / 2`` each, as in ``lap.lapjv`` with ``cost_limit``.

    Args:
        costs: ``[T, N]``.
        most: Maximum cost of a pair.
    """
    num_rows, num_columns = costs.shape
    if not num_rows or not num_columns:
        return []
    size = num_rows + num_columns
    square = np.full((size, size), most / 2)
    square[num_rows:, num_columns:] = 0
    square[:num_rows, :num_columns] = np.where(costs <= most, costs, 1e6)
    row_of = _assignment(square)
    return sorted((int(row_of[c]), c) for c in range(num_columns) if row_of[c] < num_rows)


def _assignment(costs: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the row of each column in the assignment with the smallest sum, ``[n]`` (Hungarian method, O(n^3)).

    Args:
        costs: ``[n, n]``, finite.
    """
    size = len(costs)
    row_potential, column_potential = np.zeros(size), np.zeros(size + 1)
    row_of = np.full(size + 1, -1)
    for row in range(size):
        row_of[size] = row
        column, came_from = size, np.full(size + 1, -1)
        shortest, visited = np.full(size, np.inf), np.zeros(size + 1, bool)
        while row_of[column] >= 0:
            visited[column] = True
            reduced = costs[row_of[column]] - row_potential[row_of[column]] - column_potential[:size]
            free = ~visited[:size]
            better = free & (reduced < shortest)
            shortest[better], came_from[:size][better] = reduced[better], column
            following = int(np.argmin(np.where(free, shortest, np.inf)))
            delta = shortest[following]
            row_potential[row_of[visited]] += delta
            column_potential[visited] -= delta
            shortest[free] -= delta
            column = following
        while column != size:
            row_of[column] = row_of[came_from[column]]
            column = int(came_from[column])
    return row_of[:size]
