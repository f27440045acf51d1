"""Backbone section of an OpenMMLab configuration: ResNets, ResNeSts and HRNets."""

from typing import Any

from splitnest.errors import UsageError
from splitnest.recipe.backbone import BASIC_DEPTHS
from splitnest.upstream.hrnet import branches
from splitnest.upstream.section import Section

_KINDS: dict[str, dict[str, Any]] = {
    "ResNet": {},
    "ResNetV1c": {"stem": "3x3"},
    "ResNetV1d": {"stem": "3x3", "avg_down": True},
    "ResNeXt": {},
    "ResNeSt": {"stem": "3x3", "avg_down": True, "radix": 2},
}
"""Upstream class -> what it sets of the section ``model.backbone``."""

_PLAIN = {"radix": 0, "stem": "7x7", "avg_down": False, "avd": False}

_DILATIONS = {(1, 2, 2, 2): (32, (1, 1, 1, 1)), (1, 2, 2, 1): (16, (1, 1, 1, 2)), (1, 2, 1, 1): (8, (1, 1, 2, 4))}
"""Strides of the stages -> stride of c5 and the dilations that belong to it."""

NORMS = ("BN", "SyncBN", "MMSyncBN", "GN")


def backbone(section: Section, framework: str) -> dict[str, Any]:
    """Return the section ``model.backbone`` of a recipe.

    Args:
        section: Section ``model.backbone`` of the configuration.
        framework: Code base, in whose classes defaults differ: ``mmdet``, ``mmseg`` or ``mmpose``.

    Raises:
        UsageError: The backbone is none of the family.
    """
    kind = section.text("type")
    if kind == "HRNet":
        return _hrnet(section, framework)
    if kind not in _KINDS:
        raise UsageError(f"{section.where}: the backbone is a {kind}; splitnest has no such backbone.")
    fields: dict[str, Any] = {**_PLAIN, "depth": section.integer("depth"), **_KINDS[kind]}
    fields |= _stem(section, fields)
    fields |= _groups(section, kind, framework)
    fields |= {"stride_in_1x1": section.only("style", "pytorch", "caffe") == "caffe"}
    fields |= _strides(section, framework)
    fields |= _parts(section)
    fields |= _norm(section, framework)
    section.only("in_channels", 3)
    section.only("num_stages", 4)
    section.only("base_channels", 64)
    section.only("out_indices", *(((3,),) if framework == "mmpose" else ((0, 1, 2, 3),)))
    section.skip("init_cfg", "pretrained", "with_cp", "zero_init_residual", "pretrain_img_size", "frozen_stages")
    section.close()
    return fields


def _hrnet(section: Section, framework: str) -> dict[str, Any]:
    fields = branches(section, framework)
    if conv(section) != "Conv2d":
        raise section.error("conv_cfg", "splitnest has plain convolutions in HRNets")
    section.only("in_channels", 3)
    section.skip("init_cfg", "pretrained", "with_cp", "zero_init_residual", "frozen_stages")
    fields |= _norm(section, framework)
    section.close()
    return fields


def widths(network: dict[str, Any]) -> tuple[int, ...]:
    """Return the number of channels of c2 to c5, or of those that the backbone returns."""
    if "hrnet" in network:
        return tuple(network["hrnet"] * 2**branch for branch in range(4 if network["all_branches"] else 1))
    narrowest = 64 if network["depth"] in BASIC_DEPTHS else 256
    return tuple(narrowest * 2**stage for stage in range(4))


