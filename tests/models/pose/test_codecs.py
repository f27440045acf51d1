"""DARK and UDP: targets and keypoints against the papers' formulas, one keypoint at a time; losses; flips."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from splitnest.data.pose.crop import crop_matrix
from splitnest.models.pose import dark, heatmap_losses, udp
from splitnest.models.pose.blur import blur, gaussian_kernel
from splitnest.models.pose.codec import DARKCodec, MSRACodec, UDPCodec, UDPOffsetCodec
from splitnest.models.pose.heatmaps import encode
from splitnest.structures.person import CropRegion

CODECS = [MSRACodec(2.0), DARKCodec(2.0), UDPCodec(2.0), UDPOffsetCodec(2.0)]
Map = NDArray[np.float64]


def random_heatmaps(count: int, height: int = 64, width: int = 48, seed: int = 0) -> NDArray[np.float32]:
    """Return peaks of random place, width and height with noise, whose centers may lie on and beyond the border."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    y, x = rng.uniform(-1, height, (count, 1, 1)), rng.uniform(-1, width, (count, 1, 1))
    sigma, top = rng.uniform(1, 4, (count, 1, 1)), rng.uniform(0.01, 1.2, (count, 1, 1))
    maps = top * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
    maps += rng.uniform(0, 0.05, maps.shape) * top
    return maps.astype(np.float32)


def slow_blur(heatmap: Map, size: int, mode: str) -> Map:
    """Return a heatmap blurred cell by cell."""
    sigma, reach = 0.3 * ((size - 1) / 2 - 1) + 0.8, size // 2
    kernel = np.exp(-((np.arange(size) - reach) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    padded = np.pad(heatmap, reach, mode=mode)
    rows = sum(kernel[i] * padded[i : i + len(heatmap)] for i in range(size))
    return sum(kernel[i] * rows[:, i : i + heatmap.shape[1]] for i in range(size))


def slow_dark(heatmap: Map, size: int) -> tuple[float, float]:
    """Return the keypoint of DARK: a step against gradient and Hessian of the logarithm (equations 7 to 9)."""
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    smooth = slow_blur(heatmap, size, "constant")
    log = np.log(np.maximum(smooth * heatmap.max() / smooth.max(), 1e-10))
    height, width = heatmap.shape
    if not (1 < x < width - 2 and 1 < y < height - 2):
        return float(x), float(y)
    gradient = np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]]) / 2
    mixed = (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1]) / 4
    second = [log[y, x + 2] + log[y, x - 2] - 2 * log[y, x], log[y + 2, x] + log[y - 2, x] - 2 * log[y, x]]
    hessian = np.array([[second[0] / 4, mixed], [mixed, second[1] / 4]])
    return tuple(np.array([x, y]) - np.linalg.solve(hessian, gradient))


def slow_udp(heatmap: Map, size: int) -> tuple[float, float]:
    """Return the keypoint of UDP, in cells: as that of DARK, with a replicated border and differences at distance 1."""
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    smooth = slow_blur(heatmap, size, "constant")
    log = np.pad(np.log(np.clip(smooth * heatmap.max() / smooth.max(), 1e-3, 50)), 1, mode="edge")
    near = log[y : y + 3, x : x + 3]
    gradient = np.array([near[1, 2] - near[1, 0], near[2, 1] - near[0, 1]]) / 2
    horizontal, vertical = near[1, 2] - 2 * near[1, 1] + near[1, 0], near[2, 1] - 2 * near[1, 1] + near[0, 1]
    mixed = (near[2, 2] - near[1, 2] - near[2, 1] + 2 * near[1, 1] - near[1, 0] - near[0, 1] + near[0, 0]) / 2
    hessian = np.array([[horizontal, mixed], [mixed, vertical]]) + np.finfo(np.float32).eps * np.eye(2)
    return tuple(np.array([x, y]) - np.linalg.solve(hessian, gradient))


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: type(codec).__name__)
def test_no_persons(codec: MSRACodec) -> None:
    targets, weights = codec.encode(torch.zeros(0, 5, 3), (64, 48), (256, 192))
    assert (targets.shape, weights.shape) == ((0, 5 * codec.maps_per_keypoint, 64, 48), (0, 5))
    points, scores = codec.decode(targets, (256, 192))
    assert (points.shape, scores.shape) == ((0, 5, 2), (0, 5))


@pytest.mark.parametrize("size", [9, 11, 17])
@pytest.mark.parametrize("slow", [slow_dark, slow_udp])
def test_decoding_follows_the_formulas(slow: object, size: int) -> None:
    """Keypoints of 1,000 random heatmaps within 1e-4 pixel of the input, computed in float32 from float32 maps."""
    maps = random_heatmaps(1000)
    fast, expected = (dark.decode, slow_dark) if slow is slow_dark else (udp.decode, slow_udp)
    cells, scores = fast(torch.from_numpy(maps).view(50, 20, 64, 48), size)
    theirs = np.array([expected(one.astype(np.float64), size) for one in maps])
    ours = cells.view(-1, 2).numpy()
    assert np.abs(ours - theirs).max() * 4 < 1e-4
    assert np.array_equal(scores.flatten().numpy(), maps.max((1, 2)))


