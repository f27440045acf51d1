"""Middleware of a service: token, size of headers, answers to errors, and counting of requests."""

import asyncio
import hmac
import json
import logging
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from splitnest.errors import printable
from splitnest.serving.limits import MAX_HEADER_BYTES
from splitnest.serving.service import Service

PUBLIC = ("/", "/docs", "/openapi.json", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready")
"""Paths that need no token: pages without content of requests, and what orchestrators ask."""

LINGER_S, LINGER_BYTES = 2.0, 64_000_000
"""Seconds and bytes of a refused body that are received and dropped, so that its sender reads the answer."""

_log = logging.getLogger(__name__)


class Guard:
    """Middleware around all endpoints.

    Args:
        app: Application.
        service: Service.
        token: Token that a request must have (``Authorization: Bearer TOKEN``); None for no token.
    """

    def __init__(self, app: ASGIApp, service: Service, token: str | None) -> None:
        self.app, self.service = app, service
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        try:
            self._check(scope)
            await self.app(scope, exchange.receive, exchange.send)
        except HTTPException as error:
            await exchange.refuse(_explained(error, scope))
        except Exception as error:  # a fault of this package: the service lives on
            _log.error("a request failed", exc_info=error)
            if exchange.status:
                raise
            await exchange.refuse(HTTPException(500, "The request failed. The log of the service has the reason."))
        self.service.statistics.requests.labels(_endpoint(scope), exchange.status).inc()

    def _check(self, scope: Scope) -> None:
        """Raise an HTTPException if the headers are too large (431), or the token is not that of the service (401)."""
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            raise HTTPException(431, f"The headers are larger than {MAX_HEADER_BYTES} bytes. Send fewer of them.")
        if self._expected is None or scope["path"] in PUBLIC:
            return
        given = Headers(scope=scope).get("authorization", "")
        if not hmac.compare_digest(given.encode("latin-1", "replace"), self._expected):
            raise HTTPException(
                401,
                "The token is missing or wrong. Send the header 'Authorization: Bearer TOKEN'.",
                {"WWW-Authenticate": "Bearer"},
            )


def _explained(error: HTTPException, scope: Scope) -> HTTPException:
    """Return an error of the router with a sentence that says what to do, and other errors unchanged."""
    path, methods = printable(scope["path"][:100]), (error.headers or {}).get("Allow")
    if error.status_code == 404 and "endpoint" not in scope:
        return HTTPException(404, f"There is no {path}. See /docs.")
    if error.status_code == 405:
        return HTTPException(405, f"{path} is requested by {methods}, not {scope['method']}. See /docs.", error.headers)
    return error


def _endpoint(scope: Scope) -> str:
    """Return the path of a request without what clients choose, so that statistics stay small."""
    if "endpoint" not in scope:
        return "other"
    parts = scope["path"].split("/")
    for name, value in reversed(scope["path_params"].items()):
        parts[len(parts) - 1 - parts[::-1].index(value)] = f"{{{name}}}"
    return "/".join(parts)


class _Exchange:
    """Request and its response.

    Attributes:
        status: Status of the response; 0 before it.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self.status, self._receive, self._send = 0, receive, send
        self._body_ended = False

    async def receive(self) -> Message:
        """Return the next message of the client."""
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._body_ended = True
        return message

    async def send(self, message: Message) -> None:
        """Send a message to the client."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    async def refuse(self, error: HTTPException) -> None:
        """Send an error as JSON. A body that is still arriving is dropped for a while before the connection is closed.

        If it were closed at once, the client would find a reset connection instead of the answer.
        """
        body = json.dumps({"error": error.detail}).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **(error.headers or {})}
        if not self._body_ended:
            headers["connection"] = "close"
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": error.status_code, "headers": raw})
        await self.send({"type": "http.response.body", "body": body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                dropped = 0
                while not self._body_ended and dropped < LINGER_BYTES:
                    dropped += len((await self.receive()).get("body", b""))
        await self.send({"type": "http.response.body", "body": b""})
