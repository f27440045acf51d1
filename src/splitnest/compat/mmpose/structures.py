"""Result for one person, ``PoseDataSample``, and the results for one image joined."""

from collections.abc import Sequence

from splitnest.compat.mmengine.structures import BaseDataElement, InstanceData
from splitnest.errors import UsageError


class PoseDataSample(BaseDataElement):
    """Poses in one image.

    Attributes:
        pred_instances: ``InstanceData`` of N persons: ``keypoints`` float32 ``[N, K, 2]``, x and y in pixels of the
            original image; ``keypoint_scores`` and ``keypoints_visible`` float32 ``[N, K]``; ``bboxes`` float32
            ``[N, 4]``, xyxy; ``bbox_scores`` float32 ``[N]``. They are arrays.
        img_path: Path of the image; None for an array.
        ori_shape: Height and width of the original image in pixels.
    """


def merge_data_samples(data_samples: Sequence[PoseDataSample]) -> PoseDataSample:
    """Return the persons of several results for one image as one result, with the metadata of the first.

    Raises:
        UsageError: The argument is not a list of results.
    """
    if not isinstance(data_samples, list | tuple) or not all(isinstance(s, PoseDataSample) for s in data_samples):
        raise UsageError("data_samples is not a list of results. Give what inference_topdown returned.")
    if not data_samples:
        return PoseDataSample()
    instances = InstanceData.cat([sample.pred_instances for sample in data_samples])
    return PoseDataSample(metainfo=data_samples[0].metainfo, pred_instances=instances)
