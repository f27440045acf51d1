"""Folders of images and label maps that belong together, by file names and pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from PIL import Image

from splitnest.data.formats.label_map_pairs import divide_mixed, image_keys, map_keys, pair_names
from splitnest.data.images.read import open_header
from splitnest.data.recognition.tree import Tree, split_of, spread
from splitnest.errors import DataError
from splitnest.files import open_regular

MAX_COLORS = 300
"""Number of colors up to which an image counts as a label map."""

_PREDICTIONS = frozenset({"predictions", "prediction", "preds", "pred", "results", "output", "outputs"})
"""Folders whose label maps are no ground truth."""


@dataclass(frozen=True)
class MapFolders:
    """Image folder and label map folder of a split, which may be one folder.

    Attributes:
        images, maps: The folders, relative to the root.
        names: Name of each image with a label map, relative to the image folder.
        map_names: Label map of each of them, relative to the root.
    """

    images: str
    maps: str
    names: tuple[str, ...]
    map_names: tuple[str, ...]


def find_map_folders(tree: Tree) -> list[MapFolders]:
    """Return the pairs of folders of images and label maps with the same file names."""
    folders = {folder: files for folder, files in tree.image_folders.items() if not _has_predictions(folder)}
    looks_like_map = {folder: _are_maps(tree, files) for folder, files in folders.items()}
    pairs = [pair for folder, files in folders.items() if (pair := _mixed(tree, folder, files)) is not None]
    mixed = {pair.images for pair in pairs}
    keys_of = {folder: image_keys(files) for folder, files in tree.image_folders.items()}
    for maps in (folder for folder, is_map in looks_like_map.items() if is_map and folder not in mixed):
        best: tuple[tuple[int, tuple[bool, int]], MapFolders] | None = None
        keys = map_keys(folders[maps])
        for images, files in tree.image_folders.items():
            if images == maps or looks_like_map.get(images) or images in mixed:
                continue
            if 2 * len(keys & keys_of[images]) < len(folders[maps]):
                continue
            pair = _pair(images, maps, files, folders[maps])
            if 2 * len(pair.names) < len(folders[maps]):
                continue
            fit = len(pair.names), _closeness(images, maps)
            if best is None or fit > best[0]:
                best = fit, pair
        if best is not None:
            pairs.append(best[1])
    return pairs


def _has_predictions(folder: str) -> bool:
    return PurePosixPath(folder).name.lower() in _PREDICTIONS


def _mixed(tree: Tree, folder: str, files: Sequence[str]) -> MapFolders | None:
    """Return the images and label maps of one folder; None if it has no label maps beside images."""
    images, maps = divide_mixed(files)
    if not maps or not _are_maps(tree, maps) or _are_maps(tree, images):
        return None
    pair = _pair(folder, folder, images, maps)
    return pair if 2 * len(pair.names) >= len(maps) else None


def _pair(images: str, maps: str, image_files: Sequence[str], map_files: Sequence[str]) -> MapFolders:
    """Return a pair of folders, with the images in the order of their label maps."""
    path_of = {PurePosixPath(name).name: name for name in map_files}
    map_of = pair_names([PurePosixPath(name).name for name in image_files], path_of)
    place = {name: number for number, name in enumerate(path_of)}
    names = sorted(map_of, key=lambda name: place[map_of[name]])
    return MapFolders(images, maps, tuple(names), tuple(path_of[map_of[name]] for name in names))


def _closeness(images: str, maps: str) -> tuple[bool, int]:
    """Return how well two folders fit: of one split, and with a common beginning."""
    return split_of(images) == split_of(maps), sum(a == b for a, b in zip(images, maps, strict=False))


def _are_maps(tree: Tree, files: Sequence[str]) -> bool:
    """Return whether a sample of images are label maps: PNG files of few values."""
    if not all(name.lower().endswith((".png", ".bmp", ".tif", ".tiff", ".gif")) for name in files):
        return False
    for name in spread(files, 3):
        try:
            with open_regular(tree.root / name) as file, open_header(file, name) as image:
                if image.mode in ("P", "1"):
                    continue
                small = image.resize((min(image.width, 512), min(image.height, 512)), Image.Resampling.NEAREST)
                colors = small.convert("RGB").getcolors(MAX_COLORS) if image.mode != "L" else small.getcolors(256)
        except (DataError, OSError, ValueError):
            return False
        if colors is None or (image.mode == "L" and _is_gray_photo(colors)):
            return False
    return True


def _is_gray_photo(colors: Sequence[tuple[int, Any]]) -> bool:
    """Return whether gray values are those of an ordinary image rather than of labels: there are many."""
    return len(colors) > 60
