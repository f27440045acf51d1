"""Large-scale jitter (Ghiasi et al. 2021, "Simple Copy-Paste is a Strong Data Augmentation Method")."""

import torch

from splitnest.data.augmentations.view import Fill, View, padded, resized, size_hw


def large_scale_jitter(view: View, scale: tuple[float, float], fill: Fill) -> View:
    """Resize a view by a random factor, then crop it at random or pad it at the right and bottom to its former size.

    Args:
        view: Image and ground truth.
        scale: Minimum and maximum factor.
        fill: Color of the padding.
    """
    canvas_hw = size_hw(view[0])
    factor = float(torch.empty(()).uniform_(*scale))
    height, width = (max(1, round(side * factor)) for side in canvas_hw)
    part = min(height, canvas_hw[0]), min(width, canvas_hw[1])
    top, left = (int(torch.randint(full - kept + 1, ())) for full, kept in zip((height, width), part, strict=True))
    return padded(resized(view, (height, width), (top, left, *part)), canvas_hw, (0, 0), fill)
