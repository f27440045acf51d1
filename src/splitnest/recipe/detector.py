"""Section ``model`` of detectors: Faster, Mask and Cascade R-CNN with FPN, and Panoptic FPN."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, NonNegativeFloat, PositiveFloat, model_validator

from splitnest.recipe.backbone import AnyBackboneConfig, HRNetConfig, NormName
from splitnest.recipe.base import Section
from splitnest.recipe.conventions import Conventions, named_conventions
from splitnest.recipe.limits import Channels, Length, Pixels, Regions

ANCHOR_SIZES = (32.0, 64.0, 128.0, 256.0, 512.0)
"""Sides in pixels of the square anchors of p2 to p6 (FPN, Lin et al. 2017)."""

Bias = Annotated[float, Field(ge=0, le=1)]
"""Weight of the least important sample."""


class PanopticConfig(Section):
    """Semantic branch of Panoptic FPN (Kirillov et al. 2019), and merging of stuff and instances.

    Attributes:
        channels: Channels of the convolutions of the semantic branch.
        norm: Normalization of these convolutions; None for a bias instead.
        loss_weight: Weight of the semantic cross entropy.
        min_score: Minimum score of an instance in the panoptic segmentation.
        max_overlap: Maximum fraction of an instance that better instances may cover.
        min_stuff_area: Minimum area of a stuff segment in pixels of the original image.
    """

    not_architecture: ClassVar[frozenset[str]] = frozenset(
        {"loss_weight", "min_score", "max_overlap", "min_stuff_area"}
    )
    channels: Channels = 128
    norm: NormName | None = None
    loss_weight: float = Field(0.5, gt=0)
    min_score: float = Field(0.5, ge=0, le=1)
    max_overlap: float = Field(0.5, ge=0, le=1)
    min_stuff_area: Pixels = 4096


class PISAConfig(Section):
    """Prime sample attention (PISA, Cao et al. 2020): weights ``(bias + (1 - bias) * importance) ** power`` of samples.

    Attributes:
        positive_power, positive_bias: Class loss of positive regions (ISR-P), by the IoU of their predicted boxes.
        negative_power, negative_bias: Class loss of negative regions (ISR-N), by their highest class score.
        carl_power, carl_bias: Further box loss of positive regions (CARL), by the score of their true class.
    """

    positive_power: NonNegativeFloat = 2.0
    positive_bias: Bias = 0.0
    negative_power: NonNegativeFloat = 0.5
    negative_bias: Bias = 0.0
    carl_power: NonNegativeFloat = 1.0
    carl_bias: Bias = 0.2


class DynamicConfig(Section):
    """Dynamic R-CNN (Zhang et al. 2020): IoU threshold and smooth L1 beta of the second stage follow its proposals.

    Attributes:
        interval: Number of forward passes in training between two adaptations.
        iou_topk: Rank of the IoU that is recorded of each image, among its proposals and ground-truth boxes.
        beta_topk: Rank per image of the center delta that is recorded of each batch, from the smallest.
        min_iou: Lower bound of the IoU threshold.
        max_beta: Upper bound of beta.
    """

    interval: Length = 100
    iou_topk: Regions = 75
    beta_topk: Regions = 10
    min_iou: float = Field(0.4, gt=0, le=1)
    max_beta: PositiveFloat = 1.0


class DetectorConfig(Section):
    """Faster, Mask, Cascade and Cascade Mask R-CNN with FPN, and Panoptic FPN.

    Attributes:
        backbone: Backbone.
        neck: Feature pyramid: ``fpn``, or ``hrfpn`` of HRNets.
        conventions: Conventions of a code base: ``mmdet``, ``detectron2``, or the fields themselves.
        fpn_norm, box_norm, mask_norm: Normalization of the convolutions of FPN, box head and mask head; None for a bias
            instead.
        fpn_channels: Channels of p2 to p6.
        box_head: ``2fc`` for two linear layers, ``4conv1fc`` for four convolutions and one linear layer.
        box_conv_channels: Channels of the convolutions of the box head.
        box_fc_channels: Output features of the linear layers of the box head.
        cascade: Whether there are three box heads in a cascade, with class-agnostic boxes.
        mask_convs: Number of convolutions of the mask head; 0 for a model without masks.
        mask_channels: Channels of the convolutions of the mask head.
        panoptic: Semantic branch of Panoptic FPN; None for any other model.
        class_agnostic_boxes: Whether a region has one box for all classes; None for a cascade alone.
        weight_standardization: Whether the weights of the convolutions of FPN, box head and mask head are standardized.
        rpn_convs: Number of 3x3 convolutions of the RPN.
        anchor_sizes: Side in pixels of the square anchor of each level, p2 to p6.
        anchor_ratios: Heights of the anchors of a cell divided by their widths.
        rpn_pre_nms_topk_test: Number of anchors of each level and image that are decoded in prediction.
        rpn_post_nms_topk_test: Number of proposals of an image in prediction.
        rpn_nms_threshold: IoU above which the worse of two proposals of a level is suppressed.
        score_threshold: Score that a detection must exceed.
        nms: ``hard`` drops the worse of two overlapping detections of a class; ``linear`` and ``gaussian`` soft-NMS
            lower its score (Bodla et al. 2017).
        nms_threshold: IoU above which the worse of two detections is dropped, or its score lowered by ``linear``.
        soft_nms_sigma: Decay of ``gaussian``: scores are multiplied by ``exp(-IoU^2 / sigma)``.
        soft_nms_min_score: Score under which soft-NMS drops a detection.
        max_detections: Maximum number of detections of an image.
        rpn_pre_nms_topk: Number of anchors of each level and image that are decoded in training.
        rpn_post_nms_topk: Number of proposals of an image in training.
        rpn_samples: Number of anchors of an image that the RPN losses sample.
        roi_samples: Number of regions of an image that the losses of the box and mask heads sample.
        roi_match_low_quality: Whether the best region of a ground-truth box is positive even under the IoU threshold
            (mmdetection's rows with masks).
        rpn_ignore_crossing: Whether the RPN losses ignore anchors that cross the image border (mmdetection's cascade
            rows).
        rpn_box_beta, box_beta: Beta of the smooth L1 loss of RPN and box head; 0 for the L1 loss.
        box_loss: Loss of the box head: ``smooth_l1`` of the box deltas, or a loss of the IoU of the boxes.
        box_loss_weight: Weight of this loss.
        pisa: Prime sample attention in training; None weighs all samples the same.
        dynamic: Adaptation of IoU threshold and beta in training (Dynamic R-CNN); None keeps them.
    """

    not_architecture: ClassVar[frozenset[str]] = frozenset(
        {
            *("conventions", "rpn_pre_nms_topk", "rpn_post_nms_topk", "rpn_samples", "roi_samples"),
            *("roi_match_low_quality", "rpn_ignore_crossing", "rpn_box_beta", "box_beta"),
            *("box_loss", "box_loss_weight", "pisa", "dynamic"),
            *("anchor_sizes", "rpn_pre_nms_topk_test", "rpn_post_nms_topk_test", "rpn_nms_threshold"),
            *("score_threshold", "nms", "nms_threshold", "soft_nms_sigma", "soft_nms_min_score", "max_detections"),
        }
    )
    backbone: AnyBackboneConfig
    neck: Literal["fpn", "hrfpn"] = "fpn"
    conventions: Annotated[Conventions, BeforeValidator(named_conventions)]
    fpn_norm: NormName | None
    box_norm: NormName | None
    mask_norm: NormName | None = None
    fpn_channels: Channels = 256
    box_head: Literal["2fc", "4conv1fc"] = "4conv1fc"
    box_conv_channels: Channels = 256
    box_fc_channels: Channels = 1024
    cascade: bool = False
    class_agnostic_boxes: bool | None = None
    mask_convs: int = Field(0, ge=0, le=16)
    mask_channels: Channels = 256
    weight_standardization: bool = False
    panoptic: PanopticConfig | None = None
    rpn_convs: int = Field(1, ge=1, le=8)
    anchor_sizes: tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat] = ANCHOR_SIZES
    anchor_ratios: tuple[PositiveFloat, ...] = Field((0.5, 1.0, 2.0), min_length=1)
    rpn_pre_nms_topk_test: Regions = 1000
    rpn_post_nms_topk_test: Regions = 1000
    rpn_nms_threshold: float = Field(0.7, gt=0, le=1)
    score_threshold: float = Field(0.05, ge=0, lt=1)
    nms: Literal["hard", "linear", "gaussian"] = "hard"
    nms_threshold: float = Field(0.5, gt=0, le=1)
    soft_nms_sigma: PositiveFloat = 0.5
    soft_nms_min_score: float = Field(1e-3, gt=0, lt=1)
    max_detections: Regions = 100
    rpn_pre_nms_topk: Regions = 2000
    rpn_post_nms_topk: Regions = 1000
    rpn_samples: Regions = 256
    roi_samples: Regions = 512
    roi_match_low_quality: bool = False
    rpn_ignore_crossing: bool = False
    rpn_box_beta: float = Field(0.0, ge=0)
    box_beta: float = Field(0.0, ge=0)
    box_loss: Literal["smooth_l1", "iou", "giou", "diou", "ciou", "bounded_iou"] = "smooth_l1"
    box_loss_weight: PositiveFloat = 1.0
    pisa: PISAConfig | None = None
    dynamic: DynamicConfig | None = None

    @model_validator(mode="after")
    def _check_neck(self) -> Self:
        if self.neck == "hrfpn" and (self.fpn_norm is not None or self.weight_standardization):
            raise ValueError(
                "neck hrfpn has plain convolutions: set fpn_norm to null and weight_standardization to false"
            )
        if isinstance(self.backbone, HRNetConfig) and not self.backbone.all_branches:
            raise ValueError("a detector needs all branches of an HRNet: set backbone.all_branches to true")
        return self

    @model_validator(mode="after")
    def _check_second_stage(self) -> Self:
        if self.cascade + (self.pisa is not None) + (self.dynamic is not None) > 1:
            raise ValueError("cascade, pisa and dynamic are trainings of the second stage: set one of them")
        if self.dynamic is not None and self.box_loss != "smooth_l1":
            raise ValueError(f"dynamic adapts the beta of the smooth L1 loss, and box_loss is {self.box_loss}")
        return self
