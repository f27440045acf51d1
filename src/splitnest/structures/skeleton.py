"""Keypoint definitions by index: names, flip indices, sigmas and skeleton.

Recipes and files define keypoints by name (``splitnest.recipe.keypoints``).

Shapes: K keypoints.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from splitnest.errors import UsageError
from splitnest.recipe import PoseRecipe
from splitnest.recipe.keypoints import Color, Keypoints, KeypointTable
from splitnest.structures.categories import Categories, distinct_color
from splitnest.structures.flip_pairs import flip_pairs, is_left
from splitnest.visualize.colors import LEFT, RIGHT, side_color

_FILE = Path(__file__).with_name("keypoint_tables.json")
"""Keypoint tables of mmpose, written by ``tools/upstream_tables.py``."""

ASSUMED_SIGMA = 0.05
"""Assumed sigma of a keypoint without a measured one: between those of COCO's eyes (0.025) and hips (0.107)."""

LOWER_BODY = ("hip", "knee", "ankle", "foot", "heel", "toe", "leg")
"""Parts of the names of lower-body keypoints."""

COCO_NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""The 17 keypoints of COCO in their official order (``person_keypoints_{train,val}2017.json``)."""

_COCO_PAIRS = "15-13 13-11 16-14 14-12 11-12 5-11 6-12 5-6 5-7 6-8 7-9 8-10 1-2 0-1 0-2 1-3 2-4 3-5 4-6"
COCO_PAIRS = tuple((int(start), int(end)) for start, end in (pair.split("-") for pair in _COCO_PAIRS.split()))
"""Skeleton of the same file, 19 pairs of keypoint indices from 0."""

_FACE_SIGMAS, _BODY_SIGMAS = (0.026, 0.025, 0.035), (0.079, 0.072, 0.062, 0.107, 0.087, 0.089)
COCO_SIGMAS = tuple(s for n, sigma in enumerate(_FACE_SIGMAS + _BODY_SIGMAS) for s in (sigma,) * (2 if n else 1))
"""Per-keypoint constants of object keypoint similarity (pycocotools ``Params.setKpParams``)."""


@dataclass(frozen=True)
class Skeleton:
    """Definition of K keypoints by index, from 0.

    Attributes:
        names: K names.
        flip_indices: Keypoint that each keypoint becomes under a horizontal flip, ``[K]``.
        sigmas: ``[K]``, see ``Keypoints``.
        pairs: Pairs of keypoints that are connected by a line in drawings.
        colors: RGB color of each keypoint, ``[K]``.
        lower_body: Keypoints of the lower body.
    """

    names: tuple[str, ...]
    flip_indices: tuple[int, ...]
    sigmas: tuple[float, ...]
    pairs: tuple[tuple[int, int], ...]
    colors: tuple[Color, ...]
    lower_body: tuple[int, ...]

    @classmethod
    def from_keypoints(cls, keypoints: Keypoints) -> Self:
        """Return complete keypoints by index; see ``complete``."""
        index = {name: k for k, name in enumerate(keypoints.names)}
        flip_indices = list(range(len(index)))
        for left, right in keypoints.flip_pairs or ():
            flip_indices[index[left]], flip_indices[index[right]] = index[right], index[left]
        return cls(
            names=keypoints.names,
            flip_indices=tuple(flip_indices),
            sigmas=keypoints.sigmas or (),
            pairs=tuple((index[start], index[end]) for start, end in keypoints.skeleton or ()),
            colors=keypoints.colors or (),
            lower_body=tuple(index[name] for name in keypoints.lower_body or ()),
        )

    def with_class(self, categories: Categories) -> Categories:
        """Return a class table of one class with these keypoints."""
        return replace(categories, keypoint_names=self.names, skeleton=self.pairs, keypoint_colors=self.colors)


def complete(keypoints: Keypoints) -> tuple[Keypoints, list[str]]:
    """Return keypoints without None fields, and a note for each assumption.

    Keypoints with COCO's names get COCO's definition, without notes.
    """
    if keypoints.names == COCO_NAMES:
        return keypoints.with_defaults(COCO_KEYPOINTS), []
    return _assumed(keypoints)


def _assumed(keypoints: Keypoints) -> tuple[Keypoints, list[str]]:
    notes, fields = [], keypoints.model_dump()
    pairs = flip_pairs(keypoints.names)
    if keypoints.flip_pairs is None:
        fields["flip_pairs"] = pairs
        shown = ", ".join(f"{left}/{right}" for left, right in pairs) or "none, as no names differ in left and right"
        notes.append(f"flip_pairs are assumed from the names: {shown}.")
    if keypoints.sigmas is None:
        fields["sigmas"] = [ASSUMED_SIGMA] * len(keypoints.names)
        notes.append(f"sigmas are assumed to be {ASSUMED_SIGMA} each; AP is then not comparable with other sigmas.")
    if keypoints.skeleton is None:
        fields["skeleton"] = []
        notes.append("skeleton is not given, so no lines are drawn.")
    if keypoints.colors is None:
        fields["colors"] = _side_colors(keypoints.names, pairs)
        notes.append(f"colors are not given: {'left is blue, right is orange' if pairs else 'all are distinct'}.")
    if keypoints.lower_body is None:
        lower = [name for name in keypoints.names if any(part in name.lower() for part in LOWER_BODY)]
        fields["lower_body"] = lower
        notes.append(
            f"lower_body is assumed from the names: {', '.join(lower) or 'none, without half-body augmentation'}."
        )
    return Keypoints.model_validate(fields), [f"data.keypoints.{note}" for note in notes]


def keypoints_of_category(row: Mapping[str, Any]) -> Keypoints:
    """Return the keypoints that a category of a COCO file defines.

    Besides COCO's ``keypoints`` (names) and ``skeleton`` (pairs of numbers), a category may have ``flip_pairs`` and
    ``lower_body`` (names or numbers), ``sigmas``, and ``keypoint_colors`` (RGB, or ``#rrggbb``). Numbers count from 1,
    as in COCO, or from 0 if one of them is 0.

    Raises:
        ValueError: The definition is not valid, or has no names.
    """
    names = row.get("keypoints")
    if not isinstance(names, list) or not names:
        raise ValueError("it has no keypoint names")

    numbered = {key: row.get(key) for key in ("flip_pairs", "skeleton", "lower_body")}
    numbers = set(_integers(list(numbered.values())))
    lowest = 0 if 0 in numbers else 1
    for unknown in sorted(numbers - set(range(lowest, lowest + len(names)))):
        if lowest == 0:
            counted = f"from 1 to {len(names)}, or from 0 to {len(names) - 1}"
            raise ValueError(f"it refers to keypoints 0 and {unknown}, but its keypoints are numbered {counted}")
        raise ValueError(f"it refers to keypoint {unknown}, but its keypoints are numbered from 1 to {len(names)}")

    def to_name(value: Any) -> Any:
        if isinstance(value, list):
            return [to_name(item) for item in value]
        return names[value - lowest] if _is_integer(value) else value

    try:
        return Keypoints(
            names=names,
            **{key: to_name(value) for key, value in numbered.items()},
            sigmas=row.get("sigmas"),
            colors=_colors(row.get("keypoint_colors")),
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"its keypoints are not valid: {where} {first['msg']}".replace(":  ", ": ")) from error


def _side_colors(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[Color]:
    """Return a color for each side of the pairs, or distinct colors without pairs."""
    if not pairs:
        return [distinct_color(index) for index in range(len(names))]
    colors = {name: side_color(name) for name in names}
    for name, other in pairs:
        colors[name], colors[other] = (LEFT, RIGHT) if is_left(name, other) else (RIGHT, LEFT)
    return list(colors.values())


def _integers(value: Any) -> Iterator[int]:
    """Yield the integers of nested lists."""
    if isinstance(value, list):
        for item in value:
            yield from _integers(item)
    elif _is_integer(value):
        yield value


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _colors(values: Any) -> Any:
    if not isinstance(values, list):
        return values
    return [_from_hex(v) if isinstance(v, str) and v.startswith("#") and len(v) == 7 else v for v in values]


def _from_hex(text: str) -> list[int]:
    try:
        return list(bytes.fromhex(text[1:]))
    except ValueError as error:
        raise ValueError(f"keypoint_colors has {text}, which is not a color such as #40c4ff") from error


COCO_KEYPOINTS, _ = _assumed(
    Keypoints(
        names=COCO_NAMES,
        sigmas=COCO_SIGMAS,
        skeleton=tuple((COCO_NAMES[start], COCO_NAMES[end]) for start, end in COCO_PAIRS),
    )
)
"""Keypoints of COCO persons by name; ``lower_body`` is that of mmpose."""

COCO = Skeleton.from_keypoints(COCO_KEYPOINTS)
"""Keypoints of COCO persons."""


def skeleton_of(recipe: PoseRecipe) -> Skeleton:
    """Return the keypoints of a recipe; fields that are None are assumed.

    Raises:
        UsageError: The recipe does not name its keypoints.
    """
    keypoints = recipe.data.keypoints
    if isinstance(keypoints, str):
        return skeleton_of_table(keypoints)
    if keypoints is None or not keypoints.names:
        raise UsageError(
            f"The recipe {recipe.name} does not name its keypoints, and there is no annotation file to read them from. "
            f"Set data.keypoints.names, or data.root and data.train_annotations."
        )
    return Skeleton.from_keypoints(complete(keypoints)[0])


@cache
def keypoint_table(table: KeypointTable) -> Keypoints:
    """Return the keypoints of a published dataset; what its source leaves open is assumed.

    Args:
        table: Name of the table, such as ``mpii``.
    """
    if table == "coco":
        return COCO_KEYPOINTS
    entry = _tables()[table]
    names, flips = entry["names"], entry["flip_indices"]
    pairs = tuple((names[one], names[other]) for one, other in enumerate(flips) if one < other and flips[other] == one)
    skeleton = tuple((names[start], names[end]) for start, end in entry["skeleton"])
    return complete(Keypoints(names=names, sigmas=entry["sigmas"], flip_pairs=pairs, skeleton=skeleton))[0]


@cache
def skeleton_of_table(table: KeypointTable) -> Skeleton:
    """Return a keypoint table by index.

    Its flip indices are those of the source, where one keypoint of ``deepfashion2`` is not swapped back.
    """
    if table == "coco":
        return COCO
    skeleton = Skeleton.from_keypoints(keypoint_table(table))
    return replace(skeleton, flip_indices=tuple(_tables()[table]["flip_indices"]))


@cache
def _tables() -> Any:
    return json.loads(_FILE.read_text(encoding="utf-8"))
