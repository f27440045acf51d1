"""What a state dict is of, in words, told from our key names and shapes."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from torch import Size

from splitnest.recipe.backbone import DEPTHS


class Sized(NamedTuple):
    """A layer that is made for ``K`` of something: it has ``factor * K + offset`` outputs.

    Attributes:
        what: They are.
        key: Of the recipe, that says which.
    """

    factor: int
    offset: int
    what: str = "classes"
    key: str = "data.classes"


CLASS_LAYERS: Mapping[str, Sized] = {
    r"fc": Sized(1, 0),
    r"head\.output": Sized(1, 0, "keypoints", "data.keypoints"),
    r"(decode|auxiliary)_head\.logits": Sized(1, 0),
    r"roi_heads\.box_heads\.\d+\.logits": Sized(1, 1),  # the background is a class of its own
    r"roi_heads\.box_heads\.\d+\.deltas": Sized(4, 0),
    r"roi_heads\.mask_heads\.\d+\.logits": Sized(1, 0),
    r"semantic_head\.logits": Sized(1, 1, "kinds of stuff", "data.stuff"),  # all things are a class of their own
}
"""Layers by the pattern of their name."""

Shapes = Mapping[str, Size]


def describe(shapes: Shapes) -> str:
    """Return words such as ``Mask R-CNN, ResNeSt-50, 80 classes`` for the state dict with these shapes."""
    counts: dict[str, set[int]] = {}
    for key, shape in shapes.items():
        count, layer = num_classes(key, shape), sized_layer(key)
        if count is not None and layer is not None and ".deltas." not in key:  # they may be shared
            counts.setdefault(layer.what, set()).add(count)
    numbers = [" or ".join(f"{count} {what}" for count in sorted(found)) for what, found in counts.items()]
    return ", ".join(part for part in (_architecture(shapes), _backbone(shapes), *numbers) if part)


def sized_layer(key: str) -> Sized | None:
    """Return what the layer of the weight or bias ``key`` is made for; None if for nothing of the kind."""
    layer = key.rpartition(".")[0]
    return next((sized for pattern, sized in CLASS_LAYERS.items() if re.fullmatch(pattern, layer)), None)


def num_classes(key: str, shape: Size) -> int | None:
    """Return how many classes, keypoints or kinds of stuff the weight or bias ``key`` is made for; None if for none."""
    layer = sized_layer(key)
    return (shape[0] - layer.offset) // layer.factor if layer is not None and shape else None


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
    if "head.output.weight" in shapes:
        return "pose estimator"
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
