"""Conversion of an annotated image to the form that the augmentations of ``train.augment`` take, and back.

Shapes: G instances.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors

from splitnest.data.augmentations.view import View, from_pixels, is_same_target, mask_boxes, size_hw, to_pixels
from splitnest.data.detection.annotated_image import AnnotatedImage
from splitnest.structures.instances import dense_masks


def view_of(image: AnnotatedImage, labels: NDArray[np.int64], has_masks: bool, with_target: bool) -> View:
    """Return an image with its instances as a view.

    Args:
        image: Image and its G instances.
        labels: int64 ``[G]``, class indices.
        has_masks: Whether the instances have masks, which become bitmasks.
        with_target: Whether the view has ground truth.
    """
    pixels = from_pixels(image.pixels)
    if not with_target:
        return pixels, {}
    target: dict[str, Any] = {"boxes": image.boxes.clone(), "labels": torch.from_numpy(labels)}
    if has_masks:
        target["masks"] = tv_tensors.Mask(torch.from_numpy(dense_masks(image.masks(), image.size_hw)))
    if image.semantic is not None:
        target["semantic"] = tv_tensors.Mask(image.semantic.as_subclass(Tensor) + 1)  # 255, unlabeled, becomes 0
    return pixels, target


def annotated_image(
    augmented: View, before: View, image: AnnotatedImage, labels: NDArray[np.int64]
) -> tuple[AnnotatedImage, NDArray[np.int64]]:
    """Return an augmented view as an image with instances, and the class of each instance.

    Polygons and boxes stay as they are where an augmentation changed pixels only. Otherwise each instance has a bitmask
    and its bounding box; instances without masks have the transformed box.

    Args:
        augmented: View after the augmentations.
        before: View before them.
        image, labels: Image and classes that ``before`` was made of.
    """
    (pixels, target), (old_pixels, old_target) = augmented, before
    if size_hw(pixels) == size_hw(old_pixels) and is_same_target(target, old_target):
        return replace(image, pixels=to_pixels(pixels)), labels
    boxes, masks = target["boxes"].as_subclass(Tensor), []
    if "masks" in target:
        dense = target["masks"].as_subclass(Tensor).to(torch.bool)
        boxes, masks = mask_boxes(dense), list(dense)
    semantic = None
    if image.semantic is not None:
        semantic = target["semantic"].as_subclass(Tensor).to(torch.uint8) - 1
    result = AnnotatedImage.from_arrays(to_pixels(pixels), boxes.to(torch.float64).numpy(), masks, semantic)
    return result, target["labels"].to(torch.int64).numpy()
