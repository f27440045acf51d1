"""Merging of the detections of overlapping tiles.

NMS over all tiles is not enough: a tile border cuts objects, and a part of an object has a small IoU with the whole.
Detections that touch an inner border of their tile are called cut, all others whole, and the rule is:

1. Only detections of one class and of different tiles are compared. What one tile found has passed the detector's own
   suppression, so an object in one tile only is untouched.
2. Two whole detections with an IoU over the threshold of NMS are one object, as they would be in one image: the better
   one stays.
3. A cut detection is dropped if a whole one covers at least half of it: that tile saw the whole object. The whole one
   needs at least half of its score, so that no doubtful box removes a confident one.
4. Two cut detections are parts of one object if they agree where both tiles can see: the IoU of what they have in the
   overlap of the tiles is at least 0.5. Parts are united, at most one of each tile, the strongest pairs first. So an
   object that is larger than the overlap, and whole nowhere, becomes one detection with the best score of its parts.
5. A cut part that agreed with none is dropped if a united or higher-scoring part of other tiles covers half of it.

Steps 3 to 5 compare masks where both detections have one, otherwise boxes.

Shapes: D detections of all tiles.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitnest.structures import Detections
from splitnest.structures.box_masks import BoxMasks
from splitnest.structures.windows import Window

MIN_MARGIN, MARGIN = 3.0, 0.05
"""Distance to an inner tile border up to which a box is cut: in pixels, and as a fraction of its side; the larger."""

COVERED, AGREEING = 0.5, 0.5
"""Covered share from which a cut detection is part of another; IoU from which two cut ones are parts of one object."""

MIN_SCORE_RATIO = 0.5
"""Minimum score of the detection that covers a cut one, as a fraction of its score."""


def merge_tiles(
    windows: Sequence[Window], results: Sequence[Detections], image_size: tuple[int, int], iou_threshold: float = 0.5
) -> Detections:
    """Merge the detections that tiles have of an image; the best score comes first.

    Args:
        windows: Place of each tile in the image.
        results: Detections of each tile, in its pixels.
        image_size: Height and width of the image in pixels.
        iou_threshold: IoU over which two whole detections are one object.
    """
    if len(windows) == 1:
        return results[0]
    found = _place(windows, results, image_size)
    whole, cut = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    parts: list[tuple[int, int]] = []
    for a, b in _overlapping(found):
        if found.is_cut[a] and found.is_cut[b]:
            parts.append((a, b))
        elif found.is_cut[a] or found.is_cut[b]:
            part, other = (a, b) if found.is_cut[a] else (b, a)
            cut[part].append(other)
        elif found.box_iou(a, b) > iou_threshold:
            whole[a].append(b)
            whole[b].append(a)
    kept = _suppress(found, whole)
    left = [row for row in np.flatnonzero(found.is_cut).tolist() if not _is_covered(found, row, cut[row], kept)]
    groups = _united(found, set(left), parts)
    return _result(found, [[row] for row in sorted(kept)] + groups, results[0])


@dataclass(frozen=True, eq=False)
class _Found:
    """Detections of all tiles in pixels of the image.

    Attributes:
        boxes: float32 ``[D, 4]``.
        scores, labels: ``[D]``.
        tiles: Index of the tile of each, ``[D]``.
        is_cut: Whether each touches an inner border of its tile, bool ``[D]``.
        windows: Place of each tile.
        image_size: Height and width of the image in pixels.
        masks: Masks, or None.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    tiles: NDArray[np.int64]
    is_cut: NDArray[np.bool_]
    windows: Sequence[Window]
    image_size: tuple[int, int]
    masks: BoxMasks | None

    def box_iou(self, a: int, b: int) -> float:
        return _iou(*(_box_region(self.boxes[row]) for row in (a, b)))

    def region(self, row: int) -> "_Region":
        """Return the mask of a detection, or its box if the mask is empty."""
        if self.masks is not None and self.masks.crops[row].any():
            top, left = self.masks.corners[row].tolist()
            return _Region((left, top, left + self.masks.crops[row].shape[1], top + self.masks.crops[row].shape[0]),
                           self.masks.crops[row])  # fmt: skip
        return _box_region(self.boxes[row])

    def regions(self, a: int, b: int) -> "tuple[_Region, _Region]":
        """Return what is compared of two detections: their masks if both have one, otherwise their boxes."""
        one, other = self.region(a), self.region(b)
        if one.mask is None or other.mask is None:
            return _box_region(self.boxes[a]), _box_region(self.boxes[b])
        return one, other


