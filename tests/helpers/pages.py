"""Parts of a Markdown page: fenced blocks, inline code, links and anchors, each with its line."""

import re
import shlex
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from helpers.paths import ROOT

PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "llms.txt")),
        *(page for page in ROOT.glob("docs/**/*.md") if "_build" not in page.parts),
    ]
)

_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Part:
    """Text of a page.

    Attributes:
        page: Page.
        line: Number of the first line of the text, from 1.
        text: Text.
        language: Language of a fenced block; empty for other text.
    """

    page: Path
    line: int
    text: str
    language: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@cache
def parts(page: Path) -> tuple[Part, ...]:
    """Return the fenced blocks of a page, each as a whole, and every other line."""
    found: list[Part] = []
    block: list[str] | None = None
    start, language = 0, ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("```"):
            if block is None:
                block, start, language = [], number + 1, line[3:].strip() or "text"
            else:
                found.append(Part(page, start, "\n".join(block), language))
                block = None
        elif block is not None:
            block.append(line)
        else:
            found.append(Part(page, number, line))
    assert block is None, f"{page.relative_to(ROOT)}:{start}: the block is not closed"
    return tuple(found)


def blocks(page: Path, language: str) -> list[Part]:
    """Return the fenced blocks of one language."""
    return [part for part in parts(page) if part.language == language]


def prose(page: Path) -> list[Part]:
    """Return the lines outside of fenced blocks."""
    return [part for part in parts(page) if not part.language]


def inline_code(page: Path) -> Iterator[Part]:
    """Yield the inline code of a page."""
    for line in prose(page):
        for match in _CODE.finditer(line.text):
            yield Part(page, line.line, match[1])


def links(page: Path) -> Iterator[Part]:
    """Yield the targets of the links of a page."""
    for line in prose(page):
        for match in _LINK.finditer(_CODE.sub("", line.text)):
            yield Part(page, line.line, match[1])


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    found: list[str] = []
    for line in prose(page):
        if heading := re.match(r"#{1,6}\s+(.*)", line.text):
            slug = _slug(heading[1])
            repeats = sum(
                other == slug or re.fullmatch(re.escape(slug) + r"-\d+", other) is not None for other in found
            )
            found.append(f"{slug}-{repeats}" if repeats else slug)
    return frozenset(found)


def _slug(heading: str) -> str:
    text = _LINK.sub(lambda match: match[0].partition("]")[0][1:], heading).lower()
    kept = (c for c in text if c in " -_" or unicodedata.category(c)[0] in "LNM")
    return "".join(kept).strip().replace(" ", "-")


def shell_lines(block: Part) -> Iterator[tuple[Part, list[str]]]:
    """Yield each command of a shell block and its words; lines that end in a backslash are joined."""
    pending, first = "", block.line
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        first = first if pending else number
        pending += line.removesuffix("\\")
        if line.endswith("\\"):
            continue
        command, pending = pending, ""
        words = shlex.split(command, comments=True)
        if words:
            yield Part(block.page, first, command), words


def own_arguments(words: list[str]) -> list[str] | None:
    """Return the arguments of a ``splitnest`` command line, or of ``... -m splitnest``; None for another program."""
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if words[:1] == ["splitnest"]:
        return words[1:]
    for first in range(len(words) - 1):
        if words[first : first + 2] == ["-m", "splitnest"]:
            return words[first + 2 :]
    return None
