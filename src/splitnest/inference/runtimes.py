"""Runtimes of exported networks: ONNX Runtime and OpenVINO."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splitnest.errors import UsageError, WeightsError
from splitnest.weights.onnx_metadata import import_extra

Session = Callable[..., Sequence[Tensor]]
"""Function from the inputs of an exported network to its outputs, in the order of ``Model.output_names``."""


def open_session(path: Path, runtime: str = "onnxruntime") -> Session:
    """Open an ONNX file on the CPU, with the number of threads of torch.

    Args:
        path: ONNX file.
        runtime: ``"onnxruntime"`` or ``"openvino"``.

    Raises:
        UsageError: There is no such runtime, or it is not installed.
        WeightsError: The runtime cannot open the file.
    """
    match runtime:
        case "onnxruntime":
            package, start = import_extra("onnxruntime", "export"), _onnxruntime
        case "openvino":
            package, start = import_extra("openvino", "openvino"), _openvino
        case _:
            raise UsageError(f"There is no runtime {runtime!r}. Use onnxruntime or openvino.")
    try:
        return start(package, path)
    except Exception as error:  # the errors of the runtimes have no common base class
        raise WeightsError(f"{runtime} cannot open {path}: {error}.") from error


def _onnxruntime(runtime: Any, path: Path) -> Session:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(*inputs: Tensor) -> list[Tensor]:
        feed = {name: value.cpu().numpy() for name, value in zip(names, inputs, strict=True)}
        return [torch.from_numpy(output) for output in session.run(None, feed)]

    return run


def _openvino(runtime: Any, path: Path) -> Session:
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = runtime.Core().compile_model(str(path), "CPU", settings)

    def run(*inputs: Tensor) -> list[Tensor]:
        outputs = compiled([value.cpu().contiguous().numpy() for value in inputs])
        return [torch.from_numpy(outputs[output].copy()) for output in compiled.outputs]

    return run
