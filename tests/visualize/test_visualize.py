"""Drawing: any size works, the input is not changed, and marks are in the right place."""

from typing import Any

import numpy as np
import pytest

from splitnest.structures import Classification, Detections, PanopticSegmentation, Poses, SemanticSegmentation
from splitnest.structures.categories import Categories, Category, from_names
from splitnest.visualize import contact_sheet
from splitnest.visualize.canvas import Canvas, Tag
from splitnest.visualize.colors import PALETTE, brighten, instance_colors, luminance, text_color

CATEGORIES = from_names(["person", "a class with a name that is far too long for most images", "sky"])
PERSON = Categories(
    (Category(1, "person", (220, 20, 60)),), keypoint_names=("left_eye", "right_eye"), skeleton=((0, 1),)
)


def results(size: tuple[int, int], boxes: list[list[float]]) -> dict[str, Any]:
    """Return a result of each type for an image of this size."""
    count, (height, width) = len(boxes), size
    array = np.array(boxes, np.float32).reshape(-1, 4)
    scores, labels = np.linspace(1, 0.6, count, dtype=np.float32), np.arange(count) % 3
    common: dict[str, Any] = {"image_size": size, "categories": CATEGORIES}
    infos = [{"id": 1, "category": 0, "isthing": True, "score": 0.9, "area": height * width}]
    return {
        "boxes": Detections(array, scores, labels, **common),
        "masks": Detections(array, scores, labels, np.ones((count, *size), bool), **common),
        "no masks": Detections(array, scores, labels, np.zeros((count, *size), bool), **common),
        "semantic": SemanticSegmentation(np.full(size, 1, np.uint8), **common),
        "panoptic": PanopticSegmentation(np.ones(size, np.int32), infos, **common),
        "poses": Poses(
            array.reshape(-1, 2, 2), np.ones((count, 2), np.float32), array, scores, image_size=size, categories=PERSON
        ),
        "classification": Classification(np.array([0.2, 0.7, 0.1], np.float32), **common),
    }


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (40, 60), (240, 320)])
def test_empty_results_draw_nothing(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    for empty in (
        Detections.empty(size, CATEGORIES),
        Detections.empty(size, CATEGORIES, masks=True),
        SemanticSegmentation.empty(size, CATEGORIES),
        PanopticSegmentation.empty(size, CATEGORIES),
        Poses.empty(size, PERSON),
    ):
        drawn = empty.draw(image)
        np.testing.assert_array_equal(drawn, image)
        assert drawn is not image


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (20, 5000), (5000, 20), (64, 64), (480, 640)])
def test_results_of_any_size_are_drawn(size: tuple[int, int]) -> None:
    height, width = size
    boxes = [[0, 0, width, height], [-50, -50, width + 50, 2], [5, 5, 5, 5], [width + 9, 0, width + 99, 9]]
    image = np.full((*size, 3), 90, np.uint8)
    image.flags.writeable = False
    for name, result in results(size, boxes).items():
        drawn = result.draw(image)
        assert drawn.shape == image.shape, name
        assert drawn.dtype == np.uint8, name


def test_image_of_another_size_is_rejected() -> None:
    result = Detections.empty((40, 60), CATEGORIES)
    for image in (np.zeros((40, 61, 3), np.uint8), np.zeros((40, 60, 3), np.float32), np.zeros((40, 60), np.uint8)):
        with pytest.raises(ValueError, match=r"image must be uint8 \[40, 60, 3\], the size of the result, but is"):
            result.draw(image)


def test_boxes_are_drawn_around_the_instances() -> None:
    image = np.full((200, 300, 3), 128, np.uint8)
    result = results((200, 300), [[100, 80, 160, 140]])["boxes"]
    changed = (result.draw(image) != image).any(axis=2)
    assert changed[110, 100]
    assert changed[80, 130]
    assert not changed[110, 130]  # the inside of a box is not changed
    assert not changed[:40].any()
    assert not changed[:, 250:].any()


def test_score_threshold_hides_instances() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    detections = Detections(
        np.array([[10, 30, 50, 70]], np.float32),
        np.array([0.4], np.float32),
        np.array([0]),
        image_size=(100, 100),
        categories=CATEGORIES,
    )
    np.testing.assert_array_equal(detections.draw(image), image)
    assert (detections.draw(image, score_threshold=0.4) != image).any()


def test_tags_stay_inside_the_image_and_do_not_overlap() -> None:
    canvas = Canvas(np.zeros((120, 160, 3), np.uint8))
    colors = PALETTE[:6]
    canvas.tags(Tag(("tag",), (100.0, 30.0, 170.0, 70.0 + row), color) for row, color in enumerate(colors))
    areas = [(canvas.pixels == color).all(axis=2).sum() for color in colors]
    shown = [area for area in areas if area]
    assert len(shown) >= 3
    assert min(shown) > 0.9 * max(shown)


def test_neighboring_instances_have_different_colors() -> None:
    boxes = np.array([[x, 0, x + 10, 10] for x in range(0, 400, 10)], np.float32)
    colors = instance_colors(boxes)
    assert len(set(colors)) == len(PALETTE)
    assert all(a != b and a != c for a, b, c in zip(colors, colors[1:], colors[2:], strict=False))


def test_text_colors_are_readable() -> None:
    assert text_color((255, 255, 0)) != text_color((0, 0, 142)) == (255, 255, 255)
    assert luminance(brighten((0, 0, 70))) >= 129
    assert brighten((255, 255, 255)) == (255, 255, 255)


def test_color_map_has_exactly_the_colors_of_the_classes() -> None:
    labels = np.array([[0, 2, 255], [1, 1, 0]], np.uint8)
    drawn = SemanticSegmentation(labels, image_size=(2, 3), categories=CATEGORIES).color_map()
    person, long, sky = (category.color for category in CATEGORIES)
    assert drawn.dtype == np.uint8
    assert [tuple(color) for color in drawn.reshape(-1, 3).tolist()] == [person, sky, (0, 0, 0), long, long, person]


def test_contact_sheet() -> None:
    with pytest.raises(ValueError, match="needs images"):
        contact_sheet([])
    images = [np.full((h, w, 3), 60 * i, np.uint8) for i, (h, w) in enumerate([(40, 60), (60, 40), (1, 1), (20, 2000)])]
    with pytest.raises(ValueError, match="4 images, but 1 titles"):
        contact_sheet(images, ["one"])
    page = contact_sheet(images, ["a title that is much longer than the image is wide"] * 4, columns=3, cell_width=120)
    assert page.dtype == np.uint8
    assert page.shape[1] == 3 * 120 + 4 * 6
    assert contact_sheet(images[:1]).shape[1] < contact_sheet(images[:2]).shape[1]
