"""Fixtures of scans."""

from pathlib import Path

import pytest

from helpers.scan_data import write_model


@pytest.fixture(autouse=True)
def _pyarrow() -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (pip install 'splitnest[scan]')")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a small classifier."""
    return write_model(tmp_path_factory.mktemp("model") / "small.safetensors")
