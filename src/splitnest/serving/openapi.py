"""OpenAPI description of a service."""

from typing import Any

from splitnest._version import __version__
from splitnest.serving.bodies import IMAGE_TYPES, MULTIPART
from splitnest.serving.predict import FORMATS
from splitnest.serving.service import Service

_ERRORS = {
    "400": "The image cannot be read, or a parameter is not valid.",
    "401": "The token is missing or wrong.",
    "404": "There is no such model.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The content type is not that of an image or a form.",
    "429": "Too many images are in process. Try again after the seconds of the header Retry-After.",
    "500": "The prediction failed.",
    "503": "The model is being loaded, the service is stopping, or memory ran out.",
    "504": "The image was not processed within the deadline.",
}


def openapi(service: Service) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of a service."""
    model = {
        "name": "model",
        "in": "query",
        "description": f"Name of the model; by default {service.names[0]}.",
        "schema": {"type": "string", "enum": list(service.names)},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "splitnest",
            "version": __version__,
            "description": f"Predictions of {', '.join(service.names)}.",
        },
        "paths": {
            "/predict": {"post": _predict(model)},
            "/model": _get("Task, classes with colors, keypoints and input of the models", [model]),
            "/health/live": _get("Status 200 while the process runs"),
            "/health/ready": _get("Status 200 when all models are ready, 503 before"),
            "/metrics": _get(
                "Requests, batch sizes, queue, and seconds of each stage, for Prometheus", kind="text/plain"
            ),
            "/v2": _get("Open Inference Protocol: name, version and extensions of the server"),
            "/v2/health/live": _get("Open Inference Protocol: whether the process runs"),
            "/v2/health/ready": _get("Open Inference Protocol: whether all models are ready"),
            "/v2/models/{model}": _get("Open Inference Protocol: inputs and outputs of a model", [_in_path(model)]),
            "/v2/models/{model}/ready": _get("Open Inference Protocol: whether a model is ready", [_in_path(model)]),
            "/v2/models/{model}/infer": {"post": _infer(model)},
        },
        "components": {
            "schemas": {"Error": {"type": "object", "properties": {"error": {"type": "string"}}}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _predict(model: dict[str, Any]) -> dict[str, Any]:
    file = {"type": "string", "format": "binary"}
    bodies = {kind: {"schema": file} for kind in IMAGE_TYPES if kind != "image/jpg"}
    return {
        "summary": "Predict for one image",
        "description": "The body is the image (JPEG, PNG or WebP), or a form with one file. Parameters may be text "
        "fields of the form too. Paths and URLs are not read.",
        "parameters": [
            model,
            _parameter(
                "score", "Minimum score of detections, from 0 to 1, or auto; by default all.", {"type": "string"}
            ),
            _parameter("format", "Form of the result.", {"type": "string", "enum": list(FORMATS), "default": "json"}),
            _parameter("image_id", "Id of the image in COCO rows.", {"type": "integer", "minimum": 0, "default": 0}),
        ],
        "requestBody": {
            "required": True,
            "content": {
                **bodies,
                MULTIPART: {"schema": {"type": "object", "required": ["image"], "properties": {"image": file}}},
            },
        },
        "responses": {
            "200": {
                "description": "Result: JSON of the model's name, its task and the result; COCO rows; or a picture.",
                "content": {"application/json": {"schema": {}}, "image/png": {"schema": file}},
            },
            **_errors(),
        },
    }


def _infer(model: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": "Open Inference Protocol: predict for images",
        "description": "One input, 'image': BYTES of encoded images [N], or UINT8 RGB pixels [N, H, W, 3]; JSON, or "
        "binary tensors. The parameter 'score' is a minimum score.",
        "parameters": [_in_path(model)],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "200": {"description": "Outputs.", "content": {"application/json": {"schema": {"type": "object"}}}},
            **_errors(),
        },
    }


def _get(
    summary: str, parameters: list[dict[str, Any]] | None = None, kind: str = "application/json"
) -> dict[str, Any]:
    answer = {"description": "Answer.", "content": {kind: {"schema": {}}}}
    return {"get": {"summary": summary, "parameters": parameters or [], "responses": {"200": answer}}}


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _in_path(model: dict[str, Any]) -> dict[str, Any]:
    return {**model, "in": "path", "required": True, "description": "Name of the model."}


def _errors() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": text, "content": content} for status, text in _ERRORS.items()}
