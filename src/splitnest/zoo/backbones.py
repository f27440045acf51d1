"""Names of backbones, from the fields of a recipe before validation."""

from collections.abc import Mapping
from typing import Any


def backbone_name(fields: Mapping[str, Any]) -> str:
    """Return the name of a backbone, such as ``ResNeSt-50`` or ``ResNeXt-101-32x4d``.

    Args:
        fields: Section ``model.backbone`` of a recipe; fields that are left out have their defaults.
    """
    depth, groups, width = fields["depth"], fields.get("cardinality", 1), fields.get("base_width", 64)
    if fields.get("radix", 2):
        return f"ResNeSt-{depth}"
    return f"ResNet-{depth}" if groups == 1 else f"ResNeXt-{depth}-{groups}x{width}d"
