"""The page of models is what its script writes, and what it calls verified is what the tests compare."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from splitnest import recipes
from splitnest.build import build_model
from splitnest.recipes.published import PUBLISHED
from splitnest.weights.layout import translate

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "docs" / "model_zoo.py"
PAGE = SCRIPT.with_suffix(".md")
RECORDINGS = ROOT / "tests" / "parity" / "recordings"
CHECKPOINTS = {path.stem: path for path in RECORDINGS.glob("*/*.json")}
RECORDED = [name for name in recipes.names() if name in CHECKPOINTS]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT)


def row_of(name: str) -> str:
    (row,) = (line for line in PAGE.read_text().splitlines() if f"`{name}`" in line)
    return row


def test_the_page_is_what_the_script_writes() -> None:
    done = run(str(SCRIPT), "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("text", [None, "", "a page that someone edited"])
def test_another_page_is_refused_and_replaced(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "model_zoo.md"
    if text is not None:
        page.write_text(text)
    main = runpy.run_path(str(SCRIPT))["main"]
    monkeypatch.setitem(main.__globals__, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["model_zoo.py", "--check"])
    with pytest.raises(SystemExit, match="write it again with `make docs`"):
        main()
    monkeypatch.setattr(sys, "argv", ["model_zoo.py"])
    main()
    assert page.read_bytes() == PAGE.read_bytes()
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize("name", recipes.names())
def test_each_model_has_one_row_with_all_that_was_published(name: str) -> None:
    assert PAGE.read_text().count(f"`{name}`") == 1
    row, published = row_of(name), PUBLISHED[name]
    assert f"[{published.sha256 or 'no hash'}]({published.url})" in row
    numbers = [float(cell) for cell in row.replace("/", "|").split("|") if cell.strip().replace(".", "").isdigit()]
    assert set(published.metrics.values()) <= set(numbers)


def test_what_is_called_verified_has_a_test() -> None:
    """The page is told by files; a file that no test of its kind reads would make it lie."""
    collect = ("-m", "pytest", "--collect-only", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "tests/parity")
    tests = run(*collect).stdout
    for name in recipes.names():
        needed = {"outputs": "test_row", "losses": "test_losses"}
        kinds = [test for part, test in needed.items() if part in row_of(name)]
        if name in CHECKPOINTS and CHECKPOINTS[name].with_suffix(".e2e.npz").exists():
            kinds.append("test_end_to_end")
        if "timm" in row_of(name).rpartition(")")[2]:
            kinds.append("test_every_row_at_its_own_size")
        for kind in kinds:
            assert re.search(rf"::{kind}\w*\[{re.escape(name)}\]", tests), f"no {kind}[{name}] in tests/parity"


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_keys_and_shapes_are_those_of_the_network(name: str) -> None:
    recorded = json.loads(CHECKPOINTS[name].read_text())["state_dict"]
    with torch.device("meta"):
        state = build_model(recipes.get(name)).state_dict()
    found = translate(list(recorded))
    assert {key: list(value.shape) for key, value in state.items()} == {
        key: list(recorded[source]) for key, source in found.sources.items()
    }
