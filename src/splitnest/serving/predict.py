"""Endpoint ``POST /predict``: one image in, its result as JSON, COCO rows or a picture out."""

import asyncio
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Self

from PIL import Image as PillowImage
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from splitnest.errors import UsageError, printable
from splitnest.inference.score_filter import parse_score, score_filter
from splitnest.serving.bodies import Form, read_form, received_body
from splitnest.serving.served_model import ServedModel
from splitnest.serving.service import Service, check_score
from splitnest.structures import Classification, Result

FORMATS = ("json", "coco", "png")

PARAMETERS = ("model", "score", "format", "image_id")
"""Parameters of a request, in its address or as text fields of its form."""


@dataclass(frozen=True)
class Options:
    """Parameters of a request.

    Attributes:
        model: Name of the model; None for the first one.
        score: Minimum score of detections and persons; None for all, and ``draw``'s own minimum in pictures.
        format: Form of the result.
        image_id: Id of the image in COCO rows.
    """

    model: str | None = None
    score: float | str | None = None
    format: str = "json"
    image_id: int = 0

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> Self:
        """Return the parameters of a request.

        Raises:
            HTTPException: A parameter is unknown or has no valid value (400).
        """
        for name in values:
            if name not in PARAMETERS:
                raise HTTPException(
                    400, f"There is no parameter {printable(name[:100])!r}. Use {', '.join(PARAMETERS)}."
                )
        form = values.get("format", "json")
        if form not in FORMATS:
            raise HTTPException(400, f"format is {printable(form[:100])!r}. Use {', '.join(FORMATS)}.")
        number = values.get("image_id", "0")
        if not (number.isascii() and number.isdecimal() and len(number) < 16):
            raise HTTPException(400, f"image_id is {printable(number[:100])!r}. Give an integer of at least 0.")
        return cls(values.get("model"), requested_score(values.get("score")), form, int(number))


def requested_score(text: object) -> float | str | None:
    """Return the minimum score of a request; None if it gives none.

    Raises:
        HTTPException: The score is neither a number from 0 to 1 nor ``auto`` (400).
    """
    try:
        return None if text is None else parse_score(text, "score")
    except UsageError as error:
        raise HTTPException(400, str(error)) from error


async def predict(request: Request) -> Response:
    """Answer ``POST /predict``."""
    service: Service = request.app.state.service
    Options.parse(request.query_params)  # before the body is received
    model = service.model(request.query_params.get("model"))
    service.check_queue()
    async with received_body(request, service, model.name) as body:
        form = await read_form(request, body)
        options = Options.parse({**request.query_params, **form.fields})
        model = service.model(options.model)
        check_score(model, options.score)
        with service.admitted():
            return await unless_disconnected(request, _answer(service, model, form, options))


async def _answer(service: Service, model: ServedModel, form: Form, options: Options) -> Response:
    result = await service.predict(model, form.image, monotonic() + service.limits.deadline_s)

    def encode() -> tuple[bytes, str]:
        shown = score_filter(options.score, model.predictor.required_score_thresholds)(result)
        if options.format == "png":
            return _picture(service, form.image, shown, options), "image/png"
        return _json(model, shown, options), "application/json"

    content, media_type = await service.in_pool(model, "encode", encode)
    return Response(content, media_type=media_type)


def _json(model: ServedModel, result: Result, options: Options) -> bytes:
    content: Any
    if options.format == "coco":
        if isinstance(result, Classification):
            raise HTTPException(400, f"{model.name} is a classifier, whose results have no COCO form. Use format=json.")
        content = result.to_coco(options.image_id)
    else:
        content = {"model": model.name, "task": model.task, "result": result.to_dict()}
    return json.dumps(content).encode()


def _picture(service: Service, image: bytes, result: Result, options: Options) -> bytes:
    pixels = service.pixels(image)
    has_scores = options.score is not None and hasattr(result, "scores")
    drawn = result.draw(pixels, score_threshold=0.0) if has_scores else result.draw(pixels)  # type: ignore[call-arg]
    file = io.BytesIO()
    PillowImage.fromarray(drawn).save(file, "PNG", compress_level=1)
    return file.getvalue()


async def unless_disconnected(request: Request, answer: Any) -> Response:
    """Return the answer to a request whose body was received; withdraw its images if the client goes away."""
    answering = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise HTTPException(499, "The client closed the connection.")
        response: Response = answering.result()
        return response
    finally:
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
