"""Image with its ground truth in the form of torchvision's v2 transforms, and its resize, crop and padding.

Shapes: G instances, K keypoints.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from splitnest.data.images.resize import nearest_pixels

View = tuple[tv_tensors.Image, dict[str, Any]]
"""Image, uint8 RGB ``[3, H, W]``, and its ground truth by the name that torchvision gives it.

``boxes``: ``BoundingBoxes`` ``[G, 4]``, xyxy. ``labels``: int64 ``[G]``. ``masks``: ``Mask``, bool ``[G, H, W]``.
``semantic``: ``Mask``, uint8 ``[H, W]``, class index plus one, 0 for unlabeled pixels, because transforms fill with 0.
``keypoints``: ``KeyPoints`` ``[K, 2]``, and ``visible``: bool ``[K]``, whether a keypoint is labeled. ``label``: class
index. A task has some of them.
"""

Fill = tuple[int, int, int]
"""RGB color of pixels outside the image, from 0 to 255."""


def size_hw(image: Tensor) -> tuple[int, int]:
    """Return height and width of an image ``[3, H, W]`` in pixels."""
    return image.shape[-2], image.shape[-1]


def boxes_like(boxes: Tensor, canvas_size: tuple[int, int]) -> tv_tensors.BoundingBoxes:
    """Return boxes ``[G, 4]``, xyxy, of an image of a (height, width) in pixels."""
    return tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=canvas_size)


def mask_boxes(masks: Tensor) -> Tensor:
    """Return the bounding boxes of masks, bool ``[G, H, W]``, as float64 ``[G, 4]``; zeros for empty masks."""
    corners = []
    for axis in (1, 2):  # occupied columns, then rows
        occupied = masks.as_subclass(Tensor).any(dim=axis)
        first = occupied.to(torch.uint8).argmax(dim=1)
        end = occupied.shape[1] - occupied.flip(1).to(torch.uint8).argmax(dim=1)
        corners.append((first, torch.where(occupied.any(dim=1), end, first)))
    (left, right), (top, bottom) = corners
    return torch.stack([left, top, right, bottom], dim=1).to(torch.float64)


def resized(view: View, new_hw: tuple[int, int], window: tuple[int, int, int, int]) -> View:
    """Resize a view, and return a part of it; masks and label maps are resized by nearest neighbor.

    Args:
        view: View without keypoints.
        new_hw: Height and width of the whole resized image in pixels.
        window: (top, left, height, width) of the part, inside the resized image.
    """
    top, left, height, width = window
    rows, columns = (
        torch.from_numpy(nearest_pixels(old, new, "pillow"))[start : start + count]
        for old, new, start, count in zip(size_hw(view[0]), new_hw, (top, left), (height, width), strict=True)
    )

    def part(value: Any) -> Any:
        if isinstance(value, tv_tensors.Mask):
            return tv_tensors.Mask(value.as_subclass(Tensor)[..., rows[:, None], columns])
        return F.crop(F.resize(value, list(new_hw), antialias=True), top, left, height, width)

    return mapped(view, part)


def padded(view: View, canvas_hw: tuple[int, int], corner: tuple[int, int], fill: Fill) -> View:
    """Place a view on a larger canvas.

    Args:
        view: View.
        canvas_hw: Height and width of the canvas in pixels.
        corner: Row and column of the view's top left pixel on the canvas.
        fill: Color of the other pixels; masks get False, label maps no label.
    """
    (height, width), (top, left) = size_hw(view[0]), corner
    margins = [left, top, canvas_hw[1] - left - width, canvas_hw[0] - top - height]
    return mapped(
        view,
        lambda value: F.pad(value, margins, fill=list(fill) if isinstance(value, tv_tensors.Image) else 0),
    )


def is_same_target(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two targets have the same ground truth."""
    return one.keys() == other.keys() and all(
        torch.equal(torch.as_tensor(value), torch.as_tensor(other[key])) for key, value in one.items()
    )


def to_pixels(image: Tensor) -> NDArray[np.uint8]:
    """Return the image of a view as uint8 RGB ``[H, W, 3]``."""
    pixels: NDArray[np.uint8] = image.as_subclass(Tensor).permute(1, 2, 0).numpy()
    return pixels


def from_pixels(pixels: NDArray[np.uint8]) -> tv_tensors.Image:
    """Return an image, uint8 RGB ``[H, W, 3]``, as that of a view."""
    return tv_tensors.Image(torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1))


def selected(target: dict[str, Any], rows: Tensor) -> dict[str, Any]:
    """Return a target with some of its instances, by index or bool ``[G]``."""
    chosen = dict(target)
    chosen["labels"] = target["labels"][rows]
    chosen["boxes"] = tv_tensors.wrap(target["boxes"].as_subclass(Tensor)[rows], like=target["boxes"])
    if "masks" in target:
        chosen["masks"] = tv_tensors.Mask(target["masks"].as_subclass(Tensor)[rows])
    return chosen


def joined(targets: list[dict[str, Any]], canvas_hw: tuple[int, int]) -> dict[str, Any]:
    """Return the instances of several targets on one canvas; other fields are those of the first target."""
    result = dict(targets[0])
    result["labels"] = torch.cat([target["labels"] for target in targets])
    result["boxes"] = boxes_like(torch.cat([target["boxes"].as_subclass(Tensor) for target in targets]), canvas_hw)
    if "masks" in result:
        result["masks"] = tv_tensors.Mask(torch.cat([target["masks"].as_subclass(Tensor) for target in targets]))
    return result


def mapped(view: View, transform: Callable[[Any], Any]) -> View:
    """Transform the image, boxes, masks and label map of a view."""
    image, target = view
    return transform(image), {
        key: transform(value) if isinstance(value, tv_tensors.TVTensor) else value for key, value in target.items()
    }