def test_heatmaps_without_positive_values() -> None:
    maps = torch.stack((torch.zeros(16, 12), -torch.rand(16, 12)))[None]
    for codec in CODECS[:3]:
        points, scores = codec.decode(maps, (64, 48))
        assert torch.isfinite(points).all()
        assert (points < 0).all()
        assert (scores <= 0).all()


def test_offsets_follow_the_formulas() -> None:
    rng = np.random.default_rng(0)
    maps = np.stack([random_heatmaps(60), *rng.normal(0, 1, (2, 60, 64, 48)).astype(np.float32)], 1)
    cells, scores = udp.decode_offsets(torch.from_numpy(maps.reshape(3, 60, 64, 48)), 11)
    for (disk, offset_x, offset_y), (x, y), score in zip(
        maps.astype(np.float64), cells.view(-1, 2).tolist(), scores.flatten().tolist(), strict=True
    ):
        smooth = slow_blur(disk, 23, "reflect")
        row, column = np.unravel_index(smooth.argmax(), smooth.shape)
        assert score == pytest.approx(smooth.max(), rel=1e-5)
        assert x == pytest.approx(column + offset_x[row, column] * 3.5, abs=1e-4)
        assert y == pytest.approx(row + offset_y[row, column] * 3.5, abs=1e-4)


def test_blur_of_maps_that_are_smaller_than_the_kernel() -> None:
    maps = torch.rand(2, 7, 5, dtype=torch.float64)
    assert gaussian_kernel(11, maps).sum().item() == pytest.approx(1)
    for mode, border in (("constant", "zero"), ("reflect", "reflect")):
        expected = np.stack([slow_blur(one.numpy(), 11, mode) for one in maps])
        assert np.allclose(blur(maps, 11, border).numpy(), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("codec", CODECS[1:], ids=lambda codec: type(codec).__name__)
def test_decoding_undoes_encoding(codec: MSRACodec) -> None:
    """Within a hundredth of a pixel for keypoints away from the border, which half a cell would not be."""
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.uniform(40, 150, (4, 17, 2)).astype(np.float32))
    keypoints = torch.cat((points, torch.ones(4, 17, 1)), -1)
    maps, weights = codec.encode(keypoints, (64, 48), (256, 192))
    found, _ = codec.decode(maps, (256, 192))
    if isinstance(codec, UDPCodec):  # mmpose returns parts of the sides of the crop
        found = found * torch.tensor([191 / 192, 255 / 256])
    assert (weights == 1).all()
    assert (found - points).abs().max() < (0.02 if isinstance(codec, UDPOffsetCodec) else 0.1)


def slow_targets(keypoint: NDArray[np.float64], exact: bool, window: bool) -> Map | None:
    """Return a target of sigma 2 in a map of 16 x 12 cells; None for one of weight 0."""
    x, y = keypoint
    column, row = int(x + 0.5), int(y + 0.5)
    left, top = (column - 6, row - 6) if window else (x - 6, y - 6)
    right, bottom = (column + 7, row + 7) if window else (x + 7, y + 7)
    if left >= 12 or top >= 16 or right < 0 or bottom < 0:
        return None
    target = np.zeros((16, 12))
    for i in range(16):
        for j in range(12):
            if not window or (abs(i - row) <= 6 and abs(j - column) <= 6):
                away = (i - y) ** 2 + (j - x) ** 2 if exact else (i - row) ** 2 + (j - column) ** 2
                target[i, j] = np.exp(-away / 8)
    return target


def test_targets_follow_the_formulas() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-60, 110, (1, 200, 2))
    keypoints = torch.from_numpy(np.concatenate([points, np.ones((1, 200, 1))], -1).astype(np.float32))
    keypoints[0, ::7, 2] = 0
    of_udp = np.array([47 / 11, 63 / 15])
    for codec, scale, exact, window in (
        (MSRACodec(2.0), 4, False, True),
        (DARKCodec(2.0), 4, True, False),
        (UDPCodec(2.0), of_udp, True, True),
    ):
        maps, weights = codec.encode(keypoints, (16, 12), (64, 48))
        for number, point in enumerate(points[0]):
            target = None if number % 7 == 0 else slow_targets(point / scale, exact, window)
            assert weights[0, number].item() == (target is not None)
            assert np.allclose(maps[0, number].numpy(), 0 if target is None else target, atol=1e-5)


