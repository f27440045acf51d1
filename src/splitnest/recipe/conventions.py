"""Conventions: the behaviors in which the detection code bases differ, as named fields.

A row names one of the two instances, or changes single fields of it. Code reads the fields and never the name.
"""

from typing import Any, Literal

from splitnest.recipe.base import Section

BoxStds = tuple[float, float, float, float]


class Conventions(Section):
    """Behavior of a detection code base in decoding, assignment, ranking and post-processing.

    Attributes:
        name: Code base.
        clamp_shrinkage: Whether width and height deltas are clamped from below, to ``-log(1000/16)``, as from above.
        canonical_box_size: Side in pixels of an RoI that is pooled from ``canonical_level``.
        canonical_level: Pyramid level of such an RoI (0 is the finest level in mmdetection, 4 is p4 in detectron2).
        level_epsilon: Constant added to the side ratio before its logarithm.
        rpn_rank_by: Score by which anchors are ranked: raw logits, or their sigmoid, which has more ties.
        cascade_average: Quantity averaged over the stages of a cascade: logits before softmax, or probabilities.
        cascade_box_stds: Standard deviations of the box deltas of each cascade stage.
        cascade_loss_weights: Weight of the losses of each cascade stage.
        cascade_gradient_scale: Factor of the gradient of each cascade stage with respect to its pooled features.
        cascade_sampling: Stages that sample regions, with the ground truth among them; other stages train on all
            regions of the stage before.
        cascade_drop_empty: Whether boxes without area are dropped between stages, in training.
        mask_head_per_stage: Whether each cascade stage has a mask head, whose masks are averaged; otherwise there is
            one, trained on the regions of the first stage.
        nms_at_original_scale: Whether models without masks rescale boxes to the original image before the final NMS.
        clip_to_original: Whether final boxes are clipped to the original image and empty ones dropped.
        rpn_low_quality_iou: Minimum IoU at which the best anchor of a ground-truth box is positive though under 0.7.
        rpn_low_quality_reassign: Whether such an anchor is assigned to that box even if it overlaps another one more.
        rpn_ignore_padding: Whether anchors centered outside an image's own padded size are ignored.
        rpn_loss_normalizer: Normalizer of the RPN losses: the anchors ``sampled``, or ``samples``, which is
            ``model.rpn_samples`` times the number of images.
        gt_first: Whether ground-truth boxes come first among the proposals, assigned to themselves and not passed to
            the next cascade stage; otherwise they come last and are treated like any proposal.
        mask_target_min_side: Minimum side in pixels of a region when polygons are scaled to its mask target.
        rle_masks: Whether instances with an RLE mask are kept or dropped in the training of models with masks.
    """

    name: Literal["mmdet", "detectron2"]
    clamp_shrinkage: bool
    canonical_box_size: float
    canonical_level: Literal[0, 4]
    level_epsilon: float
    rpn_rank_by: Literal["logits", "scores"]
    cascade_average: Literal["logits", "probabilities"]
    cascade_box_stds: tuple[BoxStds, BoxStds, BoxStds]
    cascade_loss_weights: tuple[float, float, float]
    cascade_gradient_scale: float
    cascade_sampling: Literal["every stage", "first stage"]
    cascade_drop_empty: bool
    mask_head_per_stage: bool
    nms_at_original_scale: bool
    clip_to_original: bool
    rpn_low_quality_iou: float
    rpn_low_quality_reassign: bool
    rpn_ignore_padding: bool
    rpn_loss_normalizer: Literal["sampled", "samples"]
    gt_first: bool
    mask_target_min_side: float
    rle_masks: Literal["kept", "dropped"]


MMDET = Conventions(
    name="mmdet",
    clamp_shrinkage=True,
    canonical_box_size=56.0,
    canonical_level=0,
    level_epsilon=1e-6,
    rpn_rank_by="scores",
    cascade_average="logits",
    cascade_box_stds=((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067)),
    cascade_loss_weights=(1.0, 0.5, 0.25),
    cascade_gradient_scale=1.0,
    cascade_sampling="every stage",
    cascade_drop_empty=False,
    mask_head_per_stage=True,
    nms_at_original_scale=True,
    clip_to_original=False,
    rpn_low_quality_iou=0.3,
    rpn_low_quality_reassign=True,
    rpn_ignore_padding=True,
    rpn_loss_normalizer="sampled",
    gt_first=True,
    mask_target_min_side=1.0,
    rle_masks="dropped",
)
"""mmdetection 2.x and 3.x."""

DETECTRON2 = Conventions(
    name="detectron2",
    clamp_shrinkage=False,
    canonical_box_size=224.0,
    canonical_level=4,
    level_epsilon=1e-8,
    rpn_rank_by="logits",
    cascade_average="probabilities",
    cascade_box_stds=(
        (1 / 10, 1 / 10, 1 / 5, 1 / 5),
        (1 / 20, 1 / 20, 1 / 10, 1 / 10),
        (1 / 30, 1 / 30, 1 / 15, 1 / 15),
    ),
    cascade_loss_weights=(1.0, 1.0, 1.0),
    cascade_gradient_scale=1 / 3,
    cascade_sampling="first stage",
    cascade_drop_empty=True,
    mask_head_per_stage=False,
    nms_at_original_scale=False,
    clip_to_original=True,
    rpn_low_quality_iou=0.0,
    rpn_low_quality_reassign=False,
    rpn_ignore_padding=False,
    rpn_loss_normalizer="samples",
    gt_first=False,
    mask_target_min_side=0.1,
    rle_masks="kept",
)
"""detectron2 and the official ResNeSt wrapper."""

NAMED: dict[str, Conventions] = {"mmdet": MMDET, "detectron2": DETECTRON2}


def named_conventions(value: Any) -> Any:
    """Return the conventions that a string names; any other value as it is.

    Raises:
        ValueError: There are no such conventions.
    """
    if isinstance(value, str):
        if value not in NAMED:
            raise ValueError(f"there are no conventions {value!r}; use {' or '.join(NAMED)}")
        return NAMED[value]
    return value
