"""Model repository of Triton: configurations, and results of the model in Triton's Python backend."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splitnest
from helpers.families import FAMILIES, load_small, randomize_detections, randomize_norms
from helpers.service import channel_means, encoded, pixels
from helpers.triton import Request, loaded
from splitnest.inference.exported_model import ExportedModel
from splitnest.serving import triton
from splitnest.structures.masks import rle_to_mask

DETECTOR = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"
IMAGES = [pixels(0), pixels(1, 50, 40), pixels(2)]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of a classifier whose network was written by hand, because an export takes seconds."""
    folder = tmp_path_factory.mktemp("triton") / "repository"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(triton, "export", lambda model, path: channel_means(path, model.recipe))
        assert triton.write_repository(classifier(), folder, "small") == folder / "small"
    return folder


def classifier() -> splitnest.Predictor:
    name = "resnest50_imagenet.official"
    return splitnest.load(
        name, weights=None, device="cpu", overrides={**FAMILIES[name], "data.classes": ["r", "g", "b"]}
    )


def parse(path: Path) -> dict[str, Any]:
    """Return the inputs and outputs of a configuration, parsed by Triton's own schema if its client is installed."""
    pytest.importorskip("tritonclient.grpc", reason="tritonclient[grpc] is not installed (make browser)")
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    config = text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
    types = model_config_pb2.DataType
    found: dict[str, Any] = {
        row.name: (types.Name(row.data_type), list(row.dims)) for row in (*config.input, *config.output)
    }
    return {**found, "name": config.name, "backend": config.backend or config.platform, "batch": config.max_batch_size}


def test_files(repository: Path) -> None:
    files = sorted(path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_file())
    assert files == [
        "small/1/model.py",
        "small/config.pbtxt",
        "small_network/1/model.onnx",
        "small_network/config.pbtxt",
    ]


def test_configurations(repository: Path) -> None:
    outer, network = (parse(repository / name / "config.pbtxt") for name in ("small", "small_network"))
    assert outer == {
        "name": "small",
        "backend": "python",
        "batch": 8,
        "image": ("TYPE_STRING", [1]),
        "probabilities": ("TYPE_FP32", [3]),
        "image_sizes": ("TYPE_INT64", [2]),
    }
    assert network == {
        "name": "small_network",
        "backend": "onnxruntime_onnx",
        "batch": 8,
        "images": ("TYPE_FP32", [3, -1, -1]),
        "logits": ("TYPE_FP32", [3]),
    }


def test_results(repository: Path) -> None:
    expected: Any = splitnest.load(repository / "small_network" / "1" / "model.onnx", device="cpu").predict(IMAGES)
    contents = [encoded(image) for image in IMAGES]
    with loaded(repository / "small") as model:
        requests = [Request(contents[:2]), Request([contents[0], b"no image"]), Request(contents[2:])]
        first, error, last = model.execute([*requests])
        wrong = model.execute([Request(contents[:1], {"score": 2})])[0]
        assert model.execute([]) == []
    assert "cannot be read as an image" in error.error.message()
    assert "Give a number from 0 to 1" in wrong.error.message()
    found = np.concatenate([response.arrays["probabilities"] for response in (first, last)])
    assert np.allclose(found, [result.probabilities for result in expected], atol=1e-6)
    assert last.arrays["image_sizes"].tolist() == [[40, 60]]


def test_a_request_that_fails_fails_alone(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [encoded(image) for image in IMAGES]

    def predict(self: Any, batch: Any) -> Any:
        if len(batch) > 1 or batch.original_sizes[0] == (50, 40):
            raise RuntimeError("poison")
        return before(self, batch)

    before = ExportedModel.predict
    with loaded(repository / "small") as model:
        monkeypatch.setattr(ExportedModel, "predict", predict)
        good, bad, other = model.execute([Request([content]) for content in contents])
    assert (good.error, other.error) == (None, None)
    assert bad.error.message() == "poison"


@pytest.mark.parity
def test_detector(tmp_path: Path) -> None:
    detector = randomize_norms(load_small(DETECTOR))
    randomize_detections(detector.module, 3.0)
    triton.write_repository(detector, tmp_path, "small")
    outer, network = (parse(tmp_path / name / "config.pbtxt") for name in ("small", "small_network"))
    assert outer["boxes"] == ("TYPE_FP32", [-1, 4])
    assert outer["masks"] == ("TYPE_STRING", [-1])
    assert outer["counts"] == ("TYPE_INT64", [1])
    assert network["sizes"] == ("TYPE_FP32", [2])
    assert network["boxes"] == ("TYPE_FP32", [100, 4])
    assert "reshape { shape: [ ] }" in (tmp_path / "small_network" / "config.pbtxt").read_text()
    expected: Any = splitnest.load(tmp_path / "small_network" / "1" / "model.onnx", device="cpu").predict(IMAGES)
    contents = [encoded(image) for image in IMAGES]
    score = float(np.median(expected[0].scores))
    with loaded(tmp_path / "small") as model:
        first, last = model.execute([Request(contents[:2]), Request(contents[2:])])
        (filtered,) = model.execute([Request(contents[:1], {"score": score})])
    assert filtered.arrays["counts"].tolist() == [[len(expected[0].above(score))]]
    for response, results in ((first, expected[:2]), (last, expected[2:])):
        for index, result in enumerate(results):
            arrays = {name: array[index] for name, array in response.arrays.items()}
            count = int(arrays["counts"][0])
            assert count == len(result) > 0
            assert np.allclose(arrays["boxes"][:count], result.boxes, atol=1e-2)
            assert np.allclose(arrays["scores"][:count], result.scores, atol=1e-4)
            assert np.array_equal(arrays["labels"][:count], result.labels)
            assert tuple(arrays["image_sizes"]) == result.image_size
            rle = {"size": list(result.image_size), "counts": arrays["masks"][0].decode()}
            assert np.array_equal(rle_to_mask(rle), result.masks[0])


def test_existing_models_are_kept(repository: Path) -> None:
    model = classifier()
    with pytest.raises(splitnest.UsageError, match="small exists"):
        triton.write_repository(model, repository, "small")
    with pytest.raises(splitnest.UsageError, match="Give another name"):
        triton.write_repository(model, repository, "../small")
    with pytest.raises(splitnest.OutputError):
        triton.write_repository(model, repository / "small" / "config.pbtxt", "other")
    assert sorted(path.name for path in repository.iterdir()) == ["small", "small_network"]
