"""Models and images for scans: a small classifier, tar files and Parquet files of drawn images."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import splitnest
from helpers import image_tree
from splitnest.weights import save

BROKEN = b"\xff\xd8 not an image"


def write_model(path: Path) -> Path:
    """Write the checkpoint of a small classifier of three classes."""
    torch.manual_seed(0)
    recipe = path.with_suffix(".yaml")
    text = splitnest.recipe.serialization.dump_yaml(  # type: ignore[attr-defined]
        image_tree.recipe_of(None, **{"data.classes": list(image_tree.COLORS), "train": None})
    )
    recipe.write_text(text)
    predictor = splitnest.load(recipe, weights=None, device="cpu")
    save.save(predictor.module, predictor.recipe, path)
    return path


def encoded(number: int, size_wh: tuple[int, int] = (40, 36), suffix: str = "PNG") -> bytes:
    """Return an image file with pixels of its own."""
    pixels = np.random.default_rng(number).integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, suffix)
    return file.getvalue()


def images(count: int, broken: Sequence[int] = (), first: int = 0) -> dict[str, bytes]:
    """Return image files by name; some of them are broken."""
    return {
        f"{number:06d}.png": BROKEN if number in broken else encoded(number) for number in range(first, first + count)
    }


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "w") -> Path:
    """Write a tar file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_tars(folder: Path, count: int, size: int, broken: Sequence[int] = ()) -> str:
    """Write tar files of ``size`` images each, and return the pattern of their names."""
    for number in range(count):
        write_tar(folder / f"data-{number:04d}.tar", images(size, broken, number * size))
    return str(folder / f"data-{{0000..{count - 1:04d}}}.tar")


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder and its subfolders."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_parquet(path: Path, columns: Mapping[str, Any], rows_in_group: int = 4) -> Path:
    """Write a Parquet file."""
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(dict(columns)), path, row_group_size=rows_in_group)
    return path


def content_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
