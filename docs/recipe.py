"""Write ``recipe.md`` beside this file and ``recipe.schema.json`` of the project, from the pydantic schema of a recipe.

``python docs/recipe.py`` writes both; with ``--check`` it fails when they are not what it would write.
"""

import argparse
import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter

from splitnest.files import replacing
from splitnest.recipe.schema import Recipe

PAGE = Path(__file__).with_suffix(".md")
SCHEMA = PAGE.parent.parent / "recipe.schema.json"

HEAD = """\
# Recipe keys

Each key of a recipe with its meaning, values and default; `make docs` writes this page from the schema that validates
recipes. A recipe file needs `base`, the name of a published model or the path of another recipe file, and the values
that differ; without a base it needs all keys that have no default. Keys may be nested or dotted: `train: {lr: 0.01}` is
`train.lr: 0.01`. An unknown key, or one without effect, is an error.

Editors with the YAML language server complete and check recipes by [recipe.schema.json](../recipe.schema.json):

```yaml
# yaml-language-server: $schema=../recipe.schema.json
base: mask_rcnn_resnest50_fpn_1x_coco.mmdet
```

"""

_ATTRIBUTE = re.compile(r"^    (?:    )?(\w+(?:, \w+)*): (.*)$")
_DOTTED = {r"^\w+(\.\w+)+$": {}}
"""Dotted keys, which stand for nested ones."""


def main() -> None:
    """Write the page and the schema, or check them."""
    parser = argparse.ArgumentParser(description="Write docs/recipe.md and recipe.schema.json.")
    parser.add_argument("--check", action="store_true", help="fail when a file is not what would be written")
    is_check = parser.parse_args().check
    for path, text in ((PAGE, page()), (SCHEMA, json.dumps(file_schema(), indent=1) + "\n")):
        if not is_check:
            with replacing(path) as file:
                file.write(text.encode())
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path.name} is not what the schema gives: write it again with `make docs`.")


def file_schema() -> dict[str, Any]:
    """Return the JSON schema of a recipe file: any part of a recipe, with a base."""
    schema = TypeAdapter(Recipe).json_schema()
    definitions = schema["$defs"]
    classes = {cls.__name__: cls for cls in all_sections()}
    for name, definition in definitions.items():
        _loosen(definition)
        texts = descriptions(classes[name])
        definition["description"] = summary(classes[name])
        for key, value in definition.get("properties", {}).items():
            value.pop("title", None)
            if key in texts:
                value["description"] = texts[key]
    recipes = [definitions.pop(cls.__name__)["properties"] for cls in get_args(Recipe)]
    texts = {key: text for cls in get_args(Recipe) for key, text in descriptions(cls).items()}
    keys = dict.fromkeys(key for properties in recipes for key in properties)
    merged = {key: _union([each[key] for each in recipes if key in each], texts.get(key, "")) for key in keys}
    base = {"type": "string", "description": "Published model, or recipe file relative to this one."}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Recipe of splitnest",
        "type": "object",
        "additionalProperties": False,
        "properties": {"base": base, **merged},
        "patternProperties": _DOTTED,
        "$defs": definitions,
    }


def page() -> str:
    """Return the page: a table of keys for each section."""
    return HEAD + "\n".join(_section(cls, path) for cls, path in all_sections().items() if cls.model_fields)


def all_sections() -> dict[type[BaseModel], str]:
    """Return the class of each section and its dotted key, each once, recipes first; the key of recipes is empty."""
    found: dict[type[BaseModel], str] = {}

    def visit(annotation: Any, path: str) -> None:
        for part in get_args(annotation):
            visit(part, path)
        if inspect.isclass(annotation) and issubclass(annotation, BaseModel) and annotation not in found:
            found[annotation] = path
            for key, field in annotation.model_fields.items():
                visit(field.annotation, f"{path}.{key}".lstrip("."))

    visit(Recipe, "")
    return found


def summary(cls: type[BaseModel]) -> str:
    """Return the first paragraph of a docstring in one line."""
    return " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split())


def descriptions(cls: type[BaseModel]) -> dict[str, str]:
    """Return the descriptions of the keys of a section, from the docstrings of its class and of its base classes."""
    found: dict[str, str] = {}
    for base in cls.__mro__:
        for keys, text in _attributes(inspect.cleandoc(base.__dict__.get("__doc__") or "")):
            for key in keys:
                found.setdefault(key, text)
    return {key: text for key, text in found.items() if key in cls.model_fields}


def _attributes(doc: str) -> Iterator[tuple[list[str], str]]:
    """Yield the names and the text of each entry of the section ``Attributes`` of a docstring."""
    keys: list[str] = []
    lines: list[str] = []
    for line in [*doc.partition("Attributes:\n")[2].splitlines(), "    end: "]:
        start = _ATTRIBUTE.match(line)
        if start is None or line.startswith("        "):
            lines.append(line.strip())
            continue
        if keys:
            yield keys, " ".join(lines).strip()
        keys, lines = start[1].split(", "), [start[2]]


def _loosen(schema: Any) -> None:
    """Let a schema accept a part of a section, dotted keys, and the name of a member in place of a union's section."""
    if isinstance(schema, list):
        for each in schema:
            _loosen(each)
    if not isinstance(schema, dict):
        return
    schema.pop("required", None)
    if schema.get("type") == "object" and "properties" in schema:
        schema["patternProperties"] = _DOTTED
        schema.pop("title", None)
    if "oneOf" in schema:
        mapping = schema.pop("discriminator", {}).get("mapping", {})
        names = [{"enum": list(mapping)}] if mapping else []
        schema["anyOf"] = schema.pop("oneOf") + names
    for value in schema.values():
        _loosen(value)


def _union(schemas: list[dict[str, Any]], text: str) -> dict[str, Any]:
    """Return the schema of a key that is one of several."""
    distinct = list({json.dumps(schema): schema for schema in schemas}.values())
    return {**(distinct[0] if len(distinct) == 1 else {"anyOf": distinct}), "description": text}


def _section(cls: type[BaseModel], path: str) -> str:
    texts, schema = descriptions(cls), cls.model_json_schema()
    properties = schema.get("properties") or schema["$defs"][cls.__name__]["properties"]
    place = f"Section `{path}`. " if path else ""
    lines = [
        f"## {cls.__name__}\n",
        f"{place}{summary(cls)}\n",
        "| key | meaning | values | default |",
        "|---|---|---|---|",
    ]
    for key, value in properties.items():
        default = _code(value["default"]) if "default" in value else ""
        text = texts.get(key) or ("Name that chooses this section." if "const" in value else "")
        cells = (f"`{key}`", text.replace("``", "`"), _values(value), default)
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _values(schema: Mapping[str, Any]) -> str:
    """Return the accepted values of a key as text."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(map(_values, schema[key])))
    if "enum" in schema:
        return ", ".join(map(_code, schema["enum"]))
    if "const" in schema:
        return _code(schema["const"])
    if schema.get("type") == "array":
        items = schema.get("items") or next(iter(schema.get("prefixItems", [{}])))
        return f"list of {_values(items)}" if items else "list"
    if schema.get("type") == "object":
        return "mapping"
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = ", ".join(f"{sign} {schema[name]:g}" for name, sign in limits.items() if name in schema)
    kind = {"null": "null", "string": "text"}.get(schema.get("type", ""), schema.get("type", "any"))
    return f"{kind} {bounds}".strip()


def _code(value: Any) -> str:
    return f"`{json.dumps(value)}`"


if __name__ == "__main__":
    main()
