"""Base class of every section of a recipe: closed, frozen and validated."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Section of a recipe. Unknown keys are errors, values are validated and never modified in place."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)
