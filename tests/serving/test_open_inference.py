"""Open Inference Protocol: JSON and binary tensors, outputs of every task, broken requests, a client of Triton."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from helpers.families import PANOPTIC, load_small
from helpers.service import Answer, Client, encoded, pixels, running
from splitnest.inference.predictor import Predictor
from splitnest.structures.masks import rle_to_mask

IMAGES = [pixels(0), pixels(1, 50, 40)]
INFER = "/v2/models/small/infer"


def to_bytes(items: list[bytes]) -> bytes:
    return b"".join(len(item).to_bytes(4, "little") + item for item in items)


def infer(client: Client, content: Any, binary: bytes | None = None, path: str = INFER) -> Answer:
    header = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = {} if binary is None else {"Inference-Header-Content-Length": str(len(header))}
    return client.request("POST", path, header + (binary or b""), headers)


def as_base64(images: list[np.ndarray]) -> dict[str, Any]:
    data = [base64.b64encode(encoded(image)).decode() for image in images]
    return {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [len(images)], "data": data}]}


def arrays(answer: Answer) -> dict[str, np.ndarray]:
    """Return the outputs of an answer in JSON or with binary tensors."""
    assert answer.status == 200, answer.body
    length = int(answer.headers.get("inference-header-content-length", len(answer.body)))
    content, rest = json.loads(answer.body[:length]), answer.body[length:]
    assert (content["model_version"], len(rest) > 0) == ("1", length < len(answer.body))
    dtypes = {"FP32": np.float32, "INT64": np.int64, "BYTES": object}
    found = {}
    for row in content["outputs"]:
        if (size := row.get("parameters", {}).get("binary_data_size")) is not None:
            found[row["name"]] = np.frombuffer(rest[:size], dtypes[row["datatype"]]).reshape(row["shape"])
            rest = rest[size:]
        else:
            found[row["name"]] = np.array(row["data"], dtypes[row["datatype"]]).reshape(row["shape"])
    assert not rest
    return found


def check_detections(outputs: dict[str, np.ndarray], model: Predictor, images: list[np.ndarray]) -> None:
    for index, (image, expected) in enumerate(zip(images, model.predict(images), strict=True)):
        count = int(outputs["counts"][index])
        assert count == len(expected) > 0
        assert np.array_equal(outputs["boxes"][index, :count], expected.boxes)
        assert np.array_equal(outputs["scores"][index, :count], expected.scores)
        assert np.array_equal(outputs["labels"][index, :count], expected.labels)
        assert (outputs["labels"][index, count:] == -1).all()
        assert tuple(outputs["image_sizes"][index]) == image.shape[:2]
        if "masks" in outputs:
            size = list(image.shape[:2])
            assert expected.masks is not None
            for counts, mask in zip(outputs["masks"][index, :count], expected.masks, strict=True):
                assert np.array_equal(rle_to_mask({"size": size, "counts": counts}), mask)


def test_metadata(client: Client) -> None:
    assert client.get("/v2").json["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").status == client.get("/v2/health/ready").status == 200
    for path in ("/v2/models/small", "/v2/models/small/versions/1"):
        content = client.get(path).json
        assert content["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
        shapes = {row["name"]: (row["datatype"], row["shape"]) for row in content["outputs"]}
        assert shapes["boxes"] == ("FP32", [-1, -1, 4])
        assert shapes["masks"] == ("BYTES", [-1, -1])
        assert client.get(f"{path}/ready").status == 200
    assert client.get("/v2/models/small/versions/2/ready").status == 404


def test_images_in_json(client: Client, detector: Predictor) -> None:
    answer = infer(client, {"id": "7", **as_base64(IMAGES)})
    assert answer.json["id"] == "7"
    check_detections(arrays(answer), detector, IMAGES)


def test_binary_images_and_outputs(client: Client, detector: Predictor) -> None:
    binary = to_bytes([encoded(image) for image in IMAGES])
    names = ("counts", "boxes", "scores", "labels", "image_sizes")
    content = {
        "inputs": [
            {"name": "image", "datatype": "BYTES", "shape": [2, 1], "parameters": {"binary_data_size": len(binary)}}
        ],
        "outputs": [{"name": name, "parameters": {"binary_data": name != "counts"}} for name in names],
    }
    outputs = arrays(infer(client, content, binary))
    assert list(outputs) == list(names)
    check_detections(outputs, detector, IMAGES)


def test_pixels(client: Client, detector: Predictor) -> None:
    image = IMAGES[0]
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, *image.shape]}
    in_json = infer(client, {"inputs": [{**tensor, "data": image.tolist()}]})
    flat = infer(client, {"inputs": [{**tensor, "shape": list(image.shape), "data": image.ravel().tolist()}]})
    binary = {**tensor, "parameters": {"binary_data_size": image.size}}
    for answer in (in_json, flat, infer(client, {"inputs": [binary]}, image.tobytes())):
        check_detections(arrays(answer), detector, [image])


def test_score(client: Client, detector: Predictor) -> None:
    (result,) = detector.predict([IMAGES[0]])
    score = float(np.median(result.scores))
    outputs = arrays(infer(client, {**as_base64(IMAGES[:1]), "parameters": {"score": score}}))
    assert outputs["counts"].tolist() == [len(result.above(score))]
    nothing = arrays(infer(client, {**as_base64(IMAGES[:1]), "parameters": {"score": 1}}))
    assert nothing["boxes"].shape == (1, 0, 4)


def test_outputs_of_other_tasks() -> None:
    names = {
        "classifier": "resnest50_imagenet.official",
        "panoptic": PANOPTIC,
        "segmentor": "fcn_resnest101_d8_ade20k.mmseg",
        "pose": "simplebaseline_resnest50_256x192_coco.mmpose",
    }
    models = {name: load_small(row) for name, row in names.items()}
    image = IMAGES[0]
    with running(models) as client:
        found = {}
        for name in models:
            path = f"/v2/models/{name}"
            found[name] = arrays(infer(client, as_base64([image]), path=f"{path}/infer"))
            declared = {row["name"]: row for row in client.get(path).json["outputs"]}
            assert list(declared) == list(found[name])
            for output, array in found[name].items():
                shape = declared[output]["shape"]
                assert len(shape) == array.ndim
                assert all(side in (-1, size) for side, size in zip(shape, array.shape, strict=True))
        sizes = infer(client, as_base64(IMAGES), path="/v2/models/segmentor/infer")
    assert sizes.status == 400
    assert "different sizes" in sizes.error
    (classification,) = models["classifier"].predict([image])
    assert np.array_equal(found["classifier"]["probabilities"][0], classification.probabilities)
    assert np.array_equal(found["segmentor"]["label_map"][0], models["segmentor"].predict([image])[0].labels)
    assert np.array_equal(found["panoptic"]["segments"][0], models["panoptic"].predict([image])[0].segments)
    (pose,) = models["pose"].predict([image], boxes_xywh="whole")
    assert np.array_equal(found["pose"]["keypoints"][0], pose.keypoints)


BYTES = {"name": "image", "datatype": "BYTES", "shape": [1]}
UINT8 = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 3]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the body is not valid JSON"),
        (b"{", "the body is not valid JSON"),
        (b"[" * 100_000, "the body is not valid JSON"),
        (b"\xff\xfe", "the body is not valid JSON"),
        (b"[]", "the body must be an object"),
        ({}, "inputs must be a list of one input, 'image'"),
        ({"inputs": []}, "inputs must be a list of one input"),
        ({"inputs": [1]}, "inputs[0] must be an object"),
        ({"inputs": [{**BYTES, "name": "../a"}]}, "the input is called '../a'; its name must be 'image'"),
        ({"inputs": [BYTES]}, "the input has neither data nor binary_data_size"),
        ({"inputs": [{**BYTES, "shape": [-1], "data": []}]}, "shape must be a list of positive integers"),
        ({"inputs": [{**BYTES, "shape": [1, 2, 3], "data": []}]}, "BYTES must have the shape [N] or [N, 1]"),
        ({"inputs": [{**BYTES, "data": ["http://127.0.0.1/a.png"]}]}, "paths and URLs are not read"),
        ({"inputs": [{**BYTES, "data": [7]}]}, "an image in base64"),
        ({"inputs": [{**BYTES, "data": ["", ""]}]}, "shape says 1 images, but there are 2"),
        ({"inputs": [{**BYTES, "data": [""]}]}, "cannot be read as an image"),
        ({"inputs": [{**BYTES, "datatype": "FP32", "data": [1]}]}, "Send BYTES (encoded images) or UINT8"),
        ({"inputs": [{**UINT8, "data": [1]}]}, "needs 12 values, but there are 1"),
        ({"inputs": [{**UINT8, "data": [256] * 12}]}, "data must be integers from 0 to 255"),
        ({"inputs": [{**UINT8, "data": [0.5] * 12}]}, "data must be integers from 0 to 255"),
        ({"inputs": [{**UINT8, "data": [[1], [1, 2]]}]}, "data must be"),
        ({"inputs": [{**UINT8, "data": [10**400] * 12}]}, "data must be"),
        ({"inputs": [{**UINT8, "data": "abc"}]}, "data must be integers"),
        ({"inputs": [{**UINT8, "shape": [2**30, 2**30, 3], "data": []}]}, "more than 64 million"),
        ({"inputs": [{**UINT8, "shape": [2**30, 1, 1, 3], "data": []}]}, "needs 3221225472 values"),
        ({"inputs": [{**BYTES, "parameters": {"binary_data_size": 99}}]}, "binary_data_size is 99, but 0 bytes follow"),
        ({**as_base64(IMAGES[:1]), "outputs": [{"name": "a"}]}, "there is no output 'a'; the outputs are boxes"),
        ({**as_base64(IMAGES[:1]), "outputs": [{}]}, "each output must have a name"),
        ({**as_base64(IMAGES[:1]), "outputs": 3}, "outputs must be a list"),
        ({**as_base64(IMAGES[:1]), "parameters": 3}, "parameters must be an object"),
        ({**as_base64(IMAGES[:1]), "parameters": {"score": [1]}}, "score is [1]"),
        ({**as_base64(IMAGES[:1]), "id": {}}, "id must be a string"),
    ],
    ids=range(32),
)
def test_malformed_requests(client: Client, content: Any, message: str) -> None:
    answer = infer(client, content)
    assert answer.status == 400
    assert message in answer.error


def test_malformed_binary_requests(client: Client) -> None:
    tensor = {**BYTES, "parameters": {"binary_data_size": 6}}
    for binary, message in (
        (b"\xff\xff\xff\xff12", "an element of BYTES is longer than the body"),
        (b"\x00\x00\x00\x00\x01\x00", "an element of BYTES is longer than the body"),
    ):
        answer = infer(client, {"inputs": [tensor]}, binary)
        assert (answer.status, message in answer.error) == (400, True)
    for length in ("-1", "9999999", "1e3", "9" * 100):
        answer = client.request("POST", INFER, b"{}", {"Inference-Header-Content-Length": length})
        assert (answer.status, "Inference-Header-Content-Length is" in answer.error) == (400, True)


def test_more_images_than_the_queue_holds(client: Client) -> None:
    tensor = {**UINT8, "shape": [65, 1, 1, 3], "data": [0] * 195}
    answer = infer(client, {"inputs": [tensor]})
    assert (answer.status, answer.error) == (413, "The request has 65 images. Send at most 64.")


def test_client_of_triton(client: Client, detector: Predictor) -> None:
    triton = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
    remote = triton.InferenceServerClient(f"127.0.0.1:{client.port}")
    assert remote.is_server_live()
    assert remote.is_server_ready()
    assert remote.is_model_ready("small")
    assert remote.get_server_metadata()["name"] == "splitnest"
    assert remote.get_model_metadata("small")["outputs"][0]["name"] == "boxes"
    image = triton.InferInput("image", [2], "BYTES")
    image.set_data_from_numpy(np.array([encoded(each) for each in IMAGES], object))
    for is_binary in (True, False):
        names = ("boxes", "scores", "labels", "counts", "image_sizes")
        wanted = [triton.InferRequestedOutput(name, binary_data=is_binary) for name in names]
        answer = remote.infer("small", [image], outputs=wanted)
        check_detections({name: answer.as_numpy(name) for name in names}, detector, IMAGES)
    answer = remote.infer("small", [image])  # without outputs, the client asks for all of them in binary form
    assert answer.as_numpy("masks").shape == answer.as_numpy("labels").shape
    pixel = triton.InferInput("image", list(IMAGES[0].shape), "UINT8")
    pixel.set_data_from_numpy(IMAGES[0])
    answer = remote.infer("small", [pixel])
    assert answer.as_numpy("counts")[0] == len(detector.predict([IMAGES[0]])[0])
    classifier = load_small("resnest50_imagenet.official")
    with running({"classifier": classifier}) as other:
        remote = triton.InferenceServerClient(f"127.0.0.1:{other.port}")
        probabilities = remote.infer("classifier", [image]).as_numpy("probabilities")
        expected = [result.probabilities for result in classifier.predict(IMAGES)]
        assert np.allclose(probabilities, expected, rtol=1e-5)  # a batch of two sums in another order
