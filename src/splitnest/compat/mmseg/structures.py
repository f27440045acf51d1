"""Result for one image: ``SegDataSample``."""

from collections.abc import Callable
from typing import Any, Self

from torch import Tensor

from splitnest.compat.mmengine.structures import BaseDataElement, PixelData


class SegDataSample(BaseDataElement):
    """Semantic segmentation of one image.

    Attributes:
        pred_sem_seg: ``PixelData`` whose ``data`` is the class of each pixel, int64 ``[1, H, W]``, a tensor on the
            device of the model.
        img_path: Path of the image; None for an array.
        ori_shape: Height and width of the original image in pixels.
    """

    def with_logits(self, compute: Callable[[], Tensor]) -> Self:
        """Set the function that computes the logits ``[K, H, W]`` on first access, and return the result."""
        self.__dict__["_compute_logits"] = compute
        return self

    @property
    def seg_logits(self) -> PixelData:
        """Logits as ``PixelData``, ``data`` ``[K, H, W]``, computed on first access as they take much memory."""
        if "seg_logits" not in self._data:
            compute = self.__dict__.get("_compute_logits")
            if compute is None:
                return self.__getattr__("seg_logits")  # raises the error of a missing attribute
            self._data["seg_logits"] = PixelData(data=compute())
        logits: PixelData = self._data["seg_logits"]
        return logits

    def __contains__(self, name: str) -> bool:
        return super().__contains__(name) or (name == "seg_logits" and "_compute_logits" in self.__dict__)

    def __getstate__(self) -> dict[str, Any]:
        """Return the values that are copied and pickled: without logits that were not computed."""
        return {name: value for name, value in self.__dict__.items() if name != "_compute_logits"}

    def _converted(self, convert: Callable[[Any], Any]) -> Self:
        new, compute = super()._converted(convert), self.__dict__.get("_compute_logits")
        return new if compute is None else new.with_logits(lambda: convert(compute()))
