"""Result for one image: ``SegDataSample``."""

from collections.abc import Callable

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

    def with_logits(self, compute: Callable[[], Tensor]) -> "SegDataSample":
        """Set how the logits ``[K, H, W]`` are computed when they are asked for, and return the result."""
        self.__dict__["_compute_logits"] = compute
        return self

    @property
    def seg_logits(self) -> PixelData:
        """Logits as ``PixelData``, ``data`` ``[K, H, W]``, computed on first access as they take much memory."""
        if "seg_logits" not in self._data:
            if "_compute_logits" not in self.__dict__:
                raise AttributeError("this copy of the result has no logits: take those of the result of the model")
            self._data["seg_logits"] = PixelData(data=self.__dict__["_compute_logits"]())
        logits: PixelData = self._data["seg_logits"]
        return logits
