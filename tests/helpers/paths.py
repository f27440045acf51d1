"""Paths of the tests."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
INPUTS = TESTS / "inputs"
"""Scenes and small recordings."""

RECORDINGS = TESTS / "parity" / "recordings"
"""Recordings of the original code bases."""
