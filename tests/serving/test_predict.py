"""POST /predict: results of every task equal those of ``Predictor.predict``, in each form."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import splitnest
from helpers.families import FAMILIES, PANOPTIC, load_small
from helpers.service import Client, channel_means, encoded, form, pixels, running
from splitnest.inference.predictor import Predictor
from splitnest.recipe import overrides
from splitnest.serving import Limits

POSE = "simplebaseline_resnest50_256x192_coco.mmpose"
TASKS = (
    "resnest50_imagenet.official",
    "faster_rcnn_resnest50_fpn_1x_coco.mmdet",
    "mask_rcnn_resnest50_fpn_1x_coco.mmdet",
    PANOPTIC,
    "fcn_resnest101_d8_ade20k.mmseg",
    POSE,
)


def test_results_of_all_tasks_by_name() -> None:
    models = {name: load_small(name) for name in TASKS}
    image = pixels()
    with running(models) as client:
        for name, model in models.items():
            answer = client.predict(encoded(image), f"?model={name}")
            (expected,) = model.predict([image], **({"boxes_xywh": "whole"} if name == POSE else {}))
            assert answer.json == {"model": name, "task": model.recipe.task, "result": expected.to_dict()}
            picture = client.predict(encoded(image), f"?model={name}&format=png")
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(picture.body))), expected.draw(image))
            coco = client.predict(encoded(image), f"?model={name}&format=coco&image_id=7")
            if model.recipe.task == "classification":
                assert coco.status == 400
                assert "no COCO form" in coco.error
            else:
                assert coco.json == json.loads(json.dumps(expected.to_coco(7)))
        described = {row["name"]: row for row in client.get("/model").json["models"]}
    assert {row["task"] for row in described.values()} == {model.recipe.task for model in models.values()}
    assert len(described[POSE]["keypoints"]["names"]) == len(described[POSE]["keypoints"]["colors"]) == 17
    assert described[PANOPTIC]["classes"][-1]["is_thing"] is False
    assert set(FAMILIES) >= set(TASKS)


def test_pose_estimator_with_detector(detector: Predictor) -> None:
    pose, image = load_small(POSE), pixels()
    (expected,) = pose.predict([image], detector=detector)
    with running({"pose": pose}, detector=lambda: detector) as client:
        assert client.predict(encoded(image)).json["result"] == expected.to_dict()
        assert client.get("/model?model=pose").json["detector"] == detector.recipe.name


def test_onnx_file(tmp_path: Path) -> None:
    recipe = overrides.apply(load_small("resnest50_imagenet.official").recipe, {"data.classes": ["r", "g", "b"]})
    path, image = channel_means(tmp_path / "model.onnx", recipe), pixels()
    with running({"onnx": lambda: splitnest.load(path, device="cpu")}) as client:
        (expected,) = splitnest.load(path, device="cpu").predict([image])
        assert client.predict(encoded(image)).json["result"] == expected.to_dict()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_formats_and_forms(client: Client, detector: Predictor, kind: str) -> None:
    image = encoded(pixels(), kind)
    expected = detector.predict(Image.open(io.BytesIO(image)))[0].to_dict()
    assert client.predict(image, content_type=f"image/{kind.lower()}").json["result"] == expected
    assert client.request("POST", "/predict", image).json["result"] == expected  # curl -T sends no content type
    body, content_type = form(image, format="json", model="small")
    assert client.predict(body, content_type=content_type).json["result"] == expected


def test_scores(client: Client, detector: Predictor) -> None:
    image = pixels()
    (result,) = detector.predict([image])
    score = float(np.median(result.scores))
    assert 0 < len(result.above(score)) < len(result)
    answer = client.predict(encoded(image), f"?score={score}")
    assert answer.json["result"] == result.above(score).to_dict()
    picture = client.predict(encoded(image), f"?score={score}&format=png")
    expected = result.above(score).draw(image, score_threshold=0)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(picture.body))), expected)
    assert "stores no score thresholds" in client.predict(encoded(image), "?score=auto").error


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?score=2", "score is 2. Give a number from 0 to 1, or auto."),
        ("?score=nan", "score is nan"),
        ("?format=xml", "format is 'xml'. Use json, coco, png."),
        ("?image_id=-1", "image_id is '-1'"),
        ("?scores=1", "There is no parameter 'scores'. Use model, score, format, image_id."),
    ],
)
def test_wrong_parameters(client: Client, query: str, message: str) -> None:
    answer = client.predict(encoded(pixels()), query)
    assert answer.status == 400
    assert message in answer.error


def test_pages_and_description(client: Client) -> None:
    for path in ("/", "/docs"):
        answer = client.get(path)
        assert answer.status == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        text = answer.body.decode()
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text
    described = client.get("/openapi.json").json
    assert {"/predict", "/model", "/metrics", "/v2/models/{model}/infer"} <= set(described["paths"])
    assert described["paths"]["/predict"]["post"]["parameters"][0]["schema"]["enum"] == ["small"]


def test_statistics(client: Client) -> None:
    before = client.values()
    client.predict(encoded(pixels()))
    client.get("/v2/models/small")
    after = client.values()

    def added(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert added('splitnest_requests_total{endpoint="/predict",status="200"}') == 1
    assert added('splitnest_requests_total{endpoint="/v2/models/{model}",status="200"}') == 1
    assert added('splitnest_images_total{model="small"}') == 1
    assert added('splitnest_batch_size_bucket{le="1.0",model="small"}') == 1
    for stage in ("read", "decode", "queue", "network", "encode"):
        assert added(f'splitnest_stage_seconds_count{{model="small",stage="{stage}"}}') == 1
    assert after["splitnest_ready"] == 1
    assert after["splitnest_queue_length"] == after["splitnest_images_in_process"] == 0


def test_concurrent_requests_get_the_answers_of_single_ones(detector: Predictor) -> None:
    images = [pixels(seed, *size) for seed, size in enumerate([(40, 60), (60, 40), (40, 60), (50, 50)])]
    expected = [detector.predict([image])[0] for image in images]
    limits = Limits(max_batch=4, max_wait_ms=50)
    with running({"small": detector}, limits=limits) as client, ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda number: client.predict(encoded(images[number % 4])), range(48)))
        values = client.values()
    for number, answer in enumerate(answers):
        found = answer.json["result"]["detections"]
        assert len(found) == len(expected[number % 4])
        assert np.allclose([row["score"] for row in found], expected[number % 4].scores, atol=1e-5)
        assert np.allclose([row["box"] for row in found], expected[number % 4].boxes, atol=1e-2)
    assert values['splitnest_batch_size_sum{model="small"}'] == 49  # and the warm-up
    assert values['splitnest_batch_size_count{model="small"}'] < 40
