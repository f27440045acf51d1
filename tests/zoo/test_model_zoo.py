"""Page of all models: its script writes it, and everything that it calls verified has a test."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from helpers.paths import RECORDINGS, ROOT, TESTS
from splitnest import zoo
from splitnest.tasks import task_of

SCRIPT = ROOT / "docs" / "model_zoo.py"
PAGE = SCRIPT.with_suffix(".md")
OF_OTHER_WEIGHTS = ("faster_rcnn_R_50_FPN_3x.detectron2", "mask_rcnn_R_50_FPN_3x.detectron2")
"""Recordings whose end-to-end results are of other weights: ``tests/parity/test_detection.py``."""

CHECKPOINTS = {path.stem: path for path in RECORDINGS.glob("*/*.json")}


def rows() -> dict[str, str]:
    """Return the row of each model; the first column has its name."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    named = {line.split("`")[1]: line for line in lines}
    assert len(named) == len(lines), "a model has two rows"
    return named


def run_script(monkeypatch: pytest.MonkeyPatch, page: Path, *arguments: str) -> None:
    """Run the script with another path of the page."""
    main = runpy.run_path(str(SCRIPT))["main"]
    monkeypatch.setitem(main.__globals__, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["model_zoo.py", *arguments])
    main()


def test_page_is_what_the_script_writes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run_script(monkeypatch, PAGE, "--check")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("text", [None, "", "an edited page"])
def test_other_page_is_an_error_and_is_replaced(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "model_zoo.md"
    if text is not None:
        page.write_text(text)
    with pytest.raises(SystemExit, match="write it again with `make docs`"):
        run_script(monkeypatch, page, "--check")
    run_script(monkeypatch, page)
    assert page.read_bytes() == PAGE.read_bytes()
    assert list(tmp_path.iterdir()) == [page]


def test_each_model_has_one_row_with_everything_that_was_published() -> None:
    page = PAGE.read_text()
    assert sorted(rows()) == sorted(zoo.list_models())
    for name, row in rows().items():
        published = zoo.published(name)
        assert page.count(f"`{name}`") == 1, name
        assert f"[{published.sha256 or 'no hash'}]({published.url})" in row, name
        cells = re.split(r"[|/, ]+", row)
        numbers = [float(cell) for cell in cells if cell.replace(".", "", 1).isdigit()]
        in_percent = task_of(zoo.get(name)).published_percent(zoo.get(name))
        assert set(in_percent.values()) <= set(numbers), name


class Collection:
    """Plugin that keeps the ids of the collected tests."""

    ids = ""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.ids = "\n".join(item.nodeid for item in session.items)


def test_verified_parts_have_a_test() -> None:
    """The page tells them by recordings, which a test must compare."""
    collection = Collection()
    disabled = [f"-p no:{name}" for name in ("cacheprovider", "faulthandler", "terminal", "xdist")]
    options = ["--collect-only", "-o", "addopts=--import-mode=importlib", "-o", "pythonpath=", *disabled]
    assert pytest.main([*options, str(TESTS / "parity")], plugins=[collection]) == 0
    for name, row in rows().items():
        needed = {"outputs": r"test_(\w+_)?model", "losses": r"test_losses\w*"}
        kinds = [test for part, test in needed.items() if part in row]
        has_end_to_end = name in CHECKPOINTS and CHECKPOINTS[name].with_suffix(".e2e.npz").exists()
        if has_end_to_end and name not in OF_OTHER_WEIGHTS:
            kinds.append("test_end_to_end")
        if "timm" in row.rpartition(")")[2]:
            kinds.append("test_every_model_at_its_input_size")
        for kind in kinds:
            assert re.search(rf"::{kind}\[{re.escape(name)}\]", collection.ids), f"no {kind}[{name}] in tests/parity"
