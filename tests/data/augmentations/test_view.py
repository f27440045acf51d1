"""Views: resize, crop and padding of an image with its ground truth."""

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from helpers.views import boxes_of, square_view
from splitnest.data.augmentations.view import joined, mask_boxes, padded, resized, selected
from splitnest.structures.instances import dense_masks


def test_boxes_of_no_masks_and_of_empty_masks() -> None:
    assert mask_boxes(torch.zeros(0, 4, 5, dtype=torch.bool)).shape == (0, 4)
    masks = torch.zeros(2, 4, 5, dtype=torch.bool)
    masks[1, 1:3, 2:5] = True
    assert mask_boxes(masks)[1].tolist() == [2, 1, 5, 3]
    empty = mask_boxes(masks)[0]
    assert (empty[2:] - empty[:2]).tolist() == [0, 0]


def test_resize_and_crop_move_boxes_and_masks_alike() -> None:
    image, target = resized(square_view((20, 30), [(4, 6, 10, 16)]), (40, 60), (2, 4, 30, 40))
    assert image.shape == (3, 30, 40)
    assert boxes_of(target) == [[4, 10, 16, 30]]
    assert mask_boxes(target["masks"]).tolist() == [[4, 10, 16, 30]]
    assert target["semantic"].shape == (30, 40)


def test_padding_is_neither_object_nor_class() -> None:
    image, target = padded(square_view((8, 9), [(0, 0, 9, 8)]), (12, 20), (3, 5), (7, 8, 9))
    outside = torch.ones(12, 20, dtype=torch.bool)
    outside[3:11, 5:14] = False
    assert image.as_subclass(Tensor)[:, outside].unique(dim=1).flatten().tolist() == [7, 8, 9]
    assert torch.equal(target["masks"].as_subclass(Tensor)[0], ~outside)
    assert not target["semantic"].as_subclass(Tensor)[outside].any()
    assert boxes_of(target) == [[5, 3, 14, 11]]


def test_instances_are_selected_and_joined() -> None:
    _, target = square_view((8, 9), [(0, 0, 2, 2), (3, 3, 6, 7)])
    first = selected(target, torch.tensor([True, False]))
    both = joined([first, target], (8, 9))
    assert boxes_of(both) == [[0, 0, 2, 2], [0, 0, 2, 2], [3, 3, 6, 7]]
    assert both["labels"].tolist() == [0, 0, 1]
    assert isinstance(both["masks"], tv_tensors.Mask)
    assert isinstance(first["boxes"], tv_tensors.BoundingBoxes)


def test_dense_masks_of_polygons_and_bitmasks() -> None:
    assert dense_masks((), (4, 5)).shape == (0, 4, 5)
    bitmask = torch.zeros(4, 5, dtype=torch.bool)
    bitmask[1] = True
    masks = dense_masks(([np.array([0.0, 0, 2, 0, 2, 2, 0, 2])], bitmask), (4, 5))
    assert masks.sum(axis=(1, 2)).tolist() == [4, 5]
