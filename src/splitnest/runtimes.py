"""What runs exported networks: ONNX Runtime and OpenVINO."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splitnest.errors import UsageError, WeightsError

Session = Callable[..., Sequence[Tensor]]
"""From the inputs of an exported network to its outputs, in the order of ``OUTPUTS``."""

DETECTIONS = ["boxes", "scores", "labels", "masks", "counts"]
OUTPUTS = {
    "classification": ["logits"],
    "semantic": ["logits"],
    "pose": ["heatmaps"],
    "detection": DETECTIONS,
    "instance": DETECTIONS,
    "panoptic": [*DETECTIONS, "semantic"],
}
"""Names of the outputs, by task."""


def open_session(path: Path, runtime: str = "onnxruntime") -> Session:
    """Return what runs an ONNX file, on the CPU, with as many threads as torch.

    Args:
        path: The file.
        runtime: ``"onnxruntime"`` or ``"openvino"``.

    Raises:
        UsageError: There is no such runtime, or it is not installed.
        WeightsError: It cannot run the file.
    """
    match runtime:
        case "onnxruntime":
            package, start = _package("onnxruntime", "export"), _onnxruntime
        case "openvino":
            package, start = _package("openvino", "openvino"), _openvino
        case _:
            raise UsageError(f"There is no runtime {runtime!r}; use onnxruntime or openvino.")
    try:
        return start(package, path)
    except Exception as error:  # their errors have no class in common
        raise WeightsError(f"{path}: {runtime} cannot run it: {error}.") from error


def read_metadata(path: Path) -> dict[str, str]:
    """Return what an ONNX file says of its model.

    Raises:
        UsageError: The package that reads it is not installed.
        WeightsError: It is no such file, was not written by splitnest, or takes its weights from other files.
    """
    onnx = _package("onnx", "export")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors have no class in common
        raise WeightsError(f"{path} cannot be read as an ONNX file: {error}.") from error
    found = {entry.key: entry.value for entry in model.metadata_props}
    if found.get("format") != "splitnest" or "recipe" not in found:
        raise WeightsError(f"{path} was not written by splitnest export, so it is not known what its outputs mean.")
    if any(tensor.external_data for tensor in model.graph.initializer):
        raise WeightsError(f"{path} takes its weights from other files, which is not allowed: export it again.")
    return found


def _onnxruntime(runtime: Any, path: Path) -> Session:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(*inputs: Tensor) -> list[Tensor]:
        given = {name: value.cpu().numpy() for name, value in zip(names, inputs, strict=True)}
        return [torch.from_numpy(output) for output in session.run(None, given)]

    return run


def _openvino(runtime: Any, path: Path) -> Session:
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = runtime.Core().compile_model(str(path), "CPU", settings)

    def run(*inputs: Tensor) -> list[Tensor]:
        found = compiled([value.cpu().contiguous().numpy() for value in inputs])
        return [torch.from_numpy(found[output].copy()) for output in compiled.outputs]

    return run


def _package(name: str, extra: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(f"An exported network needs {name}: pip install 'splitnest[{extra}]'.") from error
