"""JSON on standard output, for other programs."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any


def print_json(content: Any) -> None:
    """Print a mapping or list as JSON; characters outside ASCII are escaped, as terminals may not show them."""
    print(json.dumps(content, indent=2))


@contextmanager
def text_to_stderr(is_json: bool) -> Iterator[None]:
    """Send text for people to standard error where standard output has JSON.

    Args:
        is_json: Whether standard output has JSON.
    """
    with redirect_stdout(sys.stderr) if is_json else nullcontext():
        yield
