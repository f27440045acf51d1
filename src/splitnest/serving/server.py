"""HTTP server of a service: uvicorn with limits for slow and large headers, and a graceful stop."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from threading import current_thread, main_thread

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from splitnest.errors import UsageError
from splitnest.serving.limits import HEADERS_S, MAX_CONNECTIONS, MAX_HEADER_BYTES, Limits

SIGNALS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__)
"""Signals that stop the server gracefully."""

READ_S = 0.2
"""Seconds after the last connection in which requests that were sent before are still read."""


class Server(uvicorn.Server):
    """Server that answers every request it has read before it stops, and stops with exit code 0.

    Args:
        application: Application.
        limits: Limits of the service.
    """

    def __init__(self, application: Starlette, limits: Limits) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=_Protocol,
                ws="none",
                lifespan="on",
                log_level="warning",
                access_log=False,
                server_header=False,
                limit_concurrency=MAX_CONNECTIONS,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
                timeout_graceful_shutdown=round(limits.body_s + limits.deadline_s) + 5,
            )
        )

    def serve_on(self, listener: socket.socket) -> None:
        """Serve on a socket until a signal arrives or ``stop`` is called; a second SIGINT stops at once."""
        self.run(sockets=[listener])

    def stop(self) -> None:
        """Stop gracefully; may be called in any thread."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new connections, read what has arrived on others, answer it, and end."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(READ_S)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gracefully on signals inside the context; those that were ignored before stay ignored."""
        if current_thread() is not main_thread():  # only the main thread may handle signals
            yield
            return
        previous = {
            number: handler for number in SIGNALS if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
        }
        for number in previous:
            signal.signal(number, self.handle_exit)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


class _Protocol(H11Protocol):
    """HTTP/1.1 with a time limit for the headers of a request."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._timer is None and self.conn.trailing_data[0]:
            self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _await_headers(self) -> None:
        self._timer = self.loop.call_later(HEADERS_S, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: Host name or address.
        port: Port; 0 for a free one.

    Raises:
        UsageError: The address is not one of this machine, or in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(MAX_CONNECTIONS)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"The service cannot listen on {host}, port {port}: {reason}. Give another --host or --port."
        ) from error
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Return whether a socket is reached from this machine only."""
    return ip_address(listener.getsockname()[0]).is_loopback


def address(listener: socket.socket) -> str:
    """Return the URL of a socket that listens."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
