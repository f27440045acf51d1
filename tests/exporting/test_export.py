"""Exported networks: outputs, results, metadata, and errors."""

import json
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch.utils import _pytree as pytree

import splitnest
from helpers.families import (
    FAMILIES,
    PANOPTIC,
    PLAIN,
    VARIANTS,
    load_small,
    random_image,
    randomize_detections,
    randomize_norms,
    whole_image_boxes,
)
from helpers.paths import ROOT
from splitnest import zoo
from splitnest.errors import OutputError
from splitnest.exporting import export as exporter
from splitnest.exporting.public import without_local_paths
from splitnest.inference import runtimes
from splitnest.inference.compiled import compile_layers
from splitnest.models.detection.panoptic_fpn import PanopticFPN
from splitnest.models.detection.rcnn import RCNN
from splitnest.recipe import overrides
from splitnest.structures import Detections, PanopticSegmentation
from splitnest.structures.score_thresholds import ScoreThresholds
from splitnest.weights.onnx_metadata import read_metadata

CLASSIFIER = "resnest50_imagenet.official"
ONE_STAGE = "panoptic, one stage"
DETECTOR = "faster_rcnn_resnest50_fpn_1x_coco.mmdet"

OTHERS = [
    pytest.param(name, marks=pytest.mark.parity)
    for name in [ONE_STAGE, *FAMILIES, *VARIANTS]
    if name
    not in (
        CLASSIFIER,
        "HRNet, HRFPN",
    )  # test_hrnet.py; which of these random detections it keeps differs in float64 too
]
"""Models that ``make parity`` exports to ONNX. ``make test`` traces a detector too, for torch.export's format."""
THRESHOLDS = ScoreThresholds(0.5, tuple(0.0005 * index for index in range(1000)))
LARGER = [(2, (96, 128)), (1, (96, 128)), (3, (128, 160))]
SIZES = [*LARGER, (3, (64, 160)), (1, (64, 160))]
"""Number of images, and their height and width."""


def small(name: str, changes: Mapping[str, Any] = MappingProxyType({})) -> splitnest.Predictor:
    """Return the small model of a family, a detector with many detections."""
    torch.manual_seed(0)
    row = PANOPTIC if name == ONE_STAGE else name
    row, values = VARIANTS.get(row) or (row, FAMILIES[row])
    overrides = {**values, **changes}
    if "rcnn" in row or row == PANOPTIC:
        overrides["input.short_side"] = 96  # more detections
    if name == ONE_STAGE:  # tracing a cascade takes a third longer
        overrides |= {"model.cascade": False, "model.box_head": "2fc"}
    model = randomize_norms(splitnest.load(row, weights=None, device="cpu", overrides=overrides))
    if isinstance(model.module, RCNN | PanopticFPN):
        randomize_detections(model.module, logits_std=1 if name in VARIANTS else 0.5)  # saturated scores would tie
    if name == CLASSIFIER:  # of a detector in practice, whose export takes three times as long
        return splitnest.Predictor(model.module, model.recipe, lambda: THRESHOLDS)
    return model


Exported = tuple[splitnest.Predictor, Path]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """Return a function from a family to its small model and the exported file."""

    @cache
    def export(name: str) -> Exported:
        model, folder, before = small(name), tmp_path_factory.mktemp("onnx"), signal.getsignal(signal.SIGINT)
        path = splitnest.export(model, folder / "model.onnx")
        assert signal.getsignal(signal.SIGINT) is before
        assert [file.name for file in folder.iterdir()] == ["model.onnx"]
        return model, path

    return export


@pytest.fixture
def classifier(exported: Callable[[str], Exported]) -> Exported:
    return exported(CLASSIFIER)


@pytest.mark.parametrize("name", [CLASSIFIER, *OTHERS])
def test_exported_network_computes_the_same(name: str, exported: Callable[[str], Exported]) -> None:
    model, path = exported(name)
    check_outputs(model, runtimes.open_session(path))
    check_results(model, path)
    check_metadata(model, path)


