"""Results of all tasks: validation, selection, and conversion to COCO, JSON and supervision."""

import json
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from splitnest.errors import UsageError
from splitnest.structures import Classification, Detections, PanopticSegmentation, Poses, SemanticSegmentation
from splitnest.structures.boxes import xywh_to_xyxy, xyxy_to_xywh
from splitnest.structures.categories import Categories, Category
from splitnest.structures.class_tables import class_table
from splitnest.structures.masks import mask_to_rle, rle_to_mask

SIZE = (6, 9)
CATEGORIES = Categories(
    (Category(1, "person", (220, 20, 60)), Category(18, "dog", (0, 200, 0)), Category(90, "sky", (90, 90, 250), False))
)
PERSON = Categories(CATEGORIES.items[:1], keypoint_names=("left_eye", "right_eye", "nose"), skeleton=((0, 2), (1, 2)))


def detections(**changes: Any) -> Detections:
    """Return two instances with masks, with some fields changed."""
    masks = np.zeros((2, *SIZE), bool)
    masks[0, 1:3, 2:5] = masks[1, 4:, :] = True
    fields: dict[str, Any] = {
        "boxes": np.array([[2, 1, 5, 3], [0, 4, 9, 6]], np.float32),
        "scores": np.array([0.9, 0.25], np.float32),
        "labels": np.array([1, 0]),
        "masks": masks,
        "image_size": SIZE,
        "categories": CATEGORIES,
    }
    return Detections(**(fields | changes))


def poses(**changes: Any) -> Poses:
    """Return one person with three keypoints."""
    fields: dict[str, Any] = {
        "keypoints": np.array([[[1, 2], [3.5, 2], [2, 3]]], np.float32),
        "scores": np.array([[0.5, 0.1, 0.9]], np.float32),
        "boxes": np.array([[0, 1, 5, 6]], np.float32),
        "box_scores": np.array([0.8], np.float32),
        "image_size": SIZE,
        "categories": PERSON,
    }
    return Poses(**(fields | changes))


def panoptic(**changes: Any) -> PanopticSegmentation:
    """Return a dog in front of the sky, with a row of unlabeled pixels."""
    segments = np.full(SIZE, 7, np.int32)
    segments[0], segments[2:4, 3:6] = 0, 300
    infos = [
        {"id": 300, "category": 1, "isthing": True, "score": 0.75, "area": 6},
        {"id": 7, "category": 2, "isthing": False, "score": None, "area": 39},
    ]
    fields: dict[str, Any] = {
        "segments": segments,
        "segments_info": infos,
        "image_size": SIZE,
        "categories": CATEGORIES,
    }
    return PanopticSegmentation(**(fields | changes))


def semantic(labels: np.ndarray, categories: Categories = CATEGORIES) -> SemanticSegmentation:
    return SemanticSegmentation(labels, image_size=(labels.shape[0], labels.shape[1]), categories=categories)


def classification(*probabilities: float) -> Classification:
    return Classification(np.array(probabilities, np.float32), image_size=SIZE, categories=CATEGORIES)


def test_detections_without_instances() -> None:
    for masks in (False, True):
        empty = Detections.empty(SIZE, CATEGORIES, masks=masks)
        assert len(empty) == 0
        assert (empty.masks is not None) == masks
        assert len(empty.above(0.5)) == len(empty[[]]) == len(empty[np.zeros(0, bool)]) == 0
        assert empty.to_coco(3) == list(empty) == []
        assert empty.to_dict() == {"image_size": [6, 9], "detections": []}
    assert repr(empty) == "Detections(nothing in 6 x 9, with masks)"


