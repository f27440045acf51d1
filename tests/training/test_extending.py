"""Code blocks of docs/extending.md on callbacks, loggers and metrics."""

from pathlib import Path

import pytest

from helpers.image_tree import recipe_of, write_classes
from helpers.pages import ROOT, blocks, prose
from splitnest.recipe import overrides
from splitnest.recipe.serialization import dump_yaml

PAGE = ROOT / "docs" / "extending.md"


def code_of(title: str) -> str:
    """Return the Python blocks of a section, one after the other."""
    headings = [(part.line, part.text) for part in prose(PAGE) if part.text.startswith("## ")]
    (first,) = (line for line, text in headings if text == f"## {title}")
    last = min((line for line, _ in headings if line > first), default=10**9)
    return "\n".join(block.text for block in blocks(PAGE, "python") if first < block.line < last)


@pytest.mark.parametrize(
    ("title", "told"), [("Callbacks and loggers", "best checkpoint: runs"), ("Metrics", "'confidence': ")]
)
def test_code_runs(
    title: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_classes(tmp_path / "fruit", {"train": 4, "val": 3})
    recipe = overrides.apply(recipe_of(tmp_path / "fruit"), {"train.epochs": 2, "train.evaluate_every": 1})
    (tmp_path / "fruit.yaml").write_text(dump_yaml(recipe))
    monkeypatch.chdir(tmp_path)
    exec(compile(code_of(title), str(PAGE), "exec"), {})
    assert told in capfd.readouterr().out
