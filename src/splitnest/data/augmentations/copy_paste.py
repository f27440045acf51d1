"""Copy-paste of instances (Ghiasi et al. 2021, "Simple Copy-Paste is a Strong Data Augmentation Method")."""

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from splitnest.data.augmentations.view import (
    Fill,
    View,
    boxes_like,
    joined,
    mapped,
    mask_boxes,
    padded,
    resized,
    selected,
    size_hw,
)
from splitnest.recipe.augmentation import CopyPaste

THING = 1
"""Value of thing pixels in the label map of a panoptic view: class 0, plus one."""


def copy_paste(view: View, other: View, cfg: CopyPaste, fill: Fill) -> View:
    """Paste a random subset of the instances of another image.

    The other image is made smaller where it does not fit. Instances of the view lose the pixels that are covered, and
    end if they are covered completely, or as far as the entry says.

    Args:
        view: Image and instances with masks.
        other: Image whose instances are pasted.
        cfg: Entry of ``train.augment``.
        fill: Color of the padding, which is never pasted.
    """
    count = len(other[1]["labels"])
    if not count:
        return view
    least, most = (min(count, limit) for limit in (cfg.min_instances, cfg.max_instances))
    chosen = torch.randperm(count)[: int(torch.randint(least, most + 1, ()))]
    canvas_hw = size_hw(view[0])
    pasted_image, pasted = _placed((other[0], selected(other[1], chosen)), canvas_hw, fill, cfg.placement == "random")
    image, target = view
    covered = pasted["masks"].as_subclass(Tensor).any(dim=0)
    pixels = torch.where(covered, pasted_image.as_subclass(Tensor), image.as_subclass(Tensor))
    result = joined([target, pasted], canvas_hw)
    masks = result["masks"].as_subclass(Tensor).clone()
    masks[: len(target["labels"])] &= ~covered
    result |= {"masks": tv_tensors.Mask(masks), "boxes": boxes_like(mask_boxes(masks), canvas_hw)}
    if "semantic" in result:
        result["semantic"] = tv_tensors.Mask(target["semantic"].as_subclass(Tensor).masked_fill(covered, THING))
    remains = masks.flatten(1).any(dim=1)
    remains[: len(target["labels"])] &= _is_visible(target["masks"], masks[: len(target["labels"])], cfg)
    return tv_tensors.Image(pixels), selected(result, remains)


def _is_visible(before: Tensor, after: Tensor, cfg: CopyPaste) -> Tensor:
    """Return whether enough of each instance is visible, bool ``[G]``.

    Args:
        before, after: Masks before and after pasting, bool ``[G, H, W]``.
        cfg: Entry of ``train.augment``.
    """
    shift = (mask_boxes(after) - mask_boxes(before)).abs()
    return (after.flatten(1).sum(dim=1) > cfg.min_visible) | (shift <= cfg.max_box_shift).all(dim=1)


def _placed(view: View, canvas_hw: tuple[int, int], fill: Fill, is_random: bool) -> View:
    """Make a view smaller if it does not fit a canvas, and place it there: flipped at random and anywhere, or not."""
    if is_random and torch.rand(()) < 0.5:
        view = mapped(view, F.horizontal_flip)
    factor = min(1.0, *(canvas / side for canvas, side in zip(canvas_hw, size_hw(view[0]), strict=True)))
    height, width = (max(1, int(side * factor)) for side in size_hw(view[0]))
    margins = (canvas_hw[0] - height, canvas_hw[1] - width) if is_random else (0, 0)
    corner = int(torch.randint(margins[0] + 1, ())), int(torch.randint(margins[1] + 1, ()))
    return padded(resized(view, (height, width), (0, 0, height, width)), canvas_hw, corner, fill)
