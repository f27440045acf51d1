"""Construction of detectors: unpacks a recipe into constructor calls with plain values."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from splitnest.errors import UsageError
from splitnest.models.backbones.resnet import STAGES
from splitnest.models.detection.anchor_generator import AnchorGenerator
from splitnest.models.detection.box_coder import BoxCoder
from splitnest.models.detection.box_head import BoxHead
from splitnest.models.detection.box_losses import BoxLoss
from splitnest.models.detection.cascade import CascadeHeads, CascadeRules
from splitnest.models.detection.dynamic_rcnn import DynamicHeads, DynamicRules
from splitnest.models.detection.fpn import FPN
from splitnest.models.detection.hrfpn import HRFPN
from splitnest.models.detection.mask_head import MaskHead
from splitnest.models.detection.matcher import Matcher
from splitnest.models.detection.nms import Suppression
from splitnest.models.detection.panoptic_fpn import Merger, PanopticFPN
from splitnest.models.detection.pisa import PISAHeads, PISARules
from splitnest.models.detection.postprocess import PostProcessor
from splitnest.models.detection.rcnn import RCNN, RPNTraining
from splitnest.models.detection.roi_align import ROI_STRIDES, RoIPooler
from splitnest.models.detection.roi_heads import RoIHeads
from splitnest.models.detection.roi_losses import GroundTruthOrder, RegionSampler
from splitnest.models.detection.rpn import RPN, ProposalRules
from splitnest.models.detection.rpn_loss import RPNLoss
from splitnest.models.detection.semantic_head import SemanticHead
from splitnest.models.parts import Parts, check_strides
from splitnest.recipe import BackboneConfig, DetectionRecipe, DetectorConfig
from splitnest.structures.categories import Categories

CASCADE_IOUS = (0.5, 0.6, 0.7)
"""Positive IoU of each cascade stage (mmdetection and detectron2); a plain detector uses the first."""


def build_detector(
    recipe: DetectionRecipe, backbone: Any, parts: Parts, things: Categories, categories: Categories
) -> RCNN | PanopticFPN:
    """Return the detector of a recipe.

    Args:
        recipe: Recipe.
        backbone: Backbone.
        parts: Parts that are given.
        things: Thing classes.
        categories: Things and, for a panoptic model, stuff classes.

    Raises:
        UsageError: The strides of the backbone are not those of a detector, or there is a wrong number of heads.
    """

    config = recipe.model
    rules, channels = config.conventions, config.fpn_channels
    check_strides(backbone, dict(zip(STAGES, ROI_STRIDES, strict=True)))
    in_channels = {name: backbone.channels[name] for name in STAGES}
    neck = parts.neck
    if neck is None and config.neck == "hrfpn":
        neck = HRFPN(in_channels, channels)
    elif neck is None:
        neck = FPN(in_channels, channels, config.fpn_norm, standardize=config.weight_standardization)
    coder = BoxCoder(clamp_shrinkage=rules.clamp_shrinkage)
    detector = RCNN(
        backbone,
        neck,
        RPN(
            channels,
            AnchorGenerator(config.anchor_sizes, config.anchor_ratios),
            coder,
            rank_by=rules.rpn_rank_by,
            num_convs=config.rpn_convs,
            rules=ProposalRules(config.rpn_pre_nms_topk_test, config.rpn_post_nms_topk_test, config.rpn_nms_threshold),
        ),
        _build_roi_heads(config, len(things), parts),
        PostProcessor(
            nms_at_original_scale=rules.nms_at_original_scale and not config.mask_convs,
            clip_to_original=rules.clip_to_original,
            score_threshold=config.score_threshold,
            suppression=Suppression(config.nms, config.nms_threshold, config.soft_nms_sigma, config.soft_nms_min_score),
            max_detections=config.max_detections,
        ),
        _build_rpn_training(config, coder, recipe.input.divisor),
        things,
    )
    panoptic = config.panoptic
    if panoptic is None:
        return detector
    semantic_head = SemanticHead(channels, recipe.num_pixel_classes, channels=panoptic.channels, norm=panoptic.norm)
    merger = Merger(panoptic.min_score, panoptic.max_overlap, panoptic.min_stuff_area)
    return PanopticFPN(detector, semantic_head, merger, categories, panoptic.loss_weight)


def _build_roi_heads(config: DetectorConfig, num_classes: int, parts: Parts) -> RoIHeads:
    rules, channels = config.conventions, config.fpn_channels
    num_stages = len(CASCADE_IOUS) if config.cascade else 1
    num_convs, num_fcs = (4, 1) if config.box_head == "4conv1fc" else (0, 2)
    box_heads = [
        BoxHead(
            channels,
            num_classes,
            num_convs=num_convs,
            conv_channels=config.box_conv_channels,
            num_fcs=num_fcs,
            fc_channels=config.box_fc_channels,
            norm=config.box_norm,
            class_agnostic=config.cascade if config.class_agnostic_boxes is None else config.class_agnostic_boxes,
            standardize=config.weight_standardization,
        )
        for _ in range(num_stages)
    ]
    num_mask_heads = (num_stages if rules.mask_head_per_stage else 1) if config.mask_convs else 0
    mask_heads = [
        MaskHead(
            channels,
            num_classes,
            num_convs=config.mask_convs,
            channels=config.mask_channels,
            norm=config.mask_norm,
            standardize=config.weight_standardization,
        )
        for _ in range(num_mask_heads)
    ]
    options: dict[str, Any] = {
        "pooler": RoIPooler(rules.canonical_box_size, rules.canonical_level, rules.level_epsilon),
        "box_heads": _heads_of("box_heads", parts.box_heads, box_heads),
        "box_coders": [
            BoxCoder(stds, clamp_shrinkage=rules.clamp_shrinkage) for stds in rules.cascade_box_stds[:num_stages]
        ],
        "samplers": _build_samplers(config)[:num_stages],
        "mask_heads": _heads_of("mask_heads", parts.mask_heads, mask_heads),
        "class_loss": parts.class_loss,
        "box_loss": BoxLoss(config.box_loss, config.box_beta, config.box_loss_weight),
        "mask_min_side": rules.mask_target_min_side,
    }
    if config.pisa is not None:
        return PISAHeads(**options, rules=PISARules(**config.pisa.model_dump()))
    if config.dynamic is not None:
        return DynamicHeads(**options, rules=DynamicRules(**config.dynamic.model_dump()))
    if not config.cascade:
        return RoIHeads(**options)
    cascade_rules = CascadeRules(
        average=rules.cascade_average,
        loss_weights=rules.cascade_loss_weights,
        gradient_scale=rules.cascade_gradient_scale,
        drop_empty=rules.cascade_drop_empty,
    )
    return CascadeHeads(**options, rules=cascade_rules)


def _heads_of(name: str, given: Sequence[nn.Module] | None, of_recipe: Sequence[nn.Module]) -> Sequence[nn.Module]:
    """Return the heads that are given, one for each of the recipe, or else those of the recipe."""
    if given is None:
        return of_recipe
    if len(given) != len(of_recipe):
        raise UsageError(f"{name} has {len(given)} modules, but the recipe has {len(of_recipe)}. Give as many.")
    return given


def _build_samplers(config: DetectorConfig) -> list[RegionSampler]:
    """Return the region sampler of each cascade stage; a plain detector uses the first."""
    rules = config.conventions
    samplers = []
    for stage, iou in enumerate(CASCADE_IOUS):
        low_quality_iou = iou if config.roi_match_low_quality else None
        matcher = Matcher(iou, iou, low_quality_iou, low_quality_reassign=rules.rpn_low_quality_reassign)
        if stage == 0 or rules.cascade_sampling == "every stage":
            gt_order: GroundTruthOrder = "first" if rules.gt_first else "last"
            samplers.append(RegionSampler(matcher, num_samples=config.roi_samples, gt_order=gt_order))
        else:
            samplers.append(RegionSampler(matcher, num_samples=None, gt_order="none"))
    return samplers


def _build_rpn_training(config: DetectorConfig, coder: BoxCoder, divisor: int) -> RPNTraining:
    rules = config.conventions
    # 0.7 and 0.3 in both code bases
    matcher = Matcher(0.7, 0.3, rules.rpn_low_quality_iou, low_quality_reassign=rules.rpn_low_quality_reassign)
    loss = RPNLoss(
        coder,
        matcher,
        num_samples=config.rpn_samples,
        padding_divisor=divisor if rules.rpn_ignore_padding else None,
        ignore_crossing=config.rpn_ignore_crossing,
        normalizer=rules.rpn_loss_normalizer,
        beta=config.rpn_box_beta,
    )
    # Recorded losses of ResNeSt have the order of an unstable sort among equal scores, all others that of the inputs.
    is_resnest = isinstance(config.backbone, BackboneConfig) and config.backbone.radix > 0
    selection = ProposalRules(
        config.rpn_pre_nms_topk, config.rpn_post_nms_topk, config.rpn_nms_threshold, stable=not is_resnest
    )
    return RPNTraining(loss, selection)
