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
from PIL import Image

from splitnest.data.formats.label_maps import color_values
from splitnest.data.images.read import open_header, read_image, read_values
from splitnest.data.recognition.instances import check_classes
from splitnest.data.recognition.label_map_names import CAMVID, CAMVID_PALETTE, find_names, is_void
from splitnest.data.recognition.recognized import Recognized, SplitContent
from splitnest.data.recognition.tree import Tree, choose_splits, split_of, spread
from splitnest.errors import DataError, first_few
from splitnest.files import open_regular
from splitnest.structures.class_tables import class_table

MAX_MAPS = 300
"""Number of label maps of a split that are read."""

MAX_COLORS = 300
"""Number of colors up to which an image counts as a label map."""

_ADE_NAME = re.compile(r"ADE_(?:train|val|frame)_\d{8}")
_CITYSCAPES_IMAGE = "_leftImg8bit.png"

_PREDICTIONS = frozenset({"predictions", "prediction", "preds", "pred", "results", "output", "outputs"})
"""Folders whose label maps are no ground truth."""

Color = tuple[int, int, int]


@dataclass(frozen=True)
class MapFolders:
    """Folder of images and folder of label maps of a split, relative to the root, and the common names."""

    images: str
    maps: str
    names: tuple[str, ...]
    map_names: tuple[str, ...]


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


def find_map_folders(tree: Tree) -> list[MapFolders]:
    """Return the pairs of folders of images and label maps with the same file names."""
    stems = {folder: {PurePosixPath(name).stem: name for name in files} for folder, files in tree.image_folders.items()}
    looks_like_map = {
        folder: PurePosixPath(folder).name.lower() not in _PREDICTIONS and _is_map_folder(tree, files)
        for folder, files in tree.image_folders.items()
    }
    pairs: list[MapFolders] = []
    for maps in (folder for folder, is_map in looks_like_map.items() if is_map):
        best: tuple[int, str] | None = None
        for images, of_images in stems.items():
            common = len(of_images.keys() & stems[maps].keys())
            if images == maps or looks_like_map[images] or 2 * common < len(stems[maps]):
                continue
            if best is None or (common, _closeness(images, maps)) > (best[0], _closeness(best[1], maps)):
                best = common, images
        if best is not None:
            names = [stem for stem in stems[maps] if stem in stems[best[1]]]
            of_best = stems[best[1]]
            pairs.append(
                MapFolders(
                    best[1],
                    maps,
                    tuple(PurePosixPath(of_best[stem]).name for stem in names),
                    tuple(stems[maps][stem] for stem in names),
                )
            )
    return pairs


def _closeness(images: str, maps: str) -> tuple[bool, int]:
    """Return how well two folders fit: of one split, and with a common beginning."""
    return split_of(images) == split_of(maps), sum(a == b for a, b in zip(images, maps, strict=False))


def recognize_maps(tree: Tree, pairs: Sequence[MapFolders]) -> Recognized:
    """Return the dataset of folders of label maps.

    Raises:
        DataError: Label maps cannot be read, or the splits have different classes.
    """
    by_split: dict[str, MapFolders] = {}
    for found in pairs:
        split = split_of(found.images) or split_of(found.maps) or "all"
        if split in by_split:
            raise DataError(
                f"{tree.root} has label maps in {by_split[split].maps} and in {found.maps}. Give a folder with one of "
                f"them and the images."
            )
        by_split[split] = found
    train, val, notes = choose_splits(by_split, "images")
    data: dict[str, Any] = {"format": "folders"}
    for split, pair in (("train", train), ("val", val)):
        if pair is not None:
            data |= {f"{split}_images": pair.images or ".", f"{split}_annotations": pair.maps or "."}
    if all(_ADE_NAME.match(name) for name in train.names):
        splits = [_unread(pair.names) if pair is not None else None for pair in (train, val)]
        assert splits[0] is not None
        data["format"] = "ade20k"
        classes = class_table("ade20k").names
        return Recognized("ADE20K", "semantic", tree.root, data, classes, splits[0], splits[1], "ade20k")
    return _from_pixels(tree, data, train, val, notes)


def _from_pixels(
    tree: Tree, data: dict[str, Any], train: MapFolders, val: MapFolders | None, notes: list[str]
) -> Recognized:
    """Return the dataset whose classes are read from the pixels of its label maps."""
    samples = [spread(pair.map_names, MAX_MAPS) for pair in (train, val) if pair is not None]
    is_colored, palette = _kind(tree, samples[0])
    counts = [[_values(tree, name, is_colored) for name in sample] for sample in samples]
    if not is_colored and _has_gaps({value for of_split in counts for each in of_split for value in each}):
        is_colored = True
        counts = [[_values(tree, name, is_colored) for name in sample] for sample in samples]
        notes.append("the label maps have gray values that are no class indices: each gray value is a class")
    for pair, sample in zip((train, val), samples, strict=False):
        if pair is not None and len(sample) < len(pair.map_names):
            notes.append(f"{len(sample)} of {len(pair.map_names)} label maps were read: rare classes may be missing")
    per_split = [Counter({value: 1 for each in of_split for value in each}) for of_split in counts]
    values = sorted(set().union(*per_split))
    named = find_names(tree, is_colored)
    is_camvid = not is_colored and not named and train.maps.endswith("trainannot") and values == list(range(12))
    if is_colored:
        keys, classes, label_of = _color_keys(values, named, notes)
    elif is_camvid:
        notes.append("the layout is that of SegNet's CamVid: its 11 class names are used, and 11 is unlabeled")
        keys = {"palette": [list(color) for color in CAMVID_PALETTE], "ignore_label": 11}
        classes, label_of = CAMVID, {value: value for value in range(11)}
    else:
        keys, classes, label_of = _index_keys(values, named, palette, notes)
    if len(per_split) == 2:
        names = [Counter(classes[label_of[value]] for value in each if value in label_of) for each in per_split]
        check_classes(names[0], names[1])
    contents = [
        _content(pair, sample, of_split, label_of)
        for pair, sample, of_split in zip((train, val), samples, counts, strict=False)
        if pair is not None
    ]
    if len(classes) < 2:
        raise DataError(
            f"The label maps in {tree.root / train.maps} have only {first_few([*map(str, values)])}: at least two "
            f"classes are needed. Check that the folder has the label maps."
        )
    val_content = contents[1] if len(contents) == 2 else None
    title = "label maps of colors" if is_colored else "label maps of class indices"
    return Recognized(
        title, "semantic", tree.root, data | keys, classes, contents[0], val_content, assumed=tuple(notes)
    )


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
    if count - 1 in named and is_void(named[count - 1]):
        keys["ignore_label"] = count - 1
        count -= 1
    names = _distinct([named.get(value) or f"class_{value}" for value in range(count)])
    if not named:
        notes.append(
            "the label maps have no class names, so they are class_0, class_1, ...: write them to classes.txt, a line "
            "each, or correct data.classes"
        )
        notes.append("every value but 255 is a class: set data.ignore_label if another one is unlabeled")
    if palette is not None and len(palette) >= count:
        keys["palette"] = [list(color) for color in palette[:count]]
    return keys, tuple(names), {value: value for value in range(count)}


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


def _is_map_folder(tree: Tree, files: Sequence[str]) -> bool:
    """Return whether a sample of the images of a folder are label maps: PNG files of few values."""
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
