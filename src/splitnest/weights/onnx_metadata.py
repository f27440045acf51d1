"""Metadata of exported ONNX files."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from splitnest.errors import UsageError, WeightsError
from splitnest.structures.score_thresholds import ScoreThresholds
from splitnest.weights.read import FORMAT, score_thresholds_of

ONNX_SUFFIX = ".onnx"


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of an exported ONNX file.

    Raises:
        UsageError: The package onnx is not installed.
        WeightsError: The file is not a valid ONNX file, was not exported by splitnest, or refers to other files.
    """
    onnx = import_extra("onnx", "export")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors have no common base class
        raise WeightsError(f"{path} cannot be read as an ONNX file: {error}.") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if metadata.get("format") != FORMAT or "recipe" not in metadata:
        raise WeightsError(f"{path} was not exported by splitnest, so the meaning of its outputs is unknown.")
    if any(_is_external(message) for message in _messages(model)):
        raise WeightsError(f"{path} refers to weights in other files, which is not allowed. Export it again.")
    return metadata


def read_exported_thresholds(path: Path) -> ScoreThresholds | None:
    """Return the best score thresholds in an exported ONNX file; None if it has none.

    Raises:
        UsageError, WeightsError: Same conditions as ``read_metadata``.
    """
    return score_thresholds_of(read_metadata(path))


def _messages(root: Any) -> Iterator[Any]:
    """Yield a protobuf message and all inside it, in subgraphs, functions and attributes too."""
    pending = [root]
    while pending:
        message = pending.pop()
        yield message
        for field, value in message.ListFields():
            if field.message_type is not None:
                pending.extend(value if field.is_repeated else [value])


def _is_external(message: Any) -> bool:
    """Return whether a message is a tensor whose values are in another file."""
    return message.DESCRIPTOR.name == "TensorProto" and (
        len(message.external_data) > 0 or message.data_location == message.EXTERNAL
    )


def import_extra(package: str, extra: str) -> Any:
    """Import a package of an optional extra.

    Raises:
        UsageError: The package is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise UsageError(f"Exported models need {package}: pip install 'splitnest[{extra}]'.") from error
