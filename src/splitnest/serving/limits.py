"""Limits of a service: batches, queue, time, and what a request may contain."""

from dataclasses import dataclass

from splitnest.errors import UsageError

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP")
"""Formats of the images that are read, as Pillow names them."""

MAX_HEADER_BYTES = 32 * 1024
"""Maximum size of the names and values of the headers of a request."""

HEADERS_S = 10.0
"""Seconds within which the headers of a request must arrive."""

MAX_CONNECTIONS = 512
"""Maximum number of open connections; further ones get status 503."""

HELD_BODIES = 16
"""Number of bodies of the maximum size that may be in memory at once; a request beyond it gets status 429."""


@dataclass(frozen=True)
class Limits:
    """Limits of a service.

    Attributes:
        max_batch: Maximum number of network inputs of a batch: images, or persons for a pose estimator.
        max_wait_ms: Milliseconds that an image waits for others until its batch is processed.
        max_queue: Maximum number of images in process, those of the current batch included; a request beyond it gets
            status 429.
        deadline_s: Seconds within which an image must be answered after its request has arrived; status 504 otherwise.
        max_body_bytes: Maximum size of the body of a request; status 413 beyond it.
        body_s: Seconds within which the body of a request must arrive; status 408 otherwise.
        max_pixels: Maximum number of pixels of an image.

    Raises:
        UsageError: A value is out of range.
    """

    max_batch: int = 8
    max_wait_ms: float = 5.0
    max_queue: int = 64
    deadline_s: float = 30.0
    max_body_bytes: int = 32_000_000
    body_s: float = 20.0
    max_pixels: int = 64_000_000

    def __post_init__(self) -> None:
        for name in ("max_batch", "max_queue", "max_body_bytes", "max_pixels"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}. Give an integer of at least 1.")
        for name in ("deadline_s", "body_s"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is {getattr(self, name)}. Give a number of seconds above 0.")
        if not self.max_wait_ms >= 0:
            raise UsageError(f"max_wait_ms is {self.max_wait_ms}. Give a number of milliseconds of at least 0.")
        if self.max_queue < self.max_batch:
            raise UsageError(
                f"max_queue is {self.max_queue}, less than max_batch ({self.max_batch}), so no batch would be full. "
                f"Increase it, or reduce max_batch."
            )

    @property
    def max_held_bytes(self) -> int:
        """Maximum size of all bodies that are in memory at once."""
        return HELD_BODIES * self.max_body_bytes
