"""predict --write: results in the formats of datasets and tables, which data convert reads back."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import datasets
from helpers.command_line import Run
from splitnest.data.editing.open import open_dataset
from splitnest.structures.masks import rle_to_mask

ALL = "coco,yolo,voc,labelme,cvat,labelstudio,csv,crops,masks"


def rows_of(folder: Path) -> dict[str, list[dict[str, object]]]:
    """Return the detections of each image in the file of results."""
    content = json.loads((folder / "results.json").read_text())
    return {Path(row["file"]).name: row["result"]["detections"] for row in content["images"]}


def test_all_formats_have_the_results(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    datasets.write_images(tmp_path / "images", ["a.png", "sub/b é.png"], (40, 60))
    options = ("--no-pictures", "--write", ALL, "--score", "0.3")
    stderr = run("predict", small_checkpoint, "images", *options).stderr
    assert "note: voc: mask: not written, since VOC's XML has boxes only" in stderr
    out = tmp_path / "predictions"
    results = {name: [row for row in rows if row["score"] >= 0.3] for name, rows in rows_of(out).items()}
    count = sum(map(len, results.values()))
    assert count > 0
    for format in ("coco", "yolo", "voc", "labelme", "cvat", "label_studio"):
        dataset = open_dataset(out / format)
        names = [name for _, name in dataset.splits[0].file.categories]
        for name, image in datasets.images_of(dataset).items():
            assert (out / format / "images" / name).is_symlink() or format in ("voc", "labelme")
            expected = results[Path(name).name]
            assert len(image.instances) == len(expected)
            for instance, row in zip(image.instances, expected, strict=True):
                assert names[instance.label] == row["name"]
                mask = rle_to_mask(row["mask"])
                assert format == "voc" or not mask.any() or (instance.mask(image.size_hw) == mask).all()
    with (out / "csv" / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [(Path(row["file"]).name, float(row["score"]), float(row["x1"])) for row in table] == [
        (name, row["score"], row["box"][0]) for name, rows in results.items() for row in rows
    ]
    assert len(list((out / "crops").rglob("*.jpg"))) <= count
    labels = np.asarray(Image.open(out / "masks" / "labels" / "a.png"))
    assert labels.shape == (40, 60)
    assert set(np.unique(labels)) <= {0, 1, 255}
    run("data", "convert", "predictions/coco", "again", "--to", "coco")
    again, coco = (json.loads((folder / "annotations" / "instances.json").read_text()) for folder in
                   (tmp_path / "again", out / "coco"))  # fmt: skip
    assert [row["bbox"] for row in again["annotations"]] == [row["bbox"] for row in coco["annotations"]]


def test_formats_are_complete_after_a_run_is_continued(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    datasets.write_images(tmp_path / "images", ["a.png"], (40, 60))
    run("predict", small_checkpoint, "images", "--write", "coco")
    datasets.write_images(tmp_path / "images", ["a.png", "b.png"], (40, 60))
    run("predict", small_checkpoint, "images", "--write", "coco,yolo", "--skip-existing")
    for format in ("coco", "yolo"):
        names = {path.name for path in (tmp_path / "predictions" / format / "images").iterdir()}
        assert names == {"a.png", "b.png"}
    content = json.loads((tmp_path / "predictions" / "coco" / "annotations" / "instances.json").read_text())
    assert [row["file_name"] for row in content["images"]] == ["a.png", "b.png"]


def test_links_in_the_source_folder_are_no_images(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    datasets.write_images(tmp_path, ["a.png"], (40, 60))
    for _ in range(2):
        run("predict", small_checkpoint, ".", "--out", ".", "--write", "yolo")
        assert list(rows_of(tmp_path)) == ["a.png"]


def test_no_results_are_written_without_an_error(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    datasets.write_images(tmp_path, ["a.png"], (40, 60))
    run("predict", small_checkpoint, "a.png", "--write", ALL, "--score", "1")
    assert not list((tmp_path / "predictions" / "crops").rglob("*.jpg"))
    assert (tmp_path / "predictions" / "yolo" / "labels" / "a.txt").read_text() == ""
    with (tmp_path / "predictions" / "csv" / "results.csv").open() as file:
        assert file.readline().startswith("file,height,width,label,id,name,score,x1,")
        assert file.readline() == ""


@pytest.mark.parametrize(
    ("formats", "code", "message"),
    [
        ("coco,cocoo", 2, "'cocoo' is no format that can be written. The formats are coco, yolo, voc"),
        (",", 2, "--write has no format. The formats are coco"),
        ("voc", 2, "predictions/voc is not empty. Give a new or empty folder."),
        ("yolo", 5, "cannot be written"),
    ],
)
def test_bad_use_is_found_before_the_model_is_read(
    run: Run, tmp_path: Path, formats: str, code: int, message: str
) -> None:
    datasets.write_images(tmp_path, ["a.png"])
    (tmp_path / "predictions" / "voc").mkdir(parents=True)
    (tmp_path / "predictions" / "voc" / "mine.xml").write_text("mine")
    out = ["--out", "a.png/below", "--json", "all.json"] if code == 5 else []
    stderr = run("predict", "no_such_model.pt", "a.png", "--write", formats, *out, code=code).stderr
    assert message in stderr.replace("\n", " ")
    assert (tmp_path / "predictions" / "voc" / "mine.xml").read_text() == "mine"


def test_formats_that_cannot_hold_the_results(run: Run, tmp_path: Path) -> None:
    datasets.write_images(tmp_path, ["a.png"])
    done = run("predict", "resnest50_imagenet.official", "a.png", "--weights", "none", "--write", "csv,yolo", code=2)
    assert "yolo cannot hold the results of this model, which predicts class probabilities. Write csv or parquet" in (
        done.stderr.replace("\n", " ")
    )
