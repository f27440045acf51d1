"""Triton's Python backend as far as a model uses it; networks run in ONNX Runtime. The server is no Python package."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest


@dataclass
class Tensor:
    """Named array."""

    name: str
    values: np.ndarray

    def as_numpy(self) -> np.ndarray:
        return self.values


@dataclass
class Error:
    """Error of a response."""

    text: str

    def message(self) -> str:
        return self.text


@dataclass
class Response:
    """Response of a model."""

    output_tensors: Sequence[Tensor] = ()
    error: Error | None = None

    def has_error(self) -> bool:
        return self.error is not None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        assert self.error is None, self.error
        return {tensor.name: tensor.values for tensor in self.output_tensors}


@dataclass
class Request:
    """Request of a client."""

    images: Sequence[bytes]
    options: dict[str, Any] = field(default_factory=dict)

    def parameters(self) -> str:
        return json.dumps(self.options)


@contextmanager
def loaded(folder: Path, max_batch_size: int = 8) -> Iterator[Any]:
    """Load the model of a folder of a repository as Triton does."""
    sessions: dict[str, Any] = {}

    @dataclass
    class NetworkRequest:
        model_name: str
        requested_output_names: Sequence[str]
        inputs: Sequence[Tensor]

        def exec(self) -> Response:
            path = folder.parent / self.model_name / "1" / "model.onnx"
            session = sessions.setdefault(self.model_name, onnxruntime.InferenceSession(path))
            values = {tensor.name: tensor.values for tensor in self.inputs}
            assert all(len(value) <= max_batch_size for value in values.values())
            outputs = session.run(list(self.requested_output_names), values)
            return Response([Tensor(*pair) for pair in zip(self.requested_output_names, outputs, strict=True)])

    utils = SimpleNamespace(
        Tensor=Tensor,
        InferenceRequest=NetworkRequest,
        InferenceResponse=Response,
        TritonError=Error,
        get_input_tensor_by_name=lambda request, _: Tensor("image", np.array(request.images, object)[:, None]),
        get_output_tensor_by_name=lambda response, name: Tensor(name, response.arrays[name]),
    )
    config = {"name": folder.name, "max_batch_size": max_batch_size}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "triton_python_backend_utils", utils)
        content: dict[str, Any] = {}
        exec((folder / "1" / "model.py").read_text(), content)
        model = content["TritonPythonModel"]()
        model.initialize({"model_config": json.dumps(config), "model_repository": str(folder)})
        yield model
