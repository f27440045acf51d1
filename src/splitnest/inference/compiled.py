"""Compilation of the layers of a network by ``torch.compile``."""

from torch import nn

from splitnest.models.base import Model


def compile_layers(model: Model) -> None:
    """Compile the layers of a network in place; the code between them runs as it is.

    Compilation happens in the first prediction: the first image size is compiled for itself, the second one for any
    size, each in minutes for a large network. It needs a C++ compiler on CPUs, and Triton on GPUs.
    """
    for part in model.layer_parts:
        part.compile()


def is_compiled(model: nn.Module) -> bool:
    """Return whether ``compile_layers``, ``Module.compile`` or ``torch.compile`` compiled a network or a part."""
    return any("_orig_mod" in part._modules or part._compiled_call_impl is not None for part in model.modules())
