"""HTML page of titled sections that needs no other file."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

STYLE = """\
:root { color-scheme: light dark; --paper: #fafaf8; --card: #fff; --ink: #24282f; --soft: #5f666f; --grid: #dcdcd7;
  --good: 24 128 70; --bad: 196 50 44; --bar: #3d7fd6;
  --c0: #2f6fd0; --c1: #d5482f; --c2: #2a9258; --c3: #8a56c8; --c4: #c98a00; --c5: #008b96; --c6: #c2457f;
  --c7: #6d7c22; --c8: #7a5a44; --c9: #5f6fb0; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171b; --card: #1d2026; --ink: #e4e6ea; --soft: #9da5b0;
  --grid: #363b44; --good: 62 190 120; --bad: 240 98 88; --bar: #5b9bf0;
  --c0: #6aa3f5; --c1: #f2785f; --c2: #58c98b; --c3: #b48cf0; --c4: #e6b13c; --c5: #3cc3cf; --c6: #ee7fb2;
  --c7: #a9bb4c; --c8: #c09a80; --c9: #97a6e8; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto; padding: 20px;
  max-width: 1280px; }
h1 { font-size: 23px; margin: 0 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 4px; }
h3 { font-size: 14px; margin: 0 0 6px; font-weight: 600; }
nav { margin: 10px 0 18px; display: flex; flex-wrap: wrap; gap: 4px 14px; }
a { color: var(--c0); text-decoration: none; }
a:hover { text-decoration: underline; }
p { margin: 0 0 10px; color: var(--soft); max-width: 90ch; overflow-wrap: anywhere; }
section { background: var(--card); border: 1px solid var(--grid); border-radius: 10px; padding: 16px;
  margin: 0 0 16px; }
.blocks { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 18px;
  align-items: start; }
.block { min-width: 0; }
.wide { grid-column: 1 / -1; }
.scroll { overflow-x: auto; max-height: 640px; overflow-y: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13.5px; }
th, td { padding: 3px 10px 3px 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--grid); }
th { color: var(--soft); font-weight: 500; position: sticky; top: 0; background: var(--card); }
th:first-child, td:first-child { text-align: left; }
td.bar { min-width: 120px; }
td.bar i { display: block; height: 11px; border-radius: 2px; background: var(--bar); }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
svg .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
svg .faint { stroke: var(--soft); stroke-width: .8; opacity: .35; }
svg .bold { stroke-width: 3; }
svg .grid { stroke: var(--grid); stroke-width: 1; }
svg .dashed { stroke: var(--soft); stroke-dasharray: 4 4; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 12px; font-size: 12.5px; color: var(--soft); margin: 4px 0 0; }
.legend b { display: inline-block; width: 14px; height: 3px; vertical-align: middle; margin-right: 5px; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 400px), 1fr)); gap: 16px; }
.pictures.small { grid-template-columns: repeat(auto-fill, minmax(min(47%, 200px), 1fr)); }
figure { margin: 0; min-width: 0; }
figure div { display: flex; gap: 3px; }
figure img { display: block; width: 100%; min-width: 0; flex: 1 1 0; background: var(--grid); border-radius: 4px; }
figcaption { margin-top: 4px; font-size: 13px; overflow-wrap: anywhere; }
figcaption span { display: block; color: var(--soft); }
@media (max-width: 600px) { body { padding: 10px; } section { padding: 12px; } td.bar { min-width: 56px; }
  td:first-child { white-space: normal; min-width: 96px; } }"""


@dataclass(frozen=True)
class Block:
    """Part of a section.

    Attributes:
        content: HTML whose texts are escaped.
        title: Title above it.
        is_wide: Whether it takes the whole width of the page.
    """

    content: str
    title: str = ""
    is_wide: bool = False


@dataclass(frozen=True)
class Section:
    """Titled part of a page.

    Attributes:
        title: Title, which is also the text of the link to the section.
        text: Explanation below the title.
        blocks: Tables, charts and pictures.
    """

    title: str
    text: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def report_page(title: str, text: str, sections: Sequence[Section], comment: str) -> str:
    """Return an HTML page.

    Args:
        title: Title of the page.
        text: Text below the title.
        sections: Sections in order.
        comment: Comment in the head of the page.
    """
    links = "\n".join(f'<a href="#{_anchor(each.title)}">{html.escape(each.title)}</a>' for each in sections)
    body = "\n".join(map(_section, sections))
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
<p>{html.escape(text)}</p>
<nav>
{links}
</nav>
{body}
</body>
</html>
"""


def _section(section: Section) -> str:
    blocks = "\n".join(
        f'<div class="block{" wide" if block.is_wide else ""}">'
        f"{f'<h3>{html.escape(block.title)}</h3>' if block.title else ''}{block.content}</div>"
        for block in section.blocks
    )
    return (
        f'<section id="{_anchor(section.title)}"><h2>{html.escape(section.title)}</h2>\n'
        f'<p>{html.escape(section.text)}</p>\n<div class="blocks">\n{blocks}\n</div></section>'
    )


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
