"""Top-down pose estimators of mmpose, 0.x and 1.x: sections ``model`` and ``input`` of a recipe."""

from typing import Any

from splitnest.errors import UsageError
from splitnest.upstream.backbone import backbone
from splitnest.upstream.pipeline import statistics, steps
from splitnest.upstream.section import Section, shown

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
    if model.only("type", *ESTIMATORS) == "TopDown":
        fields, num_keypoints = _old_head(model.section("keypoint_head"))
    else:
        fields, num_keypoints = _head(model.section("head"), codec)
    if "neck" in model:
        raise model.error("neck", "splitnest has no neck in pose estimators")
    model.skip("data_preprocessor", "test_cfg", "train_cfg", "metainfo", "init_cfg", "pretrained", "loss_pose")
    model.close()
    return {"backbone": network, **fields}, num_keypoints


def pose_input(
    model: Section, preprocessor: Section, pipeline: list[Section], fields: dict[str, Any]
) -> dict[str, Any]:
    """Return the section ``input`` of a recipe, and set ``sigma`` of the older form, which the training has."""
    values = statistics(preprocessor)
    preprocessor.skip("type", "pad_size_divisor", "non_blocking")
    preprocessor.close()
    found = steps(pipeline, "GetBBoxCenterScale", "TopdownAffine", "TopDownAffine")
    affine = found.get("TopdownAffine") or found.get("TopDownAffine")
    if affine is None:
        raise UsageError(f"{model.where}: the test pipeline has no TopdownAffine. Give a complete configuration.")
    affine.only("use_udp", False, problem="splitnest has no UDP")
    size = affine.integers("input_size", fields.pop("input_size", None), 2)
    affine.skip("type")
    affine.close()
    box = found.get("GetBBoxCenterScale")
    padding = box.number("padding", 1.25) if box is not None else 1.25
    cfg = model.section("test_cfg", {})
    flip = cfg.flag("flip_test", model.raw("type") == "TopDown")  # the defaults of 0.x and 1.x
    cfg.only("flip_mode", "heatmap")
    shift = cfg.flag("shift_heatmap", False)
    for key in ("output_heatmaps", "output_keypoint_indices"):
        cfg.only(key, False, problem="splitnest returns all keypoints")
    for key, value in (("post_process", "default"), ("modulate_kernel", 11), ("use_udp", False)):
        cfg.only(key, value, problem=f"splitnest decodes heatmaps with {key} {value}")
    cfg.only("unbiased_decoding", False, problem="splitnest has no DARK decoding")
    cfg.skip("regression_flip_shift", "shift_coords")
    cfg.close()
    if size is None:
        raise UsageError(f"{model.where}: there is no input size. Give a complete configuration.")
    shape = {"width": size[0], "height": size[1], "padding": padding}
    return {**values, **shape, "flip_test": flip, "shift_heatmap": shift}


def _head(head: Section, codec: Section | None) -> tuple[dict[str, Any], int]:
    if head.text("type") != "HeatmapHead":
        raise UsageError(f"{head.where}: this is a {head.raw('type')}; splitnest has no such head.")
    channels = head.integers("deconv_out_channels", None)
    if channels is None:
        if head.has("deconv_out_channels"):
            raise head.error("deconv_out_channels", "splitnest has heads with transposed convolutions alone")
        channels = (256, 256, 256)
    kernels = head.integers("deconv_kernel_sizes", (4, 4, 4))
    if kernels != (4,) * len(channels):
        raise head.error("deconv_kernel_sizes", "splitnest has transposed convolutions of kernel size 4")
    head.only("conv_out_channels", ())
    head.only("conv_kernel_sizes", ())
    final = head.section("final_layer", {"kernel_size": 1})
    final.only("kernel_size", 1)
    final.close()
    head.only("in_channels", 2048, 512)
    head.skip("loss", "init_cfg")
    own = head.section("decoder", None) or codec
    num_keypoints: int = head.integer("out_channels")
    head.close()
    if own is None:
        raise UsageError(f"{head.where}: there is no codec. Give a complete configuration.")
    return {"deconv_channels": channels, "norm": "bn", **_codec(own, len(channels))}, num_keypoints


def _codec(codec: Section, num_layers: int) -> dict[str, Any]:
    """Return sigma and input size of a codec.

    Raises:
        UsageError: The codec is another one than the plain one of heatmaps.
    """
    if codec.text("type") != "MSRAHeatmap":
        raise UsageError(f"{codec.where}: the codec is {codec.raw('type')}; splitnest has no such codec.")
    if codec.flag("unbiased", False):
        raise codec.error("unbiased", "splitnest has no DARK decoding")
    codec.skip("blur_kernel_size")  # of the unbiased codec
    size, heatmap = codec.integers("input_size", length=2), codec.integers("heatmap_size", length=2)
    if tuple(side * 2**num_layers // 32 for side in size) != heatmap:
        raise codec.error("heatmap_size", f"{num_layers} transposed convolutions make another size of {shown(size)}")
    sigma = codec.number("sigma")
    codec.close()
    return {"sigma": sigma, "input_size": size}


def _old_head(head: Section) -> tuple[dict[str, Any], int]:
    """Return the fields of a head of mmpose 0.x; sigma and input size are in its pipelines."""
    if head.text("type") != "TopdownHeatmapSimpleHead":
        raise UsageError(f"{head.where}: this is a {head.raw('type')}; splitnest has no such head.")
    layers = head.integer("num_deconv_layers", 3)
    if layers < 1:
        raise head.error("num_deconv_layers", "splitnest has heads with transposed convolutions alone")
    channels = head.integers("num_deconv_filters", (256,) * 3)
    if len(channels) != layers or head.integers("num_deconv_kernels", (4, 4, 4)) != (4,) * layers:
        raise head.error("num_deconv_kernels", "splitnest has transposed convolutions of kernel size 4")
    head.only("in_channels", 2048, 512)
    head.only("in_index", 0)
    extra = head.section("extra", {})
    extra.only("final_conv_kernel", 1)
    extra.close()
    head.only("align_corners", False)
    head.skip("loss_keypoint", "train_cfg", "test_cfg", "input_transform")
    num_keypoints: int = head.integer("out_channels")
    head.close()
    return {"deconv_channels": channels, "norm": "bn"}, num_keypoints
