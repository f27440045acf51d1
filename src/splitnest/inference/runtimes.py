"""Runtimes of exported networks: ONNX Runtime and OpenVINO."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splitnest.errors import UsageError, WeightsError
from splitnest.weights.onnx_metadata import import_extra

Session = Callable[..., Sequence[Tensor]]
"""Function from the inputs of an exported network to its outputs, in the order of ``Model.output_names``."""

RUNTIMES = {"onnxruntime": "export", "openvino": "openvino"}
"""Runtime, which is the name of its package, and the extra of splitnest that has it."""

CPU_PROVIDER, CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"
"""Execution providers of ONNX Runtime."""

_Run = Callable[[Sequence[NDArray[Any]]], Sequence[Any]]


class RuntimeSession:
    """Session of an ONNX file, on the CPU with the number of threads of torch. Inputs and outputs are on the CPU.

    A copy and a pickle contain the content of the file, which is read again for them.

    Args:
        path: ONNX file.
        runtime: ``"onnxruntime"`` or ``"openvino"``.
        content: Content of the file; None to read it.
        device: Device that runs the network: ``"auto"`` for CUDA if the runtime has it and the CPU otherwise.

    Attributes:
        output_names: Names of the outputs.

    Raises:
        UsageError: There is no such runtime, it is not installed, or cannot use the device.
        WeightsError: The runtime cannot open the file.
    """

    def __init__(
        self,
        path: Path,
        runtime: str = "onnxruntime",
        content: bytes | None = None,
        device: str | torch.device = "auto",
    ) -> None:
        if runtime not in RUNTIMES:
            raise UsageError(f"There is no runtime {runtime!r}. Use {' or '.join(RUNTIMES)}.")
        package = import_extra(runtime, RUNTIMES[runtime])
        self.path, self.runtime, self._content = path.absolute(), runtime, content
        self.device = device
        self._version = None if content is not None else _version(path)
        start = _onnxruntime if runtime == "onnxruntime" else _openvino
        try:
            self._run, self.output_names = start(package, content or str(path), device)
        except UsageError:
            raise
        except Exception as error:  # the errors of the runtimes have no common base class
            raise WeightsError(f"{runtime} cannot open {path}: {_first_line(error)}.") from error

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Return the outputs for some inputs.

        Raises:
            WeightsError: The network cannot process them, or has outputs that are no arrays of numbers.
            MemoryError: Memory ran out.
        """
        arrays = [value.cpu().contiguous().numpy() for value in inputs]
        try:
            outputs = self._run(arrays)
        except Exception as error:  # the errors of the runtimes have no common base class
            if any(word in str(error).lower() for word in ("bad_alloc", "bad allocation", "failed to allocate")):
                raise MemoryError(str(error)) from error
            shapes = ", ".join(str(array.shape) for array in arrays)
            raise WeightsError(
                f"{self.path}: the network failed in {self.runtime} on inputs of shape {shapes}: {_first_line(error)}. "
                f"Export the model again."
            ) from error
        for name, output in zip(self.output_names, outputs, strict=True):
            if not isinstance(output, np.ndarray) or output.dtype.kind not in "fiu":
                raise WeightsError(f"{self.path}: the output {name} is no array of numbers. Export the model again.")
        return [torch.from_numpy(output) for output in outputs]

    def __reduce__(self) -> tuple[Any, ...]:
        return RuntimeSession, (self.path, self.runtime, self._read(), self.device)

    def _read(self) -> bytes:
        """Return the content of the file.

        Raises:
            WeightsError: The file cannot be read, or has changed.
        """
        if self._content is not None:
            return self._content
        try:
            content, version = self.path.read_bytes(), _version(self.path)
        except OSError as error:
            raise WeightsError(f"{self.path} cannot be copied: {error.strerror}. Load the model again.") from error
        if version != self._version:
            raise WeightsError(f"{self.path} has changed since it was loaded. Load the model again.")
        return content


def open_session(path: Path, runtime: str = "onnxruntime", device: str | torch.device = "cpu") -> RuntimeSession:
    """Open an ONNX file; see ``RuntimeSession``."""
    return RuntimeSession(path, runtime, device=device)


def _version(path: Path) -> tuple[int, int]:
    """Return size and time of a file."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:500].rstrip(". ")


def _onnxruntime(runtime: Any, source: str | bytes, device: str | torch.device) -> tuple[_Run, list[str]]:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    providers = execution_providers(runtime, device)
    session = runtime.InferenceSession(source, options, providers=providers)
    if providers[0] != CPU_PROVIDER and device != "auto" and CUDA_PROVIDER not in session.get_providers():
        raise UsageError(  # the runtime goes on with the CPU
            f"onnxruntime cannot use the device {str(device)!r}: its CUDA provider does not start. Install the CUDA "
            f"and cuDNN that onnxruntime-gpu needs, or use cpu."
        )
    names = [each.name for each in session.get_inputs()]

    def run(inputs: Sequence[NDArray[Any]]) -> Sequence[Any]:
        outputs: Sequence[Any] = session.run(None, dict(zip(names, inputs, strict=True)))
        return outputs

    return run, [each.name for each in session.get_outputs()]


def execution_providers(runtime: Any, device: str | torch.device) -> list[Any]:
    """Return the execution providers of ONNX Runtime for a device, the first one preferred.

    Raises:
        UsageError: The runtime cannot use the device.
    """
    has_cuda = CUDA_PROVIDER in runtime.get_available_providers()
    kind, index = _kind_and_index("cuda" if device == "auto" and has_cuda else device)
    if kind == "cpu":
        return [CPU_PROVIDER]
    if kind != "cuda" or not has_cuda:
        raise UsageError(
            f"onnxruntime cannot use the device {str(device)!r} here. Use auto or cpu, or install onnxruntime-gpu in "
            f"place of onnxruntime for cuda."
        )
    return [(CUDA_PROVIDER, {"device_id": index}), CPU_PROVIDER]


def _kind_and_index(device: str | torch.device) -> tuple[str, int]:
    """Return type and index of a device; ``auto`` is the CPU.

    Raises:
        UsageError: There is no such device.
    """
    try:
        parsed = torch.device("cpu" if device == "auto" else device)
    except RuntimeError as error:
        raise UsageError(f"There is no device {str(device)!r}. Use auto, cpu or cuda.") from error
    return parsed.type, parsed.index or 0


def _openvino(runtime: Any, source: str | bytes, device: str | torch.device) -> tuple[_Run, list[str]]:
    if _kind_and_index(device)[0] != "cpu":
        raise UsageError(f"openvino runs on the CPU only, not on {str(device)!r}. Use auto or cpu, or onnxruntime.")
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    core = runtime.Core()
    compiled = core.compile_model(core.read_model(source), "CPU", settings)

    def run(inputs: Sequence[NDArray[Any]]) -> Sequence[Any]:
        outputs = compiled(list(inputs))
        return [outputs[output].copy() for output in compiled.outputs]

    return run, [output.get_any_name() for output in compiled.outputs]
