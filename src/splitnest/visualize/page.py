"""Self-contained HTML page of pictures with captions."""

import base64
import html
from collections.abc import Sequence
from typing import NamedTuple

STYLE = """\
body { font: 15px/1.45 system-ui, sans-serif; color: #282c34; background: #fafaf8; margin: 24px; }
h1 { font-size: 22px; margin: 0 0 8px; }
ul { margin: 0 0 20px; padding-left: 20px; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 20px; align-items: start; }
figure { margin: 0; }
img { display: block; width: 100%; background: #e4e4e0; }
figcaption { margin-top: 4px; overflow-wrap: anywhere; }
figcaption span { display: block; color: #60666f; font-size: 13px; }"""


class Picture(NamedTuple):
    """Picture of a page.

    Attributes:
        png: PNG file.
        title: Title.
        text: Further text.
    """

    png: bytes
    title: str
    text: str


def picture_page(title: str, notes: Sequence[str], pictures: Sequence[Picture], comment: str) -> str:
    """Return an HTML page that needs no other file.

    Args:
        title: Title of the page.
        notes: Lines above the pictures.
        pictures: Pictures in order.
        comment: Comment in the head of the page.
    """
    figures = "\n".join(
        f'<figure><img alt="{html.escape(picture.title)}" src="data:image/png;base64,'
        f'{base64.b64encode(picture.png).decode("ascii")}">'
        f"<figcaption>{html.escape(picture.title)}<span>{html.escape(picture.text)}</span></figcaption></figure>"
        for picture in pictures
    )
    lines = "\n".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return f"""<!doctype html>
<!-- {html.escape(comment)} -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>
{STYLE}
</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
<ul>
{lines}
</ul>
<main>
{figures}
</main>
</body>
</html>
"""
