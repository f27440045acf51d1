"""What tests of all kinds share."""

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return a function that finds a folder of the real data sets, which are not part of the project.

    They are looked for in ``SPLITNEST_DATA``, else in ``../shared/data`` beside the project. A test that needs one that
    is absent is skipped, or fails where ``SPLITNEST_REQUIRE_DATA`` is set.
    """

    def find(name: str) -> Path:
        folder = Path(os.environ.get("SPLITNEST_DATA", ROOT.parent / "shared" / "data")) / name
        if not folder.exists():
            reason = f"{folder} is absent; real data is not part of the project (set SPLITNEST_DATA)"
            if os.environ.get("SPLITNEST_REQUIRE_DATA"):
                pytest.fail(reason)
            pytest.skip(reason)
        return folder

    return find


def pytest_collection_finish() -> None:
    """Exempt what is in memory before the tests from garbage collection: each full one would take 0.3 s."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
