"""Text in pictures: characters of any script are drawn, those without a font as their code, and headings fit."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from splitnest.structures import Detections, PanopticSegmentation
from splitnest.structures.categories import from_names
from splitnest.visualize import contact_sheet, text
from splitnest.visualize.canvas import Canvas, Tag
from splitnest.visualize.colors import brighten
from splitnest.visualize.confusion import draw_confusion
from splitnest.visualize.curves import MAX_DOTS, Panel, draw_curves
from splitnest.visualize.sheet import PAPER
from splitnest.visualize.text import draw_text, text_size, truncate_text

ONE_CHARACTER = Path(__file__).parents[1] / "inputs" / "fonts" / "NotoSansOneCharacter.ttf"
"""Font with 蛇 only, as a filled rectangle (written with fontTools for these tests)."""


@pytest.fixture(autouse=True)
def no_fonts_of_the_system(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(text, "_candidates", lambda character: [])
    forget_fonts()
    yield
    forget_fonts()


def forget_fonts() -> None:
    text._font_of.cache_clear()
    text._runs.cache_clear()
    text._fonts_in_known_folders.cache_clear()
    text._system_fonts.clear()
    text._blocks_without_font.clear()


def drawn(line: str, size: int = 20) -> np.ndarray:
    image = Image.new("L", (400, 40))
    draw_text(ImageDraw.Draw(image), (5, 5), line, size, 255)  # type: ignore[arg-type]
    return np.asarray(image)


def test_empty_text() -> None:
    assert text_size("", 20) == (0, 24)
    assert truncate_text("", 20, 0) == ""
    assert not drawn("").any()


def test_package_has_a_font_with_its_license() -> None:
    assert (text.FONT_FILE.parent / "LICENSE").read_text().startswith("Fonts are (c) Bitstream")


@pytest.mark.parametrize("line", ["Kühlschrank", "яблоко", "μήλο", "ąćęłńóśźż", "año", "ǅ", "Ελλάδα"])
def test_latin_greek_and_cyrillic_are_in_the_font_of_the_package(line: str) -> None:
    assert text._runs(line) == [(text._DEFAULT, line)]
    missing = drawn(text._NO_CHARACTER)
    for character in line:
        assert not np.array_equal(drawn(character), missing)


def test_composed_and_decomposed_names_are_drawn_alike() -> None:
    np.testing.assert_array_equal(drawn("Ku\u0308hlschrank"), drawn("K\u00fchlschrank"))


def test_a_character_without_a_font_is_its_code() -> None:
    assert text._runs("蛇 1") == [(text._DEFAULT, "[86C7] 1")]
    assert text._runs("ส\u0e38") == [(text._DEFAULT, "[0E2A][0E38]")]
    assert drawn("蛇").any()
    assert not np.array_equal(drawn("蛇"), drawn("猫"))


def test_control_characters_and_bytes_of_file_names() -> None:
    assert text._runs("a\nb\x1b[31m\udcfc\u3000c")[0][1] == "a\ufffdb\ufffd[31m\ufffd c"


def test_a_font_of_the_system_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    font = (str(ONE_CHARACTER), 0)
    monkeypatch.setattr(text, "_candidates", lambda character: [font])
    assert text._runs("蛇 яблоко") == [(font, "蛇"), (text._DEFAULT, " яблоко")]
    assert text._runs("猫") == [(text._DEFAULT, "[732B]")]
    columns = np.flatnonzero(drawn("蛇", 20).any(axis=0))
    assert (columns[0], columns[-1]) == (5, 24)
    assert text_size("蛇", 20)[0] == 20


def test_known_folders_are_searched_without_fontconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(text, "FONT_FOLDERS", (str(tmp_path / "absent"), str(ONE_CHARACTER.parents[1])))
    assert text._runs("蛇") == [((str(ONE_CHARACTER), 0), "蛇")]
    assert text._runs("猫") == [(text._DEFAULT, "[732B]")]


def test_a_file_that_is_no_font_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "font.ttf").write_text("no font")
    monkeypatch.setattr(text, "_candidates", lambda character: [(str(tmp_path / "font.ttf"), 0), ("absent.ttf", 0)])
    assert text._runs("蛇") == [(text._DEFAULT, "[86C7]")]


def test_anchors() -> None:
    width, _ = text_size("яблоко", 20)
    for anchor, left in (("lm", 100), ("mm", 100 - width / 2), ("rm", 100 - width)):
        image = Image.new("L", (300, 60))
        draw_text(ImageDraw.Draw(image), (100, 30), "яблоко", 20, 255, anchor)  # type: ignore[arg-type]
        rows, columns = (np.flatnonzero(np.asarray(image).any(axis=axis)) for axis in (1, 0))
        assert abs(columns[0] - left) <= 3
        assert rows[0] < 30 < rows[-1]


def test_long_names_take_no_time() -> None:
    assert truncate_text("x" * 1_000_000, 15, 200).endswith("...")
    assert text_size("я" * 1_000_000, 15)[0] == text_size("я" * text.MAX_CHARACTERS, 15)[0]


def test_names_of_all_pictures() -> None:
    name = "蛇 яблоко ü"
    pages = [
        contact_sheet([np.zeros((40, 60, 3), np.uint8)], [name]),
        draw_confusion(np.ones((2, 2), int), [name, ""]),
        draw_curves([Panel(name, {name: [(1, 2)]})]),
    ]
    canvas = Canvas(np.zeros((400, 600, 3), np.uint8))
    canvas.tags([Tag((name,), (100, 100, 300, 300), (255, 0, 0))])
    canvas.legend([(name, (0, 255, 0))])
    for page in [*pages, canvas.pixels]:
        assert page.std() > 0


@pytest.mark.parametrize("num_classes", [0, 1, 2, 61])
def test_heading_of_a_confusion_matrix_is_whole(num_classes: int) -> None:
    page = draw_confusion(np.eye(num_classes, dtype=int), [f"{n}" for n in range(num_classes)])
    heading = (page[:36] != PAPER).any(axis=(0, 2))
    assert heading.any()
    assert not heading[-10:].any()


def test_counts_fit_their_cells() -> None:
    counts = np.array([[0, 10**9], [0, 0]])
    page = draw_confusion(counts, ["a", "b"])
    empty = draw_confusion(counts // 10**9, ["a", "b"])
    changed = np.flatnonzero((page != empty).any(axis=(0, 2)))
    assert changed[-1] - changed[0] < 44


def test_a_few_points_of_a_curve_are_marked() -> None:
    def dark(count: int) -> int:
        return int((draw_curves([Panel("m", {"m": [(n, 1.0) for n in range(1, count + 1)]})]) < 200).all(axis=2).sum())

    assert dark(2) > 1.05 * dark(MAX_DOTS + 1)


def test_text_grows_with_the_image() -> None:
    small, large = (Canvas(np.zeros((*size, 3), np.uint8)) for size in ((480, 640), (4800, 6400)))
    assert large.font_size >= 9 * small.font_size


def test_a_class_has_one_color_in_ground_truth_and_prediction() -> None:
    categories = from_names(["car", "person"])
    image = np.zeros((60, 200, 3), np.uint8)
    masks = np.zeros((3, 60, 200), bool)
    boxes = np.array([[0, 0, 60, 60], [70, 0, 130, 60], [140, 0, 200, 60]], np.float32)
    for row, (x1, _, x2, _) in enumerate(boxes.astype(int).tolist()):
        masks[row, 30:, x1:x2] = True

    def instance_tints(labels: list[int], by_class: bool) -> list[tuple[int, ...]]:
        result = Detections(
            boxes, np.ones(3, np.float32), np.array(labels), masks, image_size=(60, 200), categories=categories
        )
        picture = result.draw(image, scores=False, by_class=by_class)
        return [tuple(picture[45, x].tolist()) for x in (30, 100, 170)]

    first, second = instance_tints([0, 1, 0], True), instance_tints([1, 0, 0], True)
    assert first[0] == first[2] == second[1] == second[2]
    assert first[1] == second[0] != first[0]
    assert len(set(instance_tints([0, 0, 0], False))) > 1

    segments = np.repeat(np.array([1, 2], np.int32), 100)[None].repeat(60, 0)
    infos = [{"id": n, "category": 0, "isthing": True, "score": 1.0, "area": 6000} for n in (1, 2)]
    panoptic = PanopticSegmentation(segments, infos, image_size=(60, 200), categories=categories)
    picture = panoptic.draw(image, by_class=True)
    assert tuple(picture[5, 5]) == tuple(picture[5, 195])
    assert np.allclose(picture[5, 5], np.array(brighten(categories[0].color)) / 2, atol=1)
