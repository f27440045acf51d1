"""Training section of detectors: what images take part, how they are drawn, augmented and padded."""

from typing import Annotated, Literal

from pydantic import Field

from splitnest.recipe.augmentation import DetectionAugmentation, Once
from splitnest.recipe.limits import Side
from splitnest.recipe.training import RARE_CLASSES, Probability, Ratios, Training


class DetectionTraining(Training):
    """Training parameters of detection, instance and panoptic segmentation.

    Attributes:
        short_sides: Short sides in pixels for multi-scale resizing.
        short_side_sampling: ``choice`` picks one of ``short_sides``; ``range`` any integer from the first to the last.
        long_side: Maximum long side in pixels.
        resize_ratios: Minimum and maximum of a random factor of both sides.
        crop_size: Height and width in pixels of a random crop after resizing, of which smaller images keep what they
            have; None does not crop.
        pad_size: Minimum height and width in pixels to which the images of a batch are padded after normalization.
        flip: Probability of a horizontal flip.
        crop: Minimum fraction of each side that a random crop keeps, around a random instance and before resizing;
            None does not crop.
        color_jitter: Strength of random brightness, contrast and saturation; 0 for none.
        min_image_side: Images with a shorter side in pixels are excluded.
        min_box_side: Boxes with a shorter side in pixels, without area or outside the image are excluded.
        keep_empty_images: Whether images without ground truth take part.
        without_mask: Treatment of instances without a segmentation in the training of a model with masks: ``error``
            rejects the dataset, ``skip`` excludes and counts them.
        group_by_aspect_ratio: Whether a batch holds images that are either all wider than high or all not.
        augment: Further augmentations, in order, of the cropped, resized and flipped image.
        repeat_threshold: Fraction of the images; classes that fewer images contain are drawn more often (repeat-factor
            sampling; Gupta et al. 2019, LVIS). None draws each image once in an epoch.
        repeat_rounding: Whole number of draws of an image: ``random`` around its repeat factor (detectron2), or that
            factor rounded ``up`` (mmdetection).
        class_aware_samples: Number of images that are drawn of each class in turn, so that all classes are equally
            frequent (class-aware sampling; Shen et al. 2016). None draws regardless of classes.
    """

    exclusive = (*Training.exclusive, RARE_CLASSES)

    short_sides: tuple[Side, ...] = Field(min_length=1)
    short_side_sampling: Literal["choice", "range"] = "choice"
    long_side: Side = 1333
    resize_ratios: Ratios = (1.0, 1.0)
    crop_size: tuple[Side, Side] | None = None
    pad_size: tuple[Side, Side] | None = None
    flip: Probability = 0.5
    crop: float | None = Field(None, gt=0, le=1)
    color_jitter: Probability = 0.0
    min_image_side: int = Field(0, ge=0, le=32_768)
    min_box_side: float = Field(0.0, ge=0)
    keep_empty_images: bool = False
    without_mask: Literal["error", "skip"] = "error"
    group_by_aspect_ratio: bool = True
    augment: Annotated[tuple[DetectionAugmentation, ...], Once] = ()
    repeat_threshold: float | None = Field(None, gt=0, le=1)
    repeat_rounding: Literal["random", "up"] = "random"
    class_aware_samples: int | None = Field(None, ge=1, le=1_000_000)
