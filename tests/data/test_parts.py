"""Parts of a dataset: names of images in one folder, images of two parts, notes, names that differ."""

from pathlib import Path

import pytest

from splitnest.data.parts import Parts, check_same_names
from splitnest.errors import DataError


def test_parts_without_images(tmp_path: Path) -> None:
    parts = Parts([tmp_path / "a", tmp_path / "b"], [tmp_path / "a.json", tmp_path / "b.json"])
    assert parts.names([[], []]) == []
    assert parts.notes([{}, {}]) == {}
    assert (parts.folder, parts.source) == (tmp_path, f"{tmp_path / 'a.json'} and 1 more")


def test_names_stay_inside_the_common_folder(tmp_path: Path) -> None:
    parts = Parts([tmp_path / "root" / "a", tmp_path / "root" / ".." / "other"], [Path("a"), Path("b")])
    assert parts.names([["1.png", "1.png"], ["deep/1.png"]]) == ["root/a/1.png", "root/a/1.png", "other/deep/1.png"]
    assert Parts([tmp_path / "a"] * 2, [Path("a"), Path("b")]).names([["1.png"], ["2.png"]]) == ["1.png", "2.png"]


@pytest.mark.parametrize(
    ("folders", "names"), [(["a", "a"], [["1.png"], ["1.png"]]), (["a", "a/b"], [["b/1.png"], ["1.png"]])]
)
def test_image_of_two_parts_is_refused(tmp_path: Path, folders: list[str], names: list[list[str]]) -> None:
    parts = Parts([tmp_path / folder for folder in folders], [Path("one.json"), Path("two.json")])
    with pytest.raises(DataError, match=r"1\.png is listed by both one\.json and two\.json\."):
        parts.names(names)


def test_notes_name_the_part() -> None:
    parts = Parts([Path("a"), Path("b")], [Path("one.json"), Path("two.json")])
    notes = parts.notes([{"odd": ("x",)}, {"odd": ("y",), "other": ("z",)}])
    assert notes == {"odd": ("x in one.json", "y in two.json"), "other": ("z in two.json",)}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([["a", "b"], ["a", "c", "b"]], "x and y do not have the same classes: only y has c. Correct it."),
        ([["a", "b"], ["b"]], "x and y do not have the same classes: only x has a. Correct it."),
        ([["a", "b"], ["b", "a"]], "x and y do not have the same classes: their order differs. Correct it."),
    ],
)
def test_names_that_differ_are_an_error_with_both_parts(names: list[list[str]], message: str) -> None:
    check_same_names([], [], "classes", "Correct it.")
    check_same_names(names[:1] * 3, ["x", "y", "z"], "classes", "Correct it.")
    with pytest.raises(DataError) as caught:
        check_same_names(names, ["x", "y"], "classes", "Correct it.")
    assert str(caught.value) == message
