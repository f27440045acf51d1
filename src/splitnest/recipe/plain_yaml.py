"""Safe YAML parsing, which never constructs Python objects."""

from typing import Any

import yaml

from splitnest.errors import UsageError

MAX_SHOWN = 200
"""Length to which a key is shown."""

_MERGE = "tag:yaml.org,2002:merge"


class _RepeatedKey(yaml.MarkedYAMLError):
    """Key that a mapping has twice."""


class _Loader(yaml.SafeLoader):
    """Safe YAML loader that refuses a key which a mapping has twice; PyYAML would take the last value."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return the next mapping, before merge keys add those of other mappings."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                same = key.tag, key.value
                if same in lines:
                    problem = f"the key {key.value[:MAX_SHOWN]!r} is in line {lines[same]} already"
                    raise _RepeatedKey(problem=problem, problem_mark=key.start_mark)
                lines[same] = key.start_mark.line + 1
        return node


def read_yaml(text: str, origin: str) -> Any:
    """Return the content of a YAML text.

    Args:
        text: YAML text.
        origin: Name of the text in messages, such as its path.

    Raises:
        UsageError: The text is not valid YAML, has a key twice, or has a tag of a Python object.
    """
    try:
        return yaml.load(text, _Loader)
    except _RepeatedKey as error:
        raise UsageError(
            f"{origin}, line {error.problem_mark.line + 1}: {error.problem}. Remove one of them."
        ) from error
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
