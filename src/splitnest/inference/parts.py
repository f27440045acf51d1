"""The parts of a network that are layers alone, apart from the code between them that looks at sizes and scores."""

from itertools import chain

from torch import nn

from splitnest.model import Model

WHOLE = ("backbone", "neck", "rpn", "decode_head", "semantic_head", "head", "fc", "network")
"""Names of such parts of all models; those of ``roi_heads`` are its heads."""


def layer_parts(model: Model) -> list[nn.Module]:
    """Return the parts of a model that take maps, regions or vectors and give such. None of them is in another one."""
    parts = [getattr(model, name, None) for name in WHOLE]
    roi_heads = getattr(model, "roi_heads", None)
    if roi_heads is not None:
        parts += chain(roi_heads.box_heads, roi_heads.mask_heads)
    return [part for part in parts if isinstance(part, nn.Module)]
