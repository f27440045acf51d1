"""Reading of images: all modes and orientations, sources, and errors of files that are not images."""

import http.server
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splitnest.data.images import limits, read
from splitnest.data.images.read import Source, read_image, read_values, to_array
from splitnest.data.images.size import image_size
from splitnest.data.images.sources import expand_sources, images_in, iterate_sources
from splitnest.errors import DataError

RED, GREEN, BLUE, GRAY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)
CORNERS = np.array([[RED, GREEN, GREEN], [BLUE, GRAY, GRAY]], np.uint8)  # differs in all 8 orientations


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.JPG", "[c].png"):
        Image.fromarray(CORNERS).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "below").mkdir()
    Image.fromarray(CORNERS).save(tmp_path / "below" / "d.png")
    return tmp_path


def save(tmp_path: Path, image: Image.Image, name: str = "image.png", **options: object) -> Path:
    image.save(tmp_path / name, **options)
    return tmp_path / name


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "1", "L", "LA"])
def test_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    colors = CORNERS if mode in ("RGB", "RGBA", "P") else np.where(CORNERS[..., :1] > 100, 255, 0).repeat(3, 2)
    pil_image = Image.fromarray(colors.astype(np.uint8))
    path = save(tmp_path, pil_image.convert(mode, palette=Image.Palette.ADAPTIVE))
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.flags.writeable
    assert np.array_equal(image, colors)


def test_transparency_is_dropped(tmp_path: Path) -> None:
    transparent = np.dstack([CORNERS, np.zeros((2, 3), np.uint8)])
    assert np.array_equal(read_image(save(tmp_path, Image.fromarray(transparent))), CORNERS)
    palette = Image.fromarray(CORNERS).convert("P", palette=Image.Palette.ADAPTIVE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(read_image(save(tmp_path, palette, transparency=bytes([0, 128, 255]))), CORNERS)


def test_16_bit_pixels_keep_their_high_byte(tmp_path: Path) -> None:
    gray = np.array([[0, 255, 256], [0x7FFF, 0xFF00, 0xFFFF]], np.uint16)
    for name in ("image.png", "image.tif"):
        image = read_image(save(tmp_path, Image.fromarray(gray), name))
        assert np.array_equal(image, np.array([[0, 0, 1], [127, 255, 255]])[..., None].repeat(3, 2))


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_of_unknown_range_are_rejected(tmp_path: Path, dtype: type) -> None:
    path = save(tmp_path, Image.fromarray(np.full((2, 2), 70_000, dtype)), "image.tif")
    with pytest.raises(DataError, match=r"image\.tif has .* pixels of unknown range"):
        read_image(path)


def test_cmyk_is_converted(tmp_path: Path) -> None:
    path = save(tmp_path, Image.new("RGB", (16, 16), (200, 40, 90)).convert("CMYK"), "image.jpg", quality=100)
    assert np.abs(read_image(path).astype(int) - (200, 40, 90)).max() <= 3


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(
    ("orientation", "rotate"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, 3)),
        (7, lambda a: a[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda a: np.rot90(a)),
        (77, lambda a: a),
    ],
)
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int, rotate: object) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path, Image.fromarray(CORNERS), f"image.{suffix}", exif=exif.tobytes())
    assert np.array_equal(read_image(path), rotate(CORNERS))  # type: ignore[operator]
    with Image.open(path) as image:
        assert np.array_equal(to_array(image)[0], rotate(CORNERS))  # type: ignore[operator]


def test_damaged_exif_is_ignored(tmp_path: Path) -> None:
    path = save(tmp_path, Image.fromarray(CORNERS), exif=b"Exif\0\0II*\0\xff\xff\xff\x00broken")
    assert np.array_equal(read_image(path), CORNERS)


@pytest.mark.parametrize("size", [(1, 1), (20000, 20), (20, 20000)])
def test_extreme_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    assert read_image(save(tmp_path, Image.new("RGB", size))).shape == (size[1], size[0], 3)


