"""COCO metrics: published numbers, pycocotools as the oracle, and the cases that make evaluators crash."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from splitnest.data.categories import named
from splitnest.data.coco import CocoDetection
from splitnest.data.coco_file import CocoFile, read_coco
from splitnest.errors import DataError
from splitnest.evaluation.coco import IOUS, CocoEvaluator, IouType
from splitnest.results.interop import mask_to_rle

PUBLISHED = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_small": "APs",
    "ap_medium": "APm",
    "ap_large": "APl",
    "ar1": "AR1",
    "ar10": "AR10",
    "ar100": "AR100",
    "ar_small": "ARs",
    "ar_medium": "ARm",
    "ar_large": "ARl",
}
KEYS = list(PUBLISHED)
PREFIXES: dict[IouType, str] = {"bbox": "box", "segm": "mask"}


class Found(NamedTuple):
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: Any = None


NOTHING = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


def square(x: float, y: float, side: float) -> dict[str, Any]:
    return {
        "bbox": [x, y, side, side],
        "area": side * side,
        "iscrowd": 0,
        "segmentation": [[x, y, x + side, y, x + side, y + side, x, y + side]],
    }


def write(folder: Path, **changes: Any) -> Path:
    """Write a file of two images and three classes, one of which has no object."""
    content = {
        "images": [{"id": id_, "file_name": f"{id_}.jpg", "height": 40, "width": 50} for id_ in (3, 8)],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 1, **square(5, 5, 20)},
            {"id": 2, "image_id": 3, "category_id": 4, **square(12, 3, 35)},
        ],
        "categories": [{"id": 4, "name": "cat"}, {"id": 1, "name": "person"}, {"id": 9, "name": "unicorn"}],
        **changes,
    }
    path = folder / "annotations.json"
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return path


def oracle_metrics(path: Path, rows: list[dict[str, Any]], iou_type: IouType) -> tuple[list[float], list[float]]:
    """Return the twelve numbers of pycocotools, and AP of each class."""
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(path)
        evaluation = cocoeval.COCOeval(truth, truth.loadRes(rows), iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    per_class = [precision[:, :, k][precision[:, :, k] > -1] for k in range(precision.shape[2])]
    return evaluation.stats.tolist(), [float(values.mean()) if len(values) else -1.0 for values in per_class]


def numbers(evaluator: CocoEvaluator, iou_type: IouType) -> list[float]:
    metrics = evaluator.compute()
    return [metrics[f"{PREFIXES[iou_type]}_{key}"] for key in KEYS]


def fed(path: Path, rows: list[dict[str, Any]], iou_type: IouType) -> CocoEvaluator:
    """Feed the rows of a results file to an evaluator image by image."""
    evaluator, masks = CocoEvaluator(path, [iou_type]), pytest.importorskip("pycocotools.mask")
    file = read_coco(path)
    label_of_id = {id_: label for label, id_ in enumerate(evaluator.categories.ids)}
    for image_id, (height, width) in zip(file.image_ids.tolist(), file.sizes_hw.tolist(), strict=True):
        mine = [row for row in rows if row["image_id"] == image_id]
        rles = [row["segmentation"] for row in mine] if iou_type == "segm" else []
        rles = [masks.merge(masks.frPyObjects(rle, height, width)) if isinstance(rle, list) else rle for rle in rles]
        boxes = np.array([row["bbox"] if iou_type == "bbox" else [0] * 4 for row in mine], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = np.array([label_of_id[row["category_id"]] for row in mine], np.int64)
        evaluator.update(image_id, Found(boxes, np.array([row["score"] for row in mine]), labels, rles))
    return evaluator


@pytest.mark.parametrize(
    ("case", "iou_type", "tolerance"),
    [
        ("val2014_100", "bbox", 1e-9),
        ("val2014_100", "segm", 1e-9),
        ("nocrowd", "bbox", 1e-6),  # published with 6 digits
        ("small_segm", "segm", 1e-9),
        ("small_ignore_bbox", "bbox", 1e-9),
    ],
)
def test_published_numbers(shared_data: Callable[[str], Path], case: str, iou_type: IouType, tolerance: float) -> None:
    folder = shared_data("oracle_coco_ap")
    oracle = json.loads((folder / "expected.json").read_text())[case]
    expected = oracle.get(iou_type, oracle.get("stats"))
    rows = json.loads((folder / (oracle.get("dt") or expected["dt"])).read_text())
    rows = rows["annotations"] if isinstance(rows, dict) else rows
    if case == "small_ignore_bbox":
        rows = [row for row in rows if row["score"] >= 0.1]
    stats = expected.get("stats", expected) if isinstance(expected, dict) else expected
    stats = [stats[key] for key in PUBLISHED.values()] if isinstance(stats, dict) else stats
    evaluator = fed(folder / oracle["gt"], rows, iou_type)
    computed = numbers(evaluator, iou_type)
    assert computed == pytest.approx(stats, abs=tolerance, rel=0)
    if case != "small_ignore_bbox":  # its image ids are strings, which pycocotools does not take for numbers
        assert computed == oracle_metrics(folder / oracle["gt"], evaluator.results(iou_type), iou_type)[0]


def synthetic(folder: Path, rng: np.random.Generator) -> Path:
    """Write a file of ten images with squares, some of them crowds as RLE, small and medium but none large."""
    annotations = []
    for n in range(60):
        x, y, side = rng.uniform([0, 0, 5], [30, 30, 35])
        row = {"id": 7 * n + 1, "image_id": int(rng.integers(0, 9)), "category_id": int(rng.choice([2, 30, 31]))}
        annotations.append({**row, **square(float(x), float(y), float(side))})
        if n % 10 == 0:
            mask = np.zeros((80, 70), bool)
            mask[int(y) : int(y + side), int(x) : int(x + side)] = True
            annotations[-1] |= {"iscrowd": 1, "segmentation": mask_to_rle(mask)}
    return write(
        folder,
        images=[{"id": id_, "file_name": f"{id_}.jpg", "height": 80, "width": 70} for id_ in range(10)],
        annotations=annotations,
        categories=[{"id": id_, "name": str(id_)} for id_ in (31, 30, 2, 5)],
    )


def random_detections(rng: np.random.Generator, file: CocoFile, index: int) -> Found:
    """Return detections near the annotations of an image, some of a wrong class, some anywhere, with ties."""
    height, width = file.sizes_hw[index]
    num_classes = len(file.categories)
    truth = file.boxes_xywh[file.image_index == index]
    guesses = np.concatenate([truth, truth, rng.uniform(0, 200, (5, 4))])
    guesses += rng.normal(0, 0.05, guesses.shape) * np.maximum(guesses[:, 2:].mean(1, keepdims=True), 10)
    corners = np.concatenate([guesses[:, :2], guesses[:, :2] + np.abs(guesses[:, 2:])], axis=1)
    boxes = corners.clip(0, [width, height] * 2).astype(np.float32)
    labels = np.concatenate([file.category_index[file.image_index == index]] * 2 + [rng.integers(0, num_classes, 5)])
    labels = np.where(rng.random(len(labels)) < 0.1, rng.integers(0, num_classes, len(labels)), labels)
    masks = np.zeros((len(boxes), height, width), bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes.round().astype(int), strict=True):
        mask[top:bottom, left:right] = rng.random((bottom - top, right - left)) < 0.9
    return Found(boxes, rng.integers(0, 40, len(boxes)).astype(np.float32) / 40, labels, masks)


@pytest.mark.parametrize("data", ["synthetic", "coco_mini"])
def test_random_detections_score_as_in_pycocotools(
    shared_data: Callable[[str], Path], tmp_path: Path, data: str
) -> None:
    rng = np.random.default_rng(0)
    real = data == "coco_mini"
    path = shared_data(data) / "annotations" / "instances_val2017.json" if real else synthetic(tmp_path, rng)
    file, evaluator = read_coco(path), CocoEvaluator(path)
    for index, image_id in enumerate(file.image_ids.tolist()):
        evaluator.update(image_id, random_detections(rng, file, index))
    per_class = evaluator.per_class()
    for iou_type, prefix in PREFIXES.items():
        expected, expected_per_class = oracle_metrics(path, evaluator.results(iou_type), iou_type)
        assert expected[0] > 0.05
        assert numbers(evaluator, iou_type) == expected
        assert [ap[f"{prefix}_ap"] for ap in per_class.values()] == expected_per_class
    assert list(per_class) == [name for _, name in file.categories]


def test_masks_are_encoded_as_in_pycocotools() -> None:
    oracle, rng = pytest.importorskip("pycocotools.mask"), np.random.default_rng(0)
    for density in (0, 0.01, 0.5, 1):
        mask = rng.random((33, 47)) < density
        for view in (mask, np.asfortranarray(mask), mask.T, mask[::-1, ::2]):
            expected = oracle.encode(np.asfortranarray(view, np.uint8))
            assert mask_to_rle(view) == {"size": expected["size"], "counts": expected["counts"].decode()}


def test_no_detections_give_zero(tmp_path: Path) -> None:
    evaluator = CocoEvaluator(write(tmp_path))
    empty = evaluator.compute()
    evaluator.update(3, NOTHING)
    evaluator.update(8, NOTHING._replace(masks=np.zeros((0, 40, 50), bool)))
    assert evaluator.compute() == empty
    assert evaluator.results() == []
    assert empty == {f"{prefix}_{key}": -1.0 if "large" in key else 0.0 for prefix in PREFIXES.values() for key in KEYS}
    assert evaluator.per_class()["unicorn"] == {"box_ap": -1.0, "mask_ap": -1.0}


def test_no_annotations_at_all(tmp_path: Path) -> None:
    evaluator = CocoEvaluator(write(tmp_path, annotations=[]), ["bbox"])
    evaluator.update(3, NOTHING._replace(boxes=np.ones((1, 4)), scores=np.ones(1), labels=np.zeros(1, int)))
    assert set(evaluator.compute().values()) == {-1.0}


def perfect() -> Found:
    boxes = np.array([[5, 5, 25, 25], [12, 3, 47, 38], [0, 0, 9, 9]], np.float32)
    masks = np.zeros((3, 40, 50), bool)
    masks[0, 5:25, 5:25] = masks[1, 3:38, 12:47] = masks[2, :9, :9] = True
    return Found(boxes, np.array([0.9, 0.75, 0.5], np.float32), np.array([0, 1, 2]), masks)


def test_the_precision_of_one_threshold(tmp_path: Path) -> None:
    evaluator = CocoEvaluator(write(tmp_path), ["bbox"])
    assert [evaluator.average_precision("bbox", iou) for iou in IOUS] == [0] * 10
    found = perfect()
    boxes = found.boxes.copy()
    boxes[0, 2] -= 4.4  # an IoU of 0.78 with the first object
    evaluator.update(3, found._replace(boxes=boxes))
    metrics, by_iou = evaluator.compute(), [evaluator.average_precision("bbox", iou) for iou in IOUS]
    assert by_iou == pytest.approx([1] * 6 + [0.5] * 4)
    assert np.mean(by_iou) == pytest.approx(metrics["box_ap"])
    assert (by_iou[0], by_iou[5]) == (metrics["box_ap50"], metrics["box_ap75"])
    for iou_type, iou in (("bbox", 0.87), ("segm", 0.5)):
        with pytest.raises(ValueError, match=f"{iou_type} at {iou} is not evaluated"):
            evaluator.average_precision(iou_type, iou)  # type: ignore[arg-type]


def test_what_is_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    evaluator = CocoEvaluator(write(tmp_path))
    evaluator.update(3, perfect())
    rows = evaluator.results()
    assert rows[1] == {
        "image_id": 3,
        "category_id": 4,
        "score": 0.75,
        "bbox": [12.0, 3.0, 35.0, 35.0],
        "segmentation": mask_to_rle(perfect().masks[1]),
    }
    assert rows[0]["score"] == float(np.float32(0.9))
    out = tmp_path / "out" / "results.json"
    evaluator.write(out)
    assert json.loads(out.read_text()) == rows
    assert [path.name for path in out.parent.iterdir()] == ["results.json"]
    assert evaluator.compute()["box_ap"] == evaluator.compute()["mask_ap"] == pytest.approx(1)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(DataError, match="cannot be written"):
        evaluator.write(out / "below.json")


def test_masks_may_come_as_rle(tmp_path: Path) -> None:
    path, found = write(tmp_path), perfect()
    from_masks, from_rle = CocoEvaluator(path), CocoEvaluator(path)
    from_masks.update(3, found)
    rles = [mask_to_rle(mask) for mask in found.masks]
    rles[0]["counts"] = rles[0]["counts"].encode()
    from_rle.update(3, found._replace(masks=rles))
    assert from_rle.results() == from_masks.results()


def test_a_subset_of_the_classes_of_the_model(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, categories=[{"id": 1, "name": "person"}, {"id": 4, "name": "motorcycle"}])
    evaluator = CocoEvaluator(CocoDetection(tmp_path, path, named("coco")), ["bbox"])
    evaluator.update(3, perfect()._replace(labels=np.array([0, 3, 79])))
    assert [row["category_id"] for row in evaluator.results()] == [1, 4, 90]
    assert evaluator.compute()["box_ap"] == pytest.approx(1)
    assert set(evaluator.per_class()) == {"person", "motorcycle"}
    assert capfd.readouterr() == ("", "")


def test_two_classes_of_one_name_are_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path, categories=[{"id": 1, "name": "fish"}, {"id": 4, "name": "fish"}])
    assert set(CocoEvaluator(path, ["bbox"]).per_class()) == {"fish (id 1)", "fish (id 4)"}


def test_a_test_set_has_no_metric(tmp_path: Path) -> None:
    evaluator = CocoEvaluator(write(tmp_path, annotations=None))
    evaluator.update(3, perfect())
    evaluator.write(tmp_path / "results.json")
    assert len(json.loads((tmp_path / "results.json").read_text())) == 3
    for metric in (evaluator.compute, evaluator.per_class):
        with pytest.raises(DataError, match="no metric can be had"):
            metric()


def test_masks_need_outlines(tmp_path: Path) -> None:
    bare = {"id": 1, "image_id": 3, "category_id": 1, **square(5, 5, 20), "segmentation": []}
    path = write(tmp_path, annotations=[bare])
    CocoEvaluator(path, ["bbox"])
    with pytest.raises(DataError, match=r"annotation 1 of 3\.jpg has no segmentation"):
        CocoEvaluator(path)


def test_updates_that_do_not_fit(tmp_path: Path) -> None:
    evaluator, found = CocoEvaluator(write(tmp_path)), perfect()
    for image_id, wrong, message in (
        (5, found, "has no image 5"),
        (3, found._replace(masks=None), "3 detections of image 3 have 0 masks"),
        (3, found._replace(masks=found.masks[:, :-1]), r"of size \[39, 50\], not \[40, 50\]"),
        (3, found._replace(labels=np.array([0, 1, 3])), "labels besides the 3 classes"),
        (3, found._replace(labels=np.array([0, -1, 2])), "labels besides the 3 classes"),
        (3, found._replace(scores=np.array([0, np.nan, 1])), "not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluator.update(image_id, wrong)
    evaluator.update(3, found)
    with pytest.raises(ValueError, match="added before"):
        evaluator.update(3, found)
