"""Values of a network that its training adapts besides its tensors, such as thresholds: part of a resumable state."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class Adapting(Protocol):
    """Module with adapted values."""

    def adapted(self) -> dict[str, Any]:
        """Return the values as plain containers."""

    def set_adapted(self, state: Mapping[str, Any]) -> None:
        """Restore the values that ``adapted`` returned."""


def adapted_values(network: nn.Module) -> dict[str, dict[str, Any]]:
    """Return name -> adapted values of the modules of a network that have any."""
    return {name: module.adapted() for name, module in network.named_modules() if isinstance(module, Adapting)}


def set_adapted_values(network: nn.Module, values: Mapping[str, Mapping[str, Any]]) -> None:
    """Restore what ``adapted_values`` returned."""
    for name, state in values.items():
        module = network.get_submodule(name)
        if isinstance(module, Adapting):
            module.set_adapted(state)
