"""Panoptic quality: rules for void and crowd regions, real ground truth, and hotcoco on random segments."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from helpers.panoptic_segments import CLASSES, Segment, classes, ground_truth, prediction, quality_of
from splitnest.data.detection.panoptic import CocoPanoptic
from splitnest.metrics.panoptic_quality import PanopticQuality
from splitnest.structures.categories import Categories


def test_metrics_without_segments_are_undefined() -> None:
    quality = PanopticQuality(CLASSES)
    assert set(quality.compute().values()) == {-1.0}
    quality.update(ground_truth(np.zeros((2, 3))), prediction(np.zeros((2, 3))))
    metrics = quality.compute()
    assert list(metrics) == [f"{name}{suffix}" for suffix in ("", "_things", "_stuff") for name in ("pq", "sq", "rq")]
    assert set(metrics.values()) == {-1.0}
    assert quality.per_class()["class 0"] == {"pq": -1.0, "sq": -1.0, "rq": -1.0}
    assert set(PanopticQuality(Categories(())).compute().values()) == {-1.0}


def test_segments_that_do_not_fit_are_errors() -> None:
    quality = PanopticQuality(classes(1, 0))
    with pytest.raises(ValueError, match=r"size \(1, 2\), but the ground truth \(2, 1\)"):
        quality.update(ground_truth(np.zeros((2, 1))), prediction(np.zeros((1, 2))))
    with pytest.raises(ValueError, match="labels outside the 1 classes"):
        quality.update(ground_truth([[1]], Segment(1, 1)), prediction([[0]]))
    with pytest.raises(ValueError, match="labels outside the 1 classes"):
        quality.update(ground_truth([[0]]), prediction([[1]], Segment(1, 1)))


THING, CROWD, STUFF = Segment(1, 0), Segment(2, 0, iscrowd=True), Segment(3, 3)


@pytest.mark.parametrize(
    ("gt_map", "gt_segments", "predicted_map", "predicted_segments", "expected"),
    [
        ([1, 1, 1, 0], [THING], [1, 1, 1, 0], [THING], (1, 1, 1)),
        ([1, 1, 1, 0], [THING], [0, 0, 0, 0], [], (0, 0, 0)),  # missed
        ([1, 1, 1, 1], [THING], [1, 1, 0, 0], [THING], (0, 0, 0)),  # IoU of exactly 0.5
        ([1, 1, 1, 3], [THING, STUFF], [1, 1, 1, 1], [THING], (0.75, 0.75, 1)),
        ([1, 1, 1, 0], [THING], [1, 1, 1, 1], [THING], (1, 1, 1)),  # void pixels do not count in the union
        ([1, 1, 1, 1], [THING], [1, 1, 1, 2], [THING, Segment(2, 0)], (0.5, 0.75, 2 / 3)),
        ([1, 1, 1, 3], [THING, STUFF], [1, 1, 1, 2], [THING, Segment(2, 0)], (1 / 1.5, 1, 1 / 1.5)),
        ([3, 3, 0, 0], [STUFF], [0, 1, 1, 0], [THING], (0, 0, 0)),  # half on void: a false positive
        ([3, 0, 0, 0], [STUFF], [1, 1, 1, 0], [THING], (-1, -1, -1)),  # two thirds on void
        ([2, 2, 2, 0], [CROWD], [0, 0, 0, 0], [], (-1, -1, -1)),  # a crowd region is no false negative
        ([2, 2, 2, 2], [CROWD], [1, 1, 1, 1], [THING], (-1, -1, -1)),  # and has no match
        # on void and on the crowd region
        ([3, 2, 0, 3], [CROWD, STUFF], [1, 1, 1, 0], [THING], (-1, -1, -1)),
        # a crowd region of another class
        ([3, 2, 2, 3], [Segment(2, 1, True), STUFF], [1, 1, 1, 0], [THING], (0, 0, 0)),
        # only the last crowd region counts
        ([2, 2, 4, 4], [CROWD, Segment(4, 0, True)], [1, 1, 1, 0], [THING], (0, 0, 0)),
        ([4, 4, 2, 2], [CROWD, Segment(4, 0, True)], [1, 1, 1, 0], [THING], (-1, -1, -1)),
    ],
)
def test_rules_of_matching(
    gt_map: list[int],
    gt_segments: list[Segment],
    predicted_map: list[int],
    predicted_segments: list[Segment],
    expected: tuple[float, float, float],
) -> None:
    """Each map is one row of pixels; expected are PQ, SQ and RQ of class 0."""
    quality = quality_of(ground_truth([gt_map], *gt_segments), prediction([predicted_map], *predicted_segments))
    assert tuple(quality.per_class()["class 0"].values()) == pytest.approx(expected)


def test_means_are_over_classes_that_occur() -> None:
    quality = quality_of(
        ground_truth([[1, 1, 1, 1, 2, 3]], Segment(1, 0), Segment(2, 1), Segment(3, 3)),
        prediction([[5, 5, 5, 0, 0, 9]], Segment(5, 0), Segment(9, 3)),
    )
    assert quality.compute() == pytest.approx(
        {"pq": 1.75 / 3, "sq": 1.75 / 3, "rq": 2 / 3}
        | {"pq_things": 0.375, "sq_things": 0.375, "rq_things": 0.5}
        | {"pq_stuff": 1, "sq_stuff": 1, "rq_stuff": 1}
    )


@pytest.fixture
def sample(shared_data: Callable[[str], Path]) -> CocoPanoptic:
    """Return the panoptic sample of COCO, two images."""
    folder = shared_data("coco_panoptic_sample")
    return CocoPanoptic(folder / "input_images", folder / "panoptic_examples.json")


def test_ground_truth_as_prediction_is_perfect(sample: CocoPanoptic) -> None:
    quality, labels = PanopticQuality(sample.panoptic_categories), set()
    for index in range(len(sample)):
        gt = sample.labels(index)
        assert gt.iscrowd.any()
        quality.update(gt, gt.to_result(sample.panoptic_categories))
        labels |= set(gt.labels.tolist())
    assert set(quality.compute().values()) == {1.0}
    values = [row["pq"] for row in quality.per_class().values()]
    assert values == [1 if label in labels else -1 for label in range(133)]


def test_corrupted_ground_truth_of_coco(sample: CocoPanoptic) -> None:
    """Six errors change the metrics of the eight classes of two images as counted by hand.

    The first image has 13 persons and a crowd region of persons, 1 ball, trees, sky and grass. The second has 13
    persons and a crowd region, 2 trucks, 11 horses and a crowd region of horses, gravel, trees, sky and grass.
    """
    categories = sample.panoptic_categories
    gts = [sample.labels(index) for index in range(2)]
    first, second = (gt.segments.copy() for gt in gts)
    label_of = [dict(zip(gt.ids.tolist(), gt.labels.tolist(), strict=True)) for gt in gts]

    def pixels(image: int, name: str, area: int) -> NDArray[np.int64]:
        """Return the pixels of the segment of this class and area."""
        label, segment_map = categories.names.index(name), gts[image].segments.ravel()
        of_class = [np.flatnonzero(segment_map == id_) for id_ in label_of[image] if label_of[image][id_] == label]
        (indices,) = [indices for indices in of_class if len(indices) == area]
        return indices

    # The ball is missed.
    first.flat[pixels(0, "sports ball", 175)] = 0
    # One of 26 persons is missed.
    second.flat[pixels(1, "person", 3512)] = 0
    # 25100 of 75100 pixels of grass in the first image are missed.
    first.flat[pixels(0, "grass-merged", 75100)[:25100]] = 0
    # The trucks of 1680 and 5791 pixels are merged: the segment matches the larger one, the other one is missed.
    large = pixels(1, "truck", 5791)
    second.flat[pixels(1, "truck", 1680)] = second.flat[large[0]]
    # A horse of 5333 pixels is split: the part of 3000 pixels matches, the other one is a false positive.
    second.flat[pixels(1, "horse", 5333)[3000:]] = 99
    label_of[1][99] = categories.names.index("horse")
    # The sky of the second image is predicted as trees: a false negative and a false positive.
    label_of[1][int(second.flat[pixels(1, "sky-other-merged", 12912)[0]])] = categories.names.index("tree-merged")

    quality = PanopticQuality(categories)
    for gt, segment_map, labels in zip(gts, (first, second), label_of, strict=True):
        segments = [Segment(id_, labels[id_]) for id_ in np.unique(segment_map[segment_map > 0]).tolist()]
        quality.update(gt, prediction(segment_map, *segments, categories=categories))
    expected = {
        "person": 25 / (25 + 0.5),
        "sports ball": 0,
        "truck": 5791 / (1680 + 5791) / (1 + 0.5),
        "horse": (10 + 3000 / 5333) / (11 + 0.5),
        "gravel": 1,
        "tree-merged": 2 / (2 + 0.5),
        "sky-other-merged": 1 / (1 + 0.5),
        "grass-merged": (50000 / 75100 + 1) / 2,
    }
    per_class, metrics = quality.per_class(), quality.compute()
    assert {name: per_class[name]["pq"] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert metrics["pq"] == pytest.approx(sum(expected.values()) / 8, abs=1e-12)
    things = [expected[name] for name in ("person", "sports ball", "truck", "horse")]
    assert metrics["pq_things"] == pytest.approx(sum(things) / 4, abs=1e-12)


@st.composite
def random_segments(draw: st.DrawFn, crowds: bool) -> tuple[NDArray[np.int32], list[Segment]]:
    """Return a small segment map with void pixels and any number of crowd regions."""
    cells = draw(st.lists(st.integers(0, 5), min_size=48, max_size=48))
    segment_map = np.array(cells, np.int32).reshape(6, 8)
    segments = [Segment(id_, draw(st.integers(0, 4))) for id_ in np.unique(segment_map[segment_map > 0]).tolist()]
    if crowds:
        segments = [segment._replace(iscrowd=draw(st.booleans())) for segment in segments]
    return np.kron(segment_map, np.ones((2, 2), np.int32)), draw(st.permutations(segments))


def mostly_like(
    gt: tuple[NDArray[np.int32], list[Segment]], predicted: tuple[NDArray[np.int32], list[Segment]]
) -> tuple[NDArray[np.int32], list[Segment]]:
    """Return a prediction that equals the ground truth except at the top, so that there are matches."""
    segment_map = gt[0].copy()
    segment_map[:4] = np.where(gt[0][:4] > 0, predicted[0][:4] % 3, 0)
    segment_of = {segment.id: segment for segment in (*predicted[1], *gt[1])}
    ids = np.unique(segment_map[segment_map > 0]).tolist()
    return segment_map, [segment_of.get(id_, Segment(id_, 0)) for id_ in ids]


def write_coco(folder: Path, name: str, images: list[tuple[NDArray[np.int32], list[Segment]]]) -> Path:
    """Write segments in COCO's panoptic format."""
    (folder / name).mkdir()
    annotations = []
    for image_id, (segment_map, segments) in enumerate(images, start=1):
        pixels = np.stack([segment_map, *np.zeros((2, *segment_map.shape), int)], axis=2).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name / f"{image_id}.png")
        infos = [
            {"id": segment.id, "category_id": segment.label + 1, "iscrowd": int(segment.iscrowd),
             "area": int((segment_map == segment.id).sum())}
            for segment in segments
        ]  # fmt: skip
        annotations.append({"image_id": image_id, "file_name": f"{image_id}.png", "segments_info": infos})
    rows = [{"id": a["image_id"], "file_name": a["file_name"], "width": 16, "height": 12} for a in annotations]
    categories = [{"id": c.id, "name": c.name, "isthing": int(c.is_thing)} for c in CLASSES]
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"images": rows, "annotations": annotations, "categories": categories}))
    return path


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(random_segments(crowds=True), random_segments(crowds=False), st.booleans()), max_size=3))
def test_random_segments_have_the_metrics_of_hotcoco(
    tmp_path_factory: pytest.TempPathFactory, images: list[Any]
) -> None:
    from hotcoco.panoptic import PanopticEval

    folder = tmp_path_factory.mktemp("hotcoco")
    gts = [gt for gt, _, _ in images]
    predictions = [mostly_like(gt, predicted) if is_like else predicted for gt, predicted, is_like in images]
    quality = PanopticQuality(CLASSES)
    for gt, predicted in zip(gts, predictions, strict=True):
        quality.update(ground_truth(gt[0], *gt[1]), prediction(predicted[0], *predicted[1]))
    reference = PanopticEval(write_coco(folder, "gt", gts), write_coco(folder, "predictions", predictions))
    reference.evaluate()
    results, metrics = reference.results(), quality.compute()
    for name, suffix in (("All", ""), ("Things", "_things"), ("Stuff", "_stuff")):
        for metric in ("pq", "sq", "rq"):
            expected = results[name][metric] if results[name]["n"] else -1
            assert metrics[metric + suffix] == pytest.approx(expected, abs=1e-12)
