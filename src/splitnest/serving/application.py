"""ASGI application of a service."""

import hashlib
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial
from importlib import resources

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from splitnest.serving import open_inference
from splitnest.serving.guard import Guard
from splitnest.serving.limits import Limits
from splitnest.serving.openapi import openapi
from splitnest.serving.predict import predict
from splitnest.serving.service import Loader, Service
from splitnest.serving.statistics import CONTENT_TYPE


def app(
    models: Mapping[str, Loader],
    *,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    token: str | None = None,
    detector: Loader | None = None,
    on_failure: Callable[[Exception], None] | None = None,
) -> Starlette:
    """Return the ASGI application that serves models.

    The models are loaded when the server starts it. It answers at once, and ``/health/ready`` has the status 200 when
    all models have predicted an image.

    Args:
        models: Model of each name: one that ``splitnest.load`` returned, or a function that loads it. The first one
            answers requests that name none.
        limits: Limits of batches, queue, time and bodies.
        token: Token that requests must have (``Authorization: Bearer TOKEN``); None for no token.
        detector: Detector of the persons for pose estimators; without one they take each image as the box of one
            person.
        on_failure: Function that is called with the error of a model that cannot be loaded.
    """
    service = Service(models, limits, detector, on_failure)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.start()
        yield
        await run_in_threadpool(service.stop)

    routes = [
        Route("/", partial(_page, "page.html")),
        Route("/docs", partial(_page, "docs.html")),
        Route("/openapi.json", _openapi),
        Route("/predict", predict, methods=["POST"]),
        Route("/model", _model),
        Route("/metrics", _metrics),
        Route("/health/live", _live),
        Route("/health/ready", _ready),
        *open_inference.ROUTES,
    ]
    application = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Guard, service=service, token=token)],
        exception_handlers={HTTPException: _raise},
    )
    application.state.service = service
    return application


async def _raise(_: Request, error: Exception) -> Response:
    raise error  # to the middleware, which answers all errors


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _model(request: Request) -> Response:
    service = _service(request)
    name = request.query_params.get("model")
    if name is not None:
        return JSONResponse(service.model(name).description)
    ready = [model.description for model in service.models.values()]
    return JSONResponse({"models": ready, "loading": [name for name in service.names if name not in service.models]})


async def _metrics(request: Request) -> Response:
    return Response(_service(request).statistics.text(), media_type=CONTENT_TYPE)


async def _live(_: Request) -> Response:
    return JSONResponse({"live": True})


async def _ready(request: Request) -> Response:
    service = _service(request)
    return JSONResponse({"ready": service.is_ready}, status_code=200 if service.is_ready else 503)


async def _openapi(request: Request) -> Response:
    return JSONResponse(openapi(_service(request)))


async def _page(name: str, _: Request) -> Response:
    content, policy = _file(name)
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    return Response(content, media_type="text/html", headers=headers)


@cache
def _file(name: str) -> tuple[bytes, str]:
    """Return a page, and the policy by which a browser runs its own scripts only and loads nothing from elsewhere."""
    text = resources.files("splitnest.serving").joinpath(name).read_text(encoding="utf-8")
    hashes = " ".join(
        f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    )
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src 'self' blob: data:; "
        f"media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text.encode(), policy
