"""Reading Pascal VOC annotations: a list of names, and an XML file for each."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from splitnest.data.categories import Categories
from splitnest.data.coco_file import CocoFile, build_coco
from splitnest.data.image_size import image_size
from splitnest.data.images import SUFFIXES
from splitnest.errors import DataError

SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(
    split_file: str | Path, annotations_dir: str | Path, images_dir: str | Path, classes: Categories
) -> CocoFile:
    """Read the annotations of one split.

    Pixels count from 1 and a box includes its last one (VOC development kit, section 4): it covers ``xmin - 1`` to
    ``xmax``. A box that ends where it starts is a click, not an object one pixel wide: it gets no area. Difficult
    objects become crowd regions: what is found there counts neither for nor against a detector, and they are not
    trained on.

    Args:
        split_file: Names without suffix, one a line, such as ``ImageSets/Main/test.txt``.
        annotations_dir: Folder with ``<name>.xml``.
        images_dir: Folder with ``<name>.jpg``, or another suffix.
        classes: All that objects can be of.

    Raises:
        DataError: A file is missing or not of this form, or an object is of another class.
    """
    file_of_stem = {p.stem: p.name for p in sorted(Path(images_dir).glob("*")) if p.suffix.lower() in SUFFIXES}
    id_of_class = {category.name: category.id for category in classes}
    images: list[tuple[int, str, int, int]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, name in enumerate(_names(Path(split_file)), start=1):
        path = Path(annotations_dir) / f"{name}.xml"
        root = _parse(path)
        file_name = file_of_stem.get(name, f"{name}.jpg")
        height, width = _size(path, root) or image_size(Path(images_dir) / file_name)
        images.append((image_id, file_name, height, width))
        for element in root.all("object"):
            annotations.append({"image_id": image_id, **_object(path, element, id_of_class)})
    return build_coco(split_file, images, [(category.id, category.name) for category in classes], annotations)


@dataclass
class _Element:
    """A part of an XML file, and the line it starts in."""

    tag: str
    line: int
    text: str = ""
    children: list["_Element"] = field(default_factory=list)

    def all(self, tag: str) -> Iterator["_Element"]:
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> "_Element | None":
        return next(self.all(tag), None)


def _names(path: Path) -> Iterator[str]:
    for number, line in enumerate(_read(path).splitlines(), start=1):
        if len(line.split()) > 1:
            raise DataError(f"{path}, line {number}: there should be one name, not {line.strip()!r}.")
        if line.strip():
            yield line.strip()


def _object(path: Path, element: _Element, id_of_class: dict[str, int]) -> dict[str, Any]:
    """Return an object in COCO's terms."""
    name = _text(path, element, "name")
    if name not in id_of_class:
        raise DataError(
            f"{path}, line {element.line}: class {name!r} is none of the model's, which are {', '.join(id_of_class)}. "
            f"Mend the name, or add it to data.classes."
        )
    box = element.first("bndbox")
    if box is None:
        raise DataError(f"{path}, line {element.line}: this {name} has no bndbox. Add it, or remove the object.")
    left, top, right, bottom = (_number(path, box, side) for side in SIDES)
    width = right - left + 1 if right > left else 0
    height = bottom - top + 1 if bottom > top else 0
    difficult = element.first("difficult") is not None and _number(path, element, "difficult") != 0
    return {
        "category_id": id_of_class[name],
        "bbox": [left - 1, top - 1, width, height],
        "iscrowd": int(difficult),
    }


def _size(path: Path, root: _Element) -> tuple[int, int] | None:
    """Return (height, width) as the file has it; None where it is left out or 0, as some tools write it."""
    size = root.first("size")
    if size is None:
        return None
    height, width = int(_number(path, size, "height")), int(_number(path, size, "width"))
    return (height, width) if height > 0 and width > 0 else None


def _number(path: Path, parent: _Element, tag: str) -> float:
    text = _text(path, parent, tag)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}, line {parent.line}: {tag} is {text!r}, not a number.")
    return value


def _text(path: Path, parent: _Element, tag: str) -> str:
    element = parent.first(tag)
    if element is None or not element.text.strip():
        raise DataError(f"{path}, line {parent.line}: this {parent.tag} has no {tag}. Add it.")
    return element.text.strip()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}). Check the path.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text. Save it as that.") from error


def _parse(path: Path) -> _Element:
    """Return the outermost element. Files that declare entities, which can grow without limit, are refused."""
    text = _read(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError(f"{path} has a document type declaration, which no VOC file needs: remove it.")
    parser = expat.ParserCreate()
    document = _Element("document", 1)
    open_elements = [document]

    def start(tag: str, _: dict[str, str]) -> None:
        element = _Element(tag, parser.CurrentLineNumber)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def add_text(text: str) -> None:
        open_elements[-1].text += text

    parser.StartElementHandler, parser.CharacterDataHandler = start, add_text
    parser.EndElementHandler = lambda _: open_elements.pop()
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise DataError(f"{path}, line {error.lineno}: this is not XML ({expat.ErrorString(error.code)}).") from error
    (root,) = document.children
    if root.tag != "annotation":
        raise DataError(f"{path} is not a VOC annotation: its outermost element is {root.tag}.")
    return root
