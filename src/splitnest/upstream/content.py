"""Content of a recipe that was derived from an upstream configuration, and what a checkpoint says besides it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Fields = dict[str, Any]


class Content(NamedTuple):
    """Content of a recipe before validation, and remarks.

    Attributes:
        fields: Sections of the recipe.
        framework: Code base of the configuration.
        notes: Remarks on what was assumed and what is left out.
    """

    fields: Fields
    framework: str
    notes: tuple[str, ...]


class Metadata(NamedTuple):
    """Metadata that a checkpoint has beside its configuration.

    Attributes:
        classes: Class names in label order; None if it has none.
        palette: RGB colors of the classes; None if it has none.
        dataset: Whole ``dataset_meta``, for the keypoints of mmpose.
    """

    classes: Any = None
    palette: Any = None
    dataset: Mapping[str, Any] = {}
