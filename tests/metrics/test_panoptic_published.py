"""Panoptic quality against published numbers of panopticapi, torchmetrics, mmdetection and others."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from helpers.panoptic_segments import Segment, classes, ground_truth, prediction, quality_of
from splitnest.metrics.panoptic_quality import PanopticQuality
from splitnest.structures.categories import Categories, Category

Segments = tuple[NDArray[np.int32], list[Segment]]
Shared = Callable[[str], Path]


def segment_ids(path: Path) -> NDArray[np.int64]:
    """Read a PNG file of COCO's panoptic format."""
    return np.array(Image.open(path).convert("RGB"), np.int64) @ [1, 256, 65536]


def renumbered(segment_map: NDArray[np.int64], segments: list[Segment]) -> Segments:
    """Number the segments from 1, as one published file has a segment with id 0."""
    new_map = np.zeros(segment_map.shape, np.int32)
    for number, segment in enumerate(segments, start=1):
        new_map[segment_map == segment.id] = number
    return new_map, [segment._replace(id=number) for number, segment in enumerate(segments, start=1)]


def coco_images(path: Path, categories: Categories) -> Iterator[Segments]:
    """Yield the segments of each image of a panoptic file."""
    for image in json.loads(path.read_text())["annotations"]:
        infos = image["segments_info"]
        segments = [Segment(i["id"], categories.ids.index(i["category_id"]), bool(i["iscrowd"])) for i in infos]
        segment_map = segment_ids(path.with_suffix("") / image["file_name"])
        assert [info["area"] for info in infos] == [(segment_map == info["id"]).sum() for info in infos]
        yield renumbered(segment_map, segments)


def coco_classes(path: Path) -> Categories:
    rows = json.loads(path.read_text())["categories"]
    return Categories(tuple(Category(row["id"], row["name"], (0, 0, 0), bool(row["isthing"])) for row in rows))


def test_metrics_of_panopticapi_are_reproduced(shared_data: Shared) -> None:
    folder = shared_data("oracle_panoptic")
    expected = json.loads((folder / "expected.json").read_text())["coco_format"]
    gt_path, predictions_path = folder / expected["gt"][0], folder / expected["pred"][0]
    categories = coco_classes(gt_path)
    quality = PanopticQuality(categories)
    images = zip(coco_images(gt_path, categories), coco_images(predictions_path, categories), strict=True)
    for (gt_map, gt_segments), (predicted_map, segments) in images:
        quality.update(ground_truth(gt_map, *gt_segments), prediction(predicted_map, *segments, categories=categories))
    published, metrics = expected["panopticapi_run"], quality.compute()
    for name, suffix in (("All", ""), ("Things", "_things"), ("Stuff", "_stuff")):
        for metric in ("pq", "sq", "rq"):
            assert metrics[metric + suffix] == pytest.approx(published[name][metric], abs=1e-12)
    per_class = quality.per_class()
    assert len(published["per_class"]) == len(categories)
    for category in categories:
        assert per_class[category.name] == pytest.approx(published["per_class"][str(category.id)], abs=1e-12)


def segments_of(labels: NDArray[np.integer], instances: NDArray[np.integer]) -> Segments:
    """Return the segments of maps of class and instance; pixels of class -1 are void."""
    codes = np.where(labels < 0, 0, (labels.astype(int) + 1) * 1000 + instances)
    return renumbered(codes, [Segment(code, code // 1000 - 1) for code in np.unique(codes).tolist() if code])


def quality_of_maps(gt: Segments, predicted: Segments, categories: Categories) -> PanopticQuality:
    (gt_map, gt_segments), (predicted_map, segments) = gt, predicted
    return quality_of(ground_truth(gt_map, *gt_segments), prediction(predicted_map, *segments, categories=categories))


def test_metrics_of_the_team_image_are_reproduced(shared_data: Shared) -> None:
    """Class 0 is void: the evaluator that was published with the image ignores it except in its own row."""
    folder = shared_data("oracle_panoptic")
    expected = json.loads((folder / "expected.json").read_text())["team_image"]

    def read(key: str, mode: str) -> NDArray[np.int64]:
        return np.array(Image.open(folder / expected[key].split(" ")[0]).convert(mode), np.int64)

    colors = read("pred_class", "RGB") @ [1, 256, 65536]
    predicted_labels = np.full(colors.shape, -1)
    for color, label in expected["pred_class_colours"].items():
        predicted_labels[colors == np.array(color.split(","), int) @ [1, 256, 65536]] = label - 1
    gt_instances = read("gt_instance", "L")
    gt_labels = np.full(gt_instances.shape, -1)
    for value, label in expected["gt_instance_value_to_class"].items():
        gt_labels[gt_instances == int(value)] = label - 1
    categories = classes(expected["num_categories"] - 1, 0)
    gt, predicted = segments_of(gt_labels, gt_instances), segments_of(predicted_labels, read("pred_instance", "L"))
    quality = quality_of_maps(gt, predicted, categories)
    assert quality.compute()["pq"] == pytest.approx(expected["pq"], abs=1e-6)
    for label in (1, 2):
        of_class = quality.per_class()[f"class {label - 1}"]
        tp, fn, fp = (expected[key][label] for key in ("tp", "fn", "fp"))
        assert of_class["pq"] == pytest.approx(expected["pq_per_class"][label], abs=1e-6)
        assert of_class["rq"] == pytest.approx(tp / (tp + (fn + fp) / 2), abs=1e-12)
        assert of_class["sq"] * tp == pytest.approx(
            expected["iou_per_class"][label], abs=1e-5
        )  # published with 5 digits


def test_metrics_of_torchmetrics_are_reproduced(shared_data: Shared) -> None:
    expected = json.loads((shared_data("oracle_arrays") / "expected.json").read_text())["panoptic_torchmetrics"]
    things, stuff = expected["things"], expected["stuff"]
    categories = classes(len(things), len(stuff))
    target, preds = (np.array(expected[key]) for key in ("target", "preds"))
    index = np.zeros(10, int)
    index[things + stuff] = np.arange(len(categories))
    gt, predicted = (segments_of(index[pixels[..., 0]], pixels[..., 1]) for pixels in (target, preds))
    quality = quality_of_maps(gt, predicted, categories)
    assert quality.compute()["pq"] == pytest.approx(expected["pq"], abs=5e-5)  # published with 4 digits


def test_metrics_of_mmdetection_are_reproduced(shared_data: Shared) -> None:
    expected = json.loads((shared_data("oracle_arrays") / "expected.json").read_text())["panoptic_mmdet"]
    categories = classes(2, 1)

    def painted(image: dict[str, Any]) -> Segments:
        segment_map = np.ones((expected["height"], expected["width"]), np.int32)
        segments = [Segment(1, image["background_class"])]
        for number, segment in enumerate(image["segments"], start=2):
            x, y, width, height = segment["box"]
            segment_map[y : y + height, x : x + width] = number
            segments.append(Segment(number, segment["class"]))
        return segment_map, segments

    metrics = quality_of_maps(painted(expected["gt"]), painted(expected["pred"]), categories).compute()
    for name, value in expected["percent"].items():
        key = name.lower().replace("_th", "_things").replace("_st", "_stuff")
        assert 100 * metrics[key] == pytest.approx(value, abs=1e-9)
