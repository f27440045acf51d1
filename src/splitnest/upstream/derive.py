"""Derivation of a recipe from an upstream configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from splitnest.errors import UsageError
from splitnest.recipe import Recipe, overrides
from splitnest.recipe.schema import RECIPE_CLASSES
from splitnest.upstream import detectron2, openmmlab
from splitnest.upstream.content import Metadata


@dataclass(frozen=True)
class Derived:
    """Recipe that was derived from an upstream configuration.

    Attributes:
        recipe: Recipe, without weights and published metrics.
        framework: Code base: ``mmdet``, ``mmseg``, ``mmpose`` or ``detectron2``.
        notes: Remarks on what was assumed, and on parts of the training that splitnest has not.
    """

    recipe: Recipe
    framework: str
    notes: tuple[str, ...] = ()


def derive(values: Mapping[str, Any], name: str, origin: str, metadata: Metadata = Metadata()) -> Derived:  # noqa: B008
    """Return the recipe of an upstream configuration.

    Args:
        values: Values of the configuration.
        name: Name of the recipe.
        origin: Name of the configuration in messages.
        metadata: Metadata of the checkpoint that the configuration belongs to.

    Raises:
        UsageError: The model is none of the family, or a value is not valid.
    """
    read = detectron2.content if "MODEL" in values else openmmlab.content
    found = read(values, metadata, origin)
    fields = {key: value for key, value in found.fields.items() if value is not None}
    recipe_class = RECIPE_CLASSES[fields["task"]]
    try:
        recipe = overrides.build(recipe_class, {**fields, "name": name}, f"{origin}: ")
    except UsageError as error:
        if "train" not in fields:
            raise
        del fields["train"]
        recipe = overrides.build(recipe_class, {**fields, "name": name}, f"{origin}: ")
        return Derived(recipe, found.framework, (*found.notes, f"training is not derived: {str(error).rstrip('.')}"))
    return Derived(recipe, found.framework, found.notes)
