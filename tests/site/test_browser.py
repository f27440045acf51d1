"""The built site in headless Chromium: search, table of models, width of a phone. ``make browser`` runs these tests."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from helpers.paths import ROOT

SITE = ROOT / "docs" / "_build" / "html"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = {"desktop": 1280, "phone": 390}
NAMES = ("index", "start", "tasks", "tasks/detection", "models", "reference/python", "cli", "why")
pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(not (SITE / "index.html").exists(), reason="the site is not built (make site)"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (make browser)"),
]


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=SITE))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (make browser)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, url: str, width: int = 1280) -> Iterator[Any]:
    """Open a page, and check at the end that its scripts had no error and that it loaded nothing from elsewhere."""
    page = browser.new_page(viewport={"width": width, "height": 800})
    errors, requests = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(url)
    yield page
    assert not errors
    assert all(request.startswith("http://127.0.0.1:") or request.startswith("data:") for request in requests)
    page.close()


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("RoIAlign", "Export"),
        ("epoch_12.pth", "Your old checkpoint"),
        ("bf16", "Performance"),
        ("splitnest.load", "Python"),
        ("train.lr", "Recipe keys"),
    ],
)
def test_search(browser: Any, address: str, query: str, page: str) -> None:
    with opened(browser, f"{address}/search.html?q={query}") as opened_page:
        opened_page.wait_for_selector("#search-results li a", timeout=10000)
        opened_page.wait_for_function(
            "document.querySelector('#search-results .search-summary')?.textContent.match(/\\d/)"
        )
        titles = opened_page.locator("#search-results li > a").all_inner_texts()
        assert any(page in title for title in titles), titles


def test_models_are_filtered_and_sorted(browser: Any, address: str) -> None:
    with opened(browser, f"{address}/models.html") as page:
        shown = page.locator(".model-table tbody tr:visible")
        total = shown.count()
        page.fill(".model-filter input", "mask resnest50 coco")
        assert 0 < shown.count() < total
        assert all("resnest50" in text for text in shown.locator("td:first-child").all_inner_texts())
        page.get_by_role("button", name="main metric").click()
        values = [float(text) for text in shown.locator("td.number").all_inner_texts()]
        assert values == sorted(values, reverse=True)
        page.fill(".model-filter input", "")
        page.select_option(".model-filter select", "panoptic")
        assert set(shown.locator("td:nth-child(2)").all_inner_texts()) == {"panoptic"}


@pytest.mark.parametrize("width", WIDTHS.values(), ids=list(WIDTHS))
@pytest.mark.parametrize(
    "name", ["index", "start", "tasks", "tasks/detection", "models", "reference/python", "cli", "why"]
)
def test_pages_fit_the_width(browser: Any, address: str, name: str, width: int) -> None:
    with opened(browser, f"{address}/{name}.html", width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