def _stem(section: Section, fields: dict[str, Any]) -> dict[str, Any]:
    deep = section.flag("deep_stem", fields["stem"] == "3x3")
    width = section.integer("stem_channels", 64)
    if not deep:
        section.only("stem_channels", 64)
        return {"stem": "7x7", "avg_down": section.flag("avg_down", fields["avg_down"])}
    if width % 2:
        raise section.error("stem_channels", "give an even number")
    return {"stem": "3x3", "stem_width": width // 2, "avg_down": section.flag("avg_down", fields["avg_down"])}


def _groups(section: Section, kind: str, framework: str) -> dict[str, Any]:
    """Return groups, width and split attention."""
    width = "width_per_group" if framework == "mmpose" else "base_width"
    if kind == "ResNeXt":
        default_groups = 32 if framework == "mmpose" else 1
        return {"cardinality": section.integer("groups", default_groups), "base_width": section.integer(width, 4)}
    if kind != "ResNeSt":
        return {"cardinality": 1, "base_width": 64}
    section.only("reduction_factor", 4)
    groups, base_width = section.integer("groups", 1), section.integer(width, 4)
    return {
        "radix": section.integer("radix", 2),
        "cardinality": groups,
        "base_width": 64 if groups == 1 else base_width,  # upstream uses it only with several groups
        "avd": section.flag("avg_down_stride", True),
        "avd_in_dilated": False,
    }


def _strides(section: Section, framework: str) -> dict[str, Any]:
    strides = section.integers("strides", (1, 2, 2, 2), 4)
    dilations = section.integers("dilations", (1, 1, 1, 1), 4)
    contract = section.flag("contract_dilation", False)
    if strides not in _DILATIONS:
        raise section.error("strides", f"splitnest has only {', '.join(str(list(known)) for known in _DILATIONS)}")
    if max(dilations) > 1 and not contract:
        raise section.error("dilations", "splitnest dilates stages only with contract_dilation=True")
    output_stride, usual = _DILATIONS[strides]
    fields: dict[str, Any] = {"output_stride": output_stride, "multi_grid": section.integers("multi_grid", None)}
    return {**fields, "dilations": None if dilations == usual else dilations}


def _parts(section: Section) -> dict[str, Any]:
    """Return deformable convolutions, context blocks and weight standardization."""
    fields: dict[str, Any] = {"weight_standardization": conv(section) == "ConvWS"}
    dcn = section.section("dcn", None)
    stages = section.flags("stage_with_dcn", (False,) * 4, 4)
    if dcn is not None and any(stages):
        if section.text("type") == "ResNeSt":
            raise section.error("dcn", "splitnest has no deformable ResNeSt of OpenMMLab")
        fields["dcn_modulated"] = dcn.only("type", "DCN", "DCNv2") == "DCNv2"
        fields["dcn_groups"] = dcn.integer("deform_groups", dcn.integer("deformable_groups", 1))
        fields["dcn_stages"] = _numbers(stages)
        dcn.only("fallback_on_stride", False)
        dcn.close()
    for i, plugin in enumerate(section.sections("plugins")):
        cfg = plugin.section("cfg")
        cfg.only("type", "ContextBlock")
        if i:
            raise UsageError(f"{plugin.where}: splitnest has one plugin in each block.")
        plugin.only("position", "after_conv3")
        fields["context_ratio"] = cfg.number("ratio")
        fields["context_stages"] = _numbers(plugin.flags("stages", (True,) * 4, 4))
        cfg.only("pooling_type", "att")
        cfg.only("fusion_types", ("channel_add",))
        cfg.skip("postfix")
        cfg.close()
        plugin.close()
    return fields


def _norm(section: Section, framework: str) -> dict[str, Any]:
    cfg = section.section("norm_cfg", {"type": "BN"})
    name, trained = norm(cfg), cfg.flag("requires_grad", True)
    norm_eval = section.flag("norm_eval", framework == "mmdet")
    if name == "gn32":
        return {"norm": name, "frozen_stages": section.integer("frozen_stages", -1) + 1}
    if not trained and not norm_eval:
        raise section.error("norm_eval", "with requires_grad=False, splitnest has only norm_eval=True")
    fields = {"frozen_stages": section.integer("frozen_stages", -1) + 1}
    if not trained:
        return {**fields, "norm": "frozen_bn"}
    return {**fields, "norm": name, "norm_eval": norm_eval}


def norm(cfg: Section | None) -> str | None:
    """Return the name of a normalization layer; None for none."""
    if cfg is None:
        return None
    kind = cfg.only("type", *NORMS)
    cfg.skip("requires_grad", "_delete_")
    cfg.only("eps", 1e-5)
    cfg.only("affine", True)
    if kind == "GN":
        cfg.only("num_groups", 32)
        cfg.close()
        return "gn32"
    cfg.only("momentum", 0.1)
    cfg.only("track_running_stats", True)
    cfg.skip("stats_mode")
    cfg.close()
    return "bn" if kind == "BN" else "sync_bn"


def conv(section: Section) -> str:
    """Return the type of the convolutions of a part: ``Conv2d`` or ``ConvWS``."""
    cfg = section.section("conv_cfg", {"type": "Conv2d"})
    kind: str = cfg.only("type", "Conv2d", "ConvWS")
    cfg.close()
    return kind


def _numbers(stages: tuple[bool, ...]) -> tuple[int, ...]:
    return tuple(number for number, used in enumerate(stages, start=2) if used)
