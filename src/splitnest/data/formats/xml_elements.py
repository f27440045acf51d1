"""XML elements with their lines, read without entities, to a limited depth, and a part of the file at a time."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from splitnest.errors import DataError, cannot_read
from splitnest.files import open_text

CHUNK_SIZE = 1 << 20
"""Number of characters that are read at a time."""

MAX_DEPTH = 100
"""Maximum number of elements inside each other."""


@dataclass
class Element:
    """XML element.

    Attributes:
        tag: Name of the element.
        line: Line of the file in which it starts.
        attributes: Values by name.
        parts: Pieces of its text.
        children: Elements inside it.
    """

    tag: str
    line: int
    attributes: dict[str, str] = field(default_factory=dict)
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


def parse_elements(path: Path, expected: str, take: Mapping[str, Callable[[Element], None]] | None = None) -> Element:
    """Return the root element of a file.

    Files that declare entities, which can expand without limit, are rejected.

    Args:
        path: Path of the file.
        expected: Name of its content with its article, for messages.
        take: Tag of elements directly below the root -> function that is called with each such element once it is
            complete; it is not kept then, so that a large file is never in memory as a whole.

    Raises:
        DataError: The file cannot be read, or is not valid.
    """
    parser = expat.ParserCreate()
    document = Element("document", 1)
    open_elements = [document]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(open_elements) > MAX_DEPTH:
            raise DataError(f"{path}, line {parser.CurrentLineNumber}: {tag} is inside more than {MAX_DEPTH} elements.")
        element = Element(tag, parser.CurrentLineNumber, attributes)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(tag: str) -> None:
        element = open_elements.pop()
        if take and len(open_elements) == 2 and tag in take:
            open_elements[-1].children.pop()
            take[tag](element)

    def doctype(*_: object) -> None:
        raise DataError(f"{path} has a document type declaration, which annotation files do not use. Remove it.")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = lambda text: open_elements[-1].parts.append(text)
    parser.StartDoctypeDeclHandler = doctype
    try:
        with open_text(path) as file:
            while chunk := file.read(CHUNK_SIZE):
                parser.Parse(chunk, False)
            parser.Parse("", True)
    except expat.ExpatError as error:
        raise DataError(f"{path}, line {error.lineno}: invalid XML ({expat.ErrorString(error.code)}).") from error
    except OSError as error:
        raise DataError(cannot_read(path, error, expected)) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text. Convert it.") from error
    (root,) = document.children
    return root
