"""Reader of Pascal VOC annotations: a list of image names, and an XML file for each image."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from splitnest.data.formats.annotation_file import AnnotationFile, from_rows
from splitnest.data.images.read import SUFFIXES
from splitnest.data.images.size import image_size
from splitnest.errors import DataError, cannot_read
from splitnest.structures.categories import Categories

SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(
    split_file: str | Path, annotations_dir: str | Path, images_dir: str | Path, categories: Categories
) -> AnnotationFile:
    """Read the annotations of one split.

    Pixels are numbered from 1 and a box includes its last pixel (VOC development kit, section 4): it covers
    ``xmin - 1`` to ``xmax``. A box that ends where it starts is a click rather than an instance one pixel wide, and
    gets no area. Difficult instances become crowd regions: detections there are ignored, and they are not trained on.

    Args:
        split_file: List of image names without suffix, such as ``ImageSets/Main/test.txt``.
        annotations_dir: Folder of the files ``<name>.xml``.
        images_dir: Folder of the images ``<name>.jpg``, with any image suffix.
        categories: Classes of the model.

    Raises:
        DataError: A file does not exist or is not valid, or an instance has an unknown class.
    """
    file_of_stem = {p.stem: p.name for p in sorted(Path(images_dir).glob("*")) if p.suffix.lower() in SUFFIXES}
    id_of_class = {category.name: category.id for category in categories}
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
    return from_rows(split_file, images, [(category.id, category.name) for category in categories], annotations)


@dataclass
class _Element:
    """XML element, and the line in which it starts."""

    tag: str
    line: int
    text: str = ""
    children: list["_Element"] = field(default_factory=list)

    def all(self, tag: str) -> Iterator["_Element"]:
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> "_Element | None":
        return next(self.all(tag), None)


def _names(path: Path) -> Iterator[str]:
    for number, line in enumerate(_read(path, "a list of image names").splitlines(), start=1):
        if len(line.split()) > 1:
            raise DataError(f"{path}, line {number}: there should be one image name, not {line.strip()!r}.")
        if line.strip():
            yield line.strip()


def _object(path: Path, element: _Element, id_of_class: dict[str, int]) -> dict[str, Any]:
    """Return an instance in COCO's form."""
    name = _text(path, element, "name")
    if name not in id_of_class:
        raise DataError(
            f"{path}, line {element.line}: class {name!r} is not a class of the model. Its classes are "
            f"{', '.join(id_of_class)}. Correct the name, or add it to data.classes."
        )
    box = element.first("bndbox")
    if box is None:
        raise DataError(f"{path}, line {element.line}: this {name} has no bndbox. Add it, or remove the instance.")
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
    """Return the (height, width) that the file gives; None if it is absent or 0, as some tools write it."""
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


def _read(path: Path, expected: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(cannot_read(path, error, expected)) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text. Convert it.") from error


def _parse(path: Path) -> _Element:
    """Return the root element. Files that declare entities, which can expand without limit, are rejected."""
    text = _read(path, "a VOC annotation")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError(f"{path} has a document type declaration, which VOC files do not use. Remove it.")
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
        raise DataError(f"{path}, line {error.lineno}: invalid XML ({expat.ErrorString(error.code)}).") from error
    (root,) = document.children
    if root.tag != "annotation":
        raise DataError(f"{path} is not a VOC annotation: its root element is {root.tag}.")
    return root
