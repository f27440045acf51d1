"""Safe YAML parsing, which never constructs Python objects."""

from typing import Any

import yaml

from splitnest.errors import UsageError

MAX_SHOWN = 200
"""Length to which a key is shown."""

_MERGE = "tag:yaml.org,2002:merge"


class _RepeatedKey(yaml.YAMLError):
    """Key that a mapping has twice.

    Attributes:
        problem: Key and its first line.
        line: Second line.
    """

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.problem, self.line = problem, line


class _Loader(yaml.SafeLoader):
    """Safe YAML loader that refuses a key which a mapping has twice; PyYAML would take the last value."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return the next mapping, before merge keys add those of other mappings."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                same, line = (key.tag, key.value), key.start_mark.line + 1
                if same in lines:
                    raise _RepeatedKey(f"the key {key.value[:MAX_SHOWN]!r} is in line {lines[same]} already", line)
                lines[same] = line
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
        raise UsageError(f"{origin}, line {error.line}: {error.problem}. Remove one of them.") from error
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
