"""Each tutorial runs, cell by cell, and leaves the files that it speaks of. ``make tutorials`` runs these tests."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from helpers import oracle, upstream_files
from helpers.notebooks import CELL, run_page, script_of
from helpers.pages import blocks
from helpers.paths import ROOT
from splitnest.data.scenes import Scenes

TUTORIALS = ROOT / "docs" / "tutorials"
PAGES = sorted(TUTORIALS.glob("*.md"))
FILES = {
    "backbone_elsewhere": (),
    "fine_tune": ("shapes.yaml", "samples.html", "runs/shapes/index.html", "predicted.jpg"),
    "from_detectron2": (),
    "label_for_cvat": ("labels/cvat/annotations.xml", "corrected/annotations"),
    "own_skeleton": ("arrows.yaml", "predictions/001.jpg"),
    "read_the_report": ("report/report.html", "by_threshold/results.json", "comparison.html"),
    "rescue_a_file": ("predictions/street.jpg", "fruit.safetensors"),
    "run_without_splitnest": ("shapes.onnx",),
    "scan_many_images": ("predictions/part-00009.parquet",),
    "serve": (),
}
"""Tutorial -> files that it writes."""

CONTINUED = ("read_the_report", "label_for_cvat", "run_without_splitnest", "serve")
"""Tutorials that continue with the folders of ``fine_tune``."""


def test_every_tutorial_is_known() -> None:
    assert [page.stem for page in PAGES] == sorted(FILES)
    index = (ROOT / "docs" / "tutorials.md").read_text()
    assert all(index.count(f"tutorials/{name}") == 2 for name in FILES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_cells_are_python(page: Path) -> None:
    assert blocks(page, CELL)
    compile(script_of(page), page.name, "exec")


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder after ``fine_tune``."""
    folder = tmp_path_factory.mktemp("fine_tune")
    run_page(TUTORIALS / "fine_tune.md", folder)
    return folder


@pytest.mark.tutorial
def test_fine_tune(fine_tuned: Path) -> None:
    check_files("fine_tune", fine_tuned)


@pytest.mark.tutorial
@pytest.mark.parametrize("name", CONTINUED)
def test_continued(name: str, fine_tuned: Path, tmp_path: Path) -> None:
    for folder in ("shapes", "runs"):
        shutil.copytree(fine_tuned / folder, tmp_path / folder)
    run_page(TUTORIALS / f"{name}.md", tmp_path)
    check_files(name, tmp_path)


@pytest.mark.tutorial
@pytest.mark.parametrize("name", sorted(FILES.keys() - {*CONTINUED, "fine_tune"}))
def test_tutorial(name: str, tmp_path: Path) -> None:
    prepare(name, tmp_path)
    run_page(TUTORIALS / f"{name}.md", tmp_path)
    check_files(name, tmp_path)


def prepare(name: str, folder: Path) -> None:
    """Write the files that a tutorial takes as given."""
    if name == "rescue_a_file":
        (folder / "work_dirs" / "fruit").mkdir(parents=True)
        upstream_files.write("mmdet 3", folder / "work_dirs" / "fruit")
        Image.fromarray(Scenes(1, seed=1)[0].image).save(folder / "street.jpg")
    if name == "from_detectron2":
        (folder / "home" / "weights").mkdir(parents=True)
        recording = "mask_rcnn_R_50_FPN_3x.detectron2"
        oracle.checkpoint(recording, folder).rename(folder / "home" / "weights" / "model_final_f10217.pkl")
        strip = oracle.image(Path(oracle.recording(recording)["image"]).stem)[100:160]  # is resized to few pixels
        Image.fromarray(strip).save(folder / "input.jpg")


def check_files(name: str, folder: Path) -> None:
    for file in FILES[name]:
        assert (folder / file).exists(), f"{name} leaves no {file}"
