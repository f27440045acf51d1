"""Heatmaps: encoding and decoding of keypoints, of any region, rotation and flip."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from splitnest.data.pose.augment import AnnotatedPerson
from splitnest.data.pose.crop import crop_matrix
from splitnest.models.pose.heatmaps import decode, encode, flip_back
from splitnest.structures.person import CropRegion
from splitnest.structures.skeleton import COCO

SIZE, STRIDE, SIGMA = (16, 12), 4, 2.0


def keypoint(x: float, y: float, labeled: float = 1.0) -> torch.Tensor:
    return torch.tensor([[[x, y, labeled]]])


def test_no_persons() -> None:
    heatmaps, weights = encode(torch.zeros(0, 17, 3), SIZE, STRIDE, SIGMA)
    assert (heatmaps.shape, weights.shape) == ((0, 17, *SIZE), (0, 17))
    cells, scores = decode(heatmaps)
    assert (cells.shape, scores.shape) == ((0, 17, 2), (0, 17))


@given(
    st.floats(-200, 800),
    st.floats(-200, 800),
    st.floats(5, 600),
    st.floats(-180, 180),
    st.booleans(),
    st.floats(0, 1),
    st.floats(0, 1),
)
@settings(deadline=None, max_examples=50)
def test_decode_undoes_encode(
    x: float, y: float, width: float, angle: float, flipped: bool, along: float, down: float
) -> None:
    """Within half a cell, in pixels of the crop."""
    region = CropRegion(np.array([x, y], np.float32), np.array([width, width / 12 * 16], np.float32), angle)
    size_hw = SIZE[0] * STRIDE, SIZE[1] * STRIDE
    inverse = np.linalg.inv(np.vstack([crop_matrix(region, size_hw), [0, 0, 1]]))
    place = inverse @ [along * size_hw[1], down * size_hw[0], 1]
    points = np.zeros((17, 3), np.float32)
    points[:] = [place[0], place[1], 1]
    person = AnnotatedPerson(np.zeros((50, 70, 3), np.uint8), region, points)
    if flipped:
        person = person.flipped(COCO)
    matrix = crop_matrix(person.region, size_hw)
    inside = person.keypoints[0, :2] @ matrix[:, :2].T + matrix[:, 2]
    nearest = (inside / STRIDE + 0.5).astype(int)
    assume((nearest >= 0).all() and (nearest < [SIZE[1], SIZE[0]]).all() and (inside >= 0).all())
    heatmaps, weights = encode(keypoint(*inside.tolist()), SIZE, STRIDE, SIGMA)
    cells, scores = decode(heatmaps)
    assert (weights.item(), scores.item()) == (1, 1)
    assert np.abs(cells[0, 0].numpy() * STRIDE - inside).max() <= STRIDE / 2 + 1e-3


@pytest.mark.parametrize(
    ("x", "y", "labeled", "weight", "peak"),
    [
        (20, 20, 0, 0, 0),  # not labeled
        (-30, 20, 1, 1, 0),  # as in mmpose: the window ends just outside, and the empty heatmap counts
        (-35, 20, 1, 0, 0),
        (-22, 20, 1, 1, float(np.exp(-25 / 8))),
        (20, 90, 1, 0, 0),
        (20, 80, 1, 1, float(np.exp(-25 / 8))),
    ],
)
def test_keypoint_outside_the_crop(x: float, y: float, labeled: float, weight: float, peak: float) -> None:
    heatmaps, weights = encode(keypoint(x, y, labeled), SIZE, STRIDE, SIGMA)
    assert weights.item() == weight
    assert heatmaps.max().item() == pytest.approx(peak, abs=1e-6)


def test_peak_is_a_gaussian_that_ends_at_three_standard_deviations() -> None:
    heatmaps, _ = encode(keypoint(21.9, 30.1), (40, 30), STRIDE, 1.0)
    rows, columns = np.mgrid[:40, :30]
    expected = np.exp(-((columns - 5) ** 2 + (rows - 8) ** 2) / 2)
    expected[(abs(columns - 5) > 3) | (abs(rows - 8) > 3)] = 0
    assert np.allclose(heatmaps[0, 0].numpy(), expected, atol=1e-6)


def test_decode_follows_mmpose() -> None:
    """Cell by cell, with ties, borders and negative heatmaps."""
    rng = np.random.default_rng(0)
    heatmaps = rng.integers(-4, 5, (40, 3, 5, 4)).astype(np.float32)
    heatmaps[0], heatmaps[1] = -1, 0
    cells, scores = decode(torch.from_numpy(heatmaps))
    for heatmap, (x, y), score in zip(
        heatmaps.reshape(-1, 5, 4), cells.reshape(-1, 2).tolist(), scores.flatten().tolist(), strict=True
    ):
        row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
        expected = [float(column), float(row)]
        if heatmap.max() <= 0:
            expected = [-1.0, -1.0]
        else:
            if 1 < column < 3 and 0 < row < 5:
                expected[0] += 0.25 * np.sign(heatmap[row, column + 1] - heatmap[row, column - 1])
            if 1 < row < 4 and 0 < column < 4:
                expected[1] += 0.25 * np.sign(heatmap[row + 1, column] - heatmap[row - 1, column])
        assert ([x, y], score) == (expected, heatmap.max())


def test_flip_back() -> None:
    heatmaps = torch.arange(12.0).reshape(1, 3, 1, 4)
    assert flip_back(heatmaps, (1, 0, 2), shift=False)[0, :, 0].tolist() == [[7, 6, 5, 4], [3, 2, 1, 0], [11, 10, 9, 8]]
    assert flip_back(heatmaps, (1, 0, 2), shift=True)[0, :, 0].tolist() == [[7, 7, 6, 5], [3, 3, 2, 1], [11, 11, 10, 9]]
