"""The key maps are total: every key of every recorded checkpoint has one rule, and no two have the same name here."""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitnest.weights.layout import DETECTRON2, LAYOUTS, MMDET, MMPOSE, OFFICIAL, Layout, Translation, translate

RECORDINGS = Path(__file__).parent.parent / "parity" / "recordings"
NAMES = sorted(p.stem for p in RECORDINGS.glob("*/*.json") if p.stem.count(".") == 1)
BY_SOURCE = {
    "official": OFFICIAL,
    "timm": OFFICIAL,
    "mmdet": MMDET,
    "mmseg": MMDET,
    "mmpose": MMPOSE,
    "detectron2": DETECTRON2,
}
ROOTS = {"backbone", "fc", "neck", "rpn", "roi_heads", "semantic_head", "decode_head", "auxiliary_head", "head"}


def keys_of(name: str) -> list[str]:
    return list(json.loads((RECORDINGS / name.split(".")[1] / f"{name}.json").read_text())["state_dict"])


@cache
def single_rules(layout: str) -> list[Layout]:
    whole = next(known for known in LAYOUTS if known.name == layout)
    modules = [Layout("", {source: target}, {}) for source, target in whole.modules.items()]
    return modules + [Layout("", {}, {source: reason}) for source, reason in whole.dropped.items()]


def matching_rules(layout: Layout, key: str) -> int:
    module = key.rpartition(".")[0]
    return sum(bool(rule.module(module) or rule.reason(key)) for rule in single_rules(layout.name))


def test_no_keys() -> None:
    assert translate([]) == Translation("official", {}, {}, [])


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_key_has_one_rule(name: str) -> None:
    keys, layout = keys_of(name), BY_SOURCE[name.split(".")[1]]
    found = translate(keys)
    assert found.layout == layout.name
    assert not found.unknown
    assert sorted([*found.sources.values(), *found.dropped]) == sorted(keys)
    assert {matching_rules(layout, key) for key in keys} == {1}
    assert {key.partition(".")[0] for key in found.sources} <= ROOTS
    assert all(key.rpartition(".")[2] == source.rpartition(".")[2] for key, source in found.sources.items())


@pytest.mark.parametrize("name", NAMES)
def test_our_names_map_to_themselves(name: str) -> None:
    ours = list(translate(keys_of(name)).sources)
    found = translate(ours)
    assert found.layout == "splitnest"
    assert found.sources == {key: key for key in ours}


@given(st.sampled_from([(layout, *rule) for layout in LAYOUTS[:-1] for rule in layout.modules.items()]), st.data())
def test_every_rule_alone_matches_its_names(rule: tuple[Layout, str, str], data: st.DataObject) -> None:
    layout, source, target = rule
    numbers = {field: data.draw(st.integers(0, 60)) for _, field, _, _ in Formatter().parse(source) if field}
    name = source.format(**numbers)
    assert layout.module(name) == target.format(**numbers)
    assert matching_rules(layout, f"{name}.weight") == 1


