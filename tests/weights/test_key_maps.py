"""Key maps: every key of every recorded checkpoint matches one rule, and no two get the same name."""

import json
import re
from collections import Counter
from functools import cache
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.paths import RECORDINGS
from splitnest.weights.key_maps.translate import DETECTOR, KEY_MAPS, KeyMap, Translation, translate

NAMES = sorted(p.stem for p in RECORDINGS.glob("*/*.json") if not p.stem.endswith((".train", ".e2e")))
DETECTRON2, PANOPTIC = (index for index, key_map in enumerate(KEY_MAPS) if key_map.name == "detectron2")
ROOTS = {"backbone", "fc", "neck", "rpn", "roi_heads", "semantic_head", "decode_head", "auxiliary_head", "head"}


def keys_of(name: str) -> list[str]:
    """Return the keys of a recorded checkpoint, as published."""
    record = json.loads((RECORDINGS / name.rpartition(".")[2] / f"{name}.json").read_text())
    keys = list(record["state_dict"])
    for pattern, replacement in record.get("published_rename", ()):
        keys = [re.sub(pattern, replacement, key) for key in keys]
    return keys


def index_of(name: str) -> int:
    """Return the index of the key map of a recorded checkpoint."""
    source = name.rpartition(".")[2].replace("timm", "official")
    if source == "detectron2":
        return PANOPTIC if name.startswith("panoptic") else DETECTRON2
    pooled, *plain = (index for index, key_map in enumerate(KEY_MAPS) if key_map.name == source)
    if "hrnet" in name or "_hr18" in name:
        return plain[1]
    return pooled if not plain or "resnest" in name or "resnetv1d" in name else plain[0]


@cache
def single_rules(index: int) -> tuple[list[KeyMap], list[KeyMap]]:
    """Return a key map as key maps of one rule each: those of modules, and those of dropped keys."""
    key_map = KEY_MAPS[index]
    modules = [KeyMap("", {source: target}, {}) for source, target in key_map.modules.items()]
    return modules, [KeyMap("", {}, {source: reason}) for source, reason in key_map.dropped.items()]


@cache
def num_module_rules(index: int, module: str) -> int:
    return sum(rule.module(module) is not None for rule in single_rules(index)[0])


def num_rules(index: int, key: str) -> int:
    """Return the number of rules of a key map that a key matches."""
    dropped = sum(rule.drop_reason(key) is not None for rule in single_rules(index)[1])
    return num_module_rules(index, key.rpartition(".")[0]) + dropped


def test_no_keys() -> None:
    assert translate([]) == Translation("official", {}, {}, [])


def test_every_recorded_key_matches_one_rule() -> None:
    for name in NAMES:
        keys, index = keys_of(name), index_of(name)
        translation = translate(keys)
        assert translation.layout == KEY_MAPS[index].name, name
        assert not translation.unknown, name
        assert sorted([*translation.sources.values(), *translation.dropped]) == sorted(keys), name
        assert {num_rules(index, key) for key in keys} == {1}, name
        assert {key.removeprefix(DETECTOR).partition(".")[0] for key in translation.sources} <= ROOTS, name
        assert any(key.startswith(DETECTOR) for key in translation.sources) == (index == PANOPTIC), name
        for key, source in translation.sources.items():
            assert key.rpartition(".")[2] == source.rpartition(".")[2], name


def test_our_names_map_to_themselves() -> None:
    for name in NAMES:
        ours = list(translate(keys_of(name)).sources)
        translation = translate(ours)
        assert translation.layout == "splitnest", name
        assert translation.sources == {key: key for key in ours}, name


RULES = [(index, *rule) for index in range(len(KEY_MAPS) - 1) for rule in KEY_MAPS[index].modules.items()]


