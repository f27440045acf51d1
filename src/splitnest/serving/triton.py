"""Model repository of Triton Inference Server: an exported network, and pre- and post-processing around it."""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from splitnest.errors import UsageError
from splitnest.exporting.export import export
from splitnest.files import output_errors, plain_name, write_text
from splitnest.inference.predictor import Predictor
from splitnest.serving.limits import Limits
from splitnest.serving.result_tensors import output_metadata
from splitnest.serving.served_model import ServedModel
from splitnest.serving.triton_backend import NETWORK_SUFFIX
from splitnest.weights.onnx_metadata import import_extra

_TYPES = {"FP32": "TYPE_FP32", "INT64": "TYPE_INT64", "BYTES": "TYPE_STRING"}

_BACKEND = '''\
"""Pre- and post-processing of an exported network, from the metadata of its ONNX file."""

from splitnest.serving.triton_backend import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''


def write_repository(model: Predictor, out: str | Path, name: str | None = None) -> Path:
    """Write a model repository of Triton, or add a model to one.

    It has two models: ``NAME_network`` is the network for Triton's ONNX Runtime backend, and ``NAME`` takes encoded
    images and returns results; it belongs to the Python backend. Both have dynamic batching.

    Args:
        model: Model in float32, neither fast nor compiled.
        out: Folder of the repository.
        name: Name of the model; None for that of its recipe.

    Returns:
        Folder of the model ``NAME``.

    Raises:
        UsageError: The model cannot be exported, or the repository has a model of this name.
        OutputError: The repository cannot be written.
    """
    name = model.recipe.name if name is None else name
    try:
        plain_name(name)
    except ValueError as error:
        raise UsageError(f"{name[:80]!r} {error}. Give another name.") from None
    repository, network = Path(out), name + NETWORK_SUFFIX
    for folder in (repository / name, repository / network):
        if os.path.lexists(folder):
            raise UsageError(f"{folder} exists. Remove it, or give another folder.")
    part = repository / f".{name}.part-{os.getpid()}"
    with output_errors(repository):
        (part / network / "1").mkdir(parents=True)
        (part / name / "1").mkdir(parents=True)
    try:
        file = export(model, part / network / "1" / "model.onnx")
        write_text(part / network / "config.pbtxt", _network_config(network, file))
        write_text(part / name / "config.pbtxt", _model_config(name, ServedModel(name, model)))
        write_text(part / name / "1" / "model.py", _BACKEND)
        with output_errors(repository):
            os.rename(part / network, repository / network)
            os.rename(part / name, repository / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return repository / name


def _network_config(name: str, file: Path) -> str:
    """Return the configuration of the network, from the inputs and outputs of its file."""
    onnx = import_extra("onnx", "export")
    graph = onnx.load(str(file), load_external_data=False).graph
    types = {onnx.TensorProto.FLOAT: "TYPE_FP32", onnx.TensorProto.INT64: "TYPE_INT64"}

    def values(rows: Iterable[Any]) -> list[tuple[str, str, list[int]]]:
        found = []
        for row in rows:
            tensor = row.type.tensor_type
            dims = [axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim]
            found.append((row.name, types[tensor.elem_type], dims[1:]))
        return found

    return _config(name, 'platform: "onnxruntime_onnx"', values(graph.input), values(graph.output))


def _model_config(name: str, model: ServedModel) -> str:
    """Return the configuration of the model around the network. Its rows of one value for each image are [N, 1]."""
    outputs = [(row["name"], _TYPES[row["datatype"]], row["shape"][1:] or [1]) for row in output_metadata(model)]
    return _config(name, 'backend: "python"', [("image", "TYPE_STRING", [1])], outputs)


def _config(
    name: str, backend: str, inputs: Sequence[tuple[str, str, list[int]]], outputs: Sequence[tuple[str, str, list[int]]]
) -> str:
    limits = Limits()
    lines = [f'name: "{name}"', backend, f"max_batch_size: {limits.max_batch}"]
    for kind, values in (("input", inputs), ("output", outputs)):
        rows = ",\n".join(f"  {{ {_value(*value)} }}" for value in values)
        lines.append(f"{kind} [\n{rows}\n]")
    lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {round(1000 * limits.max_wait_ms)} }}")
    return "\n".join(lines) + "\n"


def _value(name: str, kind: str, dims: list[int]) -> str:
    """Return an input or output of a configuration; Triton has no shape without axes beside that of the batch."""
    if dims:
        return f'name: "{name}" data_type: {kind} dims: {dims}'
    return f'name: "{name}" data_type: {kind} dims: [ 1 ] reshape {{ shape: [ ] }}'
