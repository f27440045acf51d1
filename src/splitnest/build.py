"""From a recipe to modules: the only place where a recipe is read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from splitnest.backbones.resnet import EXPANSION, STAGES, Bottleneck, ResNet, make_stem
from splitnest.data import categories
from splitnest.data.categories import Categories
from splitnest.errors import UsageError
from splitnest.model import Model
from splitnest.recipe import (
    BackboneFacts,
    ClassificationRecipe,
    DetectionRecipe,
    DetectorFacts,
    Recipe,
)
from splitnest.recipes.unbuilt import unbuilt

if TYPE_CHECKING:
    from splitnest.detection.boxes import DeltaCoder
    from splitnest.detection.rcnn import Criterion


def build_model(recipe: Recipe) -> Model:
    """Return the network of ``recipe``, freshly initialised, in training mode.

    Raises:
        UsageError: This version of splitnest lists the model but does not build it yet.
    """
    cascade = isinstance(recipe, DetectionRecipe) and recipe.model.cascade
    if missing := unbuilt(recipe.task, cascade):
        raise UsageError(f"{recipe.name} is listed but cannot be built yet: {missing} is not part of this version.")
    match recipe:
        case ClassificationRecipe():
            from splitnest.classification.classifier import Classifier

            backbone = build_backbone(recipe.model.backbone, out=("c5",))
            return Classifier(backbone, backbone.channels["c5"], build_categories(recipe))
        case DetectionRecipe():
            return _build_detector(recipe)
        case _:
            raise AssertionError(recipe.task)


def build_categories(recipe: Recipe) -> Categories:
    """Return what the labels of ``recipe`` mean."""
    classes = recipe.data.classes
    return categories.named(classes) if isinstance(classes, str) else categories.from_names(classes)


def build_backbone(facts: BackboneFacts, out: Sequence[str] = STAGES) -> ResNet:
    """Return a backbone that gives the maps ``out``."""
    stem, channels = make_stem(facts.stem, facts.stem_width, facts.norm)
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
                )
            )
            channels = planes * EXPANSION
        stages.append(stage)
    widths = [facts.planes * 2**index * EXPANSION for index in range(len(STAGES))]
    totals = (4, 8, 8, 8) if dilated else (4, 8, 16, 32)
    return ResNet(stem, stages, widths, totals, frozen_stages=facts.frozen_stages, out=out)


def _build_detector(recipe: DetectionRecipe) -> Model:
    from splitnest.detection.anchors import AnchorGenerator
    from splitnest.detection.box_head import BoxHead
    from splitnest.detection.boxes import DeltaCoder
    from splitnest.detection.fpn import FPN
    from splitnest.detection.mask_head import MaskHead
    from splitnest.detection.postprocess import PostProcessor
    from splitnest.detection.rcnn import RCNN
    from splitnest.detection.roi_align import RoIPooler
    from splitnest.detection.rpn import RPN

    facts, names = recipe.model, build_categories(recipe)
    rules, channels = facts.conventions, facts.fpn_channels
    backbone = build_backbone(facts.backbone)
    coder = DeltaCoder(clamp_shrinkage=rules.clamp_shrinkage)
    num_convs, num_fcs = (4, 1) if facts.box_head == "4conv1fc" else (0, 2)
    boxes = BoxHead(
        channels,
        len(names),
        num_convs=num_convs,
        channels=facts.box_channels,
        num_fcs=num_fcs,
        features=facts.box_features,
        norm=facts.box_norm,
    )
    masks = []
    if facts.mask_convs:
        width, norm = facts.mask_channels, facts.mask_norm
        masks.append(MaskHead(channels, len(names), num_convs=facts.mask_convs, channels=width, norm=norm))
    post = PostProcessor(
        nms_at_photograph_scale=rules.nms_at_photograph_scale and not masks,
        clip_to_photograph=rules.clip_to_photograph,
    )
    return RCNN(
        backbone,
        FPN(backbone.channels, channels, facts.fpn_norm),
        RPN(channels, AnchorGenerator(), coder, rank_by=rules.rpn_rank_by),
        RoIPooler(rules.level_canonical_size, rules.level_canonical, rules.level_epsilon),
        [boxes],
        [DeltaCoder(rules.cascade_deviations[0], clamp_shrinkage=rules.clamp_shrinkage)],
        masks,
        post,
        _build_criterion(facts, coder, recipe.input.divisor),
        names,
    )


def _build_criterion(facts: DetectorFacts, coder: "DeltaCoder", divisor: int) -> "Criterion":
    from splitnest.detection.matching import Matcher
    from splitnest.detection.rcnn import Criterion
    from splitnest.detection.roi_loss import RegionSampler
    from splitnest.detection.rpn_loss import RPNLoss

    rules = facts.conventions
    reassigns = rules.rpn_low_quality_reassigns
    anchors = Matcher(0.7, 0.3, rules.rpn_low_quality_iou, reassigns=reassigns)  # both code bases
    regions = Matcher(0.5, 0.5, 0.5 if facts.roi_low_quality else None, reassigns=reassigns)
    return Criterion(
        RPNLoss(
            coder,
            anchors,
            num_samples=facts.rpn_samples,
            padding_divisor=divisor if rules.rpn_ignores_padding else None,
            over=rules.rpn_loss_over,
        ),
        RegionSampler(regions, num_samples=facts.roi_samples, ground_truth_first=rules.ground_truth_first),
        num_per_level=facts.train_candidates,
        num_proposals=facts.train_proposals,
        mask_min_side=rules.mask_target_min_side,
    )
