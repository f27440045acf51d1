"""Safe YAML parsing, which never constructs Python objects."""

from typing import Any

import yaml

from splitnest.errors import UsageError


def read_yaml(text: str, origin: str) -> Any:
    """Return the content of a YAML text.

    Args:
        text: YAML text.
        origin: Name of the text in messages, such as its path.

    Raises:
        UsageError: The text is not valid YAML, or has a tag of a Python object.
    """
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UsageError(
            f"{origin}{line}: this is not plain YAML: {error.problem or error.context}. Correct the syntax."
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(
            f"{origin}: this is not plain YAML: {' '.join(str(error).split())}. Correct the syntax."
        ) from error
