"""Recognition of label maps: Cityscapes, ADE20K, and folders of images and PNG files of the same names.

Class indices, palettes, gray values and colors are told apart by the pixels of the maps.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.label_maps import color_values
from splitnest.data.images.read import open_header, read_image, read_values
from splitnest.data.recognition.instances import check_classes
from splitnest.data.recognition.label_map_folders import MAX_COLORS, MapFolders
from splitnest.data.recognition.label_map_names import CAMVID, CAMVID_PALETTE, find_names, is_void
from splitnest.data.recognition.recognized import Recognized, SplitContent
from splitnest.data.recognition.tree import Tree, choose_splits, split_of, spread
from splitnest.errors import DataError, first_few
from splitnest.files import open_regular
from splitnest.structures.class_tables import class_table

MAX_MAPS = 300
"""Number of label maps of a split that are read."""

_ADE_NAME = re.compile(r"ADE_(?:train|val|frame)_\d{8}")
_CITYSCAPES_IMAGE = "_leftImg8bit.png"

Color = tuple[int, int, int]


def find_cityscapes(tree: Tree) -> bool:
    """Return whether a folder has the layout of Cityscapes."""
    parts = {part for folder in tree.image_folders for part in PurePosixPath(folder).parts}
    return {"leftImg8bit", "gtFine"} <= parts


def recognize_cityscapes(tree: Tree) -> Recognized:
    """Return Cityscapes, with the folders of its splits.

    Raises:
        DataError: There is no training split.
    """
    data: dict[str, Any] = {"format": "cityscapes"}
    contents: dict[str, SplitContent] = {}
    start = next(folder for folder in tree.image_folders if "leftImg8bit" in PurePosixPath(folder).parts)
    base = start[: start.index("leftImg8bit")]
    for split in ("train", "val"):
        prefix = f"{base}leftImg8bit/{split}/"
        names = [n[len(prefix) :] for n in tree.images if n.startswith(prefix) and n.endswith(_CITYSCAPES_IMAGE)]
        if names:
            data |= {f"{split}_images": prefix[:-1], f"{split}_annotations": f"{base}gtFine/{split}"}
            contents[split] = _unread(names)
    if "train" not in contents:
        raise DataError(f"{tree.root} has the folders of Cityscapes, and no images in leftImg8bit/train. Add them.")
    classes = class_table("cityscapes").names
    return Recognized(
        "Cityscapes", "semantic", tree.root, data, classes, contents["train"], contents.get("val"), "cityscapes"
    )


def split_map_folders(tree: Tree, pairs: Sequence[MapFolders]) -> dict[str, MapFolders]:
    """Return split -> folders; ``all`` for a dataset without splits.

    Raises:
        DataError: Several folders of label maps are of one split.
    """
    by_split: dict[str, MapFolders] = {}
    for found in pairs:
        split = split_of(found.images) or split_of(found.maps) or "all"
        if split in by_split:
            raise DataError(
                f"{tree.root} has label maps in {by_split[split].maps or '.'} and in {found.maps or '.'}. Give a "
                f"folder with one of them and the images."
            )
        by_split[split] = found
    return by_split


def is_ade20k(pair: MapFolders) -> bool:
    """Return whether images have the names of ADE20K."""
    return all(_ADE_NAME.match(name) for name in pair.names)


def recognize_maps(tree: Tree, pairs: Sequence[MapFolders]) -> Recognized:
    """Return the dataset of folders of label maps.

    Raises:
        DataError: Label maps cannot be read, or the splits have different classes.
    """
    train, val, notes = choose_splits(split_map_folders(tree, pairs), "images")
    data: dict[str, Any] = {"format": "folders"}
    for split, pair in (("train", train), ("val", val)):
        if pair is not None:
            data |= {f"{split}_images": pair.images or ".", f"{split}_annotations": pair.maps or "."}
    if is_ade20k(train):
        splits = [_unread(pair.names) if pair is not None else None for pair in (train, val)]
        assert splits[0] is not None
        data["format"] = "ade20k"
        classes = class_table("ade20k").names
        return Recognized("ADE20K", "semantic", tree.root, data, classes, splits[0], splits[1], "ade20k")
    chosen = [pair for pair in (train, val) if pair is not None]
    found = map_classes(tree, chosen, notes)
    contents = [found.content(pair, number) for number, pair in enumerate(chosen)]
    if len(contents) == 2:
        counts = [Counter(found.names[label] for _, label in content.pairs.tolist()) for content in contents]
        check_classes(counts[0], counts[1])
    if len(found.names) < 2:
        raise DataError(
            f"The label maps in {tree.root / train.maps} have only {first_few([*map(str, found.values)])}: at least "
            f"two classes are needed. Check that the folder has the label maps."
        )
    return Recognized(
        found.title, "semantic", tree.root, data | found.keys, found.names, contents[0],
        contents[1] if len(contents) == 2 else None, assumed=tuple(notes),
    )  # fmt: skip


@dataclass(frozen=True)
class MapClasses:
    """Classes of label maps, and the values of the label maps that were read.

    Attributes:
        title: Kind of the label maps for people.
        keys: Keys of the data section of a recipe.
        names: Class names in label order.
        label_of: Pixel value -> class index; colors as one number each.
        samples: Names of the label maps that were read, for each pair of folders.
        counts: Pixel value -> number of pixels, for each label map that was read.
    """

    title: str
    keys: dict[str, Any]
    names: tuple[str, ...]
    label_of: dict[int, int]
    samples: Sequence[Sequence[str]]
    counts: Sequence[Sequence[dict[int, int]]]

    @property
    def values(self) -> list[int]:
        """Pixel values that occur."""
        return sorted({value for of_pair in self.counts for each in of_pair for value in each})

    def content(self, pair: MapFolders, number: int) -> SplitContent:
        """Return the content of a pair of folders, given its number."""
        return _content(pair, self.samples[number], self.counts[number], self.label_of)


def map_classes(
    tree: Tree, pairs: Sequence[MapFolders], notes: list[str], max_maps: int | None = MAX_MAPS
) -> MapClasses:
    """Return the classes of label maps, read from their pixels and from the names beside them.

    Args:
        tree: Files of the dataset.
        pairs: Folders of each split.
        notes: List that assumptions are added to.
        max_maps: Maximum number of label maps of a split that are read; None reads all.

    Raises:
        DataError: Label maps cannot be read.
    """
    samples = [spread(pair.map_names, max_maps or len(pair.map_names)) for pair in pairs]
    is_colored, palette = _kind(tree, samples[0])
    counts = [[_values(tree, name, is_colored) for name in sample] for sample in samples]
    values = {value for of_split in counts for each in of_split for value in each}
    if not is_colored and _has_gaps(values) and not _are_named(values, find_names(tree, False), palette):
        is_colored = True
        counts = [[_values(tree, name, is_colored) for name in sample] for sample in samples]
        notes.append("the label maps have gray values that are no class indices: each gray value is a class")
    for pair, sample in zip(pairs, samples, strict=True):
        if len(sample) < len(pair.map_names):
            notes.append(f"{len(sample)} of {len(pair.map_names)} label maps were read: rare classes may be missing")
    found = sorted({value for of_split in counts for each in of_split for value in each})
    named = find_names(tree, is_colored)
    is_camvid = not is_colored and not named and pairs[0].maps.endswith("trainannot") and found == list(range(12))
    if is_colored:
        keys, classes, label_of = _color_keys(found, named, notes)
    elif is_camvid:
        notes.append("the layout is that of SegNet's CamVid: its 11 class names are used, and 11 is unlabeled")
        keys = {"palette": [list(color) for color in CAMVID_PALETTE], "ignore_label": 11}
        classes, label_of = CAMVID, {value: value for value in range(11)}
    else:
        keys, classes, label_of = _index_keys(found, named, palette, notes)
    title = "label maps of colors" if is_colored else "label maps of class indices"
    return MapClasses(title, keys, classes, label_of, samples, counts)


def _are_named(values: set[int], named: dict[int, str], palette: list[Color] | None) -> bool:
    """Return whether values with gaps are class indices still, since a list of names has them all.

    A list of two names beside the gray values 0 and 255 is one of a binary mask.
    """
    return bool(named) and values - {255} <= named.keys() and (values != {0, 255} or palette is not None)


def _color_keys(
    values: Sequence[int], named: dict[int, str], notes: list[str]
) -> tuple[dict[str, Any], tuple[str, ...], dict[int, int]]:
    """Return keys of the data section, class names, and color -> class index."""
    void = [value for value in values if is_void(named.get(value, ""))]
    known = [value for value in named if value not in void and not is_void(named[value])]
    of_classes = [*known, *(value for value in values if value not in known and value not in void)]
    classes = tuple(_distinct([named.get(value) or _color_name(value) for value in of_classes]))
    unnamed = [value for value in of_classes if value not in named]
    if unnamed:
        notes.append(
            f"{len(unnamed)} colors have no names, so the classes are called after them: write a file label_colors.txt "
            f"with lines 'R G B name', or correct data.classes"
        )
    keys: dict[str, Any] = {"label_maps": "colors", "palette": [list(_color(value)) for value in of_classes]}
    if void:
        keys["ignore_colors"] = [list(_color(value)) for value in void]
    return keys, classes, {value: index for index, value in enumerate(of_classes)}


def _index_keys(
    values: Sequence[int], named: dict[int, str], palette: list[Color] | None, notes: list[str]
) -> tuple[dict[str, Any], tuple[str, ...], dict[int, int]]:
    """Return keys of the data section, class names, and pixel value -> class index."""
    labels = [value for value in values if value != 255]
    count = max([*labels, *named], default=-1) + 1
    keys: dict[str, Any] = {}
    first = int(is_void(named.get(0, "")) and count > 1)
    if first:
        keys["reduce_zero_label"] = True
    elif count - 1 in named and is_void(named[count - 1]):
        keys["ignore_label"] = count - 1
        count -= 1
    names = _distinct([named.get(value) or f"class_{value}" for value in range(first, count)])
    if not named:
        notes.append(
            "the label maps have no class names, so they are class_0, class_1, ...: write them to classes.txt, a line "
            "each, or correct data.classes"
        )
        notes.append(
            "every value but 255 is a class: call the first or the last one 'void' in classes.txt, or set "
            "data.ignore_label, if its pixels are unlabeled"
        )
    if palette is not None and len(palette) >= count:
        keys["palette"] = [list(color) for color in palette[first:count]]
    return keys, tuple(names), {value: value - first for value in range(first, count)}


def _content(
    pair: MapFolders, sample: Sequence[str], values: Sequence[dict[int, int]], label_of: dict[int, int]
) -> SplitContent:
    place = {name: index for index, name in enumerate(pair.map_names)}
    pairs = [
        (place[name], label_of[value])
        for name, of_map in zip(sample, values, strict=True)
        for value in of_map
        if value in label_of
    ]
    return SplitContent(
        pair.names,
        np.array(pairs, np.int64).reshape(-1, 2),
        np.zeros((len(pair.names), 2), np.int64),
        num_read=len(sample),
    )


def _unread(names: Sequence[str]) -> SplitContent:
    return SplitContent(tuple(names), np.zeros((0, 2), np.int64), np.zeros((len(names), 2), np.int64), num_read=0)


def _kind(tree: Tree, names: Sequence[str]) -> tuple[bool, list[Color] | None]:
    """Return whether label maps have colors, and the palette of palette images."""
    for name in names[:1]:
        with open_regular(tree.root / name) as file, open_header(file, name) as image:
            if image.mode == "P":
                flat = image.getpalette() or []
                colors = [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3)]
                return False, colors
            return image.mode in ("RGB", "RGBA", "CMYK"), None
    return False, None


def _values(tree: Tree, name: str, is_colored: bool) -> dict[int, int]:
    """Return value -> number of pixels of a label map; colors as one number each."""
    path = tree.root / name
    values: NDArray[Any] = color_values(read_image(path)) if is_colored else read_values(path)
    found, counts = np.unique(values, return_counts=True)
    if len(found) > MAX_COLORS:
        raise DataError(
            f"{path} has {len(found)} different {'colors' if is_colored else 'values'}, more than a label map has. "
            f"Save label maps as PNG without interpolation or compression losses."
        )
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _has_gaps(values: set[int]) -> bool:
    """Return whether values are too far apart for class indices, as the gray values 0, 128 and 255 are."""
    labels = sorted(values - {255})
    return values == {0, 255} or (bool(labels) and labels[-1] + 1 > 2 * len(labels) + 20)


def _color(value: int) -> Color:
    return value >> 16 & 255, value >> 8 & 255, value & 255


def _color_name(value: int) -> str:
    red, green, blue = _color(value)
    if red == green == blue:
        return {0: "background", 255: "foreground"}.get(red, f"gray_{red}")
    return f"color_{red}_{green}_{blue}"


def _distinct(names: Sequence[str]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for name in names:
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}_{seen[name]}"
