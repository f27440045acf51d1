"""Reading of request bodies: bounded in size and time, never from a path or a URL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from splitnest.serving.service import Service

IMAGE_TYPES = ("image/jpeg", "image/jpg", "image/png", "image/webp", "application/octet-stream")
"""Content types of a body that is an image."""

MULTIPART = "multipart/form-data"

MAX_FIELDS = 20
"""Maximum number of text fields of a form, each of at most ``MAX_FIELD_BYTES``."""

MAX_FIELD_BYTES = 1000


class _MemoryParser(MultiPartParser):
    """Parser of forms that writes nothing to disk: bodies are in memory, and bounded, already."""

    spool_max_size = 1 << 40


@dataclass(frozen=True)
class Form:
    """Image of a request, and the text fields beside it.

    Attributes:
        image: Encoded image.
        fields: Value of each text field.
    """

    image: bytes
    fields: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def received_body(request: Request, service: Service, model: str) -> AsyncIterator[bytes]:
    """Receive the body of a request, which counts as held in memory inside the context.

    Args:
        request: Request.
        service: Service.
        model: Name of the model, for statistics.

    Raises:
        HTTPException: The body is larger than ``max_body_bytes`` (413), slower than ``body_s`` (408), or compressed
            (415), or too many bodies are in memory (429).
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "The body has a Content-Encoding. Send it without one: images are compressed already.")
    most = service.limits.max_body_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 15 or int(declared) > most):
        raise _too_large(most)
    blocks: list[bytes] = []
    try:
        with service.statistics.timed(model, "read"):
            await _receive(request, service, blocks)
        yield b"".join(blocks)
    finally:
        service.hold(-sum(map(len, blocks)))


async def _receive(request: Request, service: Service, blocks: list[bytes]) -> None:
    """Receive the body of a request block by block."""
    num_bytes = 0
    try:
        async with asyncio.timeout(service.limits.body_s):
            async for block in request.stream():
                service.hold(len(block))
                blocks.append(block)
                num_bytes += len(block)
                if num_bytes > service.limits.max_body_bytes:
                    raise _too_large(service.limits.max_body_bytes)
    except TimeoutError as error:
        raise HTTPException(
            408, f"The body did not arrive within {service.limits.body_s:g} s. Send it again."
        ) from error
    except ClientDisconnect as error:
        raise HTTPException(400, "The body ended early.") from error


async def read_form(request: Request, body: bytes) -> Form:
    """Return the image of a body, which is the image or a form with one file. Names of files have no meaning.

    Raises:
        HTTPException: The body is of another type (415), or is no such form (400).
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == MULTIPART:
        return await _parse(request.headers, body)
    if content_type and content_type not in IMAGE_TYPES:
        raise HTTPException(
            415,
            f"The Content-Type is {content_type[:100]}. Send image/jpeg, image/png or image/webp with the image as the "
            f"body, or multipart/form-data with one file.",
        )
    if not body:
        raise HTTPException(400, "The body is empty. Send an image: paths and URLs are not read.")
    return Form(body)


async def _parse(headers: Headers, body: bytes) -> Form:
    async def stream() -> AsyncIterator[bytes]:
        yield body
        yield b""

    parser = _MemoryParser(headers, stream(), max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)  # type: ignore[arg-type]  # it takes any iterator
    try:
        form = await parser.parse()
    except (MultiPartException, UnicodeDecodeError, KeyError, ValueError) as error:
        reason = getattr(error, "message", "its headers cannot be read")
        raise HTTPException(
            400, f"The form cannot be read: {str(reason).rstrip('.')}. Send one file as its image."
        ) from error
    files = [value for value in form.values() if isinstance(value, UploadFile)]
    fields = {key: value for key, value in form.items() if isinstance(value, str)}
    if not files:
        raise HTTPException(
            400, "The form has no file. Send the content of an image as a file: paths and URLs are not read."
        )
    image = await files[0].read()
    await form.close()
    if not image:
        raise HTTPException(400, "The file of the form is empty. Send the content of an image.")
    return Form(image, fields)


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"The body is larger than {most / 10**6:g} MB. Send a smaller image.")
