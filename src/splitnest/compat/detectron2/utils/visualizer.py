"""``Visualizer`` of detectron2: drawing of predictions on an image."""

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from splitnest.compat import images
from splitnest.compat.detectron2.data import Metadata
from splitnest.compat.detectron2.structures import Instances
from splitnest.errors import UsageError
from splitnest.structures.categories import distinct_color
from splitnest.visualize import draw_detections, draw_panoptic, draw_semantic
from splitnest.visualize.colors import Color
from splitnest.visualize.segmentation import Segment


class ColorMode(Enum):
    """Colors of instances: distinct ones, those of their classes, or distinct ones on a gray image."""

    IMAGE = 0
    SEGMENTATION = 1
    IMAGE_BW = 2


class VisImage:
    """Picture.

    Args:
        img: uint8 RGB ``[H, W, 3]``.
    """

    def __init__(self, img: NDArray[np.uint8]) -> None:
        self.img = img

    def get_image(self) -> NDArray[np.uint8]:
        """Return the picture, uint8 RGB ``[H, W, 3]``."""
        return self.img

    def save(self, filepath: str | Path) -> None:
        """Write the picture.

        Raises:
            OutputError: The file exists and splitnest did not write it, or it cannot be written.
        """
        images.save(self.img, filepath)


class Visualizer:
    """Drawing on a copy of an image; later drawings are added to earlier ones.

    Args:
        img_rgb: uint8 RGB ``[H, W, 3]``.
        metadata: Classes and colors; None draws numbers of classes.
        scale: Ratio between the sizes of picture and image.
        instance_mode: Colors of instances.
        font_size_scale: Without effect, as the size of text follows from that of the picture.
    """

    def __init__(
        self,
        img_rgb: NDArray[np.uint8],
        metadata: Metadata | None = None,
        scale: float = 1.0,
        instance_mode: ColorMode = ColorMode.IMAGE,
        font_size_scale: float = 1.0,
    ) -> None:
        if scale <= 0:
            raise UsageError(f"scale is {scale}. Give a number over 0.")
        self.metadata = Metadata("") if metadata is None else metadata
        self._mode, self._scale = instance_mode, scale
        self.img = np.ascontiguousarray(np.asarray(img_rgb).clip(0, 255).astype(np.uint8))
        height, width = (max(round(side * scale), 1) for side in self.img.shape[:2])
        self._size = (width, height)
        self.output = VisImage(np.array(Image.fromarray(self.img).resize(self._size, Image.Resampling.BILINEAR)))

    def draw_instance_predictions(self, predictions: Instances, jittering: bool = True) -> VisImage:
        """Draw boxes, masks, classes and scores of instances.

        Args:
            predictions: Instances on the CPU.
            jittering: Without effect.
        """
        classes = predictions.pred_classes.tolist()
        names, colors = self._classes(classes, "thing")
        masks = None
        if predictions.has("pred_masks"):
            masks = [self._resized(np.asarray(mask)) for mask in predictions.pred_masks]
        picture = self.output.img
        if self._mode is ColorMode.IMAGE_BW:
            gray = np.array(Image.fromarray(picture).convert("L").convert("RGB"))
            inside = np.any(masks, axis=0)[..., None] if masks else np.zeros((*picture.shape[:2], 1), bool)
            picture = np.where(inside, picture, gray)
        self.output.img = draw_detections(
            picture,
            predictions.pred_boxes.tensor.numpy() * self._scale,
            names,
            colors,
            scores=predictions.scores.numpy() if predictions.has("scores") else None,
            masks=masks,
            by_class=self._mode is ColorMode.SEGMENTATION,
        )
        return self.output

    def draw_sem_seg(
        self, sem_seg: Tensor | NDArray[Any], area_threshold: int | None = None, alpha: float = 0.8
    ) -> VisImage:
        """Draw a label map.

        Args:
            sem_seg: Class of each pixel ``[H, W]``.
            area_threshold: Minimum area of a class in pixels; None draws all.
            alpha: Opacity.
        """
        labels = np.asarray(sem_seg)
        found, areas = np.unique(labels, return_counts=True)
        kept = [label for label, area in zip(found.tolist(), areas, strict=True) if area >= (area_threshold or 0)]
        names, colors = self._classes(kept, "stuff")
        classes = dict(zip(kept, zip(names, colors, strict=True), strict=True))
        self.output.img = draw_semantic(self.output.img, self._resized(labels), classes, opacity=alpha)
        return self.output

    def draw_panoptic_seg(
        self,
        panoptic_seg: Tensor | NDArray[Any],
        segments_info: Sequence[Mapping[str, Any]],
        area_threshold: int | None = None,
        alpha: float = 0.7,
    ) -> VisImage:
        """Draw segments and their classes.

        Args:
            panoptic_seg: Segment id of each pixel ``[H, W]``.
            segments_info: ``id``, ``isthing`` and ``category_id`` of each segment.
            area_threshold: Minimum area of a segment in pixels; None draws all.
            alpha: Without effect.
        """
        segments = self._resized(np.asarray(panoptic_seg))
        infos = []
        for row in segments_info:
            (name,), (color,) = self._classes([row["category_id"]], "thing" if row["isthing"] else "stuff")
            area = int((segments == row["id"]).sum())
            if area >= (area_threshold or 1):
                infos.append(Segment(row["id"], name, color, bool(row["isthing"]), area))
        self.output.img = draw_panoptic(self.output.img, segments, infos, self._mode is ColorMode.SEGMENTATION)
        return self.output

    draw_panoptic_seg_predictions = draw_panoptic_seg

    def _classes(self, classes: Sequence[int], kind: str) -> tuple[list[str], list[Color]]:
        """Return names and colors of classes; classes without a name have their number."""
        names, colors = self.metadata.get(f"{kind}_classes"), self.metadata.get(f"{kind}_colors")
        found: list[Color] = []
        for index in classes:
            red, green, blue = colors[index] if colors else distinct_color(index)
            found.append((red, green, blue))
        return [names[index] if names else str(index) for index in classes], found

    def _resized(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a mask or label map at the size of the picture."""
        if (values.shape[1], values.shape[0]) == self._size:
            return values
        resized = Image.fromarray(values.astype(np.int32)).resize(self._size, Image.Resampling.NEAREST)
        return np.array(resized).astype(values.dtype)
