"""Endpoints of the Open Inference Protocol, version 2, which clients of Triton, KServe and OpenVINO use."""

import asyncio
from time import monotonic
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from splitnest._version import __version__
from splitnest.errors import UsageError
from splitnest.inference.score_filter import score_filter
from splitnest.serving.bodies import received_body
from splitnest.serving.predict import requested_score, unless_disconnected
from splitnest.serving.result_tensors import output_metadata, result_tensors
from splitnest.serving.served_model import ServedModel
from splitnest.serving.service import Service, check_score
from splitnest.serving.tensors import HEADER_LENGTH, INPUT, InferRequest, parse_request, write_response

EXTENSIONS = ("binary_tensor_data",)
"""Extensions of the protocol that are supported."""

VERSION = "1"
"""Version of every model."""


async def _server(_: Request) -> Response:
    return JSONResponse({"name": "splitnest", "version": __version__, "extensions": list(EXTENSIONS)})


async def _live(_: Request) -> Response:
    return JSONResponse({"live": True})


async def _ready(request: Request) -> Response:
    service: Service = request.app.state.service
    return JSONResponse({"ready": service.is_ready}, status_code=200 if service.is_ready else 503)


async def _model(request: Request) -> Response:
    model = _requested(request)
    return JSONResponse(
        {
            "name": model.name,
            "versions": [VERSION],
            "platform": "splitnest",
            "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
            "outputs": output_metadata(model),
        }
    )


async def _model_ready(request: Request) -> Response:
    model = _requested(request)
    return JSONResponse({"name": model.name, "ready": True})


async def _infer(request: Request) -> Response:
    service: Service = request.app.state.service
    model = _requested(request)
    service.check_queue()
    async with received_body(request, service, model.name) as body:
        header_length = request.headers.get(HEADER_LENGTH)
        max_pixels = service.limits.max_pixels
        parsed = await service.in_pool(model, "decode", lambda: parse_request(body, header_length, max_pixels))
        score = requested_score(parsed.parameters.get("score"))
        check_score(model, score)
        with service.admitted(len(parsed.images)):
            return await unless_disconnected(request, _answer(service, model, parsed, score))


async def _answer(service: Service, model: ServedModel, parsed: InferRequest, score: float | str | None) -> Response:
    deadline = monotonic() + service.limits.deadline_s
    tasks = [asyncio.ensure_future(service.predict(model, image, deadline)) for image in parsed.images]
    try:
        results = await asyncio.gather(*tasks)
    finally:  # the images of a request that fails are withdrawn
        for task in tasks:
            task.cancel()

    def encode() -> tuple[bytes, dict[str, str]]:
        keep = score_filter(score, model.predictor.required_score_thresholds)
        try:
            tensors = result_tensors([keep(result) for result in results])
        except UsageError as error:
            raise HTTPException(400, str(error)) from error
        return write_response(model.name, parsed, tensors)

    content, headers = await service.in_pool(model, "encode", encode)
    return Response(content, headers=headers)


def _requested(request: Request) -> ServedModel:
    """Return the model in the path of a request.

    Raises:
        HTTPException: There is no such model or version (404), or it is not ready (503).
    """
    service: Service = request.app.state.service
    params: dict[str, Any] = request.path_params
    model = service.model(params["model"])
    if (version := params.get("version", VERSION)) != VERSION:
        raise HTTPException(404, f"{model.name} has no version {version[:100]!r}. Its version is {VERSION}.")
    return model


def _model_routes() -> list[Route]:
    routes = []
    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        routes += [
            Route(path, _model),
            Route(f"{path}/ready", _model_ready),
            Route(f"{path}/infer", _infer, methods=["POST"]),
        ]
    return routes


ROUTES = [
    Route("/v2", _server),
    Route("/v2/health/live", _live),
    Route("/v2/health/ready", _ready),
    *_model_routes(),
]
"""Routes of the protocol."""
