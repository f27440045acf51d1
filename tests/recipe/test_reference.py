"""Page of recipe keys and JSON schema of recipe files."""

import json
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
import yaml

from helpers.pages import PAGES, blocks
from helpers.paths import ROOT
from splitnest.recipe.schema import RECIPE_CLASSES
from splitnest.recipe.unions import known_keys

SCHEMA = jsonschema.Draft7Validator(json.loads((ROOT / "recipe.schema.json").read_text()))
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
BLOCKS = [block for page in PAGES for block in blocks(page, "yaml")]


def errors_of(content: Any) -> list[str]:
    return [error.message for error in SCHEMA.iter_errors(content)]


def test_files_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "recipe.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_fit_the_schema_and_name_it(file: Any) -> None:
    text = file.read_text()
    assert text.startswith("# yaml-language-server: $schema=../recipe.schema.json\n")
    assert errors_of(yaml.safe_load(text)) == []


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_recipes_of_the_pages_fit_the_schema(block: Any) -> None:
    assert errors_of(yaml.safe_load(block.text)) == []


@pytest.mark.parametrize(
    "content", [{"trian": {}}, {"train": {"lr": "fast"}}, {"train": {"learning_rate": 0.1}}, {"input": 3}, [], None]
)
def test_faults_do_not_fit(content: Any) -> None:
    assert errors_of(content)


def test_nothing_and_partial_sections_fit() -> None:
    assert errors_of({}) == []
    assert errors_of({"base": "x", "train": {"lr": 0.1, "optimizer": "adamw"}, "model.backbone.depth": 50}) == []


def test_page_has_every_key() -> None:
    page = (ROOT / "docs" / "recipe.md").read_text()
    keys = {key.rpartition(".")[2] for cls in RECIPE_CLASSES.values() for key in known_keys(cls)}
    assert [key for key in sorted(keys) if f"| `{key}` |" not in page] == []
