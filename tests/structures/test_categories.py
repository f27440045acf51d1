"""Class tables."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from splitnest.errors import UsageError
from splitnest.recipe.class_tables import CLASS_TABLES
from splitnest.structures.categories import (
    Categories,
    Category,
    distinct_color,
    from_names,
    things_of,
    with_stuff,
)
from splitnest.structures.class_tables import class_table


def test_table_without_classes() -> None:
    categories = from_names([])
    assert len(categories) == 0
    assert categories.names == categories.ids == ()
    assert list(categories) == []


def test_categories_from_names() -> None:
    categories = from_names(["date", "fig"])
    assert categories.ids == (1, 2)
    assert [category.name for category in categories] == ["date", "fig"]
    assert categories[1] == Category(2, "fig", distinct_color(1))


@pytest.mark.parametrize(("table", "size"), CLASS_TABLES.items())
def test_tables_have_the_size_that_recipes_expect(table: str, size: int) -> None:
    categories = class_table(table)
    assert len(categories) == len(set(categories.ids)) == size
    repeated = {"openimages_challenge": 2}.get(table, 0)  # it has two Mouse and two Bench, as upstream
    assert len(set(categories.names)) == size - repeated
    assert all(0 <= value <= 255 for category in categories for value in category.color)


def test_known_classes() -> None:
    coco = class_table("coco")
    assert (coco[0].id, coco[0].name) == (1, "person")
    assert (coco[11].id, coco[11].name) == (13, "stop sign")
    assert (coco[79].id, coco[79].name) == (90, "toothbrush")
    imagenet = class_table("imagenet")
    assert (imagenet[0].name, imagenet[207].name, imagenet[999].name) == ("tench", "golden retriever", "toilet tissue")
    cityscapes = class_table("cityscapes")
    assert cityscapes[0] == Category(7, "road", (128, 64, 128), is_thing=False)
    assert cityscapes[18] == Category(33, "bicycle", (119, 11, 32), is_thing=True)
    ade20k = class_table("ade20k")
    assert ade20k[0] == Category(1, "wall", (120, 120, 120))
    assert ade20k[149] == Category(150, "flag", (92, 0, 255))


def test_tables_without_thing_or_stuff_classes() -> None:
    empty, cat = from_names([]), from_names(["cat"])
    assert with_stuff(empty, []) == empty
    assert with_stuff(cat, []) == things_of(cat) == cat
    assert [(stuff.id, stuff.is_thing) for stuff in with_stuff(empty, ["sky"])] == [(1, False)]


def test_stuff_classes_follow_thing_classes() -> None:
    things = from_names(["cat", "dog"])
    both = with_stuff(things, ["sky", "sea"])
    assert both.names == ("cat", "dog", "sky", "sea")
    assert both.ids == (1, 2, 3, 4)
    assert len({category.color for category in both}) == 4
    assert things_of(both) == things
    with pytest.raises(UsageError, match=r"sky is both in data\.classes and in data\.stuff"):
        with_stuff(from_names(["sky"]), ["sky"])
    with pytest.raises(UsageError, match=r"road, which is a stuff class"):
        with_stuff(class_table("cityscapes"), ["sea"])
    with pytest.raises(UsageError, match=r"The 100 data\.classes share ids with data\.stuff\. Give data\.stuff as"):
        with_stuff(from_names(map(str, range(100))), class_table("coco_stuff"))
    with pytest.raises(UsageError, match=r"data\.stuff has 255 classes\. Reduce them to at most 254"):
        with_stuff(things, map(str, range(255)))


def test_panoptic_table_matches_the_official_file(shared_data: Callable[[str], Path]) -> None:
    rows = json.loads((shared_data("coco_panoptic_sample") / "panoptic_coco_categories.json").read_text())
    table = with_stuff(class_table("coco"), class_table("coco_stuff"))
    assert [(c.id, c.name, c.is_thing) for c in table] == [(r["id"], r["name"], r["isthing"] == 1) for r in rows]
    assert [c.color for c in class_table("coco_stuff")] == [tuple(r["color"]) for r in rows if not r["isthing"]]


def test_colors_of_neighboring_indices_differ() -> None:
    for index in range(300):
        first, second = distinct_color(index), distinct_color(index + 1)
        assert sum(abs(a - b) for a, b in zip(first, second, strict=True)) > 100
    assert len({distinct_color(index) for index in range(80)}) == 80


def test_unknown_tables_and_repeated_ids_are_rejected() -> None:
    with pytest.raises(UsageError, match="no class table 'pascal'"):
        class_table("pascal")
    with pytest.raises(ValueError, match="same id"):
        Categories((Category(1, "a", (0, 0, 0)), Category(1, "b", (0, 0, 0))))
