"""Keypoint definition of a recipe: names, flip pairs, sigmas and skeleton."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from splitnest.recipe.base import Section

ColorChannel = Annotated[int, Field(ge=0, le=255)]
Color = tuple[ColorChannel, ColorChannel, ColorChannel]
Pair = tuple[str, str]

KeypointTable = Literal[
    "coco",
    "aic",
    "coco_aic",
    "crowdpose",
    "exlpose",
    "jhmdb",
    "mpii",
    "posetrack18",
    "coco_wholebody",
    "coco_wholebody_face",
    "coco_wholebody_hand",
    "300w",
    "300wlp",
    "aflw",
    "cofw",
    "wflw",
    "freihand",
    "onehand10k",
    "rhd2d",
    "animal_kingdom",
    "animalpose",
    "ap10k",
    "locust",
    "zebra",
    "deepfashion_full",
    "deepfashion_lower",
    "deepfashion_upper",
    "deepfashion2",
]
"""Keypoint tables of published datasets; their content is in ``splitnest.structures.keypoint_tables``."""


class Keypoints(Section):
    """Keypoints by name. A field that is None is read from the annotation file, or assumed with a printed note.

    Attributes:
        names: Keypoint names in the order of the annotations; empty to read them from the annotation file.
        flip_pairs: Pairs of keypoints that a horizontal flip swaps. Assumed: names that differ in left and right only
            (``l_eye`` and ``r_eye``, ``LeftEye`` and ``RightEye``); an empty list flips without swapping.
        sigmas: Per-keypoint constants of object keypoint similarity (OKS): standard deviation of annotations relative
            to the object size. Assumed: 0.05 each.
        skeleton: Pairs of keypoints that are connected by a line in drawings. Assumed: none.
        colors: RGB color of each keypoint. Assumed: by body side.
        lower_body: Keypoints of the lower body, for half-body augmentation. Assumed: names that contain hip, knee,
            ankle, foot, heel, toe or leg.
    """

    names: tuple[str, ...] = ()
    flip_pairs: tuple[Pair, ...] | None = None
    sigmas: tuple[PositiveFloat, ...] | None = None
    skeleton: tuple[Pair, ...] | None = None
    colors: tuple[Color, ...] | None = None
    lower_body: tuple[str, ...] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether there are names and no field is None."""
        return bool(self.names) and None not in self.model_dump().values()

    def with_defaults(self, other: Self) -> Self:
        """Return these keypoints with fields that are None taken from ``other``, which has the same names.

        Raises:
            ValidationError: Fields of the two do not fit each other.
        """
        given = {
            key: value for key, value in self.model_dump().items() if value is not None and (value or key != "names")
        }
        return type(self).model_validate(other.model_dump() | given)

    @model_validator(mode="after")
    def _check_distinct_names(self) -> Self:
        if repeated := [name for name, count in Counter(self.names).items() if count > 1]:
            raise ValueError(f"keypoints.names lists {repeated[0]!r} more than once")
        return self

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        for key, values in (("sigmas", self.sigmas), ("colors", self.colors)):
            if self.names and values is not None and len(values) != len(self.names):
                raise ValueError(f"keypoints.{key} has {len(values)} values for {len(self.names)} names")
        return self

    @model_validator(mode="after")
    def _check_known_names(self) -> Self:
        known = set(self.names)
        for key, name in self._mentioned():
            if self.names and name not in known:
                raise ValueError(f"keypoints.{key} has {name!r}, which is not among keypoints.names")
        swapped = Counter(name for pair in self.flip_pairs or () for name in pair)
        if repeated := [name for name, count in swapped.items() if count > 1]:
            raise ValueError(f"keypoints.flip_pairs lists {repeated[0]!r} more than once")
        return self

    def _mentioned(self) -> Iterator[tuple[str, str]]:
        for key, pairs in (("flip_pairs", self.flip_pairs), ("skeleton", self.skeleton)):
            yield from ((key, name) for pair in pairs or () for name in pair)
        yield from (("lower_body", name) for name in self.lower_body or ())
