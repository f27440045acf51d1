"""Text and colors in XML."""

from splitnest.errors import DataError, printable


def check_xml(name: str) -> None:
    """Raise a DataError for a name with characters that XML cannot hold, such as control characters."""
    if any(not _is_xml(character) for character in name):
        raise DataError(f"The name '{printable(name)}' has a control character, which XML cannot hold. Rename it.")


def _is_xml(character: str) -> bool:
    """Return whether a character may be in XML (XML 1.0, production 2)."""
    return (
        character in "\t\n\r"
        or " " <= character <= "\ud7ff"
        or "\ue000" <= character <= "\ufffd"
        or (character >= "\U00010000")
    )


def hex_color(color: tuple[int, int, int]) -> str:
    """Return an RGB color as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*color)
