"""Description of a state dict as text, from our keys and shapes."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from torch import Size

from splitnest.weights.key_maps.translate import DETECTOR


class ClassLayer(NamedTuple):
    """Layer whose outputs depend on the number ``K`` of classes: ``factor * K + offset`` of them.

    Attributes:
        factor: Outputs of each class.
        offset: Further outputs.
        what: Name of the classes in messages.
        key: Recipe key of the classes.
    """

    factor: int
    offset: int
    what: str = "classes"
    key: str = "data.classes"


CLASS_LAYERS: Mapping[str, ClassLayer] = {
    r"fc": ClassLayer(1, 0),
    r"head\.output": ClassLayer(1, 0, "keypoints", "data.keypoints"),
    r"(decode|auxiliary)_head\.logits": ClassLayer(1, 0),
    r"roi_heads\.box_heads\.\d+\.logits": ClassLayer(1, 1),  # and background
    r"roi_heads\.box_heads\.\d+\.deltas": ClassLayer(4, 0),
    r"roi_heads\.mask_heads\.\d+\.logits": ClassLayer(1, 0),
    r"semantic_head\.logits": ClassLayer(1, 1, "stuff classes", "data.stuff"),  # and one class for all things
}
"""Layers by the pattern of their name, without the prefix of a panoptic model."""

MAX_NUMBERS = 3
"""Maximum number of different numbers of classes that a description names."""

Shapes = Mapping[str, Size]


def describe(shapes: Shapes) -> str:
    """Return a description such as ``Mask R-CNN, ResNeSt-50, 80 classes`` of a state dict with these shapes."""
    shapes = {key.removeprefix(DETECTOR): shape for key, shape in shapes.items()}
    counts: dict[str, set[int]] = {}
    for key, shape in shapes.items():
        count, layer = num_classes(key, shape), class_layer(key)
        if count is not None and layer is not None and ".deltas." not in key:  # deltas may be class-agnostic
            counts.setdefault(layer.what, set()).add(count)
    numbers = [
        " or ".join(f"{count} {what}" for count in sorted(values)[:MAX_NUMBERS]) for what, values in counts.items()
    ]
    return ", ".join(part for part in (_architecture(shapes), _backbone(shapes), *numbers) if part)


def class_layer(key: str) -> ClassLayer | None:
    """Return the class layer that a weight or bias belongs to; None if it belongs to none."""
    layer = key.removeprefix(DETECTOR).rpartition(".")[0]
    return next((known for pattern, known in CLASS_LAYERS.items() if re.fullmatch(pattern, layer)), None)


def num_classes(key: str, shape: Size) -> int | None:
    """Return the number of classes that the weight or bias of a class layer was made for; None for other layers."""
    layer = class_layer(key)
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
        kinds = {
            "query.0": "OCRNet",
            "branches.1.depthwise": "DeepLabV3+",
            "branches.1": "DeepLabV3",
            "pools.0": "PSPNet",
        }
        heads = {key.removeprefix("decode_head.") for key in shapes}
        return next((name for part, name in kinds.items() if any(key.startswith(f"{part}.") for key in heads)), "FCN")
    if "head.output.weight" in shapes:
        return "pose estimator"
    return "classifier" if any(module.startswith("fc.") for module in modules) else ""


def _backbone(shapes: Shapes) -> str:
    blocks = {match[0] for key in shapes if (match := re.match(r"backbone\.c[2-5]\.\d+\.", key))}
    if not blocks:
        return "no backbone"
    counts = [sum(block.startswith(f"backbone.{stage}.") for block in blocks) for stage in ("c2", "c3", "c4", "c5")]
    family = "ResNeSt" if any(".conv2.fc1." in key for key in shapes) else "ResNet"
    conv = shapes.get("backbone.c2.0.conv2.conv.weight")
    if family == "ResNet" and conv is not None and len(conv) == 4 and conv[0] != conv[1]:
        family = "ResNeXt"
    is_basic = any(".conv2." in key for key in shapes) and not any(".conv3." in key for key in shapes)
    convs = 2 if is_basic else 3
    return f"{family}-{convs * sum(counts) + 2}"  # convolutions of all blocks, the stem and the classifier
