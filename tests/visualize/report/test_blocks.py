"""Blocks of a report page: nothing to show, names with markup, many classes."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from splitnest.visualize.report.line_chart import MAX_POINTS, line_chart
from splitnest.visualize.report.matrix import matrix, most_confused
from splitnest.visualize.report.page import Block, Section, report_page
from splitnest.visualize.report.pictures import Figure, pictures, thumbnail
from splitnest.visualize.report.table import table

NAME = '<b>"a" & b</b>'


def parsed(content: str) -> ElementTree.Element:
    """Parse a block, which is well-formed XML but for the end of image tags."""
    closed = re.sub("(<img [^>]*)>", r"\1/>", content)
    return ElementTree.fromstring(f"<div>{closed}</div>")


def test_nothing_to_show() -> None:
    assert len(parsed(table(["class"], [])).findall(".//tr")) == 1
    assert parsed(line_chart({}, x_label="x", y_label="y")).findall(".//polyline") == []
    assert parsed(matrix(np.zeros((0, 0), int), [], [])).find(".//svg") is not None
    assert parsed(pictures([])).findall(".//figure") == []
    assert most_confused(np.zeros((0, 0), int), 5).tolist() == []
    assert "<nav>" in report_page("title", "", [], "comment")


def test_names_are_text() -> None:
    blocks = [
        table(["class", NAME], [[NAME, 1], [None, 0.123456]], bars=[1.0, 0.0]),
        line_chart({NAME: [(0, 0), (1, 1)]}, x_label=NAME, y_label=NAME, bold=NAME),
        matrix(np.array([[3, 1], [0, 2]]), [NAME, "c"], [NAME, "c"]),
        pictures([Figure([thumbnail(np.zeros((30, 60, 3), np.uint8), 20)], NAME, NAME)]),
    ]
    for block in blocks:
        assert parsed(block).find(".//b[.='a']") is None
        assert NAME not in block
        assert NAME in "".join(parsed(block).itertext())
    page = report_page(NAME, NAME, [Section(NAME, NAME, [Block(blocks[0], NAME)])], NAME)
    assert NAME not in page
    assert 'href="#b-a-b-b"' in page


def test_cells() -> None:
    texts = [cell.text for cell in parsed(table(["a", "b", "c", "d"], [["x", 12345, 0.123456, None]])).findall(".//td")]
    assert texts == ["x", "12345", "0.1235", "-"]


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    points = [(n / 10_000, n / 10_000) for n in range(10_001)]
    line = parsed(line_chart({"a": points}, x_label="x", y_label="y")).find(".//polyline")
    assert line is not None
    drawn = line.attrib["points"].split()
    assert MAX_POINTS // 2 < len(drawn) <= MAX_POINTS + 1
    assert drawn[-1] == "448.0,10.0"


@pytest.mark.parametrize("size", [1, 12, 60])
def test_matrix_has_a_cell_for_each_count(size: int) -> None:
    counts = np.random.default_rng(0).integers(0, 3, (size, size))
    names = [f"class {n}" for n in range(size)]
    cells = parsed(matrix(counts, names, names)).findall(".//rect/title")
    assert len(cells) == np.count_nonzero(counts)


def test_most_confused_classes() -> None:
    counts = np.diag([9, 9, 9, 9])
    counts[1, 3] = 5
    counts[0, 2] = 1
    assert most_confused(counts, 2).tolist() == [1, 3]
    assert most_confused(counts, 4).tolist() == [0, 1, 2, 3]
