"""Tensors of the Open Inference Protocol: JSON or binary in requests and responses.

The binary form is that of its extension "binary tensor data": a JSON header, whose length is a header of the request,
and then the values of the tensors one after another, little-endian. An element of type BYTES has its length before it.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException

from splitnest.errors import printable
from splitnest.serving.served_model import Image

HEADER_LENGTH = "Inference-Header-Content-Length"
"""HTTP header with the length of the JSON header of a body with binary tensors."""

INPUT = "image"
"""Name of the input."""

DTYPES = {"FP32": np.float32, "INT64": np.int64, "BYTES": np.object_}
"""Types of the outputs."""


@dataclass(frozen=True)
class InferRequest:
    """Request of the protocol.

    Attributes:
        id: Id that the response repeats; None for no id.
        parameters: Parameters of the request.
        images: Images.
        outputs: Names of the outputs to return, and whether each is binary; None for all.
        binary: Whether outputs without a choice of their own are binary.
    """

    id: str | None
    parameters: Mapping[str, Any]
    images: Sequence[Image]
    outputs: Mapping[str, bool] | None
    binary: bool


def parse_request(body: bytes, header_length: str | None, max_pixels: int) -> InferRequest:
    """Return the request in a body.

    Args:
        body: Body of the HTTP request.
        header_length: Value of ``HEADER_LENGTH``; None for a body of JSON alone.
        max_pixels: Maximum number of pixels of an image that is given as an array.

    Raises:
        HTTPException: The body is no valid request (400).
    """
    length = len(body)
    if header_length is not None:
        is_number = header_length.isascii() and header_length.isdecimal() and len(header_length) < 16
        if not is_number or int(header_length) > len(body):
            raise _bad(f"{HEADER_LENGTH} is {header_length[:100]!r}, but the body has {len(body)} bytes")
        length = int(header_length)
    try:
        content = json.loads(body[:length])
    except (ValueError, RecursionError) as error:
        raise _bad(f"the body is not valid JSON ({error})") from error
    content = _object(content, "the body")
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise _bad(f"inputs must be a list of one input, {INPUT!r}")
    parameters = _object(content.get("parameters") or {}, "parameters")
    identity = content.get("id")
    if identity is not None and not isinstance(identity, str):
        raise _bad("id must be a string")
    return InferRequest(
        identity,
        parameters,
        _images(_object(inputs[0], "inputs[0]"), body[length:], max_pixels),
        _outputs(content.get("outputs"), parameters),
        parameters.get("binary_data_output") is True,
    )


def _outputs(rows: Any, parameters: Mapping[str, Any]) -> dict[str, bool] | None:
    if not rows:
        return None
    if not isinstance(rows, list):
        raise _bad("outputs must be a list")
    chosen = {}
    for row in rows:
        row = _object(row, "each output")
        if not isinstance(row.get("name"), str):
            raise _bad("each output must have a name")
        binary = _object(row.get("parameters") or {}, "parameters of an output").get("binary_data")
        chosen[row["name"]] = parameters.get("binary_data_output") is True if binary is None else binary is True
    return chosen


def _images(tensor: Mapping[str, Any], binary: bytes, max_pixels: int) -> list[Image]:
    """Return the images of an input tensor."""
    if tensor.get("name") != INPUT:
        raise _bad(f"the input is called {printable(str(tensor.get('name'))[:100])!r}; its name must be {INPUT!r}")
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(side) is int and 0 < side < 1 << 31 for side in shape):
        raise _bad("shape must be a list of positive integers")
    size = _object(tensor.get("parameters") or {}, "parameters of the input").get("binary_data_size")
    if size is not None and (type(size) is not int or size != len(binary)):
        raise _bad(f"binary_data_size is {printable(str(size)[:100])}, but {len(binary)} bytes follow the JSON")
    if size is None and "data" not in tensor:
        raise _bad("the input has neither data nor binary_data_size")
    data: Any = binary if size is not None else tensor["data"]
    match tensor.get("datatype"):
        case "BYTES":
            return _encoded_images(shape, data)
        case "UINT8":
            return _arrays(shape, data, max_pixels)
        case other:
            raise _bad(
                f"the datatype is {printable(str(other)[:100])!r}. Send BYTES (encoded images) or UINT8 (RGB pixels)"
            )


def _encoded_images(shape: Sequence[int], data: Any) -> list[Image]:
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1):
        raise _bad(f"BYTES must have the shape [N] or [N, 1], not {list(shape)}")
    images = _split(data) if isinstance(data, bytes) else [_from_base64(item) for item in _flat(data)]
    if len(images) != shape[0]:
        raise _bad(f"shape says {shape[0]} images, but there are {len(images)}")
    return list(images)


def _split(data: bytes) -> list[bytes]:
    """Return the elements of a binary tensor of type BYTES."""
    items, position = [], 0
    while position < len(data):
        start = position + 4
        position = start + int.from_bytes(data[position:start], "little")
        if start > len(data) or position > len(data):
            raise _bad("an element of BYTES is longer than the body")
        items.append(data[start:position])
    return items


def _from_base64(item: Any) -> bytes:
    try:
        return base64.b64decode(item, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise _bad("BYTES in JSON must be strings with an image in base64; paths and URLs are not read") from error


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise _bad("data must be a list")
    return [item for row in data for item in (row if isinstance(row, list) else [row])]


def _arrays(shape: Sequence[int], data: Any, max_pixels: int) -> list[Image]:
    """Return the images of a tensor of type UINT8."""
    if len(shape) not in (3, 4) or shape[-1] != 3:
        raise _bad(f"UINT8 must be RGB of the shape [H, W, 3] or [N, H, W, 3], not {list(shape)}")
    if shape[-3] * shape[-2] > max_pixels:
        raise _bad(f"an image has {shape[-2]} x {shape[-3]} pixels, more than {max_pixels / 10**6:g} million")
    if isinstance(data, bytes):
        values: NDArray[Any] = np.frombuffer(data, np.uint8)
    else:
        try:
            values = np.array(data)
        except (ValueError, OverflowError) as error:
            raise _bad("data must be numbers in lists of equal lengths") from error
        if values.size and (values.dtype.kind not in "iu" or not 0 <= values.min() <= values.max() <= 255):
            raise _bad("data must be integers from 0 to 255")
    if values.size != prod(shape):
        raise _bad(f"shape {list(shape)} needs {prod(shape)} values, but there are {values.size}")
    return list(values.astype(np.uint8).reshape(-1, *shape[-3:]))


def write_response(
    model: str, request: InferRequest, outputs: Mapping[str, tuple[str, NDArray[Any]]]
) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a response.

    Args:
        model: Name of the model.
        request: Request.
        outputs: Type and values of each output.

    Raises:
        HTTPException: An output of the request does not exist (400).
    """
    chosen = dict.fromkeys(outputs, request.binary) if request.outputs is None else request.outputs
    rows, blocks = [], []
    for name, is_binary in chosen.items():
        if name not in outputs:
            raise _bad(f"there is no output {printable(name[:100])!r}; the outputs are {', '.join(outputs)}")
        datatype, values = outputs[name]
        row: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(values.shape)}
        if is_binary:
            blocks.append(_to_bytes(values))
            row["parameters"] = {"binary_data_size": len(blocks[-1])}
        else:
            row["data"] = values.ravel().tolist()
        rows.append(row)
    content = {"model_name": model, "model_version": "1", "outputs": rows}
    if request.id is not None:
        content["id"] = request.id
    header = json.dumps(content).encode()
    if not blocks:
        return header, {"Content-Type": "application/json"}
    return b"".join([header, *blocks]), {
        "Content-Type": "application/octet-stream",
        HEADER_LENGTH: str(len(header)),
    }


def _to_bytes(values: NDArray[Any]) -> bytes:
    if values.dtype != np.object_:
        return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    items = [str(item).encode() for item in values.ravel()]
    return b"".join(len(item).to_bytes(4, "little") + item for item in items)


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(f"{where} must be an object")
    return value


def _bad(reason: str) -> HTTPException:
    return HTTPException(400, f"The inference request is not valid: {reason}.")
