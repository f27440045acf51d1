"""Large-scale jitter, copy-paste and mosaic on views whose result is known."""

import pytest
from torch import Tensor

from helpers.views import boxes_of, square_view
from splitnest.data.augmentations.copy_paste import THING, copy_paste
from splitnest.data.augmentations.large_scale_jitter import large_scale_jitter
from splitnest.data.augmentations.mosaic import mosaic
from splitnest.data.augmentations.view import View, mask_boxes
from splitnest.data.loading.seeds import torch_seeded
from splitnest.recipe.augmentation import CopyPaste

GRAY = (9, 9, 9)


def assert_consistent(view: View) -> None:
    """Check that masks cover exactly the bright pixels, and that boxes contain their masks."""
    image, target = view
    masks = target["masks"].as_subclass(Tensor)
    boxes = target["boxes"].as_subclass(Tensor)
    tight = mask_boxes(masks)
    occupied = masks.flatten(1).any(dim=1)
    assert (boxes[occupied, :2] <= tight[occupied, :2] + 1).all()
    assert (boxes[occupied, 2:] >= tight[occupied, 2:] - 1).all()
    bright = image.as_subclass(Tensor)[0] >= 140
    assert (bright != masks.any(dim=0)).float().mean() < 0.03  # borders are interpolated


def test_jitter_that_shrinks_pads_at_the_right_and_bottom() -> None:
    image, target = large_scale_jitter(square_view((40, 60), [(20, 10, 40, 30)]), (0.5, 0.5), GRAY)
    assert image.shape == (3, 40, 60)
    assert boxes_of(target) == [[10, 5, 20, 15]]
    assert image[:, 20:].unique().tolist() == image[:, :, 30:].unique().tolist() == [9]
    assert not target["semantic"][20:].any()
    assert_consistent((image, target))


def test_jitter_that_enlarges_crops() -> None:
    for seed in range(4):
        with torch_seeded(seed):
            view = large_scale_jitter(square_view((40, 60), [(20, 10, 40, 30)]), (1.5, 2), GRAY)
        assert view[0].shape == (3, 40, 60)
        assert not (view[0] == 9).any()
        assert_consistent(view)


@pytest.mark.parametrize("scale", [(0.01, 0.01), (10, 10)])
def test_jitter_of_one_pixel(scale: tuple[float, float]) -> None:
    view = large_scale_jitter(square_view((1, 1), [(0, 0, 1, 1)]), scale, GRAY)
    assert view[0].shape == (3, 1, 1)


def test_nothing_is_pasted_from_an_image_without_instances() -> None:
    view = square_view((10, 10), [(1, 1, 3, 3)])
    assert copy_paste(view, square_view((10, 10), []), CopyPaste(), GRAY) is view
    image, target = copy_paste(square_view((10, 10), []), view, CopyPaste(), GRAY)
    assert len(target["labels"]) == 1
    assert_consistent((image, target))


def test_pasted_instances_cover_others() -> None:
    below, above = square_view((40, 40), [(0, 0, 40, 40), (2, 2, 4, 4)]), square_view((40, 40), [(0, 0, 40, 30)], 60)
    for seed in range(6):
        with torch_seeded(seed):
            image, target = copy_paste(below, above, CopyPaste(), GRAY)
        assert target["masks"].sum(0).max() == 1  # no pixel belongs to two instances
        assert target["labels"].tolist() in ([0, 0], [0, 1, 0])
        assert mask_boxes(target["masks"]).tolist() == boxes_of(target)
        pasted = target["masks"].as_subclass(Tensor)[-1]
        assert (image.as_subclass(Tensor)[:, pasted] == 110).all()
        assert (target["semantic"].as_subclass(Tensor)[pasted] == THING).all()
        assert (target["semantic"].as_subclass(Tensor)[~pasted] == 5).all()


def test_completely_covered_instances_end() -> None:
    view = square_view((10, 10), [(2, 2, 5, 5)])
    _, target = copy_paste(view, square_view((10, 10), [(0, 0, 10, 10)]), CopyPaste(), GRAY)
    assert boxes_of(target) == [[0, 0, 10, 10]]


def test_number_of_pasted_instances_is_limited_and_a_larger_image_fits() -> None:
    other = square_view((80, 60), [(x, y, x + 8, y + 8) for x in (0, 20, 40) for y in (0, 40)])
    counts = set()
    for seed in range(12):
        with torch_seeded(seed):
            view = copy_paste(square_view((30, 40), []), other, CopyPaste(max_instances=3), GRAY)
        counts.add(len(view[1]["labels"]))
        assert_consistent(view)
    assert counts == {1, 2, 3}


SAME = CopyPaste(min_instances=0, max_instances=2, placement="same")


def test_same_place_is_neither_flipped_nor_moved() -> None:
    boxes = [(x, 5, x + 8, 13) for x in (0, 20, 40)]
    other, counts = square_view((40, 60), boxes, 60), []
    for seed in range(30):
        with torch_seeded(seed):
            image, target = copy_paste(square_view((40, 60), []), other, SAME, GRAY)
        assert all(box in [list(map(float, each)) for each in boxes] for box in boxes_of(target))
        counts.append(len(target["labels"]))
        assert ((image.as_subclass(Tensor)[0] == 110) == target["masks"].any(0)).all()
    assert {*counts} == {0, 1, 2}
    assert 4 <= counts.count(0) <= 16  # uniform


@pytest.mark.parametrize(
    ("visible", "remains"),
    [
        ((0, 0, 40, 20), True),  # more than 300 pixels
        ((0, 0, 15, 20), False),  # 300 pixels, and the box moves by 25
        ((30, 0, 40, 20), False),
    ],
)
def test_almost_covered_instances_end(visible: tuple[int, int, int, int], remains: bool) -> None:
    """Rule of mmdetection: more than 300 visible pixels, or a box that moves by at most 10 pixels."""
    cfg = CopyPaste(placement="same", min_visible=300, max_box_shift=10)
    view = square_view((40, 60), [(0, 0, 40, 20), (45, 30, 50, 35)])  # the second is small but not covered
    x1, _, x2, _ = visible
    cover = (x2, 0, 60, 20) if x1 == 0 else (0, 0, x1, 20)
    _, target = copy_paste(view, square_view((40, 60), [cover]), cfg, GRAY)
    assert target["labels"].tolist() == ([0, 1, 0] if remains else [1, 0])


def test_mosaic_has_the_instances_of_four_images_and_no_padding() -> None:
    sizes = [(30, 40), (50, 20), (10, 90), (30, 40)]
    views = [square_view(size, [(2, 2, 8, 8)], value) for size, value in zip(sizes, (90, 91, 92, 93), strict=True)]
    for seed in range(4):
        with torch_seeded(seed):
            image, target = mosaic(views, (0.25, 0.75), GRAY)
        assert image.shape == (3, 30, 40)
        places = [(image[0] == value).nonzero().float().mean(0).tolist() for value in (90, 91, 92, 93)]
        (y0, x0), (y1, x1), (y2, x2), (y3, x3) = places
        assert max(y0, y1) < min(y2, y3)
        assert max(x0, x2) < min(x1, x3)
        assert len(target["labels"]) == 4
        assert (target["semantic"] == 5).all()
        assert_consistent((image, target))


def test_mosaic_of_label_maps_and_of_one_pixel() -> None:
    image, target = square_view((1, 1), [])
    image, target = mosaic([(image, {"semantic": target["semantic"]})] * 4, (0.25, 0.75), GRAY)
    assert image.shape == (3, 1, 1)
    assert target.keys() == {"semantic"}
