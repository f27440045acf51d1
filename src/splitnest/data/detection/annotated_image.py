"""Image with boxes and masks that are cropped, resized and flipped together.

Shapes: G instances, P polygons, V vertices of all polygons, M bitmasks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from splitnest.data.images.resize import nearest_pixels, resize_opencv, resize_pillow
from splitnest.structures import polygons
from splitnest.structures.instances import InstanceMask


@dataclass(frozen=True)
class AnnotatedImage:
    """Image and its G instances, made by ``from_arrays``.

    Attributes:
        pixels: uint8 RGB ``[H, W, 3]``.
        boxes: float64 ``[G, 4]``, xyxy in pixels.
        vertices: float64 ``[V, 2]``, x and y in pixels, of all polygons.
        polygon_ends: ``[P]``, end of each polygon in ``vertices``.
        polygon_owners: ``[P]``, instance of each polygon.
        bitmasks: bool ``[M, H, W]``.
        bitmask_owners: ``[M]``, instance of each bitmask.
        semantic: uint8 ``[H, W]``, label map of the stuff classes; None without one.
    """

    pixels: NDArray[np.uint8]
    boxes: tv_tensors.BoundingBoxes
    vertices: tv_tensors.KeyPoints
    polygon_ends: NDArray[np.int64]
    polygon_owners: NDArray[np.int64]
    bitmasks: tv_tensors.Mask
    bitmask_owners: NDArray[np.int64]
    semantic: tv_tensors.Mask | None

    @classmethod
    def from_arrays(
        cls,
        pixels: NDArray[np.uint8],
        boxes: NDArray[np.floating],
        masks: Sequence[InstanceMask] = (),
        semantic: torch.Tensor | None = None,
    ) -> Self:
        """Return an image with its instances; boxes are clipped to it.

        Args:
            pixels: uint8 RGB ``[H, W, 3]``; never changed.
            boxes: ``[G, 4]``, xyxy in pixels.
            masks: Mask of each instance; empty for a model without masks.
            semantic: uint8 ``[H, W]``, label map of the stuff classes.
        """
        size_hw = (pixels.shape[0], pixels.shape[1])
        outlines = [
            (g, polygon) for g, mask in enumerate(masks) if not isinstance(mask, torch.Tensor) for polygon in mask
        ]
        bitmasks = [(g, mask) for g, mask in enumerate(masks) if isinstance(mask, torch.Tensor)]
        vertices = np.concatenate([np.empty(0), *(polygon for _, polygon in outlines)]).reshape(-1, 2)
        stack = torch.stack([mask for _, mask in bitmasks]) if bitmasks else torch.empty(0, *size_hw, dtype=torch.bool)
        corners = torch.from_numpy(boxes.astype(np.float64))
        return cls(
            pixels=pixels,
            boxes=F.clamp_bounding_boxes(tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=size_hw)),
            vertices=tv_tensors.KeyPoints(torch.from_numpy(vertices), canvas_size=size_hw),
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
        """Return the mask of each instance: its bitmask, or its polygons, of which there may be none."""
        outlines: list[list[NDArray[np.float64]]] = [[] for _ in self.boxes]
        parts = np.split(self.vertices.numpy(), self.polygon_ends)  # with an empty part after the last end
        for owner, part in zip(self.polygon_owners.tolist(), parts, strict=False):
            outlines[owner].append(part.ravel())
        masks: list[InstanceMask] = list(outlines)
        for owner, bitmask in zip(self.bitmask_owners.tolist(), self.bitmasks.as_subclass(torch.Tensor), strict=True):
            masks[owner] = bitmask
        return tuple(masks)

    def resized(self, size_hw: tuple[int, int], library: Literal["opencv", "pillow"]) -> Self:
        """Resize the image as for evaluation; masks and label map by nearest neighbor, as in detectron2."""
        resize_pixels = resize_opencv if library == "opencv" else resize_pillow
        rows, columns = (
            torch.from_numpy(nearest_pixels(*sides, "pillow")) for sides in zip(self.size_hw, size_hw, strict=True)
        )

        def resize(annotation: Any) -> Any:
            if isinstance(annotation, tv_tensors.Mask):  # torchvision's nearest neighbor differs from Pillow's
                return tv_tensors.Mask(annotation.as_subclass(torch.Tensor)[..., rows[:, None], columns])
            return F.resize(annotation, list(size_hw))

        return self._transformed(resize_pixels(self.pixels, size_hw), resize)

    def flipped(self) -> Self:
        """Flip the image horizontally."""
        flipped = self._transformed(self.pixels[:, ::-1], F.horizontal_flip)
        # torchvision flips keypoints as pixel indices, x to W - 1 - x; polygon vertices are coordinates, as boxes are.
        return replace(flipped, vertices=tv_tensors.wrap(flipped.vertices + torch.tensor([1, 0]), like=self.vertices))

    def cropped(self, top: int, left: int, height: int, width: int) -> Self:
        """Crop a window that lies inside the image.

        Polygons are clipped to the window and define the new box of their instance, as in detectron2; other boxes are
        clipped. Instances outside the window keep their place, with boxes without area and empty masks.
        """
        window = self._transformed(
            self.pixels[top : top + height, left : left + width],
            lambda annotation: F.crop(annotation, top, left, height, width),
        )
        boxes, masks = window.boxes.numpy().copy(), list(window.masks())
        for g, mask in enumerate(masks):
            if isinstance(mask, torch.Tensor) or not mask:
                continue
            clipped = [polygons.clip(polygon, (height, width)) for polygon in mask]
            masks[g] = inside = [polygon for polygon in clipped if polygons.area(polygon) > 0]
            boxes[g] = polygons.bounding_box(inside) if inside else 0
        return type(self).from_arrays(window.pixels, boxes, masks, window.semantic)

    def _transformed(self, pixels: NDArray[np.uint8], transform: Callable[[Any], Any]) -> Self:
        return replace(
            self,
            pixels=pixels,
            boxes=transform(self.boxes),
            vertices=transform(self.vertices),
            bitmasks=transform(self.bitmasks),
            semantic=None if self.semantic is None else transform(self.semantic),
        )
