"""Result for one image: ``DetDataSample``."""

from splitnest.compat.mmengine.structures import BaseDataElement


class DetDataSample(BaseDataElement):
    """Detections in one image.

    Attributes:
        pred_instances: ``InstanceData`` of N instances: ``bboxes`` float32 ``[N, 4]``, xyxy in pixels of the original
            image; ``scores`` float32 ``[N]``; ``labels`` int64 ``[N]``; of a model with a mask head ``masks`` bool
            ``[N, H, W]``. They are tensors on the device of the model.
        img_path: Path of the image; None for an array.
        ori_shape: Height and width of the original image in pixels.
    """
