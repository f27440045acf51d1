"""Optimizers and learning-rate schedules of a recipe.

``type`` selects the section's class, so a key that the optimizer or schedule does not use is an error. The name of a
type alone stands for its defaults: ``schedule: cosine``.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveFloat, model_validator

from splitnest.recipe.base import Section
from splitnest.recipe.limits import Length


class SGD(Section):
    """Stochastic gradient descent with momentum.

    Attributes:
        momentum: Momentum factor.
        nesterov: Whether to use Nesterov momentum.
    """

    type: Literal["sgd"] = "sgd"
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False

    @model_validator(mode="after")
    def _check_nesterov(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum over 0")
        return self


class Adam(Section):
    """Adam with torch's default betas (0.9, 0.999) and eps 1e-8; weight decay is an L2 penalty."""

    type: Literal["adam"] = "adam"


class AdamW(Section):
    """AdamW with torch's default betas (0.9, 0.999) and eps 1e-8; weight decay is decoupled."""

    type: Literal["adamw"] = "adamw"


class MultiStep(Section):
    """Learning rate that is multiplied by ``gamma`` at each milestone.

    Attributes:
        milestones: Epochs or iterations, in the unit of the training length.
        gamma: Factor of each milestone.
    """

    type: Literal["multi_step"] = "multi_step"
    milestones: tuple[Length, ...] = ()
    gamma: float = Field(0.1, gt=0, le=1)

    @model_validator(mode="after")
    def _check_milestones(self) -> Self:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones {list(self.milestones)} must be in ascending order, each once")
        return self


class Cosine(Section):
    """Learning rate that falls to 0 along a half cosine from the end of the warm-up to the end of training."""

    type: Literal["cosine"] = "cosine"


class Poly(Section):
    """Learning rate that falls as ``(1 - progress) ** power``.

    Attributes:
        power: Exponent.
        min_lr: Learning rate at the end of training.
    """

    type: Literal["poly"] = "poly"
    power: PositiveFloat = 0.9
    min_lr: float = Field(0.0, ge=0)


def from_name(value: Any) -> Any:
    """Return a section for the name of its type, which stands for the defaults."""
    return {"type": value} if isinstance(value, str) else value


OptimizerConfig = Annotated[SGD | Adam | AdamW, Field(discriminator="type"), BeforeValidator(from_name)]
ScheduleConfig = Annotated[MultiStep | Cosine | Poly, Field(discriminator="type"), BeforeValidator(from_name)]
