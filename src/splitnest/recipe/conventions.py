"""The behaviours in which the two detection code bases differ, as named facts.

A row names one of the two instances, code reads the fields, and a test flips one field at a time.
"""

from typing import Literal

from splitnest.recipe.strict import Strict

StageDeviations = tuple[float, float, float, float]


class Conventions(Strict):
    """How one detection code base decodes, assigns, ranks and post-processes.

    Attributes:
        name: The code base.
        clamp_shrinkage: Width and height deltas are clamped to ``-log(1000/16)`` from below, as well as from above.
        level_canonical_size: Side in pixels of the RoI that belongs to ``level_canonical``.
        level_canonical: Level of such an RoI, before the number of the finest level is taken off.
        level_epsilon: Added to the side ratio before its logarithm.
        rpn_rank_by: What the best anchors of a level are chosen by: raw logits, or their sigmoid, which ties earlier.
        cascade_average: What the cascade averages over its stages: logits (then one softmax), or probabilities.
        cascade_deviations: Standard deviations of the box deltas of each cascade stage.
        cascade_loss_weights: Of the class, box and mask losses of each cascade stage.
        cascade_gradient: Share of each cascade stage's gradient that goes into its pooled regions.
        cascade_samples: The stages whose regions are sampled, with the ground truth among them; in the others all that
            the stage before gave take part.
        cascade_drops_empty: Boxes without area do not go on to the next stage, in training.
        mask_head_per_stage: A mask head for each cascade stage, trained on that stage's regions and averaged, in place
            of one on those of the first.
        nms_at_photograph_scale: Models without masks divide their boxes by the scale before the last NMS, not after it.
        clip_to_photograph: Final boxes are clipped to the photograph, and empty ones dropped.
        rpn_low_quality_iou: Least IoU at which the best anchors of an object are positive though under 0.7.
        rpn_low_quality_reassigns: Such an anchor then belongs to that object, even if it overlaps another one more.
        rpn_ignores_padding: Anchors centred outside of an image's own padded size take no part.
        rpn_loss_over: RPN losses are divided by the anchors that were sampled, or by ``rpn_samples`` times images.
        ground_truth_first: Ground truth as proposals comes first, is matched to itself, and does not go on to the next
            stage of a cascade; otherwise it comes last and is treated as any proposal.
        mask_target_min_side: Least side in pixels of a region when polygons are scaled to its mask.
        rle_instances: Instances whose mask is an RLE: kept, or dropped by models with masks.
    """

    name: Literal["mmdet", "detectron2"]
    clamp_shrinkage: bool
    level_canonical_size: float
    level_canonical: int
    level_epsilon: float
    rpn_rank_by: Literal["logits", "scores"]
    cascade_average: Literal["logits", "probabilities"]
    cascade_deviations: tuple[StageDeviations, StageDeviations, StageDeviations]
    cascade_loss_weights: tuple[float, float, float]
    cascade_gradient: float
    cascade_samples: Literal["every stage", "first stage"]
    cascade_drops_empty: bool
    mask_head_per_stage: bool
    nms_at_photograph_scale: bool
    clip_to_photograph: bool
    rpn_low_quality_iou: float
    rpn_low_quality_reassigns: bool
    rpn_ignores_padding: bool
    rpn_loss_over: Literal["sampled", "samples"]
    ground_truth_first: bool
    mask_target_min_side: float
    rle_instances: Literal["kept", "dropped"]


MMDET = Conventions(
    name="mmdet",
    clamp_shrinkage=True,
    level_canonical_size=56.0,
    level_canonical=0,
    level_epsilon=1e-6,
    rpn_rank_by="scores",
    cascade_average="logits",
    cascade_deviations=((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067)),
    cascade_loss_weights=(1.0, 0.5, 0.25),
    cascade_gradient=1.0,
    cascade_samples="every stage",
    cascade_drops_empty=False,
    mask_head_per_stage=True,
    nms_at_photograph_scale=True,
    clip_to_photograph=False,
    rpn_low_quality_iou=0.3,
    rpn_low_quality_reassigns=True,
    rpn_ignores_padding=True,
    rpn_loss_over="sampled",
    ground_truth_first=True,
    mask_target_min_side=1.0,
    rle_instances="dropped",
)
"""mmdetection 2.x and 3.x."""

DETECTRON2 = Conventions(
    name="detectron2",
    clamp_shrinkage=False,
    level_canonical_size=224.0,
    level_canonical=4,
    level_epsilon=1e-8,
    rpn_rank_by="logits",
    cascade_average="probabilities",
    cascade_deviations=(
        (1 / 10, 1 / 10, 1 / 5, 1 / 5),
        (1 / 20, 1 / 20, 1 / 10, 1 / 10),
        (1 / 30, 1 / 30, 1 / 15, 1 / 15),
    ),
    cascade_loss_weights=(1.0, 1.0, 1.0),
    cascade_gradient=1 / 3,
    cascade_samples="first stage",
    cascade_drops_empty=True,
    mask_head_per_stage=False,
    nms_at_photograph_scale=False,
    clip_to_photograph=True,
    rpn_low_quality_iou=0.0,
    rpn_low_quality_reassigns=False,
    rpn_ignores_padding=False,
    rpn_loss_over="samples",
    ground_truth_first=False,
    mask_target_min_side=0.1,
    rle_instances="kept",
)
"""detectron2 and the official wrapper around it."""

NAMED: dict[str, Conventions] = {"mmdet": MMDET, "detectron2": DETECTRON2}