def test_empty_results_of_other_tasks() -> None:
    assert Poses.empty(SIZE, PERSON).to_coco(3) == []
    assert Poses.empty(SIZE, PERSON).to_dict()["people"] == []
    assert SemanticSegmentation.empty(SIZE, CATEGORIES).to_coco(3) == []
    assert PanopticSegmentation.empty(SIZE, CATEGORIES).to_coco(3)["segments_info"] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": np.zeros((2, 4))}, r"Detections\.boxes must be float32 \[N, 4\], but is float64 \[2, 4\]"),
        ({"boxes": np.zeros((2, 5), np.float32)}, r"boxes must be float32 \[N, 4\], but is float32 \[2, 5\]"),
        ({"boxes": [[0, 0, 1, 1]]}, "boxes must be a numpy array, .* but is list"),
        ({"boxes": np.full((2, 4), np.nan, np.float32)}, "boxes contains NaN or infinity"),
        ({"boxes": np.array([[0, 0, 1, 1], [3, 0, 2, 1]], np.float32)}, "x2 >= x1 .* row 1"),
        ({"scores": np.zeros(3, np.float32)}, r"scores must be float32 \[N\] with N = 2, but is float32 \[3\]"),
        ({"labels": np.zeros(2, np.int32)}, r"labels must be int64 \[N\] .* is int32 \[2\]"),
        ({"labels": np.array([0, 3])}, "labels must be from 0 to 2, .* reach from 0 to 3"),
        ({"labels": np.array([-1, 0])}, "reach from -1 to 0"),
        ({"masks": np.zeros((2, 9, 6), bool)}, r"masks must be bool \[N, H, W\] with N = 2, H = 6, W = 9"),
        ({"masks": np.zeros((2, *SIZE), np.uint8)}, "masks must be bool .* is uint8"),
        ({"image_size": (6, 9.0)}, r"image_size must be \(height, width\), two positive integers"),
        ({"image_size": (0, 9)}, "image_size must be"),
        ({"categories": ["person"]}, "categories must be Categories, but is list"),
    ],
)
def test_invalid_detections_are_rejected_with_field_and_shapes(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        detections(**change)


def test_results_are_read_only() -> None:
    result = detections()
    boxes = np.zeros((2, 4), np.float32)
    with pytest.raises(ValueError, match="read-only"):
        result.boxes[0] = 0
    with pytest.raises(AttributeError):
        result.boxes = boxes  # type: ignore[misc]
    detections(boxes=boxes)
    boxes[0] = 1  # the array of the caller stays writable


def test_instances_are_selected() -> None:
    result = detections()
    assert len(result) == 2
    np.testing.assert_array_equal(result[::-1].scores, result.scores[::-1])
    np.testing.assert_array_equal(result[np.array([1, 1])].labels, [0, 0])
    np.testing.assert_array_equal(result[[False, True]].labels, [0])
    assert result[-1].masks is not None
    assert result[-1].masks.shape == (1, *SIZE)
    assert [item.labels.item() for item in result] == [1, 0]
    assert [len(result.above(score)) for score in (0.0, 0.25, 0.3, 0.9, 0.95)] == [2, 2, 1, 1, 0]
    assert repr(result) == "Detections(1 person, 1 dog in 6 x 9, with masks)"
    with pytest.raises(IndexError):
        result[2]


def test_detections_as_coco_results() -> None:
    result = detections()
    first, second = result.to_coco(image_id=42)
    assert first["bbox"] == [2.0, 1.0, 3.0, 2.0]
    assert (first["image_id"], first["category_id"], second["category_id"]) == (42, 18, 1)
    assert first["score"] == pytest.approx(0.9)
    assert result.masks is not None
    for row, mask in zip((first, second), result.masks, strict=True):
        np.testing.assert_array_equal(coco_mask.decode(row["segmentation"]), mask)
    assert "segmentation" not in detections(masks=None).to_coco(42)[0]
    assert "mask" not in detections(masks=None).to_dict()["detections"][0]


@settings(max_examples=50, deadline=None)
@given(mask=hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_rle_matches_pycocotools_for_any_memory_order(mask: np.ndarray) -> None:
    expected = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    for layout in (mask, np.asfortranarray(mask), np.repeat(mask, 2, axis=1)[:, ::2]):
        rle = mask_to_rle(layout)
        assert rle == {"size": list(mask.shape), "counts": expected}
        np.testing.assert_array_equal(rle_to_mask(json.loads(json.dumps(rle))), mask)


@settings(max_examples=50, deadline=None)
@given(boxes=hnp.arrays(np.float32, (5, 4), elements=st.floats(0, 4096, width=32)))
def test_box_formats_round_trip(boxes: np.ndarray) -> None:
    corners = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)
    xywh = xyxy_to_xywh(corners)
    assert (xywh[:, 2:] >= 0).all()
    np.testing.assert_allclose(xywh_to_xyxy(xywh), corners, rtol=0, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(data=st.data(), count=st.integers(0, 4), masks=st.booleans())
def test_detections_are_json_serializable(data: st.DataObject, count: int, masks: bool) -> None:
    corners = np.sort(data.draw(hnp.arrays(np.float32, (count, 2, 2), elements=st.floats(0, 9, width=32))), axis=1)
    result = detections(
        boxes=corners.reshape(count, 4),
        scores=data.draw(hnp.arrays(np.float32, count, elements=st.floats(0, 1, width=32))),
        labels=data.draw(hnp.arrays(np.int64, count, elements=st.integers(0, 2))),
        masks=data.draw(hnp.arrays(np.bool_, (count, *SIZE))) if masks else None,
    )
    rows = json.loads(json.dumps(result.to_dict()))["detections"]
    assert json.loads(json.dumps(result.to_coco(1))) == result.to_coco(1)
    np.testing.assert_array_equal(np.array([row["box"] for row in rows], np.float32).reshape(-1, 4), result.boxes)
    np.testing.assert_array_equal(np.array([row["score"] for row in rows], np.float32), result.scores)
    assert [row["id"] for row in rows] == [CATEGORIES.ids[label] for label in result.labels]
    if result.masks is not None:
        for row, mask in zip(rows, result.masks, strict=True):
            np.testing.assert_array_equal(rle_to_mask(row["mask"]), mask)


def test_semantic_segmentation() -> None:
    labels = np.array([[0, 0, 2], [255, 2, 2]], np.uint8)
    result = semantic(labels)
    assert result.areas() == {2: 3, 0: 2}
    rows = json.loads(json.dumps(result.to_dict()))["segments"]
    assert [(row["name"], row["id"], row["area"]) for row in rows] == [("sky", 90, 3), ("person", 1, 2)]
    np.testing.assert_array_equal(rle_to_mask(rows[0]["mask"]), labels == 2)
    assert [row["category_id"] for row in result.to_coco(5)] == [90, 1]
    with pytest.raises(ValueError, match="labels must be from 0 to 2"):
        semantic(np.full((2, 2), 3, np.uint8))
    with pytest.raises(ValueError, match=r"labels must be uint8 \[H, W\].*int64"):
        semantic(labels.astype(np.int64))


def test_semantic_labels_are_uint16_for_more_than_255_classes() -> None:
    tables = [Categories(tuple(Category(i, str(i), (0, 0, 0)) for i in range(count))) for count in (255, 256)]
    assert [SemanticSegmentation.label_dtype(table) for table in tables] == [np.uint8, np.uint16]
    assert semantic(np.full((1, 1), 255, np.uint16), tables[1]).areas() == {255: 1}
    assert semantic(np.full((1, 1), 65535, np.uint16), tables[1]).areas() == {}


def test_panoptic_segmentation() -> None:
    result = panoptic()
    assert repr(result) == "PanopticSegmentation(1 things and 1 stuff in 6 x 9)"
    rows = json.loads(json.dumps(result.to_dict()))["segments"]
    assert [(row["segment"], row["name"], row["score"], row["area"]) for row in rows] == [
        (300, "dog", 0.75, 6),
        (7, "sky", None, 39),
    ]
    np.testing.assert_array_equal(rle_to_mask(rows[0]["mask"]), result.segments == 300)
    row = result.to_coco(139)
    assert row["file_name"] == "000000000139.png"
    assert [segment["category_id"] for segment in row["segments_info"]] == [18, 90]
    red, green, blue = np.moveaxis(result.to_coco_png().astype(int), 2, 0)
    np.testing.assert_array_equal(red + 256 * green + 65536 * blue, result.segments)
    assert panoptic(detections=detections()).to_dict()["detections"] == detections().to_dict()["detections"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segments_info": []}, "one entry for each id"),
        ({"segments": np.zeros(SIZE, np.int32)}, "one entry for each id"),
        ({"segments": np.zeros(SIZE, np.int64)}, r"segments must be int32 \[H, W\]"),
        ({"segments_info": [{"id": 1}]}, "entries must have id, category, isthing, score, area"),
        ({"detections": Detections.empty((5, 5), CATEGORIES)}, r"image_size \(6, 9\), but has \(5, 5\)"),
    ],
)
def test_invalid_panoptic_segmentation_is_rejected(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        panoptic(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"area": 5}, "area in pixels"), ({"category": 3}, "categories must be from 0 to 2"), ({"id": 0}, "ids must be")],
)
def test_invalid_segments_info_is_rejected(change: dict[str, Any], message: str) -> None:
    first, second = panoptic().segments_info
    with pytest.raises(ValueError, match=message):
        panoptic(segments_info=[{**first, **change}, second])