def test_window_of_a_fractional_radius_begins_at_the_rounded_cell() -> None:
    """As in mmpose: of sigma 1.5, ten cells, five before and four after the center."""
    maps, _ = encode(torch.tensor([[[80.0, 80, 1]]]), (64, 64), 4, 1.5)
    assert maps[0, 0, 20].nonzero().flatten().tolist() == list(range(15, 25))
    assert maps[0, 0, 20, 15].item() == pytest.approx(np.exp(-25 / 4.5))


def test_offset_targets_follow_the_formulas() -> None:
    keypoints = torch.tensor([[[20.0, 30, 1], [10, 10, 0], [-90, 5, 1]]])
    maps, weights = udp.encode_offsets(keypoints, (16, 12), (64, 48))
    assert weights.tolist() == [[1, 0, 1]]
    radius, x, y = 0.0546875 * 16, 20 * 11 / 47, 30 * 15 / 63
    disk, offset_x, offset_y = maps[0, :3].numpy()
    rows, columns = np.mgrid[:16, :12]
    assert np.array_equal(disk > 0, (rows - y) ** 2 + (columns - x) ** 2 <= radius**2)
    assert np.allclose(offset_x, (x - columns) / radius, atol=1e-5)
    assert np.allclose(offset_y, (y - rows) / radius, atol=1e-5)
    assert maps[0, 3:6].abs().sum() == 0


def test_flip_of_offsets() -> None:
    maps = torch.arange(24.0).reshape(1, 6, 1, 4)
    flipped = UDPOffsetCodec().flip_back(maps, (1, 0), shift=False)
    assert flipped[0, :, 0, 0].tolist() == [15, -19, 23, 3, -7, 11]


def test_flipped_persons_have_flipped_keypoints_without_a_shift() -> None:
    """UDP only: a keypoint of a flipped crop is that of the crop."""
    maps = torch.from_numpy(random_heatmaps(40)).view(1, 40, 64, 48)
    codec, last = UDPCodec(), 47
    plain, mirrored = udp.decode(maps, 11)[0], udp.decode(codec.flip_back(maps, range(40), False), 11)[0]
    inside = ((plain > 2) & (plain < 45)).all(-1)
    assert (plain[inside][:, 0] + mirrored[inside][:, 0] - last).abs().max() < 0.5


def test_adaptive_wing_loss_worked_by_definition() -> None:
    heatmaps, targets = torch.rand(2, 3, 4, 5) * 2, torch.rand(2, 3, 4, 5)
    weights = torch.tensor([[1.0, 0, 1], [1, 1, 1]])
    total = 0.0
    for i, (p, y) in enumerate(zip(heatmaps.flatten().tolist(), targets.flatten().tolist(), strict=True)):
        weight = weights.flatten()[i // 20].item()
        p, y = p * weight, y * weight
        a = 14 / (1 + 0.5 ** (2.1 - y)) * (2.1 - y) * 0.5 ** (1.1 - y)
        c = 0.5 * a - 14 * np.log(1 + 0.5 ** (2.1 - y))
        total += 14 * np.log(1 + abs(y - p) ** (2.1 - y)) if abs(y - p) < 0.5 else a * abs(y - p) - c
    assert heatmap_losses.adaptive_wing(heatmaps, targets, weights).item() == pytest.approx(total, rel=1e-5)


def test_loss_of_offsets_worked_by_definition() -> None:
    maps, targets = torch.randn(2, 6, 4, 5), torch.rand(2, 6, 4, 5)
    weights = torch.tensor([[1.0, 0], [1, 1]])
    total = 0.0
    for k in range(2):
        of_keypoint = slice(3 * k, 3 * k + 3)
        (disk, *offsets), (disk_target, *offset_targets) = (
            maps[:, of_keypoint].unbind(1),
            targets[:, of_keypoint].unbind(1),
        )
        weight = weights[:, k, None, None]
        total += 0.5 * F.mse_loss(disk * weight, disk_target * weight)
        for offset, target in zip(offsets, offset_targets, strict=True):
            total += 0.5 * F.mse_loss(disk_target * weight * offset, disk_target * weight * target)
    expected = float(total) / 2
    assert heatmap_losses.offset_errors(maps, targets, weights).item() / (2 * 2 * 20) == pytest.approx(
        expected, rel=1e-5
    )


def test_crop_of_udp_reaches_from_first_to_last_pixel() -> None:
    region = CropRegion(np.array([50, 60], np.float32), np.array([30, 40], np.float32), 25.0)
    matrix = crop_matrix(region, (64, 48), udp=True)
    angle = np.deg2rad(25)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[-15, -20], [15, -20], [-15, 20], [15, 20]]) @ turn + region.center
    found = corners @ matrix[:, :2].T + matrix[:, 2]
    assert np.allclose(found, [[0, 0], [47, 0], [0, 63], [47, 63]], atol=1e-3)
