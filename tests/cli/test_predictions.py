"""Files that predictions are written to: names, permissions, and where they cannot be written."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image

from splitnest.cli.picture_names import PictureNames, named_sources
from splitnest.cli.predictions import summary
from splitnest.errors import OutputError
from splitnest.files import write_text
from splitnest.structures import SemanticSegmentation
from splitnest.structures.categories import from_names
from splitnest.visualize.write import is_written_here, write_image


def picture_names(folder: Path, *sources: str, taken: Sequence[str] = ()) -> list[str]:
    named = named_sources(sources, folder)
    names = PictureNames(folder, [source for source, _ in named], taken)
    return [names.next(name).relative_to(folder).as_posix() for _, name in named]


def test_picture_names_are_distinct(tmp_path: Path) -> None:
    assert picture_names(tmp_path) == []
    expected = ["x.jpg", "x-2.jpg", "x-2-2.jpg", "X-3.jpg"]
    assert picture_names(tmp_path, "a/x.jpg", "b/x.png", "x-2.jpg", "X.gif") == expected
    urls = ("http://host/dog.png?size=2", "http://host", "http://host/..", "http://host/a/", "HTTP://h/%2e%2e%2fx.png")
    assert picture_names(tmp_path, *urls) == ["dog.jpg", "host.jpg", "image.jpg", "a.jpg", "%2e%2e%2fx.jpg"]
    assert picture_names(tmp_path, "..jpg", "...", "array") == ["image.jpg", "image-2.jpg", "array.jpg"]


def test_names_of_color_maps_are_distinct(tmp_path: Path) -> None:
    (tmp_path / "b_map.png").touch()  # a source image
    names = PictureNames(tmp_path, [])
    endings = (".jpg", "_map.png")
    paths = [names.next(PurePath(name), end).name for name in ("x", "x", "b") for end in endings]
    assert paths == ["x.jpg", "x_map.png", "x-2.jpg", "x-2_map.png", "b.jpg", "b-2_map.png"]


def test_pictures_keep_their_folders(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "images" / "out"
    for name in ("x.jpg", "a/x.jpg", "a/b/x.png", "c/x.jpg", "out/x.jpg"):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).touch()
    (out / "c").touch()
    (out / "x.jpg").unlink()
    assert picture_names(out, str(images)) == ["x.jpg", "a/x.jpg", "a/b/x.jpg", "x-2.jpg"]
    assert picture_names(tmp_path / "other", str(images / "a"), str(images / "c")) == ["x.jpg", "b/x.jpg", "x-2.jpg"]


def test_odd_names_of_pictures(tmp_path: Path) -> None:
    sources = ["x" * 251 + ".png", "ü" * 125 + ".png", os.fsdecode(b"caf\xe9.png"), "a\nb\x1b.png", "蛇.png"]
    names = picture_names(tmp_path, *sources)
    assert names == ["x" * 236 + ".jpg", "ü" * 118 + ".jpg", "caf_.jpg", "a_b_.jpg", "蛇.jpg"]
    deep = PurePath(*["y" * 200] * 20, "x")
    assert PictureNames(tmp_path, []).next(deep) == tmp_path / "x.jpg"
    for name in names:
        write_image(tmp_path / name, np.zeros((3, 4, 3), np.uint8))


def test_summary_of_a_segmentation() -> None:
    categories = from_names(["road", "sky", "car"])
    for labels, expected in (([[255, 255]], "nothing"), ([[1, 1, 0, 255]], "sky 50%, road 25%")):
        array = np.array(labels, np.uint8)
        assert summary(SemanticSegmentation(array, image_size=array.shape, categories=categories)) == expected


def test_picture_replaces_no_file_of_others(tmp_path: Path) -> None:
    for name in ("x.jpg", "y.jpg", "ours.jpg", "source.jpg"):
        (tmp_path / name).write_text("not written by splitnest")
    (tmp_path / "link.jpg").symlink_to("ours.jpg")
    (tmp_path / "folder.jpg").mkdir()
    write_image(tmp_path / "ours.jpg", np.zeros((3, 4, 3), np.uint8))
    write_image(tmp_path / "source.jpg", np.zeros((3, 4, 3), np.uint8))
    write_image(tmp_path / "kept.jpg", np.zeros((3, 4, 3), np.uint8))
    sources = ["a/x.png", "a/ours.png", "a/link.png", "a/folder.png", str(tmp_path / "source.jpg"), "a/kept.png"]
    assert picture_names(tmp_path, *sources, taken=[str(tmp_path / "kept.jpg")]) == [
        "x-2.jpg",
        "ours.jpg",
        "link-2.jpg",
        "folder-2.jpg",
        "source-2.jpg",
        "kept-2.jpg",
    ]


def test_pictures_of_an_earlier_run_are_no_sources(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "dog.png")
    write_image(tmp_path / "dog.jpg", np.zeros((3, 4, 3), np.uint8))
    assert named_sources([str(tmp_path)], tmp_path) == [(tmp_path / "dog.png", PurePath("dog"))]
    assert len(named_sources([str(tmp_path)], tmp_path / "out")) == 2


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_image_files_tell_who_wrote_them(tmp_path: Path, suffix: str) -> None:
    write_image(tmp_path / f"ours{suffix}", np.zeros((3, 4, 3), np.uint8))
    Image.new("RGB", (4, 3)).save(tmp_path / f"theirs{suffix}")
    assert is_written_here(tmp_path / f"ours{suffix}")
    for name in (f"theirs{suffix}", "absent", "."):
        assert not is_written_here(tmp_path / name)


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
