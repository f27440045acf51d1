"""eval --report, compare and predict --score auto, as a user runs them, on good and on bad input."""

import json
from pathlib import Path

import pytest

import splitnest
from helpers.command_line import CocoFolder, Run
from splitnest.structures.score_thresholds import ScoreThresholds
from splitnest.weights import save


@pytest.fixture
def with_thresholds(small_checkpoint: Path, tmp_path: Path) -> Path:
    """Return a checkpoint of the small model that stores score thresholds."""
    predictor = splitnest.load(small_checkpoint, device="cpu")
    path = tmp_path / "with_thresholds.safetensors"
    save.save(predictor.module, predictor.recipe, path, ScoreThresholds(0.4, (1.0, 0.3)))
    return path


def rewrite(root: Path, coco: CocoFolder) -> None:
    """Write changed annotations of a dataset that exists."""
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(coco.content))


def test_report_and_comparison(run: Run, small_checkpoint: Path, coco: CocoFolder, tmp_path: Path) -> None:
    root = coco.write()
    (tmp_path / "slices.csv").write_text("file_name,night\na.png,1\nb.png,0\n")
    done = run(
        "eval", small_checkpoint, f"data.root={root}", "--report", "report", "--slice", "slices.csv", "--workers", "1"
    )
    assert done.stdout.splitlines()[-1] == "report: report/report.html"
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())
    assert numbers["box"]["slices"]["night"]["images"] == 1
    assert numbers["dataset"].endswith("instances_val2017.json")
    done = run("compare", "report", small_checkpoint, f"data.root={root}", "--out", "pages/both.html")
    assert "No difference can be told on these 2 images" in done.stdout
    assert "0 of 2 images got better" in done.stdout
    assert "box_ap50" in done.stdout
    assert "<h2>Images that got worse</h2>" in (tmp_path / "pages" / "both.html").read_text()
    assert "box_ap" in run("compare", "report", tmp_path / "report").stdout
    assert (tmp_path / "comparison.html").is_file()


def test_reports_of_bad_input(run: Run, small_checkpoint: Path, coco: CocoFolder, tmp_path: Path) -> None:
    root = coco.write()
    (tmp_path / "file").write_text("x")
    (tmp_path / "no_column.csv").write_text("name,night\na.png,1\n")
    (tmp_path / "unknown.csv").write_text("image,night\nz.png,1\n")
    given = ("eval", small_checkpoint, f"data.root={root}")
    for options, code, reason in (
        (("--report", "file"), 2, "--report file is a file. Give a folder"),
        (("--report", "file/below"), 5, "cannot be written"),
        (("--slice", "unknown.csv"), 2, "Slices are shown in a report"),
        (("--report", "r", "--slice", "no_column.csv"), 3, "Name the column of the images file_name or image"),
        (("--report", "r", "--slice", "unknown.csv"), 3, "line 2: the image 'z.png' is not in"),
        (("--report", "r", "--slice", "absent.csv"), 3, "absent.csv cannot be read: it does not exist"),
    ):
        error = run(*given, *options, code=code).stderr
        assert reason in error
        assert "evaluating" not in error
    del coco.content["annotations"]
    rewrite(root, coco)
    error = run(*given, "--report", "r", code=3).stderr
    assert "no report can be written" in error


def test_comparisons_of_bad_input(run: Run, small_checkpoint: Path, coco: CocoFolder, tmp_path: Path) -> None:
    root = coco.write()
    run("eval", small_checkpoint, f"data.root={root}", "--report", "a")
    coco.content["images"], coco.content["annotations"] = coco.content["images"][:1], coco.content["annotations"][:1]
    rewrite(root, coco)
    run("eval", small_checkpoint, f"data.root={root}", "--report", "b")
    error = run("compare", "a", "b", code=2).stderr
    assert "was evaluated on 2 images and small (b) on 1; they differ, such as b.png" in error
    (tmp_path / "mine.html").write_text("mine")
    error = run("compare", "a", "a", "--out", "mine.html", code=2).stderr
    assert "mine.html exists and is not a page of splitnest" in error
    assert (tmp_path / "mine.html").read_text() == "mine"
    (tmp_path / "b" / "statistics.npz").unlink()
    assert "statistics.npz cannot be read: it does not exist" in run("compare", "a", "b", code=3).stderr
    assert "No published model is called 'nothing'" in run("compare", "a", "nothing", code=2).stderr


def test_score_auto(run: Run, small_checkpoint: Path, with_thresholds: Path, image_file: Path, tmp_path: Path) -> None:
    """The first class has a threshold that no detection has."""
    done = run("predict", with_thresholds, image_file, "--score", "auto", "--out", "auto")
    zero = run("predict", with_thresholds, image_file, "--score", "0", "--out", "all")
    first = splitnest.load(with_thresholds, device="cpu").module.categories.names[0]
    assert first not in done.stdout
    assert zero.stdout
    results = [json.loads((tmp_path / name / "results.json").read_text())["images"] for name in ("auto", "all")]
    assert results[0][0]["result"] == results[1][0]["result"]  # the file has all detections
    error = run("predict", small_checkpoint, image_file, "--score", "auto", code=2).stderr
    assert "small stores no score thresholds" in error
    for score in ("1.5", "-0.1", "high", "nan"):
        error = run("predict", small_checkpoint, image_file, f"--score={score}", code=2).stderr
        assert f"--score is {score}. Give a number from 0 to 1, or auto" in error


def test_conversion_keeps_thresholds(run: Run, with_thresholds: Path, image_file: Path, tmp_path: Path) -> None:
    run("convert", with_thresholds, "--out", "again.safetensors")
    predictor = splitnest.load(tmp_path / "again.safetensors", device="cpu")
    assert predictor.score_thresholds == ScoreThresholds(0.4, (1.0, 0.3))