def test_poses() -> None:
    result = poses()
    # Box score 0.8 times the mean of 0.5 and 0.9; 0.1 is under mmpose's threshold.
    assert result.person_scores().tolist() == [pytest.approx(0.8 * 0.7)]
    assert poses(scores=np.zeros((1, 3), np.float32)).person_scores().tolist() == [0]
    (row,) = result.to_coco(7)
    assert row["keypoints"] == [1, 2, 1, 3.5, 2, 1, 2, 3, 1]
    assert row["score"] == pytest.approx(0.56)
    (person,) = json.loads(json.dumps(result.to_dict()))["people"]
    assert person["box"] == [0, 1, 5, 6]
    assert len(result.above(0.8)) == len(result[0]) == 1
    assert len(result.above(0.9)) == 0
    with pytest.raises(ValueError, match=r"keypoints must be float32 \[N, K, 2\] with N = 1, K = 3"):
        poses(keypoints=np.zeros((1, 4, 2), np.float32))
    with pytest.raises(ValueError, match=r"box_scores must be .* N = 1"):
        poses(box_scores=np.zeros(2, np.float32))


def test_classification() -> None:
    result = classification(0.25, 0.5, 0.25)
    assert result.top == ((1, "dog", 0.5), (0, "person", 0.25), (2, "sky", 0.25))
    assert [item.label for item in result.topk(1)] == [1]
    assert json.loads(json.dumps(result.to_dict()))["top"][0] == {
        "label": 1,
        "id": 18,
        "name": "dog",
        "probability": 0.5,
    }
    with pytest.raises(ValueError, match=r"probabilities must be .* num_classes = 3"):
        classification(1, 0)


def test_top_has_the_five_most_probable_classes() -> None:
    probabilities = np.zeros(1000, np.float32)
    probabilities[[3, 999]] = 0.5
    result = Classification(probabilities, image_size=SIZE, categories=class_table("imagenet"))
    assert [item.label for item in result.top] == [3, 999, 0, 1, 2]


def test_conversion_to_supervision() -> None:
    pytest.importorskip("supervision")
    converted = detections().to_supervision()
    assert converted.xyxy.shape == (2, 4)
    assert converted.mask.shape == (2, *SIZE)
    assert converted.data["class_name"].tolist() == ["dog", "person"]
    assert len(Detections.empty(SIZE, CATEGORIES).to_supervision()) == 0
    assert poses().to_supervision().xy.shape == (1, 3, 2)
    segments = panoptic().to_supervision()
    assert segments.xyxy.tolist() == [[3, 2, 6, 4], [0, 1, 9, 6]]
    assert segments.confidence.tolist() == [0.75, 1]
    assert classification(0.2, 0.8, 0).to_supervision().get_top_k(1)[0].tolist() == [1]


def test_missing_supervision_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UsageError, match=r"splitnest\[viz\]"):
        detections().to_supervision()
