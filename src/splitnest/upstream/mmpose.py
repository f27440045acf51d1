"""Top-down pose estimators of mmpose, 0.x and 1.x: sections ``model`` and ``input`` of a recipe."""

from typing import Any

from splitnest.errors import UsageError
from splitnest.upstream.backbone import backbone, widths
from splitnest.upstream.pipeline import statistics, steps
from splitnest.upstream.section import REQUIRED, Section, shown

ESTIMATORS = ("TopdownPoseEstimator", "TopDown")


def estimator(model: Section, codec: Section | None) -> tuple[dict[str, Any], int]:
    """Return the section ``model`` of a recipe, and the number of keypoints.

    Args:
        model: Section ``model`` of the configuration.
        codec: Codec of the heatmaps, where the head has none; None for the older form, whose head decodes.

    Raises:
        UsageError: The estimator has a part that splitnest has not.
    """
    network = backbone(model.section("backbone"), "mmpose")
    stride = 4 if "hrnet" in network else 32
    if model.only("type", *ESTIMATORS) == "TopDown":
        fields, num_keypoints = _old_head(model.section("keypoint_head"))
        fields |= _old_codec(model.section("test_cfg", {}), fields.pop("loss"))
    else:
        fields, num_keypoints = _head(model.section("head"), codec, stride)
    fields["all_levels"] = fields.pop("concatenates", False)
    in_channels, levels = fields.pop("in_channels"), widths(network)
    if "neck" in model:
        fields["all_levels"] = _concatenates(model.section("neck"))
    expected = sum(levels) if fields["all_levels"] else levels[0] if "hrnet" in network else levels[-1]
    if in_channels != expected or (fields["all_levels"] and "hrnet" not in network):
        raise UsageError(
            f"{model.where}: the head takes {in_channels} channels; splitnest has heads of {expected} there."
        )
    fields |= _outputs(model.section("test_cfg", {}))
    model.skip("data_preprocessor", "test_cfg", "train_cfg", "metainfo", "init_cfg", "pretrained", "loss_pose")
    model.close()
    num_keypoints //= 3 if fields["offsets"] else 1
    return {"backbone": network, **fields}, num_keypoints


def pose_input(
    model: Section, preprocessor: Section, pipeline: list[Section], fields: dict[str, Any]
) -> dict[str, Any]:
    """Return the section ``input`` of a recipe; the input size is taken out of the fields of the model."""
    values = statistics(preprocessor)
    preprocessor.skip("type", "pad_size_divisor", "non_blocking")
    preprocessor.close()
    found = steps(pipeline, "GetBBoxCenterScale", "TopdownAffine", "TopDownAffine")
    affine = found.get("TopdownAffine") or found.get("TopDownAffine")
    if affine is None:
        raise UsageError(f"{model.where}: the test pipeline has no TopdownAffine. Give a complete configuration.")
    udp = affine.flag("use_udp", False)
    size = affine.integers("input_size", fields.pop("input_size", None), 2)
    affine.skip("type")
    affine.close()
    box = found.get("GetBBoxCenterScale")
    padding = box.number("padding", 1.25) if box is not None else 1.25
    cfg = model.section("test_cfg", {})
    flip = cfg.flag("flip_test", model.raw("type") == "TopDown")  # the defaults of 0.x and 1.x
    cfg.only("flip_mode", "udp_combined" if fields["offsets"] else "heatmap")
    shift = cfg.flag("shift_heatmap", False)
    cfg.only("output_heatmaps", False, problem="splitnest returns keypoints alone")
    cfg.skip("output_keypoint_indices")  # of the model
    cfg.skip("post_process", "modulate_kernel", "use_udp", "unbiased_decoding", "target_type")  # of the codec
    cfg.skip("regression_flip_shift", "shift_coords")
    cfg.close()
    if size is None:
        raise UsageError(f"{model.where}: there is no input size. Give a complete configuration.")
    shape = {"width": size[0], "height": size[1], "padding": padding, "udp": udp}
    return {**values, **shape, "flip_test": flip, "shift_heatmap": shift}


def _head(head: Section, codec: Section | None, stride: int) -> tuple[dict[str, Any], int]:
    if head.text("type") != "HeatmapHead":
        raise UsageError(f"{head.where}: this is a {head.raw('type')}; splitnest has no such head.")
    default = () if head.has("deconv_out_channels") else (256, 256, 256)
    channels = head.integers("deconv_out_channels", default)
    kernels = head.integers("deconv_kernel_sizes", (4, 4, 4))
    if channels and kernels != (4,) * len(channels):
        raise head.error("deconv_kernel_sizes", "splitnest has transposed convolutions of kernel size 4")
    fields = _convolution(head, head.integers("conv_out_channels", ()), head.integers("conv_kernel_sizes", ()))
    final = head.section("final_layer", {"kernel_size": 1})
    final.only("kernel_size", 1)
    final.close()
    head.skip("init_cfg")
    fields["in_channels"] = head.integer("in_channels")
    loss = _loss(head.section("loss", {}))
    own = head.section("decoder", None) or codec
    num_keypoints: int = head.integer("out_channels")
    head.close()
    if own is None:
        raise UsageError(f"{head.where}: there is no codec. Give a complete configuration.")
    fields |= {"deconv_channels": channels, "norm": "bn", "loss": loss}
    return {**fields, **_codec(own, len(channels), stride)}, num_keypoints


