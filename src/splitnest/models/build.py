"""Construction of networks: unpacks a recipe into constructor calls with plain values."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from splitnest.models.backbones.resnet import STAGES, ResNet, resnet
from splitnest.models.base import Model
from splitnest.recipe import (
    BackboneConfig,
    ClassificationRecipe,
    DetectionRecipe,
    DetectorConfig,
    PoseRecipe,
    Recipe,
    SemanticRecipe,
)
from splitnest.structures import categories
from splitnest.structures.categories import Categories
from splitnest.structures.class_tables import class_table
from splitnest.structures.skeleton import skeleton_of

if TYPE_CHECKING:
    from splitnest.models.detection.box_coder import BoxCoder
    from splitnest.models.detection.rcnn import RPNTraining
    from splitnest.models.detection.roi_heads import RoIHeads
    from splitnest.models.detection.roi_losses import GroundTruthOrder, RegionSampler

CASCADE_IOUS = (0.5, 0.6, 0.7)
"""Positive IoU of each cascade stage (mmdetection and detectron2); a plain detector uses the first."""


def build_model(recipe: Recipe) -> Model:
    """Return the network of a recipe with random weights, in training mode and channels-last memory format.

    Channels-last weights make convolutions return channels-last feature maps, a fifth faster on CPUs.

    Raises:
        UsageError: The recipe of a pose estimator does not define its keypoints.
    """
    model: Model
    match recipe:
        case ClassificationRecipe():
            model = _build_classifier(recipe)
        case DetectionRecipe():
            model = _build_detector(recipe)
        case SemanticRecipe():
            model = _build_segmentor(recipe)
        case PoseRecipe():
            model = _build_pose_estimator(recipe)
    return model.to(memory_format=torch.channels_last)


def build_categories(recipe: Recipe) -> Categories:
    """Return the classes of a recipe: things and then stuff of a panoptic model, with keypoints of a pose estimator.

    Raises:
        UsageError: The recipe of a pose estimator does not define its keypoints.
    """
    if isinstance(recipe, PoseRecipe):
        return skeleton_of(recipe).with_class(_build_classes(recipe))
    stuff = recipe.data.stuff_classes
    if stuff is None:
        return _build_classes(recipe)
    return categories.with_stuff(_build_classes(recipe), class_table(stuff) if isinstance(stuff, str) else stuff)


def _build_classes(recipe: Recipe) -> Categories:
    classes, palette = recipe.data.classes, getattr(recipe.data, "palette", None)
    found = class_table(classes) if isinstance(classes, str) else categories.from_names(classes)
    return found if palette is None else categories.with_colors(found, palette)


def build_backbone(config: BackboneConfig, out: Collection[str] = STAGES, *, drop_block: float = 0.0) -> ResNet:
    """Return the backbone of a recipe.

    Args:
        config: Section ``model.backbone`` of the recipe.
        out: Names of the returned feature maps.
        drop_block: Drop probability of DropBlock in c4 and c5 at the end of training (ResNeSt paper, section 4.2).
    """
    return resnet(**dict(config), drop_block=drop_block, out=out)


def _build_classifier(recipe: ClassificationRecipe) -> Model:
    from splitnest.models.classification.classifier import Classifier

    train = recipe.train
    backbone = build_backbone(recipe.model.backbone, ("c5",), drop_block=0.0 if train is None else train.drop_block)
    if train is not None and train.zero_init_last:
        backbone.zero_init_last()
    return Classifier(
        backbone,
        backbone.channels["c5"],
        build_categories(recipe),
        dropout=0.0 if train is None else train.dropout,
        label_smoothing=0.0 if train is None else train.label_smoothing,
    )


def _build_segmentor(recipe: SemanticRecipe) -> Model:
    from splitnest.models.segmentation import decode_heads as heads
    from splitnest.models.segmentation.ocr_head import OCRHead
    from splitnest.models.segmentation.pixel_loss import PixelMiner
    from splitnest.models.segmentation.segmentor import Segmentor

    config, classes = recipe.model, build_categories(recipe)
    used = {"c2": config.head == "separable_aspp", "c4": config.auxiliary_channels is not None, "c5": True}
    backbone = build_backbone(config.backbone, tuple(name for name, is_used in used.items() if is_used))
    channels = backbone.channels
    options: dict[str, Any] = {"norm": config.norm, "dropout": config.dropout}
    size = len(classes), config.head_channels
    dilations, align_corners = config.aspp_dilations, config.align_corners
    decode_head: nn.Module
    match config.head:
        case "fcn":
            decode_head = heads.FCNHead("c5", channels["c5"], *size, dilation=config.fcn_dilation, **options)
        case "psp":
            decode_head = heads.PSPHead(channels["c5"], *size, align_corners=align_corners, **options)
        case "aspp":
            decode_head = heads.ASPPHead(
                channels["c5"], *size, dilations=dilations, align_corners=align_corners, **options
            )
        case "separable_aspp":
            decode_head = heads.SeparableASPPHead(
                channels["c5"],
                channels["c2"],
                *size,
                dilations=dilations,
                reduced_c2_channels=config.c2_channels,
                align_corners=align_corners,
                **options,
            )
        case "ocr":
            decode_head = OCRHead(channels["c5"], *size, config.ocr_channels, **options)
    auxiliary_head = None
    if config.auxiliary_channels is not None:
        auxiliary_head = heads.FCNHead(
            "c4",
            channels["c4"],
            len(classes),
            config.auxiliary_channels,
            num_convs=1,
            dilation=config.fcn_dilation,
            concat_input=False,
            **options,
        )
    if recipe.train is not None:
        ohem = recipe.train.ohem
        options = {
            "auxiliary_weight": recipe.train.auxiliary_loss_weight,
            "ohem": None if ohem is None else PixelMiner(ohem.threshold, ohem.min_kept),
        }
    else:
        options = {}
    options |= {"window": recipe.input.window, "stride": recipe.input.stride, "align_corners": align_corners}
    return Segmentor(backbone, decode_head, auxiliary_head, classes, **options)


def _build_pose_estimator(recipe: PoseRecipe) -> Model:
    from splitnest.models.pose.estimator import PoseEstimator
    from splitnest.models.pose.heatmap_head import HeatmapHead

    config, skeleton = recipe.model, skeleton_of(recipe)
    backbone = build_backbone(config.backbone, out=("c5",))
    head = HeatmapHead(backbone.channels["c5"], len(skeleton.names), config.deconv_channels, config.norm)
    return PoseEstimator(
        backbone,
        head,
        build_categories(recipe),
        skeleton.flip_indices,
        stride=backbone.strides["c5"] // head.upsampling,
        sigma=config.sigma,
        flip_test=recipe.input.flip_test,
        shift_heatmap=recipe.input.shift_heatmap,
    )


def _build_detector(recipe: DetectionRecipe) -> Model:
    from splitnest.models.detection.anchor_generator import AnchorGenerator
    from splitnest.models.detection.box_coder import BoxCoder
    from splitnest.models.detection.fpn import FPN
    from splitnest.models.detection.nms import Suppression
    from splitnest.models.detection.panoptic_fpn import Merger, PanopticFPN
    from splitnest.models.detection.postprocess import PostProcessor
    from splitnest.models.detection.rcnn import RCNN
    from splitnest.models.detection.rpn import RPN, ProposalRules
    from splitnest.models.detection.semantic_head import SemanticHead

    config, things = recipe.model, _build_classes(recipe)
    rules, channels = config.conventions, config.fpn_channels
    backbone = build_backbone(config.backbone)
    coder = BoxCoder(clamp_shrinkage=rules.clamp_shrinkage)
    detector = RCNN(
        backbone,
        FPN(backbone.channels, channels, config.fpn_norm, standardize=config.weight_standardization),
        RPN(
            channels,
            AnchorGenerator(config.anchor_sizes, config.anchor_ratios),
            coder,
            rank_by=rules.rpn_rank_by,
            num_convs=config.rpn_convs,
            rules=ProposalRules(config.rpn_pre_nms_topk_test, config.rpn_post_nms_topk_test, config.rpn_nms_threshold),
        ),
        _build_roi_heads(config, len(things)),
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
    return PanopticFPN(detector, semantic_head, merger, build_categories(recipe), panoptic.loss_weight)


def _build_roi_heads(config: DetectorConfig, num_classes: int) -> "RoIHeads":
    from splitnest.models.detection.box_coder import BoxCoder
    from splitnest.models.detection.box_head import BoxHead
    from splitnest.models.detection.cascade import CascadeHeads, CascadeRules
    from splitnest.models.detection.mask_head import MaskHead
    from splitnest.models.detection.roi_align import RoIPooler
    from splitnest.models.detection.roi_heads import RoIHeads

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
    parts: dict[str, Any] = {
        "pooler": RoIPooler(rules.canonical_box_size, rules.canonical_level, rules.level_epsilon),
        "box_heads": box_heads,
        "box_coders": [
            BoxCoder(stds, clamp_shrinkage=rules.clamp_shrinkage) for stds in rules.cascade_box_stds[:num_stages]
        ],
        "samplers": _build_samplers(config)[:num_stages],
        "mask_heads": mask_heads,
        "box_beta": config.box_beta,
        "mask_min_side": rules.mask_target_min_side,
    }
    if not config.cascade:
        return RoIHeads(**parts)
    cascade_rules = CascadeRules(
        average=rules.cascade_average,
        loss_weights=rules.cascade_loss_weights,
        gradient_scale=rules.cascade_gradient_scale,
        drop_empty=rules.cascade_drop_empty,
    )
    return CascadeHeads(**parts, rules=cascade_rules)


def _build_samplers(config: DetectorConfig) -> "list[RegionSampler]":
    """Return the region sampler of each cascade stage; a plain detector uses the first."""
    from splitnest.models.detection.matcher import Matcher
    from splitnest.models.detection.roi_losses import RegionSampler

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


def _build_rpn_training(config: DetectorConfig, coder: "BoxCoder", divisor: int) -> "RPNTraining":
    from splitnest.models.detection.matcher import Matcher
    from splitnest.models.detection.rcnn import RPNTraining
    from splitnest.models.detection.rpn import ProposalRules
    from splitnest.models.detection.rpn_loss import RPNLoss

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
    selection = ProposalRules(config.rpn_pre_nms_topk, config.rpn_post_nms_topk, config.rpn_nms_threshold, stable=False)
    return RPNTraining(loss, selection)
