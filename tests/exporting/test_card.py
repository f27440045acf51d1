"""Model cards: metadata that the hub reads, metrics, text."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import splitnest
from helpers.families import load_small
from splitnest.exporting.card import card, measured_percent
from splitnest.weights.save import save


def parts(text: str) -> tuple[dict[str, Any], str]:
    """Return the metadata and the text of a card."""
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def test_card_of_a_published_model() -> None:
    head, body = parts(card("resnest50_imagenet.official"))
    assert head["license"] == "apache-2.0"
    assert (head["library_name"], head["pipeline_tag"]) == ("splitnest", "image-classification")
    assert head["datasets"] == ["imagenet-1k"]
    (result,) = head["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "top1", "name": "top1, in percent", "value": 81.03}]
    assert 'splitnest.load("resnest50_imagenet.official")' in body
    assert "and 900 more" in body


@pytest.mark.parametrize(
    ("name", "license", "metrics"),
    [
        ("mask_rcnn_R_50_FPN_3x.detectron2", "cc-by-sa-3.0", {"box_ap": 41.0, "mask_ap": 37.2}),
        ("simplebaseline_resnest50_256x192_coco.mmpose", "apache-2.0", {"ap": 72.1}),
    ],
)
def test_licenses_and_percent(name: str, license: str, metrics: dict[str, float]) -> None:
    head, _ = parts(card(name))
    rows = {row["type"]: row["value"] for row in head["model-index"][0]["results"][0]["metrics"]}
    assert head["license"] == license
    assert {key: rows[key] for key in metrics} == metrics


def test_card_of_a_file_without_metrics(tmp_path: Path) -> None:
    predictor = load_small("mask_rcnn_resnest50_fpn_1x_coco.mmdet")
    path = tmp_path / "small.safetensors"
    save(predictor.module, predictor.recipe, path)
    head, body = parts(card(path, license="mit", repository="name/fruit"))
    assert head["license"] == "mit"
    assert "model-index" not in head
    assert "license" not in parts(card(path))[0]
    assert "splitnest pull name/fruit --out fruit.safetensors" in body
    assert 'splitnest.load("fruit.safetensors")' in body


def test_measured_metrics() -> None:
    metrics = {"box_ap": 0.1234, "box_ap_small": 0.1, "mask_ap": -1.0, "val_loss": 0.5, "epe": 12.0}
    assert measured_percent(metrics) == {"box_ap": 12.34}
    assert measured_percent({}) == {}


def test_nothing_of_this_name() -> None:
    with pytest.raises(splitnest.UsageError, match="No published model"):
        card("no_such_model")
