"""Construction of networks: unpacks a recipe into constructor calls with plain values."""

from collections.abc import Collection, Mapping
from reprlib import repr as short_repr
from typing import Any

import torch
from torch import nn

from splitnest.errors import UsageError
from splitnest.models.backbones.hrnet import HRNet, hrnet
from splitnest.models.backbones.resnet import STAGES, ResNet, resnet
from splitnest.models.backbones.timm_backbone import TimmBackbone, timm_backbone
from splitnest.models.base import Model
from splitnest.models.parts import Parts, check_backbone
from splitnest.recipe import (
    AnyBackboneConfig,
    BackboneConfig,
    ClassificationRecipe,
    DetectionRecipe,
    HRNetConfig,
    PoseRecipe,
    Recipe,
    SegmentorConfig,
    SemanticRecipe,
    TimmBackboneConfig,
)
from splitnest.structures import categories
from splitnest.structures.categories import Categories
from splitnest.structures.class_tables import class_table
from splitnest.structures.skeleton import skeleton_of


def build_model(recipe: Recipe, parts: Parts | None = None) -> Model:
    """Return the network of a recipe with random weights, in training mode and channels-last memory format.

    Channels-last weights make convolutions return channels-last feature maps, a fifth faster on CPUs.

    Args:
        recipe: Recipe.
        parts: Parts that are given; None for none.

    Raises:
        UsageError: The recipe of a pose estimator does not define its keypoints, there are not as many class weights as
            classes, the backbone is a model that timm does not have, or a given part does not fit.
    """
    parts = parts or Parts()
    parts.check_task(recipe.task)
    model: Model
    match recipe:
        case ClassificationRecipe():
            model = _build_classifier(recipe, parts)
        case DetectionRecipe():
            from splitnest.models.detection.build import build_detector

            backbone = _backbone_of(parts.backbone, recipe.model.backbone, STAGES)
            model = build_detector(recipe, backbone, parts, _build_classes(recipe), build_categories(recipe))
        case SemanticRecipe():
            model = _build_segmentor(recipe, parts)
        case PoseRecipe():
            from splitnest.models.pose.build import build_pose_estimator, pose_levels

            levels = pose_levels(recipe.model)
            backbone = _backbone_of(parts.backbone, recipe.model.backbone, levels)
            model = build_pose_estimator(recipe, backbone, levels, parts.heatmap_head, build_categories(recipe))
    set_checkpoint_stages(model, recipe)
    return model.to(memory_format=torch.channels_last)


def set_checkpoint_stages(model: nn.Module, recipe: Recipe) -> None:
    """Select the stages of the backbone that are recomputed in the backward pass.

    Raises:
        UsageError: The model has no stages that can be recomputed.
    """
    stages = () if recipe.train is None else recipe.train.checkpoint_stages
    if not stages:
        return
    backbone: Any = getattr(model, "backbone", model)
    if not hasattr(backbone, "checkpoint_stages"):
        raise UsageError(f"train.checkpoint_stages has no effect on a {type(backbone).__name__}. Remove it.")
    backbone.checkpoint_stages = frozenset(f"c{stage}" for stage in stages)


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


def build_backbone(
    config: AnyBackboneConfig, out: Collection[str] = STAGES, *, drop_block: float = 0.0
) -> ResNet | HRNet | TimmBackbone:
    """Return the backbone of a recipe.

    Args:
        config: Section ``model.backbone`` of the recipe.
        out: Names of the returned feature maps.
        drop_block: Drop probability of DropBlock in c4 and c5 at the end of training (ResNeSt paper, section 4.2).
    """
    if isinstance(config, TimmBackboneConfig):
        return timm_backbone(config.timm, output_stride=config.output_stride, out=out)
    if isinstance(config, HRNetConfig):
        fields = dict(config)
        return hrnet(fields.pop("hrnet"), **fields, out=out)
    return resnet(**dict(config), drop_block=drop_block, out=out)


def _backbone_of(
    given: nn.Module | None, config: AnyBackboneConfig, needed: Collection[str], out: Collection[str] | None = None
) -> Any:
    """Return the backbone that is given, which must have the needed features, or else that of a recipe."""
    if given is None:
        return build_backbone(config, out or needed)
    check_backbone(given, needed)
    return given


def _build_classifier(recipe: ClassificationRecipe, parts: Parts) -> Model:
    from splitnest.models.classification.classifier import Classifier

    train, config = recipe.train, recipe.model.backbone
    _check_class_loss(recipe, parts)
    backbone: Any
    if parts.backbone is None and train is not None and isinstance(config, BackboneConfig):
        backbone = build_backbone(config, ("c5",), drop_block=train.drop_block)
        if train.zero_init_last:
            backbone.zero_init_last()
    else:
        backbone = _backbone_of(parts.backbone, config, ("c5",))
    return Classifier(
        backbone,
        backbone.channels["c5"],
        build_categories(recipe),
        dropout=0.0 if train is None else train.dropout,
        label_smoothing=0.0 if train is None else train.label_smoothing,
        class_weights=None if train is None else _class_weights(train.class_weights, recipe.num_classes),
        class_loss=parts.class_loss,
    )


