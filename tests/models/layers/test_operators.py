"""Operators against recordings of mmcv's: deformable convolutions, weight standardization, context block, soft-NMS."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers.paths import INPUTS
from splitnest.inference.fast import without_standardization
from splitnest.models.detection.nms import Suppression
from splitnest.models.layers.context_block import ContextBlock
from splitnest.models.layers.conv import StandardizedConv2d, make_conv
from splitnest.models.layers.deformable_conv import DeformableConv2d

DEFORMABLE = {
    "dcn_v1": {"modulated": False, "offset_groups": 1},
    "dcn_v1_stride2_groups2": {"modulated": False, "offset_groups": 1, "stride": 2, "groups": 2},
    "dcn_v2": {"modulated": True, "offset_groups": 1},
    "dcn_v2_deform_groups4": {"modulated": True, "offset_groups": 4, "stride": 2},
}
RULES = {
    "nms": Suppression("hard"),
    "soft_nms_linear": Suppression("linear"),
    "soft_nms_gaussian": Suppression("gaussian", min_score=0.05),  # as recorded
}


@cache
def recorded(part: str) -> dict[str, Tensor]:
    with np.load(INPUTS / "operators.npz") as arrays:
        return {k.removeprefix(f"{part}/"): torch.from_numpy(arrays[k]) for k in arrays if k.startswith(f"{part}/")}


def load_recorded(module: nn.Module, part: str, names: dict[str, str]) -> nn.Module:
    """Load a recorded operator, whose tensors have other names, and return it in evaluation mode."""
    tensors = {key: tensor for key, tensor in recorded(part).items() if key not in ("x", "y")}
    state = {}
    for key, tensor in tensors.items():
        owner, _, leaf = key.rpartition(".")
        state[".".join(filter(None, (names.get(owner, owner), leaf)))] = tensor
    module.load_state_dict(state)
    return module.eval()


@pytest.mark.parametrize("part", DEFORMABLE)
@torch.inference_mode()
def test_deformable_convolution(part: str) -> None:
    expected = recorded(part)
    layer = DeformableConv2d(8, 8, grouped_offsets=False, **DEFORMABLE[part])
    load_recorded(layer, part, {"conv_offset": "offset"})
    assert torch.allclose(layer(expected["x"]), expected["y"], atol=1e-5)


@torch.inference_mode()
def test_weight_standardization() -> None:
    expected = recorded("conv_ws")
    layer = load_recorded(make_conv(8, 6, 3, standardize=True), "conv_ws", {})
    assert isinstance(layer, StandardizedConv2d)
    assert torch.allclose(layer(expected["x"]), expected["y"], atol=1e-5)
    plain = without_standardization(layer)
    assert type(plain) is nn.Conv2d
    assert torch.equal(plain(expected["x"]), layer(expected["x"]))


@torch.inference_mode()
def test_context_block() -> None:
    expected = recorded("context_block")
    names = {
        "conv_mask": "mask",
        **{f"channel_add_conv.{i}": n for i, n in ((0, "reduce"), (1, "norm"), (3, "expand"))},
    }
    layer = load_recorded(ContextBlock(8, 0.25), "context_block", names)
    assert torch.allclose(layer(expected["x"]), expected["y"], atol=1e-5)


def test_context_block_starts_as_the_identity() -> None:
    x = torch.randn(2, 8, 5, 4)
    assert torch.equal(ContextBlock(8, 0.25)(x), x)


@pytest.mark.parametrize("part", RULES)
def test_suppression(part: str) -> None:
    boxes, scores, classes = (recorded("nms")[key] for key in ("boxes", "scores", "classes"))
    detections, places = recorded("nms")[f"{part}_detections"], recorded("nms")[f"{part}_keep"]
    kept, lowered = RULES[part](boxes, scores, classes, len(boxes))
    assert kept.tolist() == places.tolist()
    assert torch.allclose(lowered, detections[:, 4], atol=1e-5)
    assert torch.equal(boxes[kept], detections[:, :4])
    best, best_scores = RULES[part](boxes, scores, classes, 7)
    assert (best.tolist(), best_scores.tolist()) == (kept[:7].tolist(), lowered[:7].tolist())


@pytest.mark.parametrize("rules", RULES.values())
def test_suppression_of_nothing(rules: Suppression) -> None:
    kept, scores = rules(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long), 100)
    assert (kept.tolist(), scores.tolist()) == ([], [])