class _Region(NamedTuple):
    """Box, xyxy in pixels, or a mask at the place of its crop."""

    box: tuple[float, float, float, float]
    mask: NDArray[np.bool_] | None = None

    def within(self, x1: float, y1: float, x2: float, y2: float) -> "_Region":
        """Return the part inside a box; of a mask, whose pixels are whole, a box of integers."""
        left, top, right, bottom = self.box
        x1, y1 = max(x1, left), max(y1, top)
        x2, y2 = max(min(x2, right), x1), max(min(y2, bottom), y1)
        if self.mask is None:
            return _Region((x1, y1, x2, y2))
        rows, columns = slice(int(y1 - top), int(y2 - top)), slice(int(x1 - left), int(x2 - left))
        return _Region((x1, y1, x2, y2), self.mask[rows, columns])

    @property
    def area(self) -> float:
        x1, y1, x2, y2 = self.box
        return float((x2 - x1) * (y2 - y1)) if self.mask is None else float(np.count_nonzero(self.mask))


def _box_region(box: NDArray[np.float32]) -> _Region:
    x1, y1, x2, y2 = box.tolist()
    return _Region((x1, y1, x2, y2))


def _intersection(a: _Region, b: _Region) -> float:
    a, b = a.within(*b.box), b.within(*a.box)
    return a.area if a.mask is None or b.mask is None else float(np.count_nonzero(a.mask & b.mask))


def _iou(a: _Region, b: _Region) -> float:
    intersection = _intersection(a, b)
    return intersection / max(a.area + b.area - intersection, 1e-9)


def _share(part: _Region, whole: _Region) -> float:
    return _intersection(part, whole) / max(part.area, 1e-9)


def _place(windows: Sequence[Window], results: Sequence[Detections], image_size: tuple[int, int]) -> _Found:
    boxes, corners, is_cut = [], [], []
    crops: list[NDArray[np.bool_]] = []
    for window, result in zip(windows, results, strict=True):
        offset = np.array([window.left, window.top] * 2, np.float32)
        boxes.append(result.boxes + offset)
        is_cut.append(_touches_inner_border(result.boxes, window, image_size))
        if (masks := result.box_masks) is not None:
            crops += masks.crops
            corners.append(masks.corners + np.array([window.top, window.left]))
    counts = [len(result) for result in results]
    return _Found(
        boxes=np.concatenate(boxes),
        scores=np.concatenate([result.scores for result in results]),
        labels=np.concatenate([result.labels for result in results]),
        tiles=np.repeat(np.arange(len(results)), counts),
        is_cut=np.concatenate(is_cut),
        windows=windows,
        image_size=image_size,
        masks=BoxMasks(tuple(crops), np.concatenate(corners), image_size) if corners else None,
    )


