"""A network whose layers are compiled by ``torch.compile`` when images first go through them."""

from splitnest.inference.parts import layer_parts
from splitnest.model import Model


def compile_layers(model: Model) -> None:
    """Have the layers of a network compiled, in place; what is between them runs as it is.

    The first size of images is compiled for itself, the second one for any size; each takes some minutes for a large
    network. It needs a compiler of C++ on processors, and Triton on GPUs.
    """
    for part in layer_parts(model):
        part.compile()
