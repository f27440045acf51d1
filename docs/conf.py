"""Configuration of Sphinx: ``make site`` builds the Markdown pages of this folder into ``docs/_build/html``."""

import os
import re
import sys
from pathlib import Path
from typing import Any

from splitnest import __version__

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS / "_extensions"))

project = "splitnest"
author = copyright = "The developers of splitnest"
version = release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "code_cell",
    "model_table",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

myst_heading_anchors = 4
"""Depth of the headings that get the anchors of GitHub."""
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"show-inheritance": False}
napoleon_use_ivar = True
python_use_unqualified_type_names = True
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]
"""Types of other packages: their pages are on the network, which the build does not need."""

html_theme = "furo"
html_title = "splitnest"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["model_table.js"]
html_copy_source = False
html_show_sourcelink = False
copybutton_exclude = ".linenos, .gp, .go"

MIRRORED = {
    "project/changelog": "CHANGELOG.md",
    "project/contributing": "CONTRIBUTING.md",
    "project/security": "SECURITY.md",
}
"""Page of the site -> file in the root of the repository that it shows."""

PAGE_OF = {name: page for page, name in MIRRORED.items()} | {"README.md": "index"}
"""File in the root of the repository -> page of the site."""

_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")


def fit_links(text: str, folder: Path, page: str) -> str:
    """Return a page whose links to files in the root lead to pages of the site; those to folders become text.

    Args:
        text: Markdown of the page.
        folder: Folder that its links are relative to.
        page: Name of the page, relative to ``docs``.
    """

    def fitted(match: re.Match[str]) -> str:
        target = (folder / match["path"]).resolve()
        if target.is_dir():
            return match["text"]
        if target.is_relative_to(DOCS) and folder != DOCS / Path(page).parent:
            path = target.relative_to(DOCS)
        elif target.parent == ROOT and target.name in PAGE_OF:
            path = Path(PAGE_OF[target.name]).with_suffix(".md")
        elif target.is_relative_to(ROOT) and target.is_file() and folder == ROOT:
            path = Path(os.path.relpath(target, DOCS))
        else:
            return match[0]
        relative = Path(os.path.relpath(DOCS / path, DOCS / Path(page).parent)).as_posix()
        return f"[{match['text']}]({relative}{match['anchor'] or ''})"

    return _LINK.sub(fitted, text)


def read_source(app: Any, page: str, source: list[str]) -> None:
    """Replace the text of a page before it is parsed."""
    if page in MIRRORED:
        source[0] = fit_links((ROOT / MIRRORED[page]).read_text(encoding="utf-8"), ROOT, page)
    else:
        source[0] = fit_links(source[0], DOCS / Path(page).parent, page)


def setup(app: Any) -> None:
    """Connect the functions of this file."""
    app.connect("source-read", read_source)
