"""ONNX files that fail, return something else or refer to other files; copies of exported models."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

import splitnest
from helpers.families import load_small, random_image
from splitnest.exporting.export import metadata
from splitnest.inference.runtimes import CPU_PROVIDER, CUDA_PROVIDER, execution_providers

IMAGES = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])
CLASSIFIER = "resnest50_imagenet.official"


def write(path: Path, *nodes: Any, output: str = "logits", kind: int = TensorProto.FLOAT, functions: Any = ()) -> Path:
    """Write an ONNX file with the metadata of a classifier, whose nodes compute ``output`` from ``images``."""
    outputs = [helper.make_tensor_value_info(output, kind, None)]
    graph = helper.make_graph(nodes, "network", [IMAGES], outputs)
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("mine", 1)]
    model = helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=9)
    helper.set_model_props(model, metadata(load_small(CLASSIFIER).recipe))
    onnx.save(model, path)
    return path


def channel_means(*_: Any) -> list[Any]:
    """Return nodes of a network that has 3 logits instead of 1000."""
    return [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
    ]


@pytest.mark.parametrize(
    ("nodes", "output", "message"),
    [
        (channel_means, "logits", "outputs of the exported network are not those of its model"),
        (lambda: [helper.make_node("Identity", ["images"], ["other"])], "other", "has the outputs other, not logits"),
        (
            lambda: [
                helper.make_node("Constant", [], ["shape"], value_ints=[7, 7]),
                helper.make_node("Reshape", ["images", "shape"], ["logits"]),
            ],
            "logits",
            r"the network failed in onnxruntime on inputs of shape \(1, 3, ",
        ),
        (lambda: [helper.make_node("SequenceConstruct", ["images"], ["logits"])], "logits", "no array of numbers"),
    ],
    ids=["other number of classes", "other name", "fails", "a sequence"],
)
def test_network_that_does_something_else_is_an_error(
    nodes: Callable[[], list[Any]], output: str, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "network.onnx", *nodes(), output=output)
    if "Sequence" in str(nodes()):
        model = onnx.load(path)
        sequence = helper.make_tensor_sequence_value_info("logits", TensorProto.FLOAT, None)
        model.graph.output[0].CopyFrom(sequence)
        onnx.save(model, path)
    with pytest.raises(splitnest.WeightsError, match=message):
        splitnest.load(path).predict(random_image(64, 64))


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is available")
@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", "onnxruntime cannot use the device 'cuda' here.*install onnxruntime-gpu"),
        ("cuda:1", "onnxruntime cannot use the device 'cuda:1'"),
        ("meta", "onnxruntime cannot use the device 'meta'"),
        ("gpu", "There is no device 'gpu'"),
    ],
)
def test_devices_that_the_runtime_lacks_are_refused(device: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "network.onnx", *channel_means())
    with pytest.raises(splitnest.UsageError, match=message):
        splitnest.load(path, device=device)
    for possible in ("auto", "cpu", torch.device("cpu")):
        assert splitnest.load(path, device=possible).device == torch.device("cpu")


def test_cuda_is_used_where_the_runtime_has_it() -> None:
    class Runtime:
        def get_available_providers(self) -> list[str]:
            return [CUDA_PROVIDER, CPU_PROVIDER]

    cuda = [(CUDA_PROVIDER, {"device_id": 1}), CPU_PROVIDER]
    assert execution_providers(Runtime(), torch.device("cuda", 1)) == cuda
    assert execution_providers(Runtime(), "auto") == [(CUDA_PROVIDER, {"device_id": 0}), CPU_PROVIDER]
    assert execution_providers(Runtime(), "cpu") == [CPU_PROVIDER]


def external() -> Any:
    """Return a tensor whose values are in another file."""
    tensor = TensorProto(name="secret", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def sparse() -> Any:
    return helper.make_sparse_tensor(external(), helper.make_tensor("at", TensorProto.INT64, [1], [0]), [9])


@pytest.mark.parametrize("place", ["constant", "sparse", "list", "subgraph", "function"])
def test_values_in_other_files_are_refused_anywhere(place: str, tmp_path: Path) -> None:
    constant, functions = helper.make_node("Constant", [], ["value"], value=external()), []
    match place:
        case "constant":
            nodes = [constant]
        case "sparse":
            nodes = [helper.make_node("Constant", [], ["value"], sparse_value=sparse())]
        case "list":
            nodes = [helper.make_node("Constant", [], ["value"])]
            nodes[0].attribute.append(
                onnx.AttributeProto(name="x", type=onnx.AttributeProto.TENSORS, tensors=[external()])
            )
        case "subgraph":
            branch = helper.make_graph([constant], "branch", [], [])
            nodes = [helper.make_node("If", ["images"], ["value"], then_branch=branch, else_branch=branch)]
        case _:
            imports = [helper.make_opsetid("", 20)]
            functions = [helper.make_function("mine", "F", [], ["value"], [constant], imports)]
            nodes = [helper.make_node("F", [], ["value"], domain="mine")]
    path = write(tmp_path / "network.onnx", *nodes, *channel_means(), functions=functions)
    with pytest.raises(splitnest.WeightsError, match="refers to weights in other files, which is not allowed"):
        splitnest.load(path)


def test_exported_model_can_be_copied_and_pickled(tmp_path: Path) -> None:
    path = write(tmp_path / "network.onnx", *channel_means())
    model, images = splitnest.load(path), np.zeros((1, 3, 8, 8), np.float32)
    before = [copy.deepcopy(model), pickle.dumps(model)]
    expected = run(model, images)
    after = [copy.deepcopy(model), pickle.dumps(model)]
    path.unlink()
    for other in (*before, *after):
        other = pickle.loads(other) if isinstance(other, bytes) else other
        assert np.array_equal(run(other, images), expected)
        assert np.array_equal(run(copy.deepcopy(other), images), expected)
    with pytest.raises(splitnest.WeightsError, match="cannot be copied: No such file"):
        pickle.dumps(model)
    path.write_bytes(b"another file")
    with pytest.raises(splitnest.WeightsError, match="has changed since it was loaded"):
        pickle.dumps(model)


def run(model: splitnest.Predictor, images: np.ndarray) -> np.ndarray:
    """Return the outputs of the network of a model."""
    import torch

    with torch.inference_mode():
        return model.module(torch.from_numpy(images)).numpy()
