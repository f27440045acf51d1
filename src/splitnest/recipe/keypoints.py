"""What the keypoints of a person, or of whatever else has a pose, are."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, PositiveFloat, model_validator

from splitnest.recipe.strict import Strict

Grey = Annotated[int, Field(ge=0, le=255)]
Color = tuple[Grey, Grey, Grey]
Pair = tuple[str, str]


class Keypoints(Strict):
    """Keypoints by name. What is None is taken from the annotation file, or else assumed, with a note of it.

    Attributes:
        names: In the order of the annotations.
        flip_pairs: Keypoints that a mirror image swaps. Assumed: ``left_...`` and ``right_...`` of one name.
        sigmas: How far apart annotators place each keypoint, as a share of the size of the person: the unit of object
            keypoint similarity. Assumed: 0.05 each.
        limbs: Keypoints that a line is drawn between. Assumed: none.
        colors: Of each keypoint, red, green and blue. Assumed: by side.
        lower_body: Keypoints of the lower half, for half-body augmentation. Assumed: those whose name holds hip, knee,
            ankle, foot, heel, toe or leg.
    """

    names: tuple[str, ...] = Field(min_length=1)
    flip_pairs: tuple[Pair, ...] | None = None
    sigmas: tuple[PositiveFloat, ...] | None = None
    limbs: tuple[Pair, ...] | None = None
    colors: tuple[Color, ...] | None = None
    lower_body: tuple[str, ...] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing is None."""
        return None not in self.model_dump().values()

    def or_else(self, other: Self) -> Self:
        """Return these keypoints with what is None taken from ``other``, which has the same names."""
        return other.model_copy(update={key: value for key, value in self if value is not None})

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        if twice := sorted({name for name in self.names if self.names.count(name) > 1}):
            raise ValueError(f"{twice[0]!r} is more than once among keypoints.names")
        return self

    @model_validator(mode="after")
    def _one_for_each_name(self) -> Self:
        for key, values in (("sigmas", self.sigmas), ("colors", self.colors)):
            if values is not None and len(values) != len(self.names):
                raise ValueError(f"keypoints.{key} has {len(values)} values for {len(self.names)} names: give one each")
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for key, name in self._mentioned():
            if name not in self.names:
                raise ValueError(f"keypoints.{key} has {name!r}, which is not among keypoints.names")
        swapped = [name for pair in self.flip_pairs or () for name in pair]
        if twice := [name for name in swapped if swapped.count(name) > 1]:
            raise ValueError(f"keypoints.flip_pairs has {twice[0]!r} more than once")
        return self

    def _mentioned(self) -> Iterator[tuple[str, str]]:
        for key, pairs in (("flip_pairs", self.flip_pairs), ("limbs", self.limbs)):
            yield from ((key, name) for pair in pairs or () for name in pair)
        yield from (("lower_body", name) for name in self.lower_body or ())
