"""Warping: OpenCV's bits, and what must hold of any warp."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from splitnest.data.person_boxes import NOBODY, PersonBoxes
from splitnest.data.person_crop import Region, prepare_people
from splitnest.data.warp import affine_matrix, inverse_matrix, warp_opencv
from splitnest.recipe import PoseInput

DATA = Path(__file__).parent.parent / "data"
IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])
FACTS = PoseInput(mean=(0, 0, 0), std=(1, 1, 1), height=64, width=32)


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def test_opencv() -> None:
    """Crops of scene_a by OpenCV 4.11 (``getAffineTransform``, ``warpAffine``), turned and over the border."""
    scene = np.asarray(Image.open(DATA / "inputs" / "scene_a.png").convert("RGB"))
    with np.load(DATA / "opencv_warps.npz") as recorded:
        rows = zip(*(recorded[key] for key in ("centers", "sizes", "rotations", "crops")), strict=True)
        for center, size, rotation, crop in rows:
            assert (Region(center, size, float(rotation)).cut(scene, (32, 24)) == crop).all()


def test_nothing_moves(image: NDArray[np.uint8]) -> None:
    assert (warp_opencv(image, IDENTITY, (30, 40)) == image).all()
    assert (warp_opencv(image, IDENTITY, (10, 50))[:, 40:] == 0).all()
    assert warp_opencv(image[..., :1], IDENTITY, (3, 4)).shape == (3, 4, 1)


@given(st.integers(-29, 29), st.integers(-29, 29))
def test_whole_pixels(x: int, y: int) -> None:
    image = np.random.default_rng(1).integers(1, 256, (30, 40, 3), dtype=np.uint8)
    moved = warp_opencv(image, np.array([[1.0, 0, x], [0, 1, y]]), (30, 40))
    expected = np.zeros_like(image)
    expected[max(y, 0) : 30 + min(y, 0), max(x, 0) : 40 + min(x, 0)] = image[
        max(-y, 0) : 30 - max(y, 0), max(-x, 0) : 40 - max(x, 0)
    ]
    assert (moved == expected).all()


def test_half_a_pixel(image: NDArray[np.uint8]) -> None:
    moved = warp_opencv(image, np.array([[1.0, 0, -0.5], [0, 1, 0]]), (30, 39))
    assert (moved == (image[:, :-1].astype(int) + image[:, 1:] + 1) // 2).all()


@given(st.lists(st.floats(-100, 100, width=32), min_size=6, max_size=6), st.floats(-3, 3), st.floats(0.2, 5))
def test_matrix_maps_its_points_and_back(points: list[float], angle: float, scale: float) -> None:
    source = np.array([[0, 0], [10, 0], [0, 10]], np.float32) + np.array(points[:2], np.float32)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = (source @ turn.T + points[2:4]).astype(np.float32)
    matrix = affine_matrix(source, target)
    assert np.allclose(source @ matrix[:, :2].T + matrix[:, 2], target, atol=1e-6 * (1 + np.abs(target).max()))
    back = inverse_matrix(matrix)
    assert np.allclose(target @ back[:, :2].T + back[:, 2], source, atol=1e-4 * (1 + np.abs(target).max()))


@pytest.mark.parametrize(
    ("box", "center", "size"),
    [
        ([10, 20, 20, 60], [15, 40], [25, 50]),  # high: widened to half its height
        ([10, 20, 70, 60], [40, 40], [75, 150]),
    ],
)
def test_region_has_the_shape_of_the_input(box: list[float], center: list[float], size: list[float]) -> None:
    region = Region.of_box(np.array(box), FACTS.padding).of_shape(FACTS)
    assert region.center.tolist() == center
    assert region.size.tolist() == size


@given(st.floats(-50, 400), st.floats(-50, 400), st.floats(4, 500), st.floats(0, 63), st.floats(0, 31))
def test_points_come_back(x: float, y: float, width: float, row: float, column: float) -> None:
    region = Region(np.array([x, y], np.float32), np.array([width, 2 * width], np.float32))
    point = np.array([column, row], np.float32)
    photograph = region.to_photograph(point, (64, 32)).astype(np.float64)
    matrix = region.matrix((64, 32))
    assert np.allclose(matrix[:, :2] @ photograph + matrix[:, 2], point, atol=2e-3 * (1 + 64 / width))


def test_middle_of_a_crop_is_that_of_the_region() -> None:
    region = Region(np.array([20, 10], np.float32), np.array([8, 16], np.float32), rotation=37.0)
    matrix = region.matrix((64, 32))
    assert np.allclose(matrix[:, :2] @ region.center + matrix[:, 2], [16, 32], atol=1e-4)


def test_prepare(image: NDArray[np.uint8]) -> None:
    nobody = prepare_people(image, NOBODY, FACTS)
    assert (nobody.crops.shape, len(nobody), nobody.original_size) == ((0, 3, 64, 32), 0, (30, 40))
    boxes = np.array([[5.0, 5, 15, 25], [0, 0, 40, 30]])
    found = prepare_people(image, PersonBoxes(boxes, np.array([0.5, 1.0])), FACTS)
    assert found.crops.shape == (2, 3, 64, 32)
    assert [person.score for person in found.people] == [0.5, 1.0]
    assert (found.people[1].box == boxes[1]).all()
    cut = found.people[0].region.cut(image, (64, 32))
    assert (found.crops[0].numpy() == cut.transpose(2, 0, 1)).all()