@torch.inference_mode()
def check_outputs(
    model: splitnest.Predictor, session: runtimes.Session, sizes: Sequence[tuple[int, tuple[int, int]]] = SIZES
) -> None:
    """Compare outputs for several numbers and sizes of images, in any order of equal scores."""
    for count, (height, width) in sizes:
        inputs = [torch.randn(count, 3, height, width)]
        if isinstance(model.module, RCNN | PanopticFPN):
            inputs.append(torch.tensor([[height - 4.0, width - 6.0]] * count))
        expected, actual = pytree.tree_leaves(model.module(*inputs)), list(session(*inputs))
        if len(inputs) > 1:
            assert expected[4].min() > 5
            expected, actual = exporter._order_free(expected), exporter._order_free(actual)
        for theirs, ours in zip(expected, actual, strict=True):
            assert ours.shape == theirs.shape
            assert (ours - theirs).abs().max() <= 1e-4 * max(theirs.abs().max().item(), 1)


def check_results(model: splitnest.Predictor, path: Path) -> None:
    """Compare results for images of several sizes in one batch, resized and padded."""
    again = splitnest.load(path)
    assert again.recipe == model.recipe
    assert again.score_thresholds == model.score_thresholds
    assert len(again.module(torch.zeros(1, 3, 64, 96))) == len(model.module.output_names)
    images = [random_image(80, 120), random_image(64, 120)]
    options = whole_image_boxes(model, images)
    for ours, theirs in zip(
        again.predict(images, batch_size=2, **options), model.predict(images, batch_size=2, **options), strict=True
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
    metadata = read_metadata(path)
    assert metadata["model"] == model.recipe.name
    assert metadata["task"] == model.recipe.task
    assert len(json.loads(metadata["classes"])) >= model.recipe.num_classes
    assert json.loads(metadata["input"])["mean"] == list(model.recipe.input.mean)
    graph = onnx.load(str(path)).graph
    assert [each.name for each in graph.output] == list(model.module.output_names)
    dynamic = [not side.dim_value for side in graph.input[0].type.tensor_type.shape.dim]
    assert dynamic == [True, False, True, True]
    assert [side.dim_param for side in graph.input[0].type.tensor_type.shape.dim] == ["batch", "", "height", "width"]
    for output in graph.output:
        sides = [side.dim_param for side in output.type.tensor_type.shape.dim]
        assert sides[0] == "batch"
        assert not re.search(r"[su]\d+", " ".join(sides))  # symbols of torch
    assert str(ROOT).encode() not in path.read_bytes()  # stack traces


def test_folders_of_the_maker_are_not_exported() -> None:
    values = {"data.root": "/home/me/secret", "data.val_images": "~/x", "train.init_from": "runs/mine/best.pt"}
    recipe = overrides.apply(zoo.get(CLASSIFIER), values)
    public = without_local_paths(recipe)
    assert public.train is not None
    assert (public.data.root, public.data.val_images, public.train.init_from) == (None, None, None)
    assert public.data.train_images == recipe.data.train_images
    published = overrides.apply(recipe, {"train.init_from": CLASSIFIER, "data.root": None})
    assert without_local_paths(published).train == published.train


def test_torch_reads_pt2(tmp_path: Path) -> None:
    model = small(DETECTOR, PLAIN)
    path = splitnest.export(model, tmp_path / "small.pt2")
    metadata = {"splitnest.json": ""}
    check_outputs(model, exporter._session_of(torch.export.load(path, extra_files=metadata)), LARGER)
    assert json.loads(metadata["splitnest.json"])["model"] == model.recipe.name


def test_example_of_the_documentation(classifier: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, path = classifier
    page = (ROOT / "docs" / "export.md").read_text()
    code = page.split("```python\n")[2].split("```")[0]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resnest50.onnx").write_bytes(path.read_bytes())
    Image.fromarray(random_image(224, 224)).save("image.png")
    names: dict[str, Any] = {}
    exec(code, names)  # our own documentation
    (expected,) = model.predict("image.png", resize=False)
    assert names["best"] == expected.top[0].name


def test_openvino(classifier: Exported) -> None:
    pytest.importorskip("openvino")
    model, path = classifier
    again = splitnest.load(path, runtime="openvino")
    (ours,), (theirs,) = again.predict(random_image(80, 120)), model.predict(random_image(80, 120))
    assert np.abs(ours.probabilities - theirs.probabilities).max() < 1e-5


def test_network_with_other_outputs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(CLASSIFIER)
    monkeypatch.setattr(exporter, "_trace", lambda module, device: None)
    monkeypatch.setattr(exporter, "_write_onnx", lambda program, module, recipe, path: path.write_bytes(b"network"))
    monkeypatch.setattr(exporter, "open_session", lambda path: lambda images: [1.01 * model.module(images)])
    with pytest.raises(splitnest.WeightsError, match=r"out.onnx was not written: .* differs from the model's by"):
        splitnest.export(model, tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())


def test_model_that_cannot_be_exported_is_an_error(classifier: Exported, tmp_path: Path) -> None:
    model, path = classifier
    with pytest.raises(
        splitnest.UsageError, match=r"model.bin has no known export format. Use the suffix .onnx or .pt2"
    ):
        splitnest.export(model, tmp_path / "model.bin")
    for options in ({"fast": True}, {"precision": "bf16"}):
        try:
            other = load_small(CLASSIFIER, **options)
        except splitnest.UsageError:
            continue  # a processor without bfloat16
        with pytest.raises(splitnest.UsageError, match="Only a float32 model that is not fast"):
            splitnest.export(other, tmp_path / "model.onnx")
    compiled = load_small(CLASSIFIER)
    compile_layers(compiled.module)
    with pytest.raises(splitnest.UsageError, match="A compiled model cannot be exported"):
        splitnest.export(compiled, tmp_path / "model.onnx")
    with pytest.raises(splitnest.UsageError, match="is an exported model"):
        splitnest.export(splitnest.load(path), tmp_path / "again.onnx")


def test_unwritable_file_is_an_error(classifier: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "_trace", lambda module, device: None)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"model.pt2 cannot be written"):
        splitnest.export(classifier[0], tmp_path / "file" / "model.pt2")


def test_file_that_cannot_be_loaded_is_an_error(
    classifier: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = classifier
    with pytest.raises(splitnest.UsageError, match=r"absent.onnx does not exist"):
        splitnest.load(tmp_path / "absent.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"not a network")
    with pytest.raises(splitnest.WeightsError, match=r"broken.onnx cannot be read as an ONNX file"):
        splitnest.load(tmp_path / "broken.onnx")
    foreign = onnx.load(str(path))
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(splitnest.WeightsError, match=r"foreign.onnx was not exported by splitnest"):
        splitnest.load(tmp_path / "foreign.onnx")
    onnx.save(onnx.load(str(path)), tmp_path / "split.onnx", save_as_external_data=True, size_threshold=0)
    with pytest.raises(splitnest.WeightsError, match=r"split.onnx refers to weights in other files"):
        splitnest.load(tmp_path / "split.onnx")
    with pytest.raises(splitnest.UsageError, match="Omit weights, fast, precision, compile and model"):
        splitnest.load(path, fast=True)
    with pytest.raises(splitnest.UsageError, match=r"no runtime 'tensorrt'\. Use onnxruntime or openvino"):
        splitnest.load(path, runtime="tensorrt")
    with pytest.raises(splitnest.UsageError, match="cannot be trained"):
        splitnest.load(path).module.loss(model.batch([random_image(64, 64)], labels=[1]))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(splitnest.UsageError, match=r"need onnxruntime: pip install 'splitnest\[export\]'"):
        splitnest.load(path)
