"""COCO metrics: edge cases, results files, and detections that do not fit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.coco_detections import SIZE, detections, square, write
from splitnest.data.detection.dataset import DetectionDataset
from splitnest.errors import DataError, OutputError
from splitnest.metrics.coco import IOUS, CocoEvaluator
from splitnest.structures import Detections
from splitnest.structures.box_masks import BoxMasks
from splitnest.structures.categories import from_names
from splitnest.structures.class_tables import class_table
from splitnest.structures.masks import mask_to_rle


def test_images_without_detections_have_metrics_of_zero(tmp_path: Path) -> None:
    evaluator = CocoEvaluator(write(tmp_path))
    empty = evaluator.compute()
    evaluator.update(3, detections())
    evaluator.update(8, detections(masks=np.zeros((0, *SIZE), bool)))
    assert evaluator.compute() == empty
    assert evaluator.results() == []
    assert len(empty) == 24
    assert all(value == (-1.0 if "large" in name else 0.0) for name, value in empty.items())
    assert evaluator.per_class()["unicorn"] == {"box_ap": -1.0, "mask_ap": -1.0}


def test_file_without_instances_has_undefined_metrics(tmp_path: Path) -> None:
    evaluator = CocoEvaluator(write(tmp_path, annotations=[]), ["bbox"])
    evaluator.update(3, detections([[1, 1, 1, 1]], [1], [0]))
    assert set(evaluator.compute().values()) == {-1.0}


BOXES = [[5, 5, 25, 25], [12, 3, 47, 38], [0, 0, 9, 9]]


def perfect(**changes: Any) -> Detections:
    """Return detections of both instances of image 3, and a wrong one."""
    masks = np.zeros((3, *SIZE), bool)
    masks[0, 5:25, 5:25] = masks[1, 3:38, 12:47] = masks[2, :9, :9] = True
    return detections(**{"boxes": BOXES, "scores": [0.9, 0.75, 0.5], "labels": [0, 1, 2], "masks": masks, **changes})


def test_average_precision_at_one_threshold(tmp_path: Path) -> None:
    evaluator = CocoEvaluator(write(tmp_path), ["bbox"])
    assert [evaluator.average_precision("bbox", iou) for iou in IOUS] == [0] * 10
    boxes = np.array(BOXES, float)
    boxes[0, 2] -= 4.4  # IoU of 0.78 with the first instance
    evaluator.update(3, perfect(boxes=boxes))
    metrics, by_iou = evaluator.compute(), [evaluator.average_precision("bbox", iou) for iou in IOUS]
    assert by_iou == pytest.approx([1] * 6 + [0.5] * 4)
    assert np.mean(by_iou) == pytest.approx(metrics["box_ap"])
    assert (by_iou[0], by_iou[5]) == (metrics["box_ap50"], metrics["box_ap75"])
    for iou_type, iou in (("bbox", 0.87), ("segm", 0.5)):
        with pytest.raises(ValueError, match=f"{iou_type} at {iou} is not evaluated"):
            evaluator.average_precision(iou_type, iou)  # type: ignore[arg-type]


def test_results_file_has_all_detections(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
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
    with pytest.raises(OutputError, match="cannot be written"):
        evaluator.write(out / "below.json")


def test_cropped_masks_equal_dense_masks(tmp_path: Path) -> None:
    path = write(tmp_path)
    crops = tuple(np.ones((side, side), bool) for side in (20, 35, 9))
    cropped = BoxMasks(crops, np.array([[5, 5], [3, 12], [0, 0]]), SIZE)
    of_dense, of_cropped = CocoEvaluator(path), CocoEvaluator(path)
    of_dense.update(3, perfect())
    of_cropped.update(3, perfect(masks=cropped))
    assert of_cropped.results() == of_dense.results()


def test_file_with_some_classes_of_the_model(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, categories=[{"id": 1, "name": "person"}, {"id": 4, "name": "motorcycle"}])
    evaluator = CocoEvaluator(DetectionDataset.from_coco(tmp_path, path, class_table("coco")), ["bbox"])
    evaluator.update(3, perfect(labels=[0, 3, 79], categories=class_table("coco")))
    assert [row["category_id"] for row in evaluator.results()] == [1, 4, 90]
    assert evaluator.compute()["box_ap"] == pytest.approx(1)
    assert set(evaluator.per_class()) == {"person", "motorcycle"}
    assert capfd.readouterr() == ("", "")


def test_classes_of_the_same_name_get_their_id(tmp_path: Path) -> None:
    path = write(tmp_path, categories=[{"id": 1, "name": "fish"}, {"id": 4, "name": "fish"}])
    assert set(CocoEvaluator(path, ["bbox"]).per_class()) == {"fish (id 1)", "fish (id 4)"}


def test_file_without_annotations_has_no_metrics(tmp_path: Path) -> None:
    evaluator = CocoEvaluator(write(tmp_path, annotations=None))
    evaluator.update(3, perfect())
    evaluator.write(tmp_path / "results.json")
    assert len(json.loads((tmp_path / "results.json").read_text())) == 3
    for metric in (evaluator.compute, evaluator.per_class):
        with pytest.raises(DataError, match="no metrics can be computed"):
            metric()


def test_mask_metrics_need_segmentations(tmp_path: Path) -> None:
    bare = {"id": 1, "image_id": 3, "category_id": 1, **square(5, 5, 20), "segmentation": []}
    path = write(tmp_path, annotations=[bare])
    CocoEvaluator(path, ["bbox"])
    with pytest.raises(DataError, match=r"1 of 1 annotations have no segmentation, such as annotation 1 of 3\.jpg"):
        CocoEvaluator(path)


def test_detections_that_do_not_fit_are_errors(tmp_path: Path) -> None:
    evaluator = CocoEvaluator(write(tmp_path))
    four_classes = from_names(["cat", "person", "unicorn", "dog"])
    for image_id, wrong, message in (
        (5, perfect(), "has no image 5"),
        (3, perfect(masks=None), "3 detections of image 3 have 0 masks"),
        (3, perfect(masks=perfect().masks[:, :-1], image_size=(39, 50)), r"size \(39, 50\), not \[40, 50\]"),
        (3, perfect(labels=[0, 1, 3], categories=four_classes), "labels outside the 3 classes"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluator.update(image_id, wrong)
    evaluator.update(3, perfect())
    with pytest.raises(ValueError, match="added before"):
        evaluator.update(3, perfect())


@pytest.mark.parametrize("changes", [{"labels": [0, -1, 2]}, {"scores": [0, np.nan, 1]}], ids=str)
def test_detections_validate_labels_and_scores(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Detections\.(labels|scores)"):
        perfect(**changes)