@pytest.mark.parametrize(
    ("keys", "ours"),
    [
        (["conv1.6.weight", "bn1.weight"], ["backbone.stem.2.conv.weight", "backbone.stem.2.norm.weight"]),
        (["layer3.47.conv2.bn1.running_var"], ["backbone.c4.47.conv2.fc1_norm.running_var"]),
        (["backbone.stem.7.bias"], ["backbone.stem.2.norm.bias"]),
        (["backbone.stem.2.bn.bias", "backbone.layer1.0.bn1.bias"], ["backbone.stem.2.norm.bias", None]),
        (["neck.fpn_convs.3.conv.bias"], ["neck.output.p5.conv.bias"]),
        (["roi_head.bbox_head.shared_fcs.1.bias"], ["roi_heads.box_heads.0.fcs.1.bias"]),
        (["roi_head.bbox_head.2.fc_reg.bias"], ["roi_heads.box_heads.2.deltas.bias"]),
        (["roi_head.mask_head.2.conv_logits.bias"], ["roi_heads.mask_heads.2.logits.bias"]),
        (["decode_head.psp_modules.3.1.bn.bias"], ["decode_head.pools.3.norm.bias"]),
        (["decode_head.aspp_modules.0.conv.weight"], ["decode_head.branches.0.conv.weight"]),
        (
            [
                "decode_head.aspp_modules.2.depthwise_conv.bn.weight",
                "decode_head.sep_bottleneck.1.pointwise_conv.conv.weight",
            ],
            ["decode_head.branches.2.depthwise.norm.weight", "decode_head.refine.1.pointwise.conv.weight"],
        ),
        (["auxiliary_head.conv_seg.bias"], ["auxiliary_head.logits.bias"]),
        (["head.deconv_layers.7.running_var"], ["head.deconvs.2.norm.running_var"]),
        (  # mmpose 0
            ["keypoint_head.deconv_layers.3.weight", "keypoint_head.final_layer.bias"],
            ["head.deconvs.1.conv.weight", "head.output.bias"],
        ),
        (  # the first shortcut of mmpose has no pooling, so its numbers are lower by one
            [f"backbone.layer{layer}.0.downsample.1.weight" for layer in (1, 2)] + ["head.final_layer.bias"],
            ["backbone.c2.0.shortcut.norm.weight", "backbone.c3.0.shortcut.conv.weight", None],
        ),
        (["backbone.bottom_up.stem.conv1.norm.weight"], ["backbone.stem.0.norm.weight"]),
        (["backbone.bottom_up.res4.35.conv2_offset.bias"], ["backbone.c4.35.conv2.conv.offset.bias"]),
        (["backbone.fpn_output5.norm.weight"], ["neck.output.p5.norm.weight"]),
        (["roi_heads.box_head.fc2.weight"], ["roi_heads.box_heads.0.fcs.1.weight"]),
        (["roi_heads.box_head.1.conv4.norm.weight"], ["roi_heads.box_heads.1.convs.3.norm.weight"]),
        (["roi_heads.box_predictor.2.bbox_pred.bias"], ["roi_heads.box_heads.2.deltas.bias"]),
        (["roi_heads.mask_head.mask_fcn8.weight"], ["roi_heads.mask_heads.0.convs.7.conv.weight"]),
        (["c5.2.conv3.norm.weight"], ["backbone.c5.2.conv3.norm.weight"]),  # a backbone of ours alone
    ],
)
def test_names(keys: list[str], ours: list[str | None]) -> None:
    found = translate(keys)
    assert not found.unknown
    assert all(found.sources[name] == key for key, name in zip(keys, ours, strict=True) if name)


@pytest.mark.parametrize(
    ("companion", "key"),
    [
        ("backbone.bottom_up.res2.0.conv1.weight", "pixel_mean"),
        ("backbone.bottom_up.res2.0.conv1.weight", "proposal_generator.anchor_generator.cell_anchors.4"),
        ("rpn_head.rpn_cls.bias", "data_preprocessor.std"),
        ("layer3.0.conv1.weight", "layer3.5.conv2.dropblock.drop_prob"),
        ("layer3.0.conv1.weight", "layer4.2.dropblock3.i"),
    ],
)
def test_dropped_with_a_reason(companion: str, key: str) -> None:
    found = translate([companion, key])
    assert list(found.dropped) == [key]
    assert found.dropped[key]


@pytest.mark.parametrize(
    "key", ["decode_head.conv_seq.weight", "layer1.0.conv9.weight", "layerx.0.conv1.weight", "fc", "conv1.0.0.weight"]
)
def test_unknown(key: str) -> None:
    assert translate(["layer1.0.conv1.weight", "conv1.0.weight", key]).unknown == [key]


def test_two_keys_of_one_name() -> None:
    keys = ["backbone.bottom_up.stem.conv1.weight", "backbone.bottom_up.stem.conv1_1.weight"]
    assert translate(keys).unknown == [keys[1]]


def test_tables_have_no_target_twice_within_one_form() -> None:
    """Forms that exclude each other (7x7 and 3x3 stem, plain and split 3x3, FCN and other heads) may share names."""
    assert max(Counter(OFFICIAL.modules.values()).values()) == 1
    twice = {target for target, count in Counter(MMPOSE.modules.values()).items() if count > 1}
    assert all(target.startswith("head.") for target in twice)  # mmpose 0 and 1
    twice = {target for target, count in Counter(MMDET.modules.values()).items() if count > 1}
    assert all("_head.fuse." in target for target in twice)
    twice = {target for target, count in Counter(DETECTRON2.modules.values()).items() if count > 1}
    assert all(target.startswith("backbone.stem.0.") or ".conv2." in target for target in twice)
