"""Exported networks: what they give, what their files say, what is refused."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch.utils import _pytree as pytree

import splitnest
from splitnest import exporter, runtimes
from splitnest.detection.rcnn import RCNN
from splitnest.results import Detections, PanopticSegmentation

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from test_families import FAMILIES, photograph, whole, with_statistics

HERE = [
    "resnest50_imagenet.official",
    "panoptic_fpn_resnest200_3x_coco.detectron2",
    "pspnet_resnest101_d8_cityscapes.mmseg",
    "simplebaseline_resnest50_256x192_coco.mmpose",
]
"""One of each task; of objects the panoptic one, a Mask R-CNN and more. ``make parity`` has the others, too."""

OTHERS = [pytest.param(name, marks=pytest.mark.parity) for name in FAMILIES if name not in HERE]
SIZES = [(2, (96, 128)), (1, (96, 128)), (3, (64, 160)), (1, (64, 160))]
"""Numbers of images, and their height and width."""


def small(name: str) -> splitnest.Predictor:
    """Return a small model of a family, a detector with plenty of detections."""
    torch.manual_seed(0)
    model = with_statistics(splitnest.load(name, None, "cpu", FAMILIES[name]))
    if isinstance(model.module, RCNN):
        for layer, deviation in ((model.module.rpn.logits, 0.5), (model.module.rpn.deltas, 0.05)):
            torch.nn.init.normal_(layer.weight, std=deviation)
        torch.nn.init.normal_(model.module.roi_heads.box_heads[-1].logits.weight, std=0.5)
    return model


@pytest.mark.parametrize("name", [*HERE, *OTHERS])
def test_an_exported_network_gives_the_same(name: str, tmp_path: Path) -> None:
    model, before = small(name), signal.getsignal(signal.SIGINT)
    path = splitnest.export(model, tmp_path / "model.onnx")
    assert signal.getsignal(signal.SIGINT) is before
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    check_outputs(model, path)
    check_results(model, path)
    check_metadata(model, path)


@torch.inference_mode()
def check_outputs(model: splitnest.Predictor, path: Path) -> None:
    """Images are of any number and size; what of two equal scores comes first is left open."""
    session = runtimes.open_session(path)
    for count, (height, width) in SIZES:
        inputs = [torch.randn(count, 3, height, width)]
        if isinstance(model.module, RCNN):
            inputs.append(torch.tensor([[height - 4.0, width - 6.0]] * count))
        expected, found = pytree.tree_leaves(model.module(*inputs)), list(session(*inputs))
        if len(inputs) > 1:
            assert expected[4].min() > 5
            expected, found = exporter._comparable(expected), exporter._comparable(found)
        for theirs, ours in zip(expected, found, strict=True):
            assert ours.shape == theirs.shape
            assert (ours - theirs).abs().max() <= 1e-4 * max(theirs.abs().max().item(), 1)


def check_results(model: splitnest.Predictor, path: Path) -> None:
    """Photographs of several sizes in one batch, resized and padded."""
    again = splitnest.load(path)
    assert again.recipe == model.recipe
    assert len(again.module(torch.zeros(1, 3, 64, 96))) == len(runtimes.OUTPUTS[model.recipe.task])
    images = [photograph(80, 120), photograph(64, 120)]
    options = whole(model, images)
    for ours, theirs in zip(
        again.predict(images, 2, **options), model.predict(images, batch_size=2, **options), strict=True
    ):
        if isinstance(theirs, PanopticSegmentation):
            assert (ours.segments == theirs.segments).mean() > 0.99
            ours, theirs = ours.detections, theirs.detections
        if isinstance(theirs, Detections):
            assert len(theirs) > 5
            assert np.abs(np.sort(ours.scores) - np.sort(theirs.scores)).max() < 1e-4
            near = np.abs(ours.boxes[:, None] - theirs.boxes[None]).max(2) < 0.01
            pairs = np.argwhere(near & (ours.labels[:, None] == theirs.labels[None]))
            assert len({pair[1] for pair in pairs.tolist()}) >= 0.98 * len(theirs)
            if theirs.masks is not None:
                assert np.mean([(ours.masks[a] == theirs.masks[b]).mean() for a, b in pairs]) > 0.98
        else:
            fields = ("probabilities", "labels", "keypoints", "scores")
            for field in (field for field in fields if hasattr(theirs, field)):
                ours_of, theirs_of = getattr(ours, field).astype(float), getattr(theirs, field).astype(float)
                assert np.abs(ours_of - theirs_of).max() <= 1e-4 * max(np.abs(theirs_of).max(), 1)


def check_metadata(model: splitnest.Predictor, path: Path) -> None:
    said = runtimes.read_metadata(path)
    assert said["model"] == model.recipe.name
    assert said["task"] == model.recipe.task
    assert len(json.loads(said["classes"])) >= model.recipe.num_classes
    assert json.loads(said["input"])["mean"] == list(model.recipe.input.mean)
    graph = onnx.load(str(path)).graph
    assert [each.name for each in graph.output] == runtimes.OUTPUTS[model.recipe.task]
    dynamic = [not side.dim_value for side in graph.input[0].type.tensor_type.shape.dim]
    assert dynamic == [True, False, True, True]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Any:
    model = small("resnest50_imagenet.official")
    return model, splitnest.export(model, tmp_path_factory.mktemp("onnx") / "small.onnx")


def test_torch_reads_pt2(tmp_path: Path) -> None:
    model = small("resnest50_imagenet.official")
    path = splitnest.export(model, tmp_path / "small.pt2")
    said = {"splitnest.json": ""}
    network = torch.export.load(path, extra_files=said).module()
    assert json.loads(said["splitnest.json"])["model"] == model.recipe.name
    images = torch.randn(3, 3, 64, 96)
    with torch.inference_mode():
        assert torch.allclose(network(images), model.module(images), atol=1e-5)


def test_the_example_of_the_documentation(classifier: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, path = classifier
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    code = page.split("```python\n")[2].split("```")[0]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(path.read_bytes())
    from PIL import Image

    Image.fromarray(photograph(224, 224)).save("photograph.png")
    names: dict[str, Any] = {}
    exec(code, names)  # our own documentation
    (expected,) = model.predict("photograph.png", resize=False)
    assert names["best"] == expected.top[0].name


def test_openvino(classifier: Any) -> None:
    pytest.importorskip("openvino")
    model, path = classifier
    again = splitnest.load(path, runtime="openvino")
    (ours,), (theirs,) = again.predict(photograph(80, 120)), model.predict(photograph(80, 120))
    assert np.abs(ours.probabilities - theirs.probabilities).max() < 1e-5


def test_a_network_that_gives_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = exporter.open_session

    def wrong(path: Path) -> runtimes.Session:
        return lambda *inputs: [output * 1.01 for output in true(path)(*inputs)]

    monkeypatch.setattr(exporter, "open_session", wrong)
    with pytest.raises(splitnest.WeightsError, match=r"out.onnx was not written: .* differs from the model's by"):
        splitnest.export(small("resnest50_imagenet.official"), tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported(classifier: Any, tmp_path: Path) -> None:
    model, path = classifier
    with pytest.raises(splitnest.UsageError, match=r"model.bin: a network is exported to .onnx or .pt2, not to .bin"):
        splitnest.export(model, tmp_path / "model.bin")
    name = "resnest50_imagenet.official"
    for options in ({"fast": True}, {"overrides": FAMILIES[name], "precision": "bf16"}):
        try:
            other = splitnest.load(name, None, "cpu", **{"overrides": FAMILIES[name], **options})
        except splitnest.UsageError:
            continue  # a processor without bfloat16
        with pytest.raises(splitnest.UsageError, match="in float32, and not fast"):
            splitnest.export(other, tmp_path / "model.onnx")
    with pytest.raises(splitnest.UsageError, match="was exported already"):
        splitnest.export(splitnest.load(path), tmp_path / "again.onnx")
    (tmp_path / "file").touch()
    with pytest.raises(splitnest.WeightsError, match=r"model.pt2 cannot be written"):
        splitnest.export(model, tmp_path / "file" / "model.pt2")


def test_what_cannot_be_loaded(classifier: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, path = classifier
    with pytest.raises(splitnest.UsageError, match=r"absent.onnx does not exist"):
        splitnest.load(tmp_path / "absent.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"not a network")
    with pytest.raises(splitnest.WeightsError, match=r"broken.onnx cannot be read as an ONNX file"):
        splitnest.load(tmp_path / "broken.onnx")
    foreign = onnx.load(str(path))
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(splitnest.WeightsError, match=r"foreign.onnx was not written by splitnest export"):
        splitnest.load(tmp_path / "foreign.onnx")
    onnx.save(onnx.load(str(path)), tmp_path / "split.onnx", save_as_external_data=True, size_threshold=0)
    with pytest.raises(splitnest.WeightsError, match=r"split.onnx takes its weights from other files"):
        splitnest.load(tmp_path / "split.onnx")
    with pytest.raises(splitnest.UsageError, match="takes no weights, fast, precision or compile"):
        splitnest.load(path, fast=True)
    with pytest.raises(splitnest.UsageError, match="no runtime 'tensorrt'; use onnxruntime or openvino"):
        splitnest.load(path, runtime="tensorrt")
    with pytest.raises(splitnest.UsageError, match="cannot be trained"):
        splitnest.load(path).module.loss(model.batch([photograph(64, 64)], labels=[1]))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(splitnest.UsageError, match=r"needs onnxruntime: pip install 'splitnest\[export\]'"):
        splitnest.load(path)
