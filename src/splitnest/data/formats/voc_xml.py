"""XML of Pascal VOC annotation files, with error messages that name the place."""

import math
from pathlib import Path

from splitnest.data.formats.xml_elements import Element, parse_elements
from splitnest.errors import DataError, cannot_read
from splitnest.files import open_text


def parse(path: Path) -> Element:
    """Return the root element of an annotation file.

    Raises:
        DataError: The file cannot be read, or is not a VOC annotation.
    """
    root = parse_elements(path, "a VOC annotation")
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