def _touches_inner_border(boxes: NDArray[np.float32], window: Window, image_size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return whether each box ``[N, 4]`` of a tile touches a border of the tile inside the image, bool ``[N]``."""
    (x1, y1, x2, y2), (height, width) = boxes.T, image_size
    margin_x, margin_y = (np.maximum(MIN_MARGIN, MARGIN * side) for side in (x2 - x1, y2 - y1))
    touches: NDArray[np.bool_] = (x1 <= margin_x) & (window.left > 0) | (y1 <= margin_y) & (window.top > 0)
    touches |= (x2 >= window.width - margin_x) & (window.left + window.width < width)
    touches |= (y2 >= window.height - margin_y) & (window.top + window.height < height)
    return touches


def _overlapping(found: _Found) -> Iterator[tuple[int, int]]:
    """Yield pairs of detections with one class whose boxes overlap and come from different tiles."""
    rows_of = [np.flatnonzero(found.tiles == tile) for tile in range(len(found.windows))]
    for a, b in _neighbors(found.windows):
        one, other = rows_of[a][:, None], rows_of[b][None]
        low = np.maximum(found.boxes[one, :2], found.boxes[other, :2])
        high = np.minimum(found.boxes[one, 2:], found.boxes[other, 2:])
        pairs = np.argwhere((low < high).all(-1) & (found.labels[one] == found.labels[other]))
        yield from zip(rows_of[a][pairs[:, 0]].tolist(), rows_of[b][pairs[:, 1]].tolist(), strict=True)


def _neighbors(windows: Sequence[Window]) -> Iterator[tuple[int, int]]:
    """Yield pairs of tiles that overlap."""
    sides = np.array(windows)
    first, last = sides[:, :2], sides[:, :2] + sides[:, 2:]
    for a in range(len(windows)):
        overlaps = ((first[a + 1 :] < last[a]) & (first[a] < last[a + 1 :])).all(1)
        yield from ((a, a + 1 + b) for b in np.flatnonzero(overlaps).tolist())


def _suppress(found: _Found, rivals: dict[int, list[int]]) -> set[int]:
    """Return the whole detections that remain: each that overlaps no better remaining one of another tile."""
    kept: set[int] = set()
    for row in np.argsort(-found.scores, kind="stable").tolist():
        if not found.is_cut[row] and kept.isdisjoint(rivals.get(row, ())):
            kept.add(row)
    return kept


def _is_covered(found: _Found, part: int, others: Sequence[int], kept: set[int]) -> bool:
    """Return whether one of some whole detections covers a cut one."""
    least = MIN_SCORE_RATIO * found.scores[part]
    return any(
        other in kept and found.scores[other] >= least and _share(*found.regions(part, other)) >= COVERED
        for other in others
    )


def _united(found: _Found, left: set[int], parts: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return groups of cut detections, each group one object."""
    pairs = [(a, b) for a, b in parts if a in left and b in left]
    strengths = [(_agreement(found, a, b), min(found.scores[a], found.scores[b])) for a, b in pairs]
    group_of = {row: [row] for row in left}
    order = sorted(range(len(pairs)), key=lambda index: -strengths[index][0] * strengths[index][1])
    for index in order:
        one, other = (group_of[row] for row in pairs[index])
        is_apart = {found.tiles[row] for row in one}.isdisjoint(found.tiles[row] for row in other)
        if strengths[index][0] >= AGREEING and is_apart:
            one += other
            group_of.update(dict.fromkeys(other, one))
    rivals = defaultdict[int, set[int]](set)
    for a, b in pairs:
        rivals[a].add(b)
        rivals[b].add(a)
    groups = {id(group): group for group in group_of.values()}
    dropped = {row for row in left if len(group_of[row]) == 1 and _is_part(found, row, rivals[row], group_of)}
    return [group for group in groups.values() if len(group) > 1 or group[0] not in dropped]


def _agreement(found: _Found, a: int, b: int) -> float:
    """Return the IoU of two cut detections inside the overlap of their tiles."""
    one, other = (found.windows[found.tiles[row]] for row in (a, b))
    left, top = max(one.left, other.left), max(one.top, other.top)
    right = min(one.left + one.width, other.left + other.width)
    bottom = min(one.top + one.height, other.top + other.height)
    return _iou(*(region.within(left, top, right, bottom) for region in found.regions(a, b)))


def _is_part(found: _Found, row: int, others: set[int], group_of: dict[int, list[int]]) -> bool:
    """Return whether a united or higher-scoring detection without a part of the same tile covers a cut one."""
    for other in others:
        group = group_of[other]
        score = found.scores[group].max()
        is_above = (len(group) > 1 and score >= MIN_SCORE_RATIO * found.scores[row]) or score > found.scores[row]
        is_apart = found.tiles[row] not in found.tiles[group]
        if is_above and is_apart and _share(*found.regions(row, other)) >= COVERED:
            return True
    return False


def _result(found: _Found, groups: Sequence[Sequence[int]], like: Detections) -> Detections:
    """Return one detection for each group of parts, which are united."""
    boxes, scores, labels, crops, corners = [], [], [], [], []
    for group in groups:
        of_group = found.boxes[group]
        boxes.append(np.concatenate((of_group[:, :2].min(0), of_group[:, 2:].max(0))))
        scores.append(found.scores[group].max())
        labels.append(found.labels[group[0]])
        if found.masks is not None:
            crop, corner = _union(found.masks, group)
            crops.append(crop)
            corners.append(corner)
    order = np.argsort(-np.array(scores, np.float32), kind="stable")
    merged = replace(
        like,
        boxes=np.array(boxes, np.float32).reshape(-1, 4)[order],
        scores=np.array(scores, np.float32)[order],
        labels=np.array(labels, np.int64)[order],
        masks=None,
        image_size=found.image_size,
    )
    if found.masks is None:
        return merged
    masks = BoxMasks(tuple(crops), np.array(corners, np.int64).reshape(-1, 2), found.image_size)
    return replace(merged, masks=masks[order])


def _union(masks: BoxMasks, group: Sequence[int]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return the union of some masks as a crop, and the row and column of its first pixel."""
    if len(group) == 1:
        return masks.crops[group[0]], masks.corners[group[0]]
    shapes = np.array([masks.crops[row].shape for row in group])
    first = masks.corners[group].min(0)
    crop = np.zeros(tuple((masks.corners[group] + shapes).max(0) - first), bool)
    for row in group:
        (top, left), part = (masks.corners[row] - first).tolist(), masks.crops[row]
        crop[top : top + part.shape[0], left : left + part.shape[1]] |= part
    return crop, first
