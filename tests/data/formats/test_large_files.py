"""Annotation files whose reading would take quadratic time: each takes seconds at most."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.formats.coco_panoptic import read_panoptic
from splitnest.data.formats.voc_xml import parse
from splitnest.data.formats.yolo import read_yolo
from splitnest.errors import DataError
from splitnest.recipe.data import YoloData
from splitnest.structures.categories import from_names


@contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < seconds


def test_line_breaks_in_xml(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<annotation><object><name>" + "\n" * 1_000_000 + "x</name></object></annotation>")
    with within(5):
        assert next(parse(tmp_path / "a.xml").all("object")).line == 1


def test_many_classes(tmp_path: Path) -> None:
    names = [f"class {number}" for number in range(20_000)]
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 40, "width": 50}],
        "annotations": [{"id": n, "image_id": 1, "category_id": n, "bbox": [1, 1, 5, 5]} for n in range(20_000)],
        "categories": categories,
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    (tmp_path / "labels").mkdir()
    (tmp_path / "images").mkdir()
    Image.new("RGB", (50, 40)).save(tmp_path / "images/a.png")
    (tmp_path / "labels/a.txt").write_text("19999 0.5 0.5 0.1 0.1\n" * 5000)
    with within(5):
        model = from_names(names)
        assert len(DetectionDataset.from_coco(tmp_path, tmp_path / "a.json", model).categories) == 20_000
        with pytest.raises(DataError, match="20000 names"):
            DetectionDataset.from_coco(tmp_path, tmp_path / "a.json", from_names([name.upper() for name in names]))
        assert len(read_yolo(tmp_path / "labels", tmp_path / "images", model).ids) == 5000
        assert YoloData(format="yolo", classes=tuple(names)).num_classes == 20_000


def test_many_segments(tmp_path: Path) -> None:
    segments = [{"id": number, "category_id": 1} for number in range(1, 30_001)]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 300, "width": 300}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
        "categories": [{"id": 1, "name": "x", "isthing": 1}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    with within(5):
        assert len(read_panoptic(tmp_path / "a.json").segment_ids) == 30_000
