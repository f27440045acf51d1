"""Write the configurations of detectron2's published models of the family, from recorded ones.

Usage: python tools/detectron2_configs.py ../shared/oracles/rescue

``Base-RCNN-FPN.yaml`` has the values that all of them have beside detectron2's defaults; the others inherit from it.
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from upstream_rows import configuration
from upstream_tables import read

from splitnest.compat.detectron2.config import get_cfg
from splitnest.compat.detectron2.model_zoo import CONFIGS

BASE = "Base-RCNN-FPN.yaml"
FOLDER = "configs/"
"""Folder of the configurations in detectron2's repository."""

Values = dict[str, Any]


def plain(value: Any) -> Any:
    """Return a value with lists in place of tuples."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def without(values: Values, others: Values) -> Values:
    """Return the values that differ from others."""
    kept: Values = {}
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(others.get(key), dict):
            if inner := without(value, others[key]):
                kept[key] = inner
        elif key not in others or others[key] != value:
            kept[key] = value
    return kept


def common(first: Values, second: Values) -> Values:
    """Return the values that two configurations share."""
    kept: Values = {}
    for key, value in first.items():
        other = second.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            if inner := common(value, other):
                kept[key] = inner
        elif key in second and other == value:
            kept[key] = value
    return kept


def files(folder: Path) -> dict[str, str]:
    """Return the content of each file by its path below ``CONFIGS``."""
    defaults = plain(get_cfg().to_dict())
    rows = {
        row["upstream_config"].removeprefix(FOLDER): without(plain(configuration(row)), defaults)
        for row in read(folder)
        if row.get("framework") == "detectron2"
    }
    first, *others = rows.values()
    base = first
    for other in others:
        base = common(base, other)
    contents = {BASE: base} | {
        name: {"_BASE_": f"{'../' * name.count('/')}{BASE}", **without(values, base)} for name, values in rows.items()
    }
    return {name: yaml.safe_dump(values, default_flow_style=None, width=116) for name, values in contents.items()}


def main() -> None:
    """Write the files."""
    for name, text in files(Path(sys.argv[1])).items():
        (CONFIGS / name).parent.mkdir(parents=True, exist_ok=True)
        (CONFIGS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
