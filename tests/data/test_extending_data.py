"""The section on data of the page on extending: its code runs."""

from pathlib import Path
from typing import Any

import pytest

from helpers.pages import blocks
from helpers.paths import ROOT
from helpers.python_data import write_files

PAGE = ROOT / "docs" / "extending.md"


def test_data_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    text = PAGE.read_text(encoding="utf-8")
    first, last = text.index("## Data from Python"), text.find("\n## ", text.index("## Data from Python"))
    section = range(text[:first].count("\n"), text[: last if last > 0 else None].count("\n") + 1)
    codes = [block for block in blocks(PAGE, "python") if block.line in section]
    assert len(codes) == 2
    for block in codes:
        exec(compile(block.text, str(block), "exec"), names)
    assert "mask AP 0." in capsys.readouterr().out
    assert names["instances"].boxes.tolist() == [[8, 8, 28, 38]]
    write_files(tmp_path / "coco", 1)
    dataset = names["from_torchvision"](tmp_path / "coco/train", tmp_path / "coco/annotations/instances_train.json")
    assert len(dataset[0][1].masks) == len(dataset[0][1])
