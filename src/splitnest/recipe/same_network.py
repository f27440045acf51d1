"""Comparison of the networks of two recipes."""

from typing import Any

from splitnest.recipe.base import Section
from splitnest.recipe.schema import Recipe


def is_same_network(one: Recipe, other: Recipe) -> bool:
    """Return whether two recipes have the same classes and the same network, so that weights of one fit the other.

    Training parameters, thresholds and the kind of batch normalization do not change a network.
    """
    classes = [(r.data.classes, r.data.stuff_classes, getattr(r.data, "keypoints", None)) for r in (one, other)]
    return (
        one.task == other.task and classes[0] == classes[1] and _architecture(one.model) == _architecture(other.model)
    )


def _architecture(section: Section) -> dict[str, Any]:
    """Return the fields of a model section that determine its parameters."""
    fields: dict[str, Any] = {}
    for key, value in section:
        if key in getattr(section, "not_architecture", ()):
            continue
        if isinstance(value, Section):
            value = _architecture(value)
        elif key.endswith("norm") and value is not None:
            value = value if value in ("gn", "gn32") else "bn"
        fields[key] = value
    return fields
