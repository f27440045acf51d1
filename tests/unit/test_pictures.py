"""Files that predictions are written to: names, permissions, and where they cannot be written."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splitnest.data.categories import from_names
from splitnest.errors import UsageError
from splitnest.pictures import _names_in, _picture_name, save_picture, summary, write_text
from splitnest.results import SemanticSegmentation


def names(*sources: str) -> list[str]:
    taken: set[str] = set()
    return [_picture_name(source, taken) for source in sources]


def test_names_of_pictures_never_collide() -> None:
    assert names() == []
    assert names("a/x.jpg", "b/x.png", "x-2.jpg", "X.gif") == ["x.jpg", "x-2.jpg", "x-2-2.jpg", "X-3.jpg"]
    assert names("http://host/dog.png?size=2", "array", "array", "?.jpg") == [
        "dog.jpg",
        "array.jpg",
        "array-2.jpg",
        "image.jpg",
    ]


def test_color_maps_are_named_beside_their_pictures() -> None:
    taken = {"b_map.png"}  # a photograph
    endings = (".jpg", "_map.png")
    named = [_picture_name(source, taken, end) for source in ("x.jpg", "y/x.png", "b.jpg") for end in endings]
    assert named == ["x.jpg", "x_map.png", "x-2.jpg", "x-2_map.png", "b.jpg", "b-2_map.png"]


def test_a_line_on_a_segmentation() -> None:
    categories = from_names(["road", "sky", "car"])
    for labels, said in (([[255, 255]], "nothing"), ([[1, 1, 0, 255]], "sky 50%, road 25%")):
        array = np.array(labels, np.uint8)
        assert summary(SemanticSegmentation(array, image_size=array.shape, categories=categories), 0.5) == said


def test_a_picture_replaces_no_photograph(tmp_path: Path) -> None:
    sources = [tmp_path / "x.jpg", str(tmp_path / "y.png"), tmp_path / "below" / "z.jpg"]
    taken = _names_in(tmp_path, sources)
    assert taken == {"x.jpg", "y.png"}
    assert [_picture_name(str(source), taken) for source in sources] == ["x-2.jpg", "y.jpg", "z.jpg"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        save_picture(Image.new("RGB", (4, 3)), tmp_path / "new" / "a.jpg")
        write_text(tmp_path / "a.json", "ä")
    finally:
        os.umask(before)
    for path in (tmp_path / "new" / "a.jpg", tmp_path / "a.json"):
        assert path.stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == "ä"


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(UsageError, match=r"a\.jpg cannot be written"):
        save_picture(Image.new("RGB", (4, 3)), tmp_path / "file" / "a.jpg")
    with pytest.raises(UsageError, match=r"folder\.json cannot be written"):
        write_text(tmp_path / "folder.json", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.json"]
