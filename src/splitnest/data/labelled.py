"""A photograph and its objects, which are cropped, resized and mirrored together.

G objects, P polygons, V points of all polygons, M bitmasks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from splitnest.batch import InstanceMask
from splitnest.data import polygons
from splitnest.data.resize import nearest_pixels, resize_opencv, resize_pillow


@dataclass(frozen=True)
class Labelled:
    """A photograph and its G objects. Made by ``of``.

    Attributes:
        pixels: uint8 RGB ``[H, W, 3]``.
        boxes: float64 ``[G, 4]``, xyxy in pixels.
        points: float64 ``[V, 2]``, x and y in pixels, of all polygons.
        polygon_ends: ``[P]``, where each polygon ends in ``points``.
        polygon_owners: ``[P]``, the object of each polygon.
        bitmasks: bool ``[M, H, W]``.
        bitmask_owners: ``[M]``, the object of each bitmask.
        semantic: uint8 ``[H, W]``, the stuff of each pixel; None where it is not known.
    """

    pixels: NDArray[np.uint8]
    boxes: tv_tensors.BoundingBoxes
    points: tv_tensors.KeyPoints
    polygon_ends: NDArray[np.int64]
    polygon_owners: NDArray[np.int64]
    bitmasks: tv_tensors.Mask
    bitmask_owners: NDArray[np.int64]
    semantic: tv_tensors.Mask | None

    @classmethod
    def of(
        cls,
        pixels: NDArray[np.uint8],
        boxes: NDArray[np.floating],
        masks: Sequence[InstanceMask] = (),
        semantic: torch.Tensor | None = None,
    ) -> Self:
        """Return a photograph with its objects; boxes are clipped to it.

        Args:
            pixels: uint8 RGB ``[H, W, 3]``; never changed.
            boxes: ``[G, 4]``, xyxy in pixels.
            masks: One for each object, or none at all.
            semantic: uint8 ``[H, W]``, the stuff of each pixel.
        """
        size_hw = (pixels.shape[0], pixels.shape[1])
        outlines = [
            (g, polygon) for g, mask in enumerate(masks) if not isinstance(mask, torch.Tensor) for polygon in mask
        ]
        bitmasks = [(g, mask) for g, mask in enumerate(masks) if isinstance(mask, torch.Tensor)]
        points = np.concatenate([np.empty(0), *(polygon for _, polygon in outlines)]).reshape(-1, 2)
        stack = torch.stack([mask for _, mask in bitmasks]) if bitmasks else torch.empty(0, *size_hw, dtype=torch.bool)
        corners = torch.from_numpy(boxes.astype(np.float64))
        return cls(
            pixels=pixels,
            boxes=F.clamp_bounding_boxes(tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=size_hw)),
            points=tv_tensors.KeyPoints(torch.from_numpy(points), canvas_size=size_hw),
            polygon_ends=np.cumsum([len(polygon) // 2 for _, polygon in outlines], dtype=np.int64),
            polygon_owners=np.array([g for g, _ in outlines], np.int64),
            bitmasks=tv_tensors.Mask(stack),
            bitmask_owners=np.array([g for g, _ in bitmasks], np.int64),
            semantic=None if semantic is None else tv_tensors.Mask(semantic),
        )

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def masks(self) -> tuple[InstanceMask, ...]:
        """Return the mask of each object: its bitmask, or its polygons, of which there may be none."""
        outlines: list[list[NDArray[np.float64]]] = [[] for _ in self.boxes]
        parts = np.split(self.points.numpy(), self.polygon_ends)  # and, behind the last end, nothing
        for owner, part in zip(self.polygon_owners.tolist(), parts, strict=False):
            outlines[owner].append(part.ravel())
        masks: list[InstanceMask] = list(outlines)
        for owner, bitmask in zip(self.bitmask_owners.tolist(), self.bitmasks.as_subclass(torch.Tensor), strict=True):
            masks[owner] = bitmask
        return tuple(masks)

    def resized(self, size_hw: tuple[int, int], rule: Literal["opencv", "pillow"]) -> Self:
        """Resize the pixels as for evaluation; bitmasks and stuff take the nearest pixel, as in detectron2."""
        pixels = resize_opencv(self.pixels, size_hw) if rule == "opencv" else resize_pillow(self.pixels, size_hw)
        rows, columns = (
            torch.from_numpy(nearest_pixels(*sides, "pillow")) for sides in zip(self.size_hw, size_hw, strict=True)
        )

        def resize(labels: Any) -> Any:
            if isinstance(labels, tv_tensors.Mask):  # torchvision's nearest pixel is another one
                return tv_tensors.Mask(labels.as_subclass(torch.Tensor)[..., rows[:, None], columns])
            return F.resize(labels, list(size_hw))

        return self._changed(pixels, resize)

    def mirrored(self) -> Self:
        """Swap left and right."""
        mirrored = self._changed(self.pixels[:, ::-1], F.horizontal_flip)
        # torchvision mirrors keypoints as pixels, x to W - 1 - x; points of polygons lie between pixels, as boxes do.
        return replace(mirrored, points=tv_tensors.wrap(mirrored.points + torch.tensor([1, 0]), like=self.points))

    def cropped(self, top: int, left: int, height: int, width: int) -> Self:
        """Cut out a window that lies inside the photograph.

        Polygons are cut at its border and then make the box of their object, as in detectron2; other boxes are clipped.
        Objects outside of the window keep their place in the list, with boxes without area and masks without content.
        """
        window = self._changed(
            self.pixels[top : top + height, left : left + width],
            lambda labels: F.crop(labels, top, left, height, width),
        )
        boxes, masks = window.boxes.numpy().copy(), list(window.masks())
        for g, mask in enumerate(masks):
            if isinstance(mask, torch.Tensor) or not mask:
                continue
            cut = [polygons.clip(polygon, (height, width)) for polygon in mask]
            masks[g] = inside = [polygon for polygon in cut if polygons.area(polygon) > 0]
            boxes[g] = polygons.hull(inside) if inside else 0
        return type(self).of(window.pixels, boxes, masks, window.semantic)

    def _changed(self, pixels: NDArray[np.uint8], change: Callable[[Any], Any]) -> Self:
        return replace(
            self,
            pixels=pixels,
            boxes=change(self.boxes),
            points=change(self.points),
            bitmasks=change(self.bitmasks),
            semantic=None if self.semantic is None else change(self.semantic),
        )
