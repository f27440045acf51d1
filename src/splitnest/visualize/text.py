"""Text in any script: DejaVu Sans of the package for Latin, Greek and Cyrillic, fonts of the system for the rest."""

import os
import subprocess
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from PIL import ImageDraw, ImageFont

from splitnest.visualize.colors import Color

FONT_FILE = Path(__file__).parent / "dejavu" / "DejaVuSans.ttf"
"""DejaVu Sans 2.37 (https://dejavu-fonts.github.io), with its license beside it."""

MAX_CHARACTERS = 256
"""Number of characters of a text that are drawn."""

FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "C:/Windows/Fonts",
)
FONT_NAMES = (
    "NotoSans",
    "DroidSansFallback",
    "wqy",
    "PingFang",
    "Hiragino",
    "Arial Unicode",
    "msyh",
    "malgun",
    "Nirmala",
)
"""Folders and beginnings of file names of fonts of other scripts, where fontconfig is not installed."""

FONTCONFIG_TIMEOUT_S = 10

Font = tuple[str, int]
"""Font file and the index of the font in it."""

_NO_CHARACTER = "\U0010ffff"
"""Character that no font has: it is drawn as the glyph of missing characters."""


def text_size(text: str, size: int) -> tuple[int, int]:
    """Return the width of a text and the height of a line in pixels.

    Args:
        text: Text in any script.
        size: Text height in pixels.
    """
    return round(sum(_load(font, size).getlength(part) for font, part in _runs(text))), round(size * 1.2)


def truncate_text(text: str, size: int, width: float) -> str:
    """Return a text truncated to a width in pixels, with an ellipsis; empty if nothing fits."""
    if text_size(text, size)[0] <= width:
        return text
    text = text[:MAX_CHARACTERS]
    while text and text_size(text + "...", size)[0] > width:
        text = text[:-1]
    return text.rstrip() + "..." if text else ""


def draw_text(
    draw: ImageDraw.ImageDraw, position: tuple[float, float], text: str, size: int, fill: Color, anchor: str = "la"
) -> None:
    """Draw a line of text.

    A character that no font has is drawn as its code in brackets, so that names stay distinct. Control characters are
    drawn as a replacement character.

    Args:
        draw: Image to draw on.
        position: x and y of the anchor in pixels.
        text: Text in any script.
        size: Text height in pixels.
        fill: Color.
        anchor: Anchor as in Pillow: l, m or r, and a (ascender), m (middle) or s (baseline).
    """
    x, y = position
    x -= {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * text_size(text, size)[0]
    ascent, descent = _load(_DEFAULT, size).getmetrics()
    y += {"a": ascent, "m": (ascent - descent) / 2, "s": 0}[anchor[1]]
    for font, part in _runs(text):
        draw.text((x, y), part, fill=fill, font=_load(font, size), anchor="ls")
        x += _load(font, size).getlength(part)


_DEFAULT: Font = (str(FONT_FILE), 0)


@lru_cache(maxsize=128)
def _load(font: Font, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font[0], size, index=font[1])


@lru_cache(maxsize=4096)
def _runs(text: str) -> list[tuple[Font, str]]:
    """Split a text into parts that one font can draw."""
    runs: list[tuple[Font, str]] = []
    for font, pieces in groupby(_pieces(text), key=lambda piece: piece[0]):
        runs.append((font, "".join(piece for _, piece in pieces)))
    return runs


def _pieces(text: str) -> Iterator[tuple[Font, str]]:
    """Yield each character or its placeholder with a font; marks and joiners stay in the font of the character."""
    font = _DEFAULT
    for character in unicodedata.normalize("NFC", text[:MAX_CHARACTERS]):
        category = unicodedata.category(character)
        if category[0] == "Z":
            character = " "
        elif category in ("Cc", "Cs"):
            character = "\ufffd"
        is_attached = category == "Cf" or (category[0] == "M" and _has(font, character))
        found = font if is_attached else _font_of(character)
        font = found or _DEFAULT
        yield font, character if found else f"[{ord(character):04X}]"


@lru_cache(maxsize=4096)
def _font_of(character: str) -> Font | None:
    """Return the font that draws a character; None if no font has it."""
    for font in (_DEFAULT, *_system_fonts):
        if _has(font, character):
            return font
    block = ord(character) // 256
    if block not in _blocks_without_font:
        for font in _candidates(character):
            if _has(font, character):
                _system_fonts.append(font)
                return font
        _blocks_without_font.add(block)
    return None


_system_fonts: list[Font] = []
"""Fonts of the system that are in use."""

_blocks_without_font: set[int] = set()
"""Blocks of 256 characters for which the system was asked in vain."""


@lru_cache(maxsize=4096)
def _has(font: Font, character: str) -> bool:
    """Return whether a font has a character; its picture differs from that of a missing character."""
    try:
        loaded = ImageFont.truetype(font[0], 16, index=font[1], layout_engine=ImageFont.Layout.BASIC)
        mask, missing = loaded.getmask(character), loaded.getmask(_NO_CHARACTER)
    except (OSError, ValueError):  # not a scalable font
        return False
    return mask.size != missing.size or bytes(mask) != bytes(missing)


def _candidates(character: str) -> list[Font]:
    """Return fonts of the system that may have a character, from fontconfig or else from known folders."""
    command = ["fc-match", "--format", "%{file}\t%{index}", f":charset={ord(character):x}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=FONTCONFIG_TIMEOUT_S, check=True)
        file, _, index = os.fsdecode(done.stdout).partition("\t")
        return [(file, int(index or 0) & 0xFFFF)]  # the upper bits choose an instance of a variable font
    except (OSError, ValueError, subprocess.SubprocessError):
        return _fonts_in_known_folders()


@lru_cache(maxsize=1)
def _fonts_in_known_folders() -> list[Font]:
    found = [
        Path(folder, name)
        for root in FONT_FOLDERS
        for folder, _, names in os.walk(os.path.expanduser(root))
        for name in names
        if name.startswith(FONT_NAMES) and name.lower().endswith((".ttf", ".ttc", ".otf"))
    ]
    return [(str(path), 0) for path in sorted(found, key=lambda path: ("Bold" in path.name, path.name))]
