"""The section on augmentations of the page on extending: its code runs."""

from pathlib import Path

import pytest
import yaml

from helpers.pages import blocks
from helpers.paths import ROOT
from helpers.tiny_detector import CONTENT

PAGE = ROOT / "docs" / "extending.md"


def test_augmentation_of_a_user_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fruit.yaml").write_text(yaml.safe_dump({**CONTENT, "name": "fruit"}))
    text = PAGE.read_text(encoding="utf-8")
    first = text.index("## Augmentations")
    last = text.find("\n## ", first)
    lines = range(text[:first].count("\n"), text[: last if last > 0 else None].count("\n") + 1)
    codes = [block for block in blocks(PAGE, "python") if block.line in lines]
    assert len(codes) == 1
    for block in codes:
        exec(compile(block.text, str(block), "exec"), {})
    assert list((tmp_path / "runs").glob("fruit-*/last.pt"))
