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
        mask_head_per_stage: A mask head for each cascade stage, averaged, in place of one.
        nms_at_photograph_scale: Models without masks divide their boxes by the scale before the last NMS, not after it.
        clip_to_photograph: Final boxes are clipped to the photograph, and empty ones dropped.
    """

    name: Literal["mmdet", "detectron2"]
    clamp_shrinkage: bool
    level_canonical_size: float
    level_canonical: int
    level_epsilon: float
    rpn_rank_by: Literal["logits", "scores"]
    cascade_average: Literal["logits", "probabilities"]
    cascade_deviations: tuple[StageDeviations, StageDeviations, StageDeviations]
    mask_head_per_stage: bool
    nms_at_photograph_scale: bool
    clip_to_photograph: bool


MMDET = Conventions(
    name="mmdet",
    clamp_shrinkage=True,
    level_canonical_size=56.0,
    level_canonical=0,
    level_epsilon=1e-6,
    rpn_rank_by="scores",
    cascade_average="logits",
    cascade_deviations=((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067)),
    mask_head_per_stage=True,
    nms_at_photograph_scale=True,
    clip_to_photograph=False,
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
    mask_head_per_stage=False,
    nms_at_photograph_scale=False,
    clip_to_photograph=True,
)
"""detectron2 and the official wrapper around it."""

NAMED: dict[str, Conventions] = {"mmdet": MMDET, "detectron2": DETECTRON2}
