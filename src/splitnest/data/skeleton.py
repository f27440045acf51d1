"""What keypoints are called and how they belong together: by name in recipes and files, by index in code.

K keypoints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic import ValidationError

from splitnest.data.categories import Categories, distinct_color
from splitnest.errors import UsageError
from splitnest.recipe.keypoints import Color, Keypoints, Pair
from splitnest.recipe.schema import PoseRecipe

LEFT: Color = (64, 196, 255)
RIGHT: Color = (255, 152, 48)
MIDDLE: Color = (142, 232, 96)

ASSUMED_SIGMA = 0.05
"""Where nobody measured it: between the eyes (0.025) and the hips (0.107) of COCO's people."""

LOWER_BODY = ("hip", "knee", "ankle", "foot", "heel", "toe", "leg")
"""What the names of keypoints of the lower body hold."""

_SIDES = {"left": "right", "right": "left"}

COCO_NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""The 17 keypoints of COCO in their official order (``person_keypoints_{train,val}2017.json``)."""

_COCO_LIMBS = "15-13 13-11 16-14 14-12 11-12 5-11 6-12 5-6 5-7 6-8 7-9 8-10 1-2 0-1 0-2 1-3 2-4 3-5 4-6"
COCO_LIMBS = tuple((int(start), int(end)) for start, end in (limb.split("-") for limb in _COCO_LIMBS.split()))
"""The 19 limbs of the same file, counted from 0."""

_FACE_SIGMAS, _BODY_SIGMAS = (0.026, 0.025, 0.035), (0.079, 0.072, 0.062, 0.107, 0.087, 0.089)
COCO_SIGMAS = tuple(s for n, sigma in enumerate(_FACE_SIGMAS + _BODY_SIGMAS) for s in (sigma,) * (2 if n else 1))
"""Of object keypoint similarity (pycocotools ``Params.setKpParams``)."""


@dataclass(frozen=True)
class Skeleton:
    """Keypoints by index, from 0.

    Attributes:
        names: K of them.
        swaps: The keypoint that each one is in a mirror image, [K]; itself where none is on the other side.
        sigmas: [K], see ``Keypoints``.
        limbs: Pairs that a line is drawn between.
        colors: [K], red, green and blue.
        lower_body: Which are of the lower half.
    """

    names: tuple[str, ...]
    swaps: tuple[int, ...]
    sigmas: tuple[float, ...]
    limbs: tuple[tuple[int, int], ...]
    colors: tuple[Color, ...]
    lower_body: tuple[int, ...]

    @classmethod
    def of(cls, keypoints: Keypoints) -> Self:
        """Return keypoints of which everything is known (see ``complete``)."""
        index = {name: k for k, name in enumerate(keypoints.names)}
        swaps = list(range(len(index)))
        for one, other in keypoints.flip_pairs or ():
            swaps[index[one]], swaps[index[other]] = index[other], index[one]
        return cls(
            names=keypoints.names,
            swaps=tuple(swaps),
            sigmas=keypoints.sigmas or (),
            limbs=tuple((index[one], index[other]) for one, other in keypoints.limbs or ()),
            colors=keypoints.colors or (),
            lower_body=tuple(index[name] for name in keypoints.lower_body or ()),
        )

    def of_class(self, categories: Categories) -> Categories:
        """Return a table of one class with these keypoints."""
        return replace(categories, keypoint_names=self.names, skeleton=self.limbs, keypoint_colors=self.colors)


def complete(keypoints: Keypoints) -> tuple[Keypoints, list[str]]:
    """Return keypoints with what is None assumed, and a sentence for each assumption.

    Those that are called as COCO's are COCO's: nothing is assumed of them.
    """
    if keypoints.names == COCO_NAMES:
        return keypoints.or_else(COCO_KEYPOINTS), []
    return _assumed(keypoints)


def _assumed(keypoints: Keypoints) -> tuple[Keypoints, list[str]]:
    notes, facts = [], keypoints.model_dump()
    if keypoints.flip_pairs is None:
        pairs = _sides(keypoints.names)
        facts["flip_pairs"] = pairs
        shown = ", ".join(f"{one}/{other}" for one, other in pairs) or "none, as no two differ in left and right"
        notes.append(f"flip_pairs are assumed from the names: {shown}.")
    if keypoints.sigmas is None:
        facts["sigmas"] = [ASSUMED_SIGMA] * len(keypoints.names)
        notes.append(f"sigmas are assumed to be {ASSUMED_SIGMA} each, so AP compares with itself alone.")
    if keypoints.limbs is None:
        facts["limbs"] = []
        notes.append("limbs are not given, so none are drawn.")
    if keypoints.colors is None:
        sided = _sides(keypoints.names)
        facts["colors"] = [side_color(n) if sided else distinct_color(k) for k, n in enumerate(keypoints.names)]
        notes.append(f"colors are not given: {'blue is left and orange right' if sided else 'each has its own'}.")
    if keypoints.lower_body is None:
        lower = [name for name in keypoints.names if any(part in name.lower() for part in LOWER_BODY)]
        facts["lower_body"] = lower
        notes.append(f"lower_body is assumed from the names: {', '.join(lower) or 'none, so no half bodies are cut'}.")
    return Keypoints.model_validate(facts), [f"data.keypoints.{note}" for note in notes]


def of_category(row: Mapping[str, Any]) -> Keypoints:
    """Return what a category of a COCO file says of its keypoints.

    Besides COCO's ``keypoints`` (names) and ``skeleton`` (pairs of numbers from 1) these are ``flip_pairs`` and
    ``lower_body`` (names or numbers from 1), ``sigmas``, and ``keypoint_colors`` (red, green and blue, or #rrggbb).

    Raises:
        ValueError: They are not sound, or there are no names.
    """
    names = row.get("keypoints")
    if not isinstance(names, list) or not names:
        raise ValueError("it names no keypoints")

    def named(value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            if not 1 <= value <= len(names):
                raise ValueError(f"it has {value} in a list of its {len(names)} keypoints, which are counted from 1")
            return names[value - 1]
        return value

    def all_named(value: Any) -> Any:
        return [all_named(item) for item in value] if isinstance(value, list) else named(value)

    try:
        return Keypoints(
            names=names,
            flip_pairs=all_named(row.get("flip_pairs")),
            sigmas=row.get("sigmas"),
            limbs=all_named(row.get("skeleton")),
            colors=_colors(row.get("keypoint_colors")),
            lower_body=all_named(row.get("lower_body")),
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"its keypoints are not sound: {where} {first['msg']}".replace(":  ", ": ")) from error


def side_color(*names: str) -> Color:
    """Return the colour of the side that keypoints are on, by their names: that of the middle if not of one."""
    if all(name.lower().startswith("left") for name in names):
        return LEFT
    return RIGHT if all(name.lower().startswith("right") for name in names) else MIDDLE


def _sides(names: Sequence[str]) -> list[Pair]:
    """Return the pairs of names that differ in left and right alone, in whatever letters; each name in one pair."""
    pairs: list[Pair] = []
    for name in names:
        for side, other in _SIDES.items():
            opposite = name
            for cased in (str.lower, str.title, str.upper):
                opposite = opposite.replace(cased(side), cased(other))
            taken = [paired for pair in pairs for paired in pair]
            if opposite != name and opposite in names and not {name, opposite} & set(taken):
                pairs.append((name, opposite))
    return pairs


def _colors(values: Any) -> Any:
    if not isinstance(values, list):
        return values
    return [_from_hex(v) if isinstance(v, str) and v.startswith("#") and len(v) == 7 else v for v in values]


def _from_hex(text: str) -> list[int]:
    try:
        return list(bytes.fromhex(text[1:]))
    except ValueError as error:
        raise ValueError(f"keypoint_colors has {text}, which is no colour such as #40c4ff") from error


COCO_KEYPOINTS, _ = _assumed(
    Keypoints(
        names=COCO_NAMES,
        sigmas=COCO_SIGMAS,
        limbs=tuple((COCO_NAMES[one], COCO_NAMES[other]) for one, other in COCO_LIMBS),
    )
)
"""Of people; the lower body is that of mmpose."""

COCO = Skeleton.of(COCO_KEYPOINTS)
"""The keypoints of COCO's people."""


def skeleton_of(recipe: PoseRecipe) -> Skeleton:
    """Return the keypoints of a recipe; what it leaves open is assumed.

    Raises:
        UsageError: It does not say what they are called.
    """
    keypoints = recipe.data.keypoints
    if keypoints is None:
        raise UsageError(
            f"{recipe.name} does not say what its keypoints are, and there is no annotation file to take them from. "
            f"Set data.keypoints.names, or data.root and data.train_annotations."
        )
    return COCO if keypoints == "coco" else Skeleton.of(complete(keypoints)[0])
