"""Images that cause more work than their size suggests, and files in formats that are not read."""

import io
import struct
import time
from pathlib import Path

import pytest
from PIL import Image, features

from splitnest.data.images.read import read_image
from splitnest.data.images.size import image_size
from splitnest.errors import DataError


def test_sparse_images(tmp_path: Path) -> None:
    Image.new("1", (9000, 9000), 1).save(tmp_path / "white.tif", compression="group4")
    with pytest.raises(DataError, match=r"white\.tif has 9000 x 9000 pixels in only \d+ bytes"):
        read_image(tmp_path / "white.tif")
    Image.new("1", (3000, 3000), 1).save(tmp_path / "small.tif", compression="group4")
    assert read_image(tmp_path / "small.tif").shape == (3000, 3000, 3)
    Image.new("L", (8000, 8000)).save(tmp_path / "black.png")  # deflate has at most 1032 pixels for each byte
    assert image_size(tmp_path / "black.png") == (8000, 8000)


def test_canvas_of_an_animated_webp(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    content = bytearray(buffer.getvalue())
    (tmp_path / "a.webp").write_bytes(content)
    assert read_image(tmp_path / "a.webp").shape == (20, 20, 3)
    content[24:30] = struct.pack("<I", 5_000_000 - 1)[:3] + struct.pack("<I", 19)[:3]
    (tmp_path / "wide.webp").write_bytes(content)
    with pytest.raises(DataError, match=r"wide\.webp has 5000000 x 20 pixels in only"):
        read_image(tmp_path / "wide.webp")


def test_scans_of_a_progressive_jpeg(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    (tmp_path / "a.jpg").write_bytes(content)
    assert read_image(tmp_path / "a.jpg").shape == (64, 64, 3)
    last = content.rindex(b"\xff\xda")
    (tmp_path / "many.jpg").write_bytes(content[:last] + content[last:-2] * 1500 + content[-2:])
    start = time.perf_counter()
    with pytest.raises(DataError, match=r"many\.jpg is a progressive JPEG of 15\d\d scans"):
        read_image(tmp_path / "many.jpg")
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (
            b"\0\0\0\x1cftypavif\0\0\0\0avifmif1",
            "it is an AVIF image. Convert it .* Pillow from 11.3 on or Im",
        ),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "it is an AVIF image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1", "it is a HEIC image. Convert it .* pillow-heif"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "it is a video"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "it is a JPEG XL image"),
        (b"<?xml version='1.0'?>\n<svg>", "it is an SVG drawing"),
        (b"\n<!DOCTYPE html><html>", "it is an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "it is a pointer of Git LFS. Run git lfs pull"),
        (b"%PDF-1.7", "it is a PDF document"),
        (b"\0" * 128 + b"DICM", "it is a DICOM file"),
        (b"", "it is empty"),
        (b"??", "unknown image format"),
    ],
)
def test_files_in_other_formats_are_named(tmp_path: Path, head: bytes, told: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(head)
    for function in (read_image, image_size):
        with pytest.raises(DataError, match=rf"photo\.jpg cannot be read as an image.*{told}"):
            function(tmp_path / "photo.jpg")


@pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
def test_real_avif(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.avif")
    with pytest.raises(DataError, match="it is an AVIF image"):
        read_image(tmp_path / "a.avif")
