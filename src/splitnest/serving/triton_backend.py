"""Model of Triton's Python backend: pre- and post-processing around an exported network that Triton runs too.

``1/model.py`` of a model repository imports ``TritonPythonModel`` from here, so the container of Triton needs splitnest
with the extra ``export``. Everything follows from the metadata of the ONNX file.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splitnest.data.images.read import decode_image
from splitnest.device import on_meta
from splitnest.errors import SplitnestError, UsageError, WeightsError
from splitnest.inference.batching import predict_prepared
from splitnest.inference.exported_model import ExportedModel
from splitnest.inference.predict_loaded import prepare_image
from splitnest.inference.predictor import Predictor
from splitnest.models.build import build_model
from splitnest.recipe import Recipe
from splitnest.recipe.serialization import from_json
from splitnest.serving.limits import IMAGE_FORMATS, Limits
from splitnest.serving.result_tensors import result_tensors
from splitnest.structures import Result
from splitnest.structures.prepared import PreparedImage
from splitnest.weights.onnx_metadata import read_metadata

NETWORK_SUFFIX = "_network"
"""Suffix of the name of the network's model in the repository."""


class NetworkSession:
    """Session of an exported network that Triton runs as a model of its own.

    Args:
        utils: Module ``triton_python_backend_utils``.
        model: Name of the network's model.
        input_names, output_names: Names of its inputs and outputs.
    """

    def __init__(self, utils: Any, model: str, input_names: Sequence[str], output_names: Sequence[str]) -> None:
        self._utils, self._model = utils, model
        self._input_names, self.output_names = tuple(input_names), list(output_names)

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Return the outputs of the network.

        Raises:
            WeightsError: Triton cannot run the network.
        """
        pairs = zip(self._input_names, inputs, strict=True)
        response = self._utils.InferenceRequest(
            model_name=self._model,
            requested_output_names=self.output_names,
            inputs=[self._utils.Tensor(name, value.contiguous().numpy()) for name, value in pairs],
        ).exec()
        if response.has_error():
            raise WeightsError(f"{self._model} failed: {response.error().message()}")
        found = (self._utils.get_output_tensor_by_name(response, name) for name in self.output_names)
        return [torch.from_numpy(np.array(tensor.as_numpy())) for tensor in found]


class TritonPythonModel:
    """Model that takes encoded images, BYTES ``[N, 1]``, and returns the outputs of ``result_tensors``."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the recipe from the metadata of the network's file."""
        import triton_python_backend_utils as utils  # part of Triton

        self._utils, self._limits = utils, Limits()
        config = json.loads(args["model_config"])
        self._max_batch = max(1, int(config.get("max_batch_size", 1)))
        network = config["name"] + NETWORK_SUFFIX
        file = Path(args["model_repository"]).parent / network / "1" / "model.onnx"
        recipe = from_json(read_metadata(file)["recipe"])
        self._predictor = _predictor(utils, network, recipe)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Return the response to each request; an error concerns its own request."""
        images: list[tuple[int, PreparedImage]] = []
        errors: dict[int, Exception] = {}
        for number, request in enumerate(requests):
            try:
                images += [(number, prepared) for prepared in self._prepare(request)]
            except SplitnestError as error:
                errors[number] = error
        results = self._results([image for image in images if image[0] not in errors], errors)
        return [self._response(request, results.get(n, []), errors.get(n)) for n, request in enumerate(requests)]

    def _prepare(self, request: Any) -> list[PreparedImage]:
        contents = self._utils.get_input_tensor_by_name(request, "image").as_numpy().ravel()
        pixels = (decode_image(bytes(c), "The image", IMAGE_FORMATS, self._limits.max_pixels) for c in contents)
        module, recipe = self._predictor.module, self._predictor.recipe
        return [prepare_image(module, recipe, image) for image in pixels]

    def _results(
        self, images: list[tuple[int, PreparedImage]], errors: dict[int, Exception]
    ) -> dict[int, list[Result]]:
        """Return the results of each request; if a batch fails, requests are processed one at a time."""
        module, recipe = self._predictor.module, self._predictor.recipe
        results: dict[int, list[Result]] = {}
        try:
            for number, result in predict_prepared(module, recipe, images, self._max_batch):
                results.setdefault(number, []).append(result)
        except Exception as error:
            numbers = sorted({number for number, _ in images})
            if len(numbers) == 1:
                errors[numbers[0]] = error
                return {}
            alone = (self._results([image for image in images if image[0] == n], errors) for n in numbers)
            return {number: found for part in alone for number, found in part.items()}
        return results

    def _response(self, request: Any, results: Sequence[Result], error: Exception | None) -> Any:
        utils = self._utils
        try:
            if error is not None:
                raise error
            score = json.loads(request.parameters() or "{}").get("score", 0)
            if not isinstance(score, int | float) or not 0 <= score <= 1:
                raise UsageError(f"score is {score!r}. Give a number from 0 to 1.")
            tensors = result_tensors([result.above(score) for result in results])
        except Exception as failure:
            return utils.InferenceResponse(error=utils.TritonError(str(failure)))
        outputs = []
        for name, (datatype, values) in tensors.items():
            rows = values.reshape(-1, 1) if values.ndim == 1 else values
            content = np.vectorize(str.encode, otypes=[object])(rows) if datatype == "BYTES" and rows.size else rows
            outputs.append(utils.Tensor(name, content))
        return utils.InferenceResponse(output_tensors=outputs)


def _predictor(utils: Any, network: str, recipe: Recipe) -> Predictor:
    with on_meta():
        model = build_model(recipe)
    session: Any = NetworkSession(utils, network, model.input_names, model.output_names)
    return Predictor(ExportedModel(recipe, session), recipe)
