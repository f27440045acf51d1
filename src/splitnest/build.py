"""From a recipe to modules: the only place where a recipe is read."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from splitnest.backbones.resnet import EXPANSION, STAGES, Bottleneck, ResNet, make_stem
from splitnest.data import categories
from splitnest.data.categories import Categories
from splitnest.data.skeleton import skeleton_of
from splitnest.model import Model
from splitnest.recipe import (
    BackboneFacts,
    ClassificationRecipe,
    DetectionRecipe,
    DetectorFacts,
    PoseRecipe,
    Recipe,
    SemanticRecipe,
)

if TYPE_CHECKING:
    from splitnest.detection.boxes import DeltaCoder
    from splitnest.detection.rcnn import Criterion
    from splitnest.detection.roi_heads import RoIHeads
    from splitnest.detection.roi_loss import GroundTruth, RegionSampler

CASCADE_IOUS = (0.5, 0.6, 0.7)
"""IoU from which a region is positive in each stage of a cascade (both code bases); of a plain detector the first."""


def build_model(recipe: Recipe) -> Model:
    """Return the network of ``recipe``, freshly initialised, in training mode, with its weights channels-last.

    Convolutions whose weights are channels-last give maps that are: on processors a fifth faster than channels-first.

    Raises:
        UsageError: The recipe of a pose estimator does not say what its keypoints are.
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
    """Return what the labels of ``recipe`` mean: of a panoptic model things, then stuff; with keypoints of a pose.

    Raises:
        UsageError: As ``skeleton_of``.
    """
    if isinstance(recipe, PoseRecipe):
        return skeleton_of(recipe).of_class(_build_classes(recipe))
    stuff = recipe.data.stuff
    if stuff is None:
        return _build_classes(recipe)
    return categories.with_stuff(_build_classes(recipe), categories.named(stuff) if isinstance(stuff, str) else stuff)


def _build_classes(recipe: Recipe) -> Categories:
    classes, palette = recipe.data.classes, recipe.data.palette
    found = categories.named(classes) if isinstance(classes, str) else categories.from_names(classes)
    return found if palette is None else categories.with_colors(found, palette)


def _build_classifier(recipe: ClassificationRecipe) -> Model:
    from splitnest.classification.classifier import Classifier

    train = recipe.train
    backbone = build_backbone(recipe.model.backbone, ("c5",), drop_block=0.0 if train is None else train.drop_block)
    classifier = Classifier(backbone, backbone.channels["c5"], build_categories(recipe))
    if train is not None:
        classifier.dropout.p, classifier.label_smoothing = train.dropout, train.label_smoothing
        if train.zero_init:
            backbone.begin_as_shortcuts()
    return classifier