def _convolution(head: Section, channels: tuple[int, ...], kernels: tuple[int, ...]) -> dict[str, Any]:
    """Return the convolution before the last one."""
    if len(channels) > 1 or kernels != (1,) * len(channels):
        raise UsageError(f"{head.where}: splitnest has one 1x1 convolution before the last one, or none.")
    return {"conv_channels": channels[0] if channels else None}


def _concatenates(neck: Section) -> bool:
    """Return whether a neck concatenates all levels, which is all that splitnest has of necks."""
    if neck.text("type") != "FeatureMapProcessor":
        raise UsageError(f"{neck.where}: this is a {neck.raw('type')}; splitnest has no such neck in pose estimators.")
    concat: bool = neck.flag("concat", False)
    if "select_index" in neck and not concat:
        raise neck.error("select_index", "splitnest has heads on the finest level or on all")
    neck.only("select_index", None, (0, 1, 2, 3))
    neck.only("scale_factor", 1.0)
    neck.only("apply_relu", False)
    neck.only("align_corners", False)
    neck.close()
    return concat


def _codec(codec: Section, num_layers: int, stride: int) -> dict[str, Any]:
    """Return the fields of a codec, and its input size.

    Raises:
        UsageError: Splitnest has no such codec.
    """
    kind = codec.text("type")
    if kind == "MSRAHeatmap":
        fields = {"codec": "dark" if codec.flag("unbiased", False) else "msra", "offsets": False}
    elif kind == "UDPHeatmap":
        offsets = codec.only("heatmap_type", "gaussian", "combined") == "combined"
        fields = {"codec": "udp", "offsets": offsets}
        codec.only("radius_factor", 0.0546875)
    else:
        raise UsageError(f"{codec.where}: the codec is {kind}; splitnest has no such codec.")
    blur_kernel = codec.integer("blur_kernel_size", 11)
    if fields["codec"] != "msra":
        fields["blur_kernel"] = blur_kernel
    size, heatmap = codec.integers("input_size", length=2), codec.integers("heatmap_size", length=2)
    if tuple(side * 2**num_layers // stride for side in size) != heatmap:
        raise codec.error("heatmap_size", f"{num_layers} transposed convolutions make another size of {shown(size)}")
    fields["sigma"] = codec.number("sigma", 2.0 if kind == "UDPHeatmap" else REQUIRED)
    codec.close()
    return {**fields, "input_size": size}


def _outputs(cfg: Section) -> dict[str, Any]:
    """Return the number of keypoints of predictions."""
    indices = cfg.integers("output_keypoint_indices", None)
    if indices is not None and indices != tuple(range(len(indices))):
        raise cfg.error("output_keypoint_indices", "splitnest returns the first keypoints, or all")
    return {"output_keypoints": None if indices is None else len(indices)}


def _loss(loss: Section) -> str:
    """Return the loss of a head, whose parameters only training depends on."""
    return "adaptive_wing" if loss.text("type", "") == "AdaptiveWingLoss" else "mse"


def _old_codec(cfg: Section, loss: str) -> dict[str, Any]:
    """Return the fields of the codec of mmpose 0.x, by its decoding in ``test_cfg``."""
    process = cfg.only("post_process", "default", "unbiased", "megvii")
    if process == "megvii":
        raise cfg.error("post_process", "splitnest has no such decoding")
    dark = cfg.flag("unbiased_decoding", process == "unbiased")
    udp = cfg.flag("use_udp", False)
    fields: dict[str, Any] = {"codec": "udp" if udp else "dark" if dark else "msra", "loss": loss}
    kernel = cfg.integer("modulate_kernel", 11)
    if fields["codec"] != "msra":
        fields["blur_kernel"] = kernel
    cfg.only("target_type", "GaussianHeatMap", "GaussianHeatmap", problem="splitnest has no such maps of mmpose 0")
    return {**fields, "offsets": False}


def _old_head(head: Section) -> tuple[dict[str, Any], int]:
    """Return the fields of a head of mmpose 0.x; sigma and input size are in its pipelines."""
    if head.text("type") != "TopdownHeatmapSimpleHead":
        raise UsageError(f"{head.where}: this is a {head.raw('type')}; splitnest has no such head.")
    layers = head.integer("num_deconv_layers", 3)
    channels, kernels = head.integers("num_deconv_filters", (256,) * 3), head.integers("num_deconv_kernels", (4, 4, 4))
    if layers and (len(channels) != layers or kernels != (4,) * layers):
        raise head.error("num_deconv_kernels", "splitnest has transposed convolutions of kernel size 4")
    concatenates = head.only("input_transform", None, "resize_concat") is not None
    if concatenates:
        in_channels = sum(head.integers("in_channels"))
        head.only("in_index", (0, 1, 2, 3))
    else:
        in_channels = head.integer("in_channels")
        head.only("in_index", 0)
    extra = head.section("extra", {})
    extra.only("final_conv_kernel", 1)
    convs = extra.integer("num_conv_layers", 0)
    before = (in_channels,) * convs  # as in mmpose 0, which keeps the width
    fields = _convolution(head, before, extra.integers("num_conv_kernels", (1,) * convs))
    fields |= {"concatenates": concatenates, "in_channels": in_channels}
    extra.close()
    head.only("align_corners", False)
    head.skip("train_cfg", "test_cfg")
    loss = _loss(head.section("loss_keypoint", {}))
    num_keypoints: int = head.integer("out_channels")
    head.close()
    return {"deconv_channels": channels[:layers], "norm": "bn", "loss": loss, **fields}, num_keypoints
