"""Duplicate images: exact ones, near ones, leaks between splits; what is no duplicate, and hostile files."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from splitnest.data import duplicates
from splitnest.data.duplicates import DuplicateGroup, describe_duplicates, find_duplicates, near_pairs


def picture(seed: int) -> Image.Image:
    """Return smooth colors that differ from those of other seeds."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)


def test_no_images(tmp_path: Path) -> None:
    assert find_duplicates([]) == []
    assert len(near_pairs(np.zeros(0, np.uint64))) == 0


def test_changed_copies_are_found_and_others_are_not(tmp_path: Path) -> None:
    for seed in range(30):
        picture(seed).save(tmp_path / f"{seed:02d}.png")
    changed = {
        "half.png": picture(3).resize((80, 60)),
        "compressed.jpg": picture(5),
        "brighter.png": ImageEnhance.Brightness(picture(7)).enhance(1.2),
        "blurred.png": picture(9).filter(ImageFilter.GaussianBlur(1)),
    }
    for name, image in changed.items():
        image.save(tmp_path / name, **({"quality": 50} if name.endswith(".jpg") else {}))
    (tmp_path / "same.png").write_bytes((tmp_path / "00.png").read_bytes())
    paths = sorted(tmp_path.iterdir())
    names = [path.name for path in paths]
    found = {frozenset(names[index] for index in group.images): group.is_exact for group in find_duplicates(paths)}
    assert found == {
        frozenset({"00.png", "same.png"}): True,
        frozenset({"03.png", "half.png"}): False,
        frozenset({"05.png", "compressed.jpg"}): False,
        frozenset({"07.png", "brighter.png"}): False,
        frozenset({"09.png", "blurred.png"}): False,
    }


def test_rotated_by_its_header(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(1).save(tmp_path / "a.png")
    picture(1).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "b.jpg", exif=exif, quality=95)
    assert find_duplicates([tmp_path / "a.png", tmp_path / "b.jpg"]) == [DuplicateGroup((0, 1), False)]


def test_images_without_contrast_are_no_near_duplicates(tmp_path: Path) -> None:
    for name, color in (("a", (0, 0, 0)), ("b", (255, 255, 255)), ("c", (1, 1, 1))):
        Image.new("RGB", (40, 30), color).save(tmp_path / f"{name}.png")
    assert find_duplicates(sorted(tmp_path.iterdir())) == []


def test_files_that_are_no_images_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    picture(0).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:300])
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    assert find_duplicates([*sorted(tmp_path.iterdir()), tmp_path / "missing.png"]) == []


@pytest.mark.parametrize("seed", range(3))
def test_near_pairs_are_those_of_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**63, 300, dtype=np.uint64)
    for row in range(100):
        bits = rng.choice(64, rng.integers(1, 9), replace=False)
        hashes[200 + row] = hashes[row] ^ np.bitwise_or.reduce(np.uint64(1) << bits.astype(np.uint64))
    close = np.bitwise_count(hashes[:, None] ^ hashes) <= 6
    expected = np.argwhere(np.triu(close, 1))
    assert len(expected) > 50
    assert near_pairs(hashes).tolist() == expected.tolist()


def test_many_equal_and_similar_hashes_are_few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.random.default_rng(0).integers(0, 64, 5000, dtype=np.uint64)
    assert len(near_pairs(hashes)) <= 5000 + 7 * 64 * duplicates.MAX_PARTNERS


def test_description_names_leaks() -> None:
    groups = [DuplicateGroup((0, 2), True), DuplicateGroup((0, 1), False)]
    assert describe_duplicates(groups, ["a.png", "b.png", "c.png"], ["train", "train", "val"]) == {
        "image in several splits, so metrics are too high (the same file)": ("train: a.png = val: c.png",),
        "duplicate image (looks the same)": ("a.png = b.png",),
    }
