"""Resizing, compared with OpenCV 5.0 and Pillow. Input images are given by a formula (``pattern``)."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from splitnest.data.images.resize import fit_size, nearest_pixels, resize_opencv, resize_pillow

SIDES = st.integers(1, 60)


def pattern(height: int, width: int, channels: int) -> np.ndarray:
    steps = np.arange(height * width * channels)
    flat = (steps * 89 % 251 + steps // 7 % 5).astype(np.uint8)
    return flat.reshape((height, width, channels) if channels > 1 else (height, width))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 3, 1), [[0, 35, 89, 142, 178], [4, 39, 93, 146, 182], [12, 47, 101, 154, 190], [16, 51, 105, 158, 194]]),
        ((5, 4, 1), [[93, 118, 91], [96, 163, 125]]),
        ((1, 1, 3), [[[0, 89, 178]], [[0, 89, 178]]]),
        ((3, 1, 3), [[[0, 89, 178]] * 2, [[6, 95, 184]] * 2, [[16, 105, 194]] * 2, [[25, 115, 204]] * 2,
                     [[32, 122, 211]] * 2]),
    ],
)  # fmt: skip
def test_small_images_match_opencv(shape: tuple[int, int, int], expected: list[list[int]]) -> None:
    target = np.array(expected)
    resized = resize_opencv(pattern(*shape), (target.shape[0], target.shape[1]))
    assert resized.dtype == np.uint8
    assert resized.tolist() == expected


@pytest.mark.parametrize(
    ("shape", "size_hw", "crc32"),
    [
        ((480, 640, 3), (800, 1066), 0x95D7EA55),
        ((333, 500, 3), (800, 1201), 0x1994F0B9),
        ((900, 1333, 3), (400, 592), 0xB13BFF8C),
        ((64, 48, 1), (32, 24), 0x3F42A39D),  # half the size: OpenCV has a separate path for it
        ((1, 777, 3), (50, 1333), 0xFA9C8359),
        ((1200, 1, 3), (7, 7), 0x4F05AC2E),
        ((427, 640, 3), (800, 1199), 0xA399603A),
    ],
)
def test_larger_images_match_opencv(shape: tuple[int, int, int], size_hw: tuple[int, int], crc32: int) -> None:
    assert zlib.crc32(resize_opencv(pattern(*shape), size_hw).tobytes()) == crc32


@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 255))
@settings(max_examples=50, deadline=None)
def test_uniform_color_is_kept(height: int, width: int, new_height: int, new_width: int, gray: int) -> None:
    image = np.full((height, width, 3), gray, np.uint8)
    for resize in (resize_opencv, resize_pillow):
        assert np.array_equal(resize(image, (new_height, new_width)), np.full((new_height, new_width, 3), gray))


@given(SIDES, SIDES)
@settings(max_examples=20, deadline=None)
def test_resize_to_the_same_size_changes_nothing(height: int, width: int) -> None:
    image = pattern(height, width, 3).reshape(height, width, 3)
    assert np.array_equal(resize_opencv(image, (height, width)), image)


def test_view_is_resized_like_its_copy() -> None:
    image = pattern(20, 30, 3)[::-1, ::2]
    assert np.array_equal(resize_opencv(image, (9, 9)), resize_opencv(image.copy(), (9, 9)))


@pytest.mark.parametrize(
    ("size_hw", "limits", "opencv", "pillow"),
    [
        ((1, 1), (800, 1333), (800, 800), (800, 800)),
        ((480, 640), (800, 1333), (800, 1067), (800, 1067)),
        ((250, 333), (800, 1333), (800, 1066), (800, 1066)),
        ((640, 480), (800, 1333), (1067, 800), (1067, 800)),
        ((300, 640), (800, 1333), (625, 1333), (625, 1333)),
        ((105, 310), (800, 1333), (452, 1333), (451, 1333)),  # 451.5, exactly and slightly less
        ((20000, 20), (800, 1333), (1333, 1), (1333, 1)),
        ((2, 20000), (800, 1333), (1, 1333), (1, 1333)),
    ],
)
def test_fit_size(
    size_hw: tuple[int, int], limits: tuple[int, int], opencv: tuple[int, int], pillow: tuple[int, int]
) -> None:
    assert fit_size(size_hw, *limits, "opencv") == opencv
    assert fit_size(size_hw, *limits, "pillow") == pillow


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 1000), st.integers(0, 1000))
def test_fit_size_reaches_one_limit_and_exceeds_none(height: int, width: int, short_side: int, slack: int) -> None:
    limits = (short_side, short_side + slack)
    for rule in ("opencv", "pillow"):
        size = fit_size((height, width), *limits, rule)
        assert min(size) <= limits[0]
        assert max(size) <= limits[1]
        assert min(size) == limits[0] or max(size) == limits[1]


@given(SIDES, SIDES, SIDES, SIDES)
@settings(max_examples=30, deadline=None)
def test_nearest_pixels_match_pillow(height: int, width: int, new_height: int, new_width: int) -> None:
    image = np.arange(height * width, dtype=np.int32).reshape(height, width)
    rows, columns = nearest_pixels(height, new_height, "pillow"), nearest_pixels(width, new_width, "pillow")
    expected = np.array(Image.fromarray(image).resize((new_width, new_height), Image.Resampling.NEAREST))
    assert np.array_equal(image[rows[:, None], columns], expected)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (1, 3, [0, 0, 0]),
        (5, 8, [0, 0, 1, 1, 2, 3, 3, 4]),
        (8, 5, [0, 1, 3, 4, 6]),
        (3, 7, [0, 0, 0, 1, 1, 2, 2]),
        (7, 3, [0, 2, 4]),
    ],
)
def test_nearest_pixels_match_opencv(source: int, target: int, expected: list[int]) -> None:
    assert nearest_pixels(source, target, "opencv").tolist() == expected


@pytest.mark.parametrize(
    ("source", "target", "crc32"), [(2048, 1333, 0xEFCDEF2E), (480, 937, 0xAE2B1AA0), (683, 1365, 0xADA5B66A)]
)
def test_nearest_pixels_of_larger_images_match_opencv(source: int, target: int, crc32: int) -> None:
    assert zlib.crc32(nearest_pixels(source, target, "opencv").astype(np.uint16).tobytes()) == crc32
