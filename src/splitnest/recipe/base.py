"""Base class of every section of a recipe: closed, frozen and validated."""

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator


class Section(BaseModel):
    """Section of a recipe. Unknown keys are errors, values are validated and never modified in place."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _check_text(cls, value: Any) -> Any:
        """Raise a ValueError for text that no file could hold: lone surrogates, as ``"\\ud800"`` in YAML gives them."""
        for text in value if isinstance(value, tuple | dict) else (value,):
            if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
                raise ValueError(f"{text!r} cannot be written as UTF-8")
        return value
