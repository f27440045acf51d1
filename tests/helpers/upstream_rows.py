"""Recorded configurations of the published rows, in the form of a configuration file."""

import gzip
import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from helpers.paths import ROOT

RESCUE = ROOT.parent / "shared" / "oracles" / "rescue"

STEPS = {
    "1 plain ResNet-50/101": 288,
    "2 ResNeXt": 42,
    "3 ResNet-18/34/152": 39,
    "4 GN32 + WS": 26,
    "5 DCN + ContextBlock": 34,
    "6 HRNet": 126,
    "7 UDP + DARK": 30,
    "9 UPer, semantic FPN, stride 16": 19,
}
"""Rows of each step of the recorded list."""


def require_recordings() -> None:
    """Skip the test, or fail it where the data is required, if the recordings are not beside the project."""
    if RESCUE.exists():
        return
    if os.environ.get("SPLITNEST_REQUIRE_DATA"):
        pytest.fail(f"{RESCUE} is missing")
    pytest.skip("the recorded upstream configurations are not beside the project")


@cache
def lines() -> tuple[dict[str, Any], ...]:
    """Return tables and rows of the recorded configurations; none without the recordings."""
    if not RESCUE.exists():
        return ()
    with gzip.open(RESCUE / "configs.jsonl.gz", "rt", encoding="utf-8") as file:
        return tuple(map(json.loads, file))


def python_text(values: Mapping[str, Any]) -> str:
    """Return values as OpenMMLab writes them: an assignment a line, mappings as ``dict(...)``."""
    return "".join(f"{name} = {_literal(value)}\n" for name, value in values.items())


def _literal(value: Any) -> str:
    if isinstance(value, dict):
        if all(isinstance(key, str) and key.isidentifier() for key in value):
            return f"dict({', '.join(f'{key}={_literal(item)}' for key, item in value.items())})"
        return f"{{{', '.join(f'{key!r}: {_literal(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    return repr(value)
