"""Class tables: names, ids and colors of class indices. Imports neither torch nor numpy."""

import colorsys
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from splitnest.errors import DataError, UsageError, first_few

MAX_STUFF = 254
"""Maximum number of stuff classes in a uint8 label map, beside 0 for things and 255 for unlabeled pixels."""

MAX_NAMES_LENGTH = 10_000
"""Maximum length of the class names in a message."""


@dataclass(frozen=True)
class Category:
    """One class.

    Attributes:
        id: Id in annotation and result files; it may differ from the index.
        name: Class name.
        color: RGB color, from 0 to 255.
        is_thing: Whether this is a thing class, with countable instances, or a stuff class.
    """

    id: int
    name: str
    color: tuple[int, int, int]
    is_thing: bool = True


@dataclass(frozen=True)
class Categories:
    """Classes of a model in index order.

    Attributes:
        items: Category of each index; ids are unique.
        keypoint_names: Names of the K keypoints; empty for classes without keypoints.
        skeleton: Pairs of keypoint indices, from 0, that are connected by a line in drawings.
        keypoint_colors: RGB color of each keypoint; empty for colors by body side.
        flip_indices: Keypoint that each keypoint becomes under a horizontal flip; empty where names tell it.

    Raises:
        ValueError: Two categories have the same id.
    """

    items: tuple[Category, ...]
    keypoint_names: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    keypoint_colors: tuple[tuple[int, int, int], ...] = ()
    flip_indices: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.ids)) < len(self.items):
            raise ValueError("two categories have the same id")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Category:
        return self.items[index]

    def __iter__(self) -> Iterator[Category]:
        return iter(self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each class."""
        return tuple(category.name for category in self.items)

    @property
    def ids(self) -> tuple[int, ...]:
        """Id of each class."""
        return tuple(category.id for category in self.items)


def yaml_list(names: Iterable[str]) -> str:
    """Return names as a list that can be pasted into a recipe."""
    is_plain = re.compile(r"(?!(?:true|false|null|yes|no|on|off)$)[^\W\d][\w ./()+-]*(?<! )", re.IGNORECASE)
    return (
        f"[{', '.join(name if is_plain.fullmatch(name) else json.dumps(name, ensure_ascii=False) for name in names)}]"
    )


def distinct_color(index: int) -> tuple[int, int, int]:
    """Return a saturated color that differs from those of neighboring indices.

    Hues advance by the golden ratio, which separates consecutive ones. Brightness cycles with period 3, which separates
    similar hues.
    """
    hue = index * 0.618033988749895 % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, (1.0, 0.8, 0.6)[index % 3])
    return round(red * 255), round(green * 255), round(blue * 255)


def from_ids(pairs: Iterable[tuple[int, str]]) -> Categories:
    """Return categories of (id, name) pairs, with distinct colors."""
    return Categories(tuple(Category(id_, name, distinct_color(i)) for i, (id_, name) in enumerate(pairs)))


def from_names(names: Iterable[str]) -> Categories:
    """Return categories of names, with distinct colors and ids from 1."""
    return from_ids(enumerate(names, start=1))


def with_colors(categories: Categories, colors: Iterable[tuple[int, int, int]]) -> Categories:
    """Return the categories with the first colors of a palette, which needs at least one for each."""
    pairs = zip(categories, colors, strict=False)
    return replace(categories, items=tuple(replace(category, color=color) for category, color in pairs))


def with_stuff(things: Categories, stuff: Categories | Iterable[str]) -> Categories:
    """Return a panoptic class table: thing classes, then stuff classes.

    Args:
        things: Thing classes.
        stuff: Stuff classes. Names get the ids after those of the thing classes, and distinct colors.

    Raises:
        UsageError: A thing class is marked as stuff, a name or an id occurs twice, or there are more than ``MAX_STUFF``
            stuff classes.
    """
    if not isinstance(stuff, Categories):
        first_id, first_index = max(things.ids, default=0) + 1, len(things)
        stuff = Categories(
            tuple(
                Category(first_id + i, name, distinct_color(first_index + i), is_thing=False)
                for i, name in enumerate(stuff)
            )
        )
    if misplaced := [category.name for category in things if not category.is_thing]:
        raise UsageError(f"data.classes has {misplaced[0]}, which is a stuff class. Move it to data.stuff.")
    if duplicates := set(things.names) & set(stuff.names):
        raise UsageError(f"{min(duplicates)} is both in data.classes and in data.stuff. Remove it from one of them.")
    if set(things.ids) & set(stuff.ids):
        raise UsageError(f"The {len(things)} data.classes share ids with data.stuff. Give data.stuff as names.")
    if len(stuff) > MAX_STUFF:
        raise UsageError(f"data.stuff has {len(stuff)} classes. Reduce them to at most {MAX_STUFF}.")
    return replace(things, items=things.items + stuff.items)


def things_of(categories: Categories) -> Categories:
    """Return the thing classes, in their order."""
    return replace(categories, items=tuple(category for category in categories if category.is_thing))


def match_categories(
    file_categories: Categories,
    categories: Categories,
    path: Path,
    key: str = "data.classes",
    alternative: str = "",
) -> Categories:
    """Match the classes of an annotation file to those of a model, and return the classes that labels index.

    If the names are equal, these are the classes of the model with the ids of the file. If the file has a subset of the
    model's classes, with the same ids and names, they are the classes of the model.

    Args:
        file_categories: Classes of the file.
        categories: Classes of the model.
        path: Path of the file, for messages.
        key: Recipe key of the classes, for messages.
        alternative: Other way to set them, for messages.

    Raises:
        DataError: The file has other classes than the model.
    """
    if file_categories.names == categories.names:
        pairs = zip(file_categories, categories, strict=True)
        return replace(categories, items=tuple(replace(of_model, id=of_file.id) for of_file, of_model in pairs))
    known = {(category.id, category.name) for category in categories}
    unmatched = [category for category in file_categories if (category.id, category.name) not in known]
    if not unmatched:
        return categories
    of_model, of_file = set(categories.names), set(file_categories.names)
    unknown = [category.name for category in unmatched if category.name not in of_model]
    missing = [name for name in categories.names if name not in of_file]
    reasons = []
    if unknown:
        reasons.append(f"only the file has {first_few(unknown)}")
    if missing:
        reasons.append(f"only the model has {first_few(missing)}")
    if not reasons:
        reasons.append(f"the order differs, {first_few([f'{c.name} has id {c.id}' for c in unmatched])}")
    raise DataError(
        f"{path} does not have the classes of the model: {'; '.join(reasons)}. "
        f"Set {key} to the file's names in the order of their ids, {_names_to_set(file_categories)}{alternative}, or "
        f"use another file."
    )


def _names_to_set(categories: Categories) -> str:
    """Return the names of a file for a message: lists of thing and stuff classes, unless they are very long."""
    lists = [yaml_list(c.name for c in categories if c.is_thing == is_thing) for is_thing in (True, False)]
    text = " and ".join(names for names in lists if names != "[]") or "[]"
    return text if len(text) <= MAX_NAMES_LENGTH else f"{len(categories)} names"


def match_panoptic_categories(file_categories: Categories, categories: Categories, path: Path) -> Categories:
    """Match thing classes and stuff classes of an annotation file to those of a model; see ``match_categories``.

    Args:
        file_categories: Classes of the file.
        categories: Classes of the model.
        path: Path of the file, for messages.

    Raises:
        DataError: The file has other classes than the model, or a class is a thing class in one of them and a stuff
            class in the other.
    """
    is_thing = {category.name: category.is_thing for category in categories}
    for category in file_categories:
        if is_thing.get(category.name, category.is_thing) != category.is_thing:
            of_file, of_model = ("thing", "stuff") if category.is_thing else ("stuff", "thing")
            raise DataError(
                f"{category.name} is a {of_file} class in {path} ('isthing'), but a {of_model} class in the model. "
                f"Move it between data.classes and data.stuff, or correct the file."
            )
    return match_categories(file_categories, categories, path, "data.classes and data.stuff")
