"""Files that predictions are written to: names, permissions, and where they cannot be written."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from splitnest.cli.predictions import _names_in, _picture_name, summary
from splitnest.data.images.write import write_image
from splitnest.errors import OutputError
from splitnest.files import write_text
from splitnest.structures import SemanticSegmentation
from splitnest.structures.categories import from_names


def picture_names(*sources: str) -> list[str]:
    taken: set[str] = set()
    return [_picture_name(source, taken) for source in sources]


def test_picture_names_are_distinct() -> None:
    assert picture_names() == []
    assert picture_names("a/x.jpg", "b/x.png", "x-2.jpg", "X.gif") == ["x.jpg", "x-2.jpg", "x-2-2.jpg", "X-3.jpg"]
    assert picture_names("http://host/dog.png?size=2", "array", "array", "?.jpg") == [
        "dog.jpg",
        "array.jpg",
        "array-2.jpg",
        "image.jpg",
    ]


def test_names_of_color_maps_are_distinct() -> None:
    taken = {"b_map.png"}  # a source image
    endings = (".jpg", "_map.png")
    named = [_picture_name(source, taken, end) for source in ("x.jpg", "y/x.png", "b.jpg") for end in endings]
    assert named == ["x.jpg", "x_map.png", "x-2.jpg", "x-2_map.png", "b.jpg", "b-2_map.png"]


def test_summary_of_a_segmentation() -> None:
    categories = from_names(["road", "sky", "car"])
    for labels, expected in (([[255, 255]], "nothing"), ([[1, 1, 0, 255]], "sky 50%, road 25%")):
        array = np.array(labels, np.uint8)
        assert summary(SemanticSegmentation(array, image_size=array.shape, categories=categories), 0.5) == expected


def test_picture_does_not_replace_a_source_image(tmp_path: Path) -> None:
    sources = [tmp_path / "x.jpg", str(tmp_path / "y.png"), tmp_path / "below" / "z.jpg"]
    taken = _names_in(tmp_path, sources)
    assert taken == {"x.jpg", "y.png"}
    assert [_picture_name(str(source), taken) for source in sources] == ["x-2.jpg", "y.jpg", "z.jpg"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_umask_sets_the_permissions_of_outputs(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_image(tmp_path / "new" / "a.jpg", np.zeros((3, 4, 3), np.uint8))
        write_text(tmp_path / "a.json", "ä")
    finally:
        os.umask(before)
    for path in (tmp_path / "new" / "a.jpg", tmp_path / "a.json"):
        assert path.stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == "ä"


def test_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(OutputError, match=r"a\.jpg cannot be written"):
        write_image(tmp_path / "file" / "a.jpg", np.zeros((3, 4, 3), np.uint8))
    with pytest.raises(OutputError, match=r"folder\.json cannot be written"):
        write_text(tmp_path / "folder.json", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.json"]
