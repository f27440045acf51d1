"""Links of the built site lead to pages, files and anchors that exist, and nothing is loaded from elsewhere."""

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from helpers.paths import ROOT

SITE = ROOT / "docs" / "_build" / "html"
PAGES = sorted(SITE.rglob("*.html"))
pytestmark = [pytest.mark.site, pytest.mark.skipif(not PAGES, reason="the site is not built (make site)")]


class Links(HTMLParser):
    """Ids, links and loaded files of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if value is None:
                continue
            if key in ("id", "name"):
                self.ids.add(value)
            elif key == "src" or (key == "href" and tag == "link"):
                self.loaded.add(value)
            elif key == "href":
                self.links.add(value)


@cache
def links_of(page: Path) -> Links:
    links = Links()
    links.feed(page.read_text(encoding="utf-8"))
    return links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(SITE).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    found = links_of(page)
    for link in sorted(found.links | found.loaded):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            assert link in found.links, f"{link} is loaded from elsewhere"
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        assert target.exists(), f"{link} does not exist"
        if parts.fragment and target.suffix == ".html":
            known = links_of(target).ids
            assert unquote(parts.fragment) in known, f"{target.name} has no anchor #{parts.fragment}"
