"""Affine warps and person crops: same bits as OpenCV, and properties of any warp."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from helpers.paths import INPUTS
from splitnest.data.images.warp import affine_matrix, inverse_matrix, warp_opencv, warp_points
from splitnest.data.pose.crop import crop as crop_region
from splitnest.data.pose.crop import crop_matrix, crop_people
from splitnest.data.pose.person_boxes import NO_BOXES, PersonBoxes
from splitnest.recipe import PoseInput
from splitnest.structures.person import CropRegion

IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])
INPUT_CFG = PoseInput(mean=(0, 0, 0), std=(1, 1, 1), height=64, width=32)


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def test_crops_match_opencv() -> None:
    """Rotated crops of scene_a, some across the border, by OpenCV 4.11 (``getAffineTransform``, ``warpAffine``)."""
    scene = np.asarray(Image.open(INPUTS / "scene_a.png").convert("RGB"))
    with np.load(INPUTS / "opencv_warps.npz") as recorded:
        rows = zip(*(recorded[key] for key in ("centers", "sizes", "rotations", "crops")), strict=True)
        for center, size, rotation, crop in rows:
            assert (crop_region(scene, CropRegion(center, size, float(rotation)), (32, 24)) == crop).all()


def test_identity_warp(image: NDArray[np.uint8]) -> None:
    assert (warp_opencv(image, IDENTITY, (30, 40)) == image).all()
    assert (warp_opencv(image, IDENTITY, (10, 50))[:, 40:] == 0).all()
    assert warp_opencv(image[..., :1], IDENTITY, (3, 4)).shape == (3, 4, 1)


@settings(max_examples=50, deadline=None)
@given(st.integers(-29, 29), st.integers(-29, 29))
def test_shift_by_whole_pixels(x: int, y: int) -> None:
    image = np.random.default_rng(1).integers(1, 256, (30, 40, 3), dtype=np.uint8)
    moved = warp_opencv(image, np.array([[1.0, 0, x], [0, 1, y]]), (30, 40))
    expected = np.zeros_like(image)
    expected[max(y, 0) : 30 + min(y, 0), max(x, 0) : 40 + min(x, 0)] = image[
        max(-y, 0) : 30 - max(y, 0), max(-x, 0) : 40 - max(x, 0)
    ]
    assert (moved == expected).all()


def test_shift_by_half_a_pixel(image: NDArray[np.uint8]) -> None:
    moved = warp_opencv(image, np.array([[1.0, 0, -0.5], [0, 1, 0]]), (30, 39))
    assert (moved == (image[:, :-1].astype(int) + image[:, 1:] + 1) // 2).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-100, 100, width=32), min_size=6, max_size=6), st.floats(-3, 3), st.floats(0.2, 5))
def test_affine_matrix_and_its_inverse_map_the_points(points: list[float], angle: float, scale: float) -> None:
    source = np.array([[0, 0], [10, 0], [0, 10]], np.float32) + np.array(points[:2], np.float32)
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = (source @ rotation.T + points[2:4]).astype(np.float32)
    matrix = affine_matrix(source, target)
    assert np.allclose(source @ matrix[:, :2].T + matrix[:, 2], target, atol=1e-6 * (1 + np.abs(target).max()))
    inverse = inverse_matrix(matrix)
    assert np.allclose(target @ inverse[:, :2].T + inverse[:, 2], source, atol=1e-4 * (1 + np.abs(target).max()))


@pytest.mark.parametrize(
    ("box", "center", "size"),
    [
        ([10, 20, 20, 60], [15, 40], [25, 50]),  # higher than wide: widened to half its height
        ([10, 20, 70, 60], [40, 40], [75, 150]),
    ],
)
def test_region_has_the_aspect_ratio_of_the_input(box: list[float], center: list[float], size: list[float]) -> None:
    region = CropRegion.from_box(np.array(box), INPUT_CFG.padding).with_aspect_ratio(INPUT_CFG.width / INPUT_CFG.height)
    assert region.center.tolist() == center
    assert region.size.tolist() == size


@settings(max_examples=50, deadline=None)
@given(st.floats(-50, 400), st.floats(-50, 400), st.floats(4, 500), st.floats(0, 63), st.floats(0, 31))
def test_to_original_inverts_the_crop_matrix(x: float, y: float, width: float, row: float, column: float) -> None:
    region = CropRegion(np.array([x, y], np.float32), np.array([width, 2 * width], np.float32))
    point = np.array([column, row], np.float32)
    original = region.to_original(point, (64, 32)).astype(np.float64)
    matrix = crop_matrix(region, (64, 32))
    assert np.allclose(matrix[:, :2] @ original + matrix[:, 2], point, atol=2e-3 * (1 + 64 / width))


def test_center_of_the_region_maps_to_the_center_of_the_crop() -> None:
    region = CropRegion(np.array([20, 10], np.float32), np.array([8, 16], np.float32), rotation=37.0)
    matrix = crop_matrix(region, (64, 32))
    assert np.allclose(matrix[:, :2] @ region.center + matrix[:, 2], [16, 32], atol=1e-4)


def test_crop_people(image: NDArray[np.uint8]) -> None:
    empty = crop_people(image, NO_BOXES, INPUT_CFG)
    assert (empty.inputs.shape, len(empty), empty.original_size) == ((0, 3, 64, 32), 0, (30, 40))
    boxes = np.array([[5.0, 5, 15, 25], [0, 0, 40, 30]])
    prepared = crop_people(image, PersonBoxes(boxes, np.array([0.5, 1.0])), INPUT_CFG)
    assert prepared.inputs.shape == (2, 3, 64, 32)
    assert prepared.people is not None
    assert [person.score for person in prepared.people] == [0.5, 1.0]
    assert (prepared.people[1].box == boxes[1]).all()
    crop = crop_region(image, prepared.people[0].region, (64, 32))
    assert (prepared.inputs[0].numpy() == crop.transpose(2, 0, 1)).all()


def test_points_are_mapped_with_fused_operations() -> None:
    rng = np.random.default_rng(0)
    points, matrix = rng.uniform(-300, 300, (50, 2)).astype(np.float32), rng.uniform(-3, 3, (2, 3))
    warped = warp_points(points, matrix)
    assert warped.dtype == np.float32
    assert np.abs(warped - (points @ matrix[:, :2].T + matrix[:, 2])).max() < 1e-3
    assert warp_points(np.zeros((0, 17, 2), np.float32), matrix).shape == (0, 17, 2)
