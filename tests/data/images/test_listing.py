"""Listing of the images of a folder: suffixes, hidden files, links, and files that are not images."""

import os
from pathlib import Path

import pytest
from PIL import Image

from splitnest.data.images import read
from splitnest.data.images.listing import SUFFIXES, list_files, list_images
from splitnest.data.images.sources import expand_sources


def test_empty_folder(tmp_path: Path) -> None:
    listing = list_images(tmp_path)
    assert (listing.names, listing.others, listing.note) == ([], [], None)


def test_suffixes_are_those_of_the_formats_that_are_read() -> None:
    Image.init()
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in read._FORMATS}
    assert known - {".pfm"} <= SUFFIXES | {".mpo"}
    assert known >= SUFFIXES


def test_hidden_files_links_and_others(tmp_path: Path) -> None:
    for name in ("b/c.JPG", "a.png", "z.jfif", "._a.png", ".cache/d.png", "b/notes.txt", "b/e.avif", "f"):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/d.tif").touch()
    root = tmp_path / "root"
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "link/loop").symlink_to(root)
    (root / "lost.jpg").symlink_to("nothing")
    os.mkfifo(root / "pipe.jpg")
    listing = list_images(root)
    assert listing.names == ["a.png", "z.jfif", "b/c.JPG", "link/d.tif"]
    assert listing.others == ["f", "lost.jpg", "pipe.jpg", "b/e.avif"]
    assert listing.note is not None
    assert listing.note.startswith(f"{root}: 4 files are not read")
    assert list_images(root, recursive=False).names == ["a.png", "z.jfif"]
    assert list_files(root, ".txt") == ["b/notes.txt"]


def test_predicted_folder_reports_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.jpe", "b.heic", ".c.jpg"):
        (tmp_path / name).touch()
    assert expand_sources(tmp_path) == [tmp_path / "a.jpe"]
    assert "1 file is not read" in capsys.readouterr().err
