"""Names of backbones, from the fields of a recipe before validation."""

from collections.abc import Mapping
from typing import Any


def backbone_name(fields: Mapping[str, Any]) -> str:
    """Return the name of a backbone, such as ``ResNeSt-50``, ``ResNeXt-101-32x4d`` or ``HRNet-W32``.

    Args:
        fields: Section ``model.backbone`` of a recipe; fields that are left out have their defaults.
    """
    if "hrnet" in fields:
        small = "" if tuple(fields.get("num_blocks", (4,) * 4)) == (4,) * 4 else "-small"
        return f"HRNet-W{fields['hrnet']}{small}"
    depth, groups, width = fields["depth"], fields.get("cardinality", 1), fields.get("base_width", 64)
    if fields.get("radix", 2):
        return f"ResNeSt-{depth}"
    return f"ResNet-{depth}" if groups == 1 else f"ResNeXt-{depth}-{groups}x{width}d"
