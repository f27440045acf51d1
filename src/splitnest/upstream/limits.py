"""Limits on upstream configurations, which are untrusted text: size, number of values and nesting."""

from typing import Any

from splitnest.errors import UsageError

MAX_TEXT = 1_000_000
"""Maximum length of a configuration in characters. Resolved ones with 1230 class names have 60,000."""

MAX_VALUES = 100_000
"""Maximum number of values in a configuration, each counted as often as names or anchors refer to it."""

MAX_DEPTH = 40
"""Maximum nesting. Upstream configurations have up to 12 levels."""

MAX_NUMBER = 10**15
"""Maximum magnitude of an integer."""

MAX_FILES = 50
"""Maximum number of files that a configuration inherits from."""


def check_text(text: str, origin: str) -> None:
    """Raise a UsageError if a text is too long to be a configuration."""
    if len(text) > MAX_TEXT:
        raise UsageError(f"{origin} has {len(text)} characters: a configuration has at most {MAX_TEXT}.")


def check_values(value: Any, origin: str) -> None:
    """Raise a UsageError if nested containers have too many values or levels, each reference counted."""
    remaining = MAX_VALUES
    pending = [(value, 0)]
    while pending:
        current, depth = pending.pop()
        remaining -= 1
        if remaining < 0:
            raise UsageError(f"{origin} has more than {MAX_VALUES} values. Remove the parts that are not needed.")
        if depth > MAX_DEPTH:
            raise UsageError(f"{origin} is nested more than {MAX_DEPTH} levels deep. Flatten it.")
        children: Any = current.values() if isinstance(current, dict) else current
        if isinstance(current, dict | list | tuple):
            if len(children) > remaining:
                remaining = -1
                raise UsageError(f"{origin} has more than {MAX_VALUES} values. Remove the parts that are not needed.")
            pending += [(child, depth + 1) for child in children]