def test_pixel_limit_replaces_that_of_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, Image.new("L", (30, 10)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(path).shape == (10, 30, 3)
    monkeypatch.setattr(limits, "MAX_PIXELS", 299)
    with pytest.raises(DataError, match="30 x 10 pixels"):
        read_image(path)


def test_files_that_are_not_images_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "program.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    complete = save(tmp_path, Image.fromarray(pixels), "a.jpg")
    (tmp_path / "truncated.jpg").write_bytes(complete.read_bytes()[:900])
    for name in ("text.jpg", "empty.jpg", "program.jpg", "truncated.jpg"):
        with pytest.raises(DataError, match=rf"{name} cannot be read as an image"):
            read_image(tmp_path / name)
    with pytest.raises(DataError, match=r"absent\.jpg does not exist"):
        read_image(tmp_path / "absent.jpg")
    with pytest.raises(DataError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(DataError, match="cannot be read: no file can have this name"):
        read_image("null\0byte.jpg")


def test_no_sources() -> None:
    assert expand_sources([]) == []


def test_sources_are_expanded(folder: Path) -> None:
    inside = [folder / "[c].png", folder / "a.JPG", folder / "b.png", folder / "below" / "d.png"]
    array, pil_image = CORNERS, Image.fromarray(CORNERS)
    assert expand_sources(folder) == inside
    assert expand_sources(str(folder / "*.png")) == [str(folder / "[c].png"), str(folder / "b.png")]
    assert expand_sources(str(folder / "[c].png")) == [str(folder / "[c].png")]
    assert expand_sources("absent.jpg") == ["absent.jpg"]
    assert expand_sources("http://host/*.jpg") == ["http://host/*.jpg"]
    assert expand_sources(array)[0] is array
    mixed = expand_sources([folder, [pil_image, array], "absent.jpg"])
    assert mixed[:5] == [*inside, pil_image]
    assert mixed[5] is array
    assert mixed[6] == "absent.jpg"


def test_sources_without_images_are_rejected(folder: Path) -> None:
    (folder / "none").mkdir()
    with pytest.raises(DataError, match="none has no images"):
        expand_sources(folder / "none")
    with pytest.raises(DataError, match=r"No file matches .*\*\.gif"):
        expand_sources(str(folder / "*.gif"))
    for wrong in (5, None, [5], {"a.jpg": 1}, b"a.jpg"):
        with pytest.raises(DataError, match="is not an image"):
            expand_sources(wrong)  # type: ignore[arg-type]


def test_folders_are_searched_below(folder: Path) -> None:
    elsewhere = folder.parent / f"{folder.name}-elsewhere"
    elsewhere.mkdir()
    (folder / ".hidden").mkdir()
    (folder / "linked").symlink_to(elsewhere)
    (folder / "below" / "circle").symlink_to(folder)
    for name in ("._a.jpg", ".hidden/e.png", "below/f.png", "linked/g.png"):
        Image.fromarray(CORNERS).save(folder / name)
    os.mkfifo(folder / "pipe.png")
    names = ["[c].png", "a.JPG", "b.png", "below/d.png", "below/f.png", "linked/g.png"]
    assert [path.relative_to(folder).as_posix() for path in images_in(folder)] == names
    assert len(images_in(folder, excluded=folder / "below")) == 4


def test_iterators_are_expanded_one_item_at_a_time(folder: Path) -> None:
    given = []

    def sources() -> Iterator[Source]:
        for source in (folder / "b.png", folder / "below", CORNERS):
            given.append(source)
            yield source

    images = iterate_sources(sources())
    assert not given
    assert next(images) == folder / "b.png"
    assert len(given) == 1
    assert next(images) == folder / "below" / "d.png"
    assert next(images) is CORNERS
    assert list(images) == []


@pytest.mark.parametrize("read_file", [read_image, read_values, to_array, image_size])
def test_a_pipe_is_refused(tmp_path: Path, read_file: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png cannot be read: it is a named pipe, not a regular file"):
        read_file(tmp_path / "pipe.png")


def test_odd_paths(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    Image.fromarray(CORNERS).save(tmp_path / name)
    assert images_in(tmp_path) == [tmp_path / name]
    assert np.array_equal(read_image(tmp_path / name), CORNERS)
    for path in ("x" * 300 + ".jpg", "a/" * 3000, "\0.jpg", "\ud800.jpg"):
        assert expand_sources([path, Path(path)]) == [path, Path(path)]
        with pytest.raises(DataError, match=r"cannot be read|does not exist"):
            read_image(path)


def test_arrays_and_pillow_images(folder: Path) -> None:
    assert to_array(CORNERS) == (CORNERS, "array")
    pixels, name = to_array(Image.fromarray(CORNERS))
    assert np.array_equal(pixels, CORNERS)
    assert name == "image"
    with Image.open(folder / "b.png") as pil_image:
        assert to_array(pil_image)[1] == str(folder / "b.png")
    for wrong in (CORNERS.astype(np.float32), CORNERS[..., 0], CORNERS[None], CORNERS[:0], np.dstack([CORNERS] * 2)):
        with pytest.raises(DataError, match="must be uint8 RGB"):
            to_array(wrong)


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def test_urls(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, name = to_array(f"{server}/b.png")
    assert np.array_equal(pixels, CORNERS)
    assert name == f"{server}/b.png"
    with pytest.raises(DataError, match=r"absent\.png cannot be downloaded .*404"):
        to_array(f"{server}/absent.png")
    with pytest.raises(DataError, match=r"notes\.txt cannot be read as an image"):
        to_array(f"{server}/notes.txt")
    monkeypatch.setattr(read, "MAX_DOWNLOAD_BYTES", 10)
    with pytest.raises(DataError, match="is larger than 0 MB"):
        to_array(f"{server}/b.png")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.png", "http://[broken/a.png"])
def test_unreachable_urls_are_rejected(url: str) -> None:
    with pytest.raises(DataError, match="cannot be downloaded"):
        to_array(url)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("1", [[0, 1]]), ("L", [[3, 255]]), ("P", [[3, 255]]), ("I;16", [[3, 65535]]), ("I", [[3, 70_000]])],
)
def test_values_of_one_channel_are_read_unchanged(tmp_path: Path, mode: str, expected: list[list[int]]) -> None:
    path = tmp_path / "values.tif"
    image = Image.new(mode, (2, 1))
    if mode == "P":
        image.putpalette([7] * 768)
    for x, value in enumerate(expected[0]):
        image.putpixel((x, 0), value)
    image.save(path)
    values = read_values(path)
    assert values.tolist() == expected
    assert values.dtype.kind in "ui"


def test_values_need_an_image_of_one_channel(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png does not exist"):
        read_values(tmp_path / "none.png")
    Image.new("RGBA", (2, 1)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png has several channels \(RGBA\), not class indices"):
        read_values(tmp_path / "a.png")