@given(st.sampled_from(RULES), st.data())
def test_every_rule_alone_matches_its_names(rule: tuple[int, str, str], data: st.DataObject) -> None:
    index, source, target = rule
    numbers = {field: data.draw(st.integers(0, 60)) for _, field, _, _ in Formatter().parse(source) if field}
    name = source.format(**numbers)
    expected = re.sub(r"\{(.+?)\}", lambda match: str(eval(match[1], {}, numbers)), target)  # such as {stage+1}
    assert KEY_MAPS[index].module(name) == expected
    assert num_rules(index, f"{name}.weight") == 1


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
        (["backbone.conv1.weight", "backbone.gn1.bias"], ["backbone.stem.0.conv.weight", "backbone.stem.0.norm.bias"]),
        (  # without pooling in the shortcuts
            ["backbone.layer2.0.downsample.0.weight", "backbone.layer2.0.downsample.1.weight", "rpn_head.rpn_cls.bias"],
            ["backbone.c3.0.shortcut.conv.weight", "backbone.c3.0.shortcut.norm.weight", None],
        ),
        (  # early and later names of one layer
            ["backbone.layer2.0.conv2_offset.bias", "backbone.layer3.0.conv2.conv_offset.bias"],
            ["backbone.c3.0.conv2.conv.offset.bias", "backbone.c4.0.conv2.conv.offset.bias"],
        ),
        (
            ["backbone.layer4.2.context_block.channel_add_conv.1.weight"],
            ["backbone.c5.2.context.norm.weight"],
        ),
        (["rpn_head.rpn_conv.1.conv.bias"], ["rpn.conv.1.conv.bias"]),
        (["neck.fpn_convs.0.gn.weight"], ["neck.output.p2.norm.weight"]),
        (
            ["decode_head.0.convs.0.bn.bias", "decode_head.1.object_context_block.bottleneck.conv.weight"],
            ["auxiliary_head.convs.0.norm.bias", "decode_head.fuse.conv.weight"],
        ),
        (["conv1.weight", "layer2.0.downsample.0.weight"], ["backbone.stem.0.conv.weight", None]),  # torchvision
        (["proposal_generator.rpn_head.conv.conv1.bias"], ["rpn.conv.1.conv.bias"]),
        (  # the first shortcut of mmpose has no pooling, so its indices are lower by one
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
        (["c5.2.conv3.norm.weight"], ["backbone.c5.2.conv3.norm.weight"]),  # our own backbone alone
    ],
)
def test_names(keys: list[str], ours: list[str | None]) -> None:
    translation = translate(keys)
    assert not translation.unknown
    assert all(translation.sources[name] == key for key, name in zip(keys, ours, strict=True) if name)


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
def test_dropped_key_has_a_reason(companion: str, key: str) -> None:
    translation = translate([companion, key])
    assert list(translation.dropped) == [key]
    assert translation.dropped[key]


@pytest.mark.parametrize(
    "key", ["decode_head.conv_seq.weight", "layer1.0.conv9.weight", "layerx.0.conv1.weight", "fc", "conv1.0.0.weight"]
)
def test_unknown_key(key: str) -> None:
    assert translate(["layer1.0.conv1.weight", "conv1.0.weight", key]).unknown == [key]


def test_second_key_of_one_name_is_unknown() -> None:
    keys = ["backbone.bottom_up.stem.conv1.weight", "backbone.bottom_up.stem.conv1_1.weight"]
    assert translate(keys).unknown == [keys[1]]


def repeated_targets(index: int) -> set[str]:
    return {target for target, count in Counter(KEY_MAPS[index].modules.values()).items() if count > 1}


def test_targets_are_distinct_within_one_form() -> None:
    """Forms that exclude each other (7x7 and 3x3 stem, plain and split 3x3, FCN and other heads) may share names."""
    for index, key_map in enumerate(KEY_MAPS[:-1]):
        targets = {target.removeprefix(DETECTOR) for target in repeated_targets(index)}
        targets = {t for t in targets if not (t.startswith("backbone.stem.0.") or ".conv2." in t)}
        if key_map.name in ("mmdet", "mmseg", "mmpose", "torchvision"):  # bn and gn
            targets = {target for target in targets if not target.endswith(".norm")}
        match key_map.name:
            case "mmpose":  # mmpose 0 and 1
                targets = {target for target in targets if not target.startswith("head.")}
            case "mmseg":  # FCN, other heads, OCRNet
                of_ocr = ("auxiliary_head.", "decode_head.logits")
                targets = {t for t in targets if not (t.startswith(of_ocr) or t == "decode_head.fuse.conv")}
        assert not targets, key_map.name