def _check_class_loss(recipe: ClassificationRecipe | SemanticRecipe, parts: Parts) -> None:
    """Raise a UsageError for a key of the cross entropy if a given loss replaces it."""
    for key, none in (("label_smoothing", "0"), ("class_weights", "null")):
        value = getattr(recipe.train, key, None)
        if value and parts.class_loss is not None:
            raise UsageError(
                f"train.{key} {short_repr(value)} is of the cross entropy, which class_loss replaces. Set it to {none}."
            )


def _class_weights(weights: tuple[float, ...] | None, num_classes: int) -> tuple[float, ...] | None:
    """Return the weights of the classes in a loss.

    Raises:
        UsageError: There is another number of them.
    """
    if weights is not None and len(weights) != num_classes:
        raise UsageError(
            f"train.class_weights has {len(weights)} weights for {num_classes} classes. Give one for each class, in "
            f"the order of data.classes."
        )
    return weights


def _build_segmentor(recipe: SemanticRecipe, parts: Parts) -> Model:
    from splitnest.models.segmentation.pixel_loss import PixelMiner
    from splitnest.models.segmentation.segmentor import Segmentor

    _check_class_loss(recipe, parts)
    config, classes = recipe.model, build_categories(recipe)
    needed = {
        "c2": parts.decode_head is None and (config.head == "separable_aspp" or config.all_levels),
        "c3": config.all_levels,
        "c4": (parts.auxiliary_head is None and config.auxiliary_channels is not None) or config.all_levels,
        "c5": parts.decode_head is None,
    }
    has_own_head = parts.decode_head is not None or parts.auxiliary_head is not None
    names = [name for name, is_needed in needed.items() if is_needed]
    backbone = _backbone_of(parts.backbone, config.backbone, names, STAGES if has_own_head else names)
    options: dict[str, Any] = {}
    if recipe.train is not None:
        ohem = recipe.train.ohem
        options = {
            "auxiliary_weight": recipe.train.auxiliary_loss_weight,
            "ohem": None if ohem is None else PixelMiner(ohem.threshold, ohem.min_kept),
            "class_weights": _class_weights(recipe.train.class_weights, len(classes)),
        }
    decode_head, auxiliary_head = parts.decode_head, parts.auxiliary_head
    if decode_head is None:
        decode_head = _build_decode_head(config, backbone.channels, len(classes))
    if auxiliary_head is None:
        auxiliary_head = _build_auxiliary_head(config, backbone.channels, len(classes))
    return Segmentor(
        backbone,
        decode_head,
        auxiliary_head,
        classes,
        window=recipe.input.window,
        stride=recipe.input.stride,
        align_corners=config.align_corners,
        class_loss=parts.class_loss,
        **options,
    )


def _build_decode_head(config: SegmentorConfig, channels: Mapping[str, int], num_classes: int) -> nn.Module:
    from splitnest.models.segmentation import decode_heads as heads
    from splitnest.models.segmentation.ocr_head import OCRHead

    options: dict[str, Any] = {"norm": config.norm, "dropout": config.dropout}
    size = num_classes, config.head_channels
    dilations, align_corners = config.aspp_dilations, config.align_corners
    match config.head:
        case "fcn":
            if config.all_levels:
                return _one_by_one(channels, size, align_corners=align_corners, **options)
            return heads.FCNHead(["c5"], channels["c5"], *size, dilation=config.fcn_dilation, **options)
        case "psp":
            return heads.PSPHead(channels["c5"], *size, align_corners=align_corners, **options)
        case "aspp":
            return heads.ASPPHead(channels["c5"], *size, dilations=dilations, align_corners=align_corners, **options)
        case "separable_aspp":
            return heads.SeparableASPPHead(
                channels["c5"],
                channels["c2"],
                *size,
                dilations=dilations,
                reduced_c2_channels=config.c2_channels,
                align_corners=align_corners,
                **options,
            )
        case "ocr":
            sources = STAGES if config.all_levels else ["c5"]
            in_channels = sum(channels[name] for name in sources)
            return OCRHead(sources, in_channels, *size, config.ocr_channels, align_corners=align_corners, **options)


def _build_auxiliary_head(config: SegmentorConfig, channels: Mapping[str, int], num_classes: int) -> nn.Module | None:
    from splitnest.models.segmentation import decode_heads as heads

    if config.auxiliary_channels is None:
        return None
    size = num_classes, config.auxiliary_channels
    options: dict[str, Any] = {"norm": config.norm, "dropout": config.dropout, "align_corners": config.align_corners}
    if config.all_levels:
        return _one_by_one(channels, size, **options)
    return heads.FCNHead(
        ["c4"], channels["c4"], *size, num_convs=1, dilation=config.fcn_dilation, concat_input=False, **options
    )


def _one_by_one(channels: Mapping[str, int], size: tuple[int, int], **options: Any) -> nn.Module:
    """Return the FCN head over all feature maps (``fcn_hr18.py`` of mmsegmentation), of this many classes."""
    from splitnest.models.segmentation.decode_heads import FCNHead

    num_classes, width = size
    return FCNHead(
        STAGES,
        sum(channels.values()),
        num_classes,
        width,
        num_convs=1,
        kernel_size=1,
        concat_input=False,
        **options,
    )
