"""XML of Pascal VOC annotation files: elements with their lines, and error messages that name the place."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from splitnest.errors import DataError, cannot_read
from splitnest.files import open_text


@dataclass
class Element:
    """XML element.

    Attributes:
        tag: Name of the element.
        line: Line of the file in which it starts.
        parts: Pieces of its text.
        children: Elements inside it.
    """

    tag: str
    line: int
    parts: list[str] = field(default_factory=list)
    children: list["Element"] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Text without white space at its ends."""
        return "".join(self.parts).strip()

    def all(self, tag: str) -> Iterator["Element"]:
        """Yield the elements inside this one that have a tag."""
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> "Element | None":
        """Return the first element inside this one that has a tag."""
        return next(self.all(tag), None)


def parse(path: Path) -> Element:
    """Return the root element of an annotation file. Files that declare entities, which can expand without limit, are
    rejected.

    Raises:
        DataError: The file cannot be read, or is not a VOC annotation.
    """
    text = read(path, "a VOC annotation")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError(f"{path} has a document type declaration, which VOC files do not use. Remove it.")
    parser = expat.ParserCreate()
    document = Element("document", 1)
    open_elements = [document]

    def start(tag: str, _: dict[str, str]) -> None:
        element = Element(tag, parser.CurrentLineNumber)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    parser.StartElementHandler = start
    parser.CharacterDataHandler = lambda text: open_elements[-1].parts.append(text)
    parser.EndElementHandler = lambda _: open_elements.pop()
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise DataError(f"{path}, line {error.lineno}: invalid XML ({expat.ErrorString(error.code)}).") from error
    (root,) = document.children
    if root.tag != "annotation":
        raise DataError(f"{path} is not a VOC annotation: its root element is {root.tag}.")
    return root


def read(path: Path, expected: str) -> str:
    """Return the text of a file.

    Args:
        path: Path of the file.
        expected: Name of its content with its article, for messages.

    Raises:
        DataError: The file cannot be read, or is not UTF-8 text.
    """
    try:
        with open_text(path) as file:
            return file.read()
    except OSError as error:
        raise DataError(cannot_read(path, error, expected)) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text. Convert it.") from error


def number_in(path: Path, parent: Element, tag: str) -> float:
    """Return the number in an element.

    Raises:
        DataError: There is no such element, or it is not a finite number.
    """
    text = text_in(path, parent, tag)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}, line {parent.line}: {tag} is {text!r}, not a number.")
    return value


def text_in(path: Path, parent: Element, tag: str) -> str:
    """Return the text in an element.

    Raises:
        DataError: There is no such element, or it is empty.
    """
    element = parent.first(tag)
    if element is None or not element.text:
        raise DataError(f"{path}, line {parent.line}: this {parent.tag} has no {tag}. Add it.")
    return element.text
