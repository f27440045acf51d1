"""The page in a real browser: headless Chromium. ``make browser`` installs what it needs, and runs these tests."""

import base64
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

from helpers.families import PANOPTIC, load_small
from helpers.service import Client, encoded, running
from splitnest.data.scenes import Scenes
from splitnest.inference.predictor import Predictor

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = ("--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
SCENE = Scenes(1, (120, 160), seed=1000)[0].image
POSE, SEGMENTOR = "simplebaseline_resnest50_256x192_coco.mmpose", "fcn_resnest101_d8_ade20k.mmseg"
CLASSIFIER = "resnest50_imagenet.official"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (make browser)")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (make browser)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(detector: Predictor) -> Iterator[Client]:
    names = {"panoptic": PANOPTIC, "segmentor": SEGMENTOR, "pose": POSE, "classifier": CLASSIFIER}
    with running({"detector": detector, **{name: load_small(row) for name, row in names.items()}}) as client:
        yield client


class Page:
    """Page of a service, with the requests that it makes and the errors in its script."""

    def __init__(self, page: Any, client: Client, ready: bool) -> None:
        self.page, self.client = page, client
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        page.goto(f"http://127.0.0.1:{client.port}/")
        if ready:
            page.wait_for_selector("#served .chip", state="attached")

    def choose(self, image: np.ndarray) -> None:
        file = {"name": "scene.png", "mimeType": "image/png", "buffer": encoded(image)}
        self.page.set_input_files("#file", file)
        self.wait()

    def wait(self, predictions: int = 0) -> None:
        """Wait until at least that many predictions were requested, and all panes have their results."""
        end = monotonic() + 30
        while self.predictions < predictions:
            assert monotonic() < end, f"{self.predictions} predictions, not {predictions}"
            self.page.wait_for_timeout(20)
        self.until("state.panes.length && state.panes.every(pane => pane.response && !pane.busy)")

    def until(self, expression: str) -> None:
        """Wait until an expression is true. Playwright's own function needs ``eval``, which the page forbids."""
        end = monotonic() + 30
        while not self.page.evaluate(expression):
            assert monotonic() < end, expression
            self.page.wait_for_timeout(20)

    def picture(self, pane: int = 0) -> str:
        """Return the picture that a pane shows."""
        return str(self.page.evaluate(f"state.panes[{pane}].canvas.toDataURL()"))

    @property
    def predictions(self) -> int:
        """Number of requests for a prediction."""
        return sum("/predict" in url for url in self.requests)


@pytest.fixture
def start(browser: Any, served: Client) -> Iterator[Callable[..., Page]]:
    pages: list[Page] = []

    def open_page(
        client: Client = served, width: int = 1280, height: int = 800, ready: bool = True, **options: Any
    ) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        pages.append(Page(context.new_page(), client, ready))
        return pages[-1]

    yield open_page
    for page in pages:
        addresses = {url.split("/")[2] for url in page.requests if not url.startswith(("blob:", "data:"))}
        assert addresses == {f"127.0.0.1:{page.client.port}"}, "the page loads something from elsewhere"
        assert not page.errors
        page.page.context.close()


def set_score(page: Page, score: float) -> None:
    page.page.evaluate(f"$('score').value = {score}; $('score').dispatchEvent(new Event('input'))")


def test_slider_and_class_switches_need_no_request(start: Callable[..., Page], detector: Predictor) -> None:
    page = start()
    page.choose(SCENE)
    (result,) = detector.predict([SCENE])
    set_score(page, float(result.scores.min()) - 0.01)
    assert page.page.locator("#results button").count() == len(result) > 1
    pictures = [page.picture()]
    set_score(page, float(np.sort(result.scores)[-1]) - 0.001)
    pictures.append(page.picture())
    assert page.page.locator("#results button").count() < len(result)
    set_score(page, 0)
    page.page.locator("#classes input").first.uncheck()
    pictures.append(page.picture())
    page.page.locator("#layers input[value=boxes]").evaluate("input => input.click()")
    page.page.locator("#all").click()
    pictures.append(page.picture())
    assert len(set(pictures)) == 4
    assert page.predictions == 1


def test_masks_are_those_of_the_result(start: Callable[..., Page], detector: Predictor) -> None:
    page = start()
    page.choose(SCENE)
    (result,) = detector.predict([SCENE])
    masks = page.page.evaluate(
        "state.panes[0].items.map(maskOf).map(m => m && ({...m, bits: btoa(String.fromCharCode(...m.bits))}))"
    )
    assert result.masks is not None
    assert len(masks) == len(result.masks) > 0
    for found, expected in zip(masks, result.masks, strict=True):
        drawn = np.zeros_like(expected)
        if found is not None:
            bits = np.frombuffer(base64.b64decode(found["bits"]), np.uint8).reshape(found["height"], found["width"])
            drawn[found["y"] :, found["x"] :][: found["height"], : found["width"]] = bits
        assert np.array_equal(drawn, expected)


def test_label_maps_are_those_of_the_result(start: Callable[..., Page], served: Client) -> None:
    page = start()
    page.choose(SCENE)
    page.page.select_option(".pane select", "segmentor")
    page.wait()
    result: Any = served.service.models["segmentor"].predictor.predict([SCENE])[0]
    labels = page.page.evaluate("Array.from(state.panes[0].map.ids).map(id => state.panes[0].items[id].label)")
    assert np.array_equal(np.array(labels).reshape(result.labels.shape), result.labels)


def test_downloads(start: Callable[..., Page], served: Client, tmp_path: Path) -> None:
    page = start()
    page.choose(SCENE)
    with page.page.expect_download() as download:
        page.page.click("#json")
    assert download.value.suggested_filename == "scene-detector.json"
    download.value.save_as(tmp_path / "scene.json")
    assert (tmp_path / "scene.json").read_bytes() == served.predict(encoded(SCENE), "?model=detector").body
    for model in ("detector", "segmentor", "classifier"):
        page.page.select_option(".pane select", model)
        page.wait()
        with page.page.expect_download() as download:
            page.page.click("#png")
        download.value.save_as(tmp_path / "scene.png")
        size = page.page.evaluate("[state.image.width, state.image.height]")
        assert (tmp_path / "scene.png").read_bytes()[16:24] == b"".join(side.to_bytes(4, "big") for side in size)


def test_keyboard_only(start: Callable[..., Page]) -> None:
    page = start()
    keyboard = page.page.keyboard
    choosers: list[Any] = []
    page.page.on("filechooser", lambda chooser: choosers.append(chooser))

    def tab_to(selector: str) -> None:
        for _ in range(300):  # a row for each class and result
            keyboard.press("Tab")
            if page.page.evaluate(f"document.activeElement.matches({selector!r})"):
                return
        raise AssertionError(f"{selector} cannot be reached by the Tab key")

    tab_to("#first-tools .pick")
    keyboard.press("Enter")
    for _ in range(500):
        if choosers:
            break
        page.page.wait_for_timeout(20)
    choosers[0].set_files({"name": "a.png", "mimeType": "image/png", "buffer": encoded(SCENE)})
    page.wait()
    tab_to("canvas")
    set_score(page, 0)
    keyboard.press("ArrowRight")
    assert page.page.locator(".tip").is_visible()
    assert ", score " in page.page.locator("#status").inner_text()
    keyboard.press("Escape")
    assert not page.page.locator(".tip").is_visible()
    tab_to("#score")
    before = page.picture()
    for _ in range(100):
        keyboard.press("ArrowRight")
    assert page.page.locator("#score-value").inner_text() == "1.00"
    assert page.picture() != before
    keyboard.press("Home")
    tab_to("#classes input")
    keyboard.press("Space")
    assert page.page.locator("#classes .off").count() == 1
    assert page.page.evaluate("document.activeElement.matches('#classes input')")  # the focus stays
    tab_to("#results button")
    assert page.page.locator(".tip").is_visible()


@pytest.mark.parametrize("model", ["detector", "panoptic", "pose", "classifier"])
def test_phone(start: Callable[..., Page], model: str) -> None:
    page = start(width=390, height=844, device_scale_factor=2, has_touch=True)
    page.choose(SCENE)
    page.page.select_option(".pane select", model)
    page.wait()
    page.page.locator("#compare").tap()
    page.wait()
    assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    first, second = (page.page.locator(".pane").nth(index).bounding_box() for index in (0, 1))
    assert second["y"] >= first["y"] + first["height"]  # one below the other
    for selector in ("#json", "#png", "#next-tools .pick", "#compare", "#theme"):
        assert page.page.locator(selector).bounding_box()["height"] >= 36
    page.page.locator("canvas").first.tap()


def test_two_models_side_by_side(start: Callable[..., Page]) -> None:
    page = start()
    page.choose(SCENE)
    page.page.click("#compare")
    page.wait()
    page.page.locator(".pane select").nth(1).select_option("segmentor")
    page.wait()
    assert page.predictions == 3
    assert page.picture(0) != page.picture(1)
    left, right = (page.page.locator(".pane").nth(index).bounding_box() for index in (0, 1))
    assert right["x"] >= left["x"] + left["width"]
    page.page.click("#compare")
    assert page.page.locator(".pane").count() == 1


def test_paste_drop_and_webcam(start: Callable[..., Page]) -> None:
    page = start()
    data = base64.b64encode(encoded(SCENE)).decode()
    for count, kind in enumerate(("paste", "drop"), 1):
        event = "ClipboardEvent" if kind == "paste" else "DragEvent"
        page.page.evaluate(f"""async () => {{
            const blob = new Blob([Uint8Array.from(atob("{data}"), c => c.charCodeAt(0))], {{type: "image/png"}});
            const transfer = new DataTransfer();
            transfer.items.add(new File([blob], "a.png", {{type: "image/png"}}));
            dispatchEvent(new {event}("{kind}", {{bubbles: true, cancelable: true,
                {"clipboardData" if kind == "paste" else "dataTransfer"}: transfer}}));
        }}""")
        page.until("state.file && state.panes.length")
        page.wait(count)
    assert page.predictions == 2
    page.page.locator("#next-tools .snapshot").click()
    page.until("$('video').videoWidth > 0")
    page.page.click("#snap")
    page.until("state.file.type === 'image/jpeg'")
    page.wait()
    assert page.page.evaluate("state.image.width === $('video').videoWidth || state.image.width > 100")


def test_image_that_cannot_be_read(start: Callable[..., Page]) -> None:
    page = start()
    page.page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"no image"})
    page.page.wait_for_selector(".fault:visible")
    assert "cannot be read as an image" in page.page.locator(".fault").inner_text()
    page.errors.clear()  # status 400 is written to the console
    page.choose(SCENE)
    assert not page.page.locator(".fault").is_visible()


def test_token(start: Callable[..., Page], detector: Predictor) -> None:
    with running({"small": detector}, token="secret") as client:
        page = start(client, ready=False)
        for token in ("wrong", "secret"):
            page.page.wait_for_selector("#token[open]")
            page.page.fill("#token-value", token)
            page.page.keyboard.press("Enter")
        page.page.wait_for_selector("#served .chip", state="attached")
        page.errors.clear()  # status 401 is written to the console
        page.choose(SCENE)
        assert page.page.locator("#compare").is_hidden()


def test_light_and_dark(start: Callable[..., Page]) -> None:
    page = start(color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.page.evaluate(background)
    page.page.click("#theme")
    light = page.page.evaluate(background)
    assert dark != light
    page.page.reload()
    assert page.page.evaluate(background) == light  # it is remembered
    page.page.goto(page.page.url + "docs")
    page.page.wait_for_selector("details[open]")
    assert page.page.evaluate(background) == light
    assert "POST" in page.page.locator("details").first.inner_text()
