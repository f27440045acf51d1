"""Backbones whose first stages may be frozen, and whose batch normalization may keep its statistics."""

from itertools import chain
from typing import Self

from torch import nn


class FrozenStages(nn.Module):
    """Backbone with frozen stages.

    Attributes:
        norm_eval: Whether batch normalization uses its running statistics in training too.
    """

    norm_eval: bool = False

    @property
    def frozen_parts(self) -> list[nn.Module]:
        """Frozen modules."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Exclude the parameters of the frozen modules from training."""
        for parameter in chain.from_iterable(part.parameters() for part in self.frozen_parts):
            parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set the training mode; frozen stages stay in evaluation mode and keep their statistics."""
        super().train(mode)
        norms = (m for m in self.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)) if self.norm_eval else ()
        for part in (*self.frozen_parts, *norms):
            part.eval()
        return self
