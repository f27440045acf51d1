"""Construction of pose estimators: unpacks a recipe into constructor calls with plain values."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from splitnest.models.pose import heatmap_losses
from splitnest.models.pose.codec import DARKCodec, MSRACodec, UDPCodec, UDPOffsetCodec
from splitnest.models.pose.estimator import PoseEstimator
from splitnest.models.pose.heatmap_head import HeatmapHead
from splitnest.recipe import PoseModelConfig, PoseRecipe
from splitnest.structures.categories import Categories
from splitnest.structures.skeleton import skeleton_of


def build_pose_estimator(
    recipe: PoseRecipe, backbone: Any, head: nn.Module | None, categories: Categories
) -> PoseEstimator:
    """Return the pose estimator of a recipe.

    Args:
        recipe: Recipe.
        backbone: Backbone with the feature map c5.
        head: Heatmap head; None for that of the recipe.
        categories: Classes of the persons, with the names of their keypoints.
    """
    config, skeleton = recipe.model, skeleton_of(recipe)
    codec = build_codec(config)
    if head is None:
        num_maps = len(skeleton.names) * codec.maps_per_keypoint
        head = HeatmapHead(backbone.channels["c5"], num_maps, config.deconv_channels, config.norm)
    return PoseEstimator(
        backbone,
        head,
        categories,
        skeleton.flip_indices,
        codec=codec,
        criterion=_criterion(config),
        flip_test=recipe.input.flip_test,
        shift_heatmap=recipe.input.shift_heatmap,
    )


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
