"""What a state dict is of, in words, told from our key names and shapes."""

import re
from collections.abc import Mapping

from torch import Size

from splitnest.recipe.backbone import DEPTHS

CLASS_LAYERS: Mapping[str, tuple[int, int]] = {
    r"fc": (1, 0),
    r"(decode|auxiliary)_head\.logits": (1, 0),
    r"roi_heads\.box_heads\.\d+\.logits": (1, 1),  # the background is a class of its own
    r"roi_heads\.box_heads\.\d+\.deltas": (4, 0),
    r"roi_heads\.mask_heads\.\d+\.logits": (1, 0),
}
"""Layers of ``K`` classes by the pattern of their name -> ``(a, b)``: they have ``a * K + b`` outputs."""

Shapes = Mapping[str, Size]


def describe(shapes: Shapes) -> str:
    """Return words such as ``Mask R-CNN, ResNeSt-50, 80 classes`` for the state dict with these shapes."""
    parts = [_architecture(shapes), _backbone(shapes)]
    classes = (num_classes(key, shape) for key, shape in shapes.items() if ".deltas." not in key)  # they may be shared
    if counts := {count for count in classes if count is not None}:
        parts.append(" or ".join(f"{count} classes" for count in sorted(counts)))
    return ", ".join(part for part in parts if part)


def num_classes(key: str, shape: Size) -> int | None:
    """Return the number of classes that the weight or bias ``key`` is made for; None if it is not made for classes."""
    layer = key.rpartition(".")[0]
    for pattern, (factor, offset) in CLASS_LAYERS.items():
        if shape and re.fullmatch(pattern, layer):
            return (shape[0] - offset) // factor
    return None


def _architecture(shapes: Shapes) -> str:
    modules = {".".join(key.split(".")[:3]) for key in shapes}
    if "roi_heads.box_heads.0" in modules:
        cascade = "Cascade " if "roi_heads.box_heads.1" in modules else ""
        if any(module.startswith("semantic_head.") for module in modules):
            return f"{cascade}Panoptic FPN"
        if "roi_heads.mask_heads.0" in modules:
            return f"{cascade}Mask R-CNN"
        return f"{cascade or 'Faster '}R-CNN"
    if "decode_head.fuse.conv" in modules:
        kinds = {"branches.1.depthwise": "DeepLabV3+", "branches.1": "DeepLabV3", "pools.0": "PSPNet"}
        heads = {key.removeprefix("decode_head.") for key in shapes}
        return next((name for part, name in kinds.items() if any(key.startswith(f"{part}.") for key in heads)), "FCN")
    return "classifier" if any(module.startswith("fc.") for module in modules) else ""


def _backbone(shapes: Shapes) -> str:
    blocks = {found[0] for key in shapes if (found := re.match(r"backbone\.c[2-5]\.\d+\.", key))}
    if not blocks:
        return "no backbone"
    counts = tuple(
        sum(block.startswith(f"backbone.{stage}.") for block in blocks) for stage in ("c2", "c3", "c4", "c5")
    )
    family = "ResNeSt" if any(".conv2.fc1." in key for key in shapes) else "ResNet"
    depth = next((str(depth) for depth, known in DEPTHS.items() if known == counts), None)
    return f"{family}-{depth}" if depth else f"a {family} of {'-'.join(map(str, counts))} blocks"
