"""Names of the classes of label maps, from the files that tools and datasets keep beside them."""

import csv
import json
import re
from typing import Any

from splitnest.data.recognition.tree import Tree
from splitnest.files import open_text

CAMVID = (
    *("sky", "building", "pole", "road", "pavement", "tree"),
    *("sign", "fence", "car", "pedestrian", "bicyclist"),
)
"""Classes of CamVid as SegNet numbers them (SegNet-Tutorial, ``Scripts/test_segmentation_camvid.py``)."""

CAMVID_PALETTE = (
    *((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0)),
    *((192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)),
)

_NAME_LISTS = ("classes.txt", "labels.txt", "codes.txt", "class_names.txt", "label_names.txt", "obj.names")
"""Files with a class name in each line, in the order of class indices."""

_COLOR_LISTS = ("class_dict.csv", "label_colors.txt", "labelmap.txt", "label_colors.csv")
"""Files with a color and a class name in each line (CamVid, CVAT)."""

_VOID = ("void", "unlabeled", "unlabelled", "ignore", "ignored", "unknown", "unlabel", "_ignore_", "__ignore__")

MAX_CHARACTERS = 1_000_000


def is_void(name: str) -> bool:
    """Return whether a class name means pixels without a label."""
    return name.strip().lower() in _VOID


def find_names(tree: Tree, is_colored: bool) -> dict[int, str]:
    """Return the class names of a dataset: pixel value -> name, with colors as one number each; empty without any."""
    if is_colored:
        for path in tree.named(*_COLOR_LISTS):
            if names := _color_names(_text(tree, path)):
                return names
        return {}
    for path in sorted(tree.named(*_NAME_LISTS), key=lambda path: (path.count("/"), path)):
        lines = [line.strip() for line in _text(tree, path).splitlines() if line.strip()]
        if lines and all(len(line) < 100 for line in lines):
            if all(re.fullmatch(r"\d+[\s:,]+\S.*", line) for line in lines):
                pairs = [re.split(r"[\s:,]+", line, maxsplit=1) for line in lines]
                return {int(number): name for number, name in pairs}
            return dict(enumerate(lines))
    for path in tree.named("classes.json", "id2label.json"):
        try:
            content: Any = json.loads(_text(tree, path))
        except (ValueError, RecursionError):
            continue
        if isinstance(content, list) and all(isinstance(name, str) for name in content):
            return dict(enumerate(content))
        if isinstance(content, dict) and all(str(key).isdecimal() for key in content):
            return {int(key): str(name) for key, name in content.items()}
    return {}


def _color_names(text: str) -> dict[int, str]:
    """Return color -> name of lines with a name and three numbers, in any of the usual orders."""
    names: dict[int, str] = {}
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        if match := re.match(r"\s*([^:]+):(\d+),(\d+),(\d+)(?::|\s*$)", line):  # CVAT: label:r,g,b:parts:actions
            name, *color = match.groups()
        else:
            fields = next(csv.reader([line])) if "," in line else line.split(maxsplit=3)
            numbers = [field.strip() for field in fields if re.fullmatch(r"\s*\d{1,3}\s*", field)]
            words = [field.strip() for field in fields if not re.fullmatch(r"\s*\d{1,3}\s*", field)]
            if len(numbers) < 3 or not words:
                continue
            name, color = words[0], numbers[:3]
        red, green, blue = map(int, color)
        if max(red, green, blue) < 256:
            names[red << 16 | green << 8 | blue] = name.strip()
    return names


def _text(tree: Tree, path: str) -> str:
    try:
        with open_text(tree.root / path) as file:
            return file.read(MAX_CHARACTERS)
    except (OSError, UnicodeDecodeError):
        return ""
