"""Networks of a recipe, with parts that are given from Python."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from splitnest.inference.resolve import resolve
from splitnest.models.base import Model
from splitnest.models.build import build_model
from splitnest.models.class_loss import ClassLoss
from splitnest.models.parts import Parts


def build(
    name_or_path: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    backbone: nn.Module | None = None,
    neck: nn.Module | None = None,
    box_heads: Sequence[nn.Module] | None = None,
    mask_heads: Sequence[nn.Module] | None = None,
    decode_head: nn.Module | None = None,
    auxiliary_head: nn.Module | None = None,
    heatmap_head: nn.Module | None = None,
    class_loss: ClassLoss | None = None,
) -> Model:
    """Build the network of a recipe with parts of your own, for ``train(..., model=...)`` and ``load(..., model=...)``.

    The other parts are built from the recipe, with random weights.

    Args:
        name_or_path: Recipe file (.yaml), or name of a published model.
        overrides: Values of the recipe by dotted key.
        backbone: Module with ``channels`` and ``strides``, dictionaries by feature name (``c2`` to ``c5``), that maps
            normalized images ``[N, 3, H, W]`` to a dictionary of feature maps.
        neck: Module that maps ``c2`` to ``c5`` to the levels ``p2`` to ``p6`` of a detector, of ``model.fpn_channels``.
        box_heads: Box heads of a detector, one for each stage, which map pooled regions ``[R, C, 7, 7]`` to class
            logits ``[R, K + 1]``, background last, and box deltas ``[R, K * 4]`` (``[R, 4]`` in a cascade).
        mask_heads: Mask heads of a detector, which map pooled regions ``[R, C, 14, 14]`` and their classes ``[R]`` to
            the mask logits ``[R, 28, 28]`` of these classes.
        decode_head, auxiliary_head: Heads of a segmentor, which map the features of the backbone (``c2`` to ``c5``) to
            logits ``[N, K, h, w]``.
        heatmap_head: Head of a pose estimator, which maps ``c5`` to heatmaps ``[N, K, h, w]``.
        class_loss: Function from logits ``[R, K]`` and classes ``[R]`` to the loss of each row ``[R]``, in place of the
            cross entropy.

    Raises:
        UsageError: There is no such model or recipe, or a part does not fit it.
    """
    recipe, _ = resolve(name_or_path, overrides)
    parts = Parts(
        backbone=backbone,
        neck=neck,
        box_heads=box_heads,
        mask_heads=mask_heads,
        decode_head=decode_head,
        auxiliary_head=auxiliary_head,
        heatmap_head=heatmap_head,
        class_loss=class_loss,
    )
    return build_model(recipe, parts)
