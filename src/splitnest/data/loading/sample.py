"""Sample of a training set: one augmented image with its ground truth."""

from dataclasses import dataclass

from torch import Tensor

from splitnest.structures.instances import Instances


@dataclass(frozen=True)
class TrainingSample:
    """One augmented image with the ground truth of its task.

    Attributes:
        image: float32 ``[3, h, w]``, normalized, neither padded to a batch nor batched.
        original_size: (height, width) of the original image.
        name: Name of the image in messages.
        label: Class index (classification only).
        instances: Boxes, classes and masks in pixels of ``image`` (detection, instance and panoptic segmentation only).
        semantic: uint8 ``[h, w]``, class index of each pixel or ``UNLABELED`` (semantic segmentation); for a panoptic
            model 0 for things, 1 for the first stuff class.
        keypoints: float32 ``[K, 3]``, x and y in pixels of ``image``, and 1 for labeled keypoints, 0 for others (pose
            only).
    """

    image: Tensor
    original_size: tuple[int, int]
    name: str
    label: int | None = None
    instances: Instances | None = None
    semantic: Tensor | None = None
    keypoints: Tensor | None = None