def build_backbone(facts: BackboneFacts, out: Sequence[str] = STAGES, *, drop_block: float = 0.0) -> ResNet:
    """Return a backbone that gives the maps ``out``.

    Args:
        facts: Of the recipe.
        out: Which of c2 to c5.
        drop_block: Share of the maps of c4 and c5 that is dropped at the end of a training (section 4.2 of the paper).
    """
    stem, channels = make_stem(facts.stem, facts.stem_width, facts.norm, stride=min(facts.stem_stride, 2))
    dilated = facts.output_stride == 8
    strides, dilations = ((1, 2, 1, 1), (1, 1, 2, 4)) if dilated else ((1, 2, 2, 2), (1, 1, 1, 1))
    stages = []
    for index, (num_blocks, stride, dilation) in enumerate(zip(facts.blocks, strides, dilations, strict=True)):
        planes = facts.planes * 2**index
        pooled = facts.avd and (stride > 1 or (dilation > 1 and facts.avd_in_dilated))
        stage = nn.Sequential()
        for block in range(num_blocks):
            first = block == 0
            stage.append(
                Bottleneck(
                    channels,
                    planes,
                    int(planes * facts.base_width / 64) * facts.cardinality,
                    stride=stride if first else 1,
                    dilation=max(dilation // 2, 1) if first else dilation,  # half of it, as all sources do
                    radix=facts.radix,
                    cardinality=facts.cardinality,
                    projects=first,
                    avg_down=facts.avg_down,
                    avd=("before" if facts.avd_first else "after") if first and pooled else None,
                    stride_in_1x1=facts.stride_in_1x1,
                    deformable=index + 2 in facts.dcn_stages,
                    norm=facts.norm,
                    drop_block=drop_block if index >= 2 else 0.0,
                )
            )
            channels = planes * EXPANSION
        stages.append(stage)
    widths = [facts.planes * 2**index * EXPANSION for index in range(len(STAGES))]
    totals = [facts.stem_stride * total for total in ((1, 2, 2, 2) if dilated else (1, 2, 4, 8))]
    pools = facts.stem_stride == 4
    return ResNet(stem, stages, widths, totals, frozen_stages=facts.frozen_stages, out=out, pools=pools)


def _build_segmentor(recipe: SemanticRecipe) -> Model:
    from splitnest.segmentation import decode_heads as heads
    from splitnest.segmentation.pixel_loss import HardPixelRule
    from splitnest.segmentation.segmentor import Segmentor

    facts, names = recipe.model, build_categories(recipe)
    out = ("c2", "c4", "c5") if facts.head == "separable_aspp" else ("c4", "c5")
    backbone = build_backbone(facts.backbone, out)
    c4, c5 = backbone.channels["c4"], backbone.channels["c5"]
    options: dict[str, Any] = {"norm": facts.norm, "dropout": facts.dropout}
    size = len(names), facts.head_channels
    decode_head: nn.Module
    match facts.head:
        case "fcn":
            decode_head = heads.FCNHead("c5", c5, *size, **options)
        case "psp":
            decode_head = heads.PSPHead(c5, *size, **options)
        case "aspp":
            decode_head = heads.ASPPHead(c5, *size, **options)
        case "separable_aspp":
            decode_head = heads.SeparableASPPHead(c5, backbone.channels["c2"], *size, **options)
    auxiliary_head = heads.FCNHead(
        "c4", c4, len(names), facts.auxiliary_channels, num_convs=1, concat_input=False, **options
    )
    segmentor = Segmentor(
        backbone, decode_head, auxiliary_head, names, window=recipe.input.window, stride=recipe.input.stride
    )
    if recipe.train is not None:
        segmentor.auxiliary_weight = recipe.train.auxiliary_weight
        if recipe.train.hard_pixels is not None:
            rule = recipe.train.hard_pixels
            segmentor.hard_pixels = HardPixelRule(rule.max_score, rule.min_pixels)
    return segmentor


def _build_pose_estimator(recipe: PoseRecipe) -> Model:
    from splitnest.pose.estimator import PoseEstimator
    from splitnest.pose.head import HeatmapHead

    facts, keypoints = recipe.model, skeleton_of(recipe)
    backbone = build_backbone(facts.backbone, out=("c5",))
    head = HeatmapHead(backbone.channels["c5"], len(keypoints.names), facts.deconv_channels, facts.norm)
    return PoseEstimator(
        backbone,
        head,
        build_categories(recipe),
        keypoints.swaps,
        stride=backbone.strides["c5"] // head.upsampling,
        sigma=facts.sigma,
        flip_test=recipe.input.flip_test,
        shift_heatmap=recipe.input.shift_heatmap,
    )


def _build_detector(recipe: DetectionRecipe) -> Model:
    from splitnest.detection.anchors import AnchorGenerator
    from splitnest.detection.boxes import DeltaCoder
    from splitnest.detection.fpn import FPN
    from splitnest.detection.panoptic import Merger, PanopticFPN
    from splitnest.detection.postprocess import PostProcessor
    from splitnest.detection.rcnn import RCNN
    from splitnest.detection.rpn import RPN
    from splitnest.detection.semantic_head import SemanticHead

    facts, things = recipe.model, _build_classes(recipe)
    rules, channels = facts.conventions, facts.fpn_channels
    backbone = build_backbone(facts.backbone)
    coder = DeltaCoder(clamp_shrinkage=rules.clamp_shrinkage)
    parts = (
        backbone,
        FPN(backbone.channels, channels, facts.fpn_norm),
        RPN(channels, AnchorGenerator(), coder, rank_by=rules.rpn_rank_by),
        _build_roi_heads(facts, len(things)),
        PostProcessor(
            nms_at_photograph_scale=rules.nms_at_photograph_scale and not facts.mask_convs,
            clip_to_photograph=rules.clip_to_photograph,
        ),
        _build_criterion(facts, coder, recipe.input.divisor),
        things,
    )
    panoptic = facts.panoptic
    if panoptic is None:
        return RCNN(*parts)
    num_classes = recipe.data.num_stuff + 1
    return PanopticFPN(
        *parts,
        semantic_head=SemanticHead(channels, num_classes, channels=panoptic.channels, norm=panoptic.norm),
        merger=Merger(panoptic.min_score, panoptic.max_overlap, panoptic.min_stuff_area),
        semantic_weight=panoptic.loss_weight,
        panoptic_categories=build_categories(recipe),
    )


def _build_roi_heads(facts: DetectorFacts, num_classes: int) -> "RoIHeads":
    from splitnest.detection.box_head import BoxHead
    from splitnest.detection.boxes import DeltaCoder
    from splitnest.detection.cascade import CascadeHeads, CascadeRules
    from splitnest.detection.mask_head import MaskHead
    from splitnest.detection.roi_align import RoIPooler
    from splitnest.detection.roi_heads import RoIHeads

    rules, channels = facts.conventions, facts.fpn_channels
    num_convs, num_fcs = (4, 1) if facts.box_head == "4conv1fc" else (0, 2)
    box_heads = [
        BoxHead(
            channels,
            num_classes,
            num_convs=num_convs,
            channels=facts.box_channels,
            num_fcs=num_fcs,
            features=facts.box_features,
            norm=facts.box_norm,
            class_agnostic=facts.cascade,
        )
        for _ in range(len(CASCADE_IOUS) if facts.cascade else 1)
    ]
    num_masks = len(box_heads) if rules.mask_head_per_stage else 1
    mask_heads = [
        MaskHead(channels, num_classes, num_convs=facts.mask_convs, channels=facts.mask_channels, norm=facts.mask_norm)
        for _ in range(num_masks if facts.mask_convs else 0)
    ]
    make: Callable[..., RoIHeads] = RoIHeads
    if facts.cascade:
        average, weights = rules.cascade_average, rules.cascade_loss_weights
        make = partial(
            CascadeHeads, rules=CascadeRules(average, weights, rules.cascade_gradient, rules.cascade_drops_empty)
        )
    return make(
        RoIPooler(rules.level_canonical_size, rules.level_canonical, rules.level_epsilon),
        box_heads,
        [
            DeltaCoder(deviations, clamp_shrinkage=rules.clamp_shrinkage)
            for deviations in rules.cascade_deviations[: len(box_heads)]
        ],
        _build_samplers(facts)[: len(box_heads)],
        mask_heads,
        box_beta=facts.box_beta,
        mask_min_side=rules.mask_target_min_side,
    )


def _build_samplers(facts: DetectorFacts) -> "list[RegionSampler]":
    """Return what chooses the regions of each stage of a cascade; a plain detector is its first one."""
    from splitnest.detection.matching import Matcher
    from splitnest.detection.roi_loss import RegionSampler

    rules = facts.conventions
    samplers = []
    for stage, iou in enumerate(CASCADE_IOUS):
        matcher = Matcher(iou, iou, iou if facts.roi_low_quality else None, reassigns=rules.rpn_low_quality_reassigns)
        if stage == 0 or rules.cascade_samples == "every stage":
            truth: GroundTruth = "first" if rules.ground_truth_first else "last"
            samplers.append(RegionSampler(matcher, num_samples=facts.roi_samples, ground_truth=truth))
        else:
            samplers.append(RegionSampler(matcher, num_samples=None, ground_truth="none"))
    return samplers


def _build_criterion(facts: DetectorFacts, coder: "DeltaCoder", divisor: int) -> "Criterion":
    from splitnest.detection.matching import Matcher
    from splitnest.detection.rcnn import Criterion
    from splitnest.detection.rpn_loss import RPNLoss

    rules = facts.conventions
    anchors = Matcher(0.7, 0.3, rules.rpn_low_quality_iou, reassigns=rules.rpn_low_quality_reassigns)  # both code bases
    loss = RPNLoss(
        coder,
        anchors,
        num_samples=facts.rpn_samples,
        padding_divisor=divisor if rules.rpn_ignores_padding else None,
        ignores_crossing=facts.rpn_ignores_crossing,
        over=rules.rpn_loss_over,
        beta=facts.rpn_box_beta,
    )
    return Criterion(loss, num_per_level=facts.train_candidates, num_proposals=facts.train_proposals)
