"""Construction of pose estimators: unpacks a recipe into constructor calls with plain values."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from splitnest.models.backbones.resnet import STAGES
from splitnest.models.pose import heatmap_losses
from splitnest.models.pose.codec import DARKCodec, MSRACodec, UDPCodec, UDPOffsetCodec
from splitnest.models.pose.estimator import PoseEstimator
from splitnest.models.pose.heatmap_head import HeatmapHead
from splitnest.recipe import HRNetConfig, PoseModelConfig, PoseRecipe
from splitnest.structures.categories import Categories
from splitnest.structures.skeleton import skeleton_of


def pose_levels(config: PoseModelConfig) -> tuple[str, ...]:
    """Return the names of the feature maps that the head takes."""
    if config.all_levels:
        return STAGES
    return ("c2",) if isinstance(config.backbone, HRNetConfig) else ("c5",)


def build_pose_estimator(
    recipe: PoseRecipe, backbone: Any, levels: Sequence[str], head: nn.Module | None, categories: Categories
) -> PoseEstimator:
    """Return the pose estimator of a recipe.

    Args:
        recipe: Recipe.
        backbone: Backbone.
        levels: Names of the feature maps that the head takes.
        head: Heatmap head; None for that of the recipe.
        categories: Classes of the persons, with the names of their keypoints.
    """
    config, skeleton = recipe.model, skeleton_of(recipe)
    codec = build_codec(config)
    if head is None:
        num_maps = len(skeleton.names) * codec.maps_per_keypoint
        in_channels = sum(backbone.channels[name] for name in levels)
        head = HeatmapHead(in_channels, num_maps, config.deconv_channels, config.norm, config.conv_channels)
    return PoseEstimator(
        backbone,
        head,
        _with_outputs(categories, config.output_keypoints),
        skeleton.flip_indices,
        levels=levels,
        codec=codec,
        criterion=_criterion(config),
        flip_test=recipe.input.flip_test,
        shift_heatmap=recipe.input.shift_heatmap,
    )


def _with_outputs(categories: Categories, count: int | None) -> Categories:
    """Return categories with the keypoints of predictions, the first ones."""
    if count is None:
        return categories
    pairs = tuple(pair for pair in categories.skeleton if max(pair) < count)
    names, colors = categories.keypoint_names[:count], categories.keypoint_colors[:count]
    return replace(categories, keypoint_names=names, skeleton=pairs, keypoint_colors=colors)


def build_codec(config: PoseModelConfig) -> MSRACodec:
    """Return the codec of a pose estimator."""
    match config:
        case PoseModelConfig(codec="udp", offsets=True):
            return UDPOffsetCodec(config.sigma, blur_kernel=config.blur_kernel)
        case PoseModelConfig(codec="udp"):
            return UDPCodec(config.sigma, blur_kernel=config.blur_kernel)
        case PoseModelConfig(codec="dark"):
            return DARKCodec(config.sigma, blur_kernel=config.blur_kernel)
    return MSRACodec(config.sigma)


def _criterion(config: PoseModelConfig) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    if config.offsets:
        return heatmap_losses.offset_errors
    return heatmap_losses.adaptive_wing if config.loss == "adaptive_wing" else heatmap_losses.squared_errors
