"""HRNet: sizes, frozen stages, fusion by definition, fast path, and its use in all tasks."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import splitnest
from splitnest.inference.fast import make_fast
from splitnest.models.backbones.hrnet import Fusion, HRNet
from splitnest.models.detection.hrfpn import HRFPN
from splitnest.models.layers.add_relu import add_relu
from splitnest.models.layers.resize_concat import resize_concat

TINY: dict[str, Any] = {"num_blocks": (1, 1, 1, 1), "num_modules": (1, 1, 1)}


def tiny(width: int = 4, **options: Any) -> HRNet:
    return splitnest.models.hrnet(width, **TINY, **options)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (65, 97), (33, 47)])
@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_branches_have_their_strides(height: int, width: int, upsampling: str) -> None:
    backbone = tiny(upsampling=upsampling)
    features = backbone(torch.rand(2, 3, height, width))
    assert backbone.channels == {"c2": 4, "c3": 8, "c4": 16, "c5": 32}
    assert {name: tuple(x.shape) for name, x in features.items()} == {
        name: (2, 4 * 2**i, -(-height // (4 * 2**i)), -(-width // (4 * 2**i)))
        for i, name in enumerate(("c2", "c3", "c4", "c5"))
    }
    sum(x.sum() for x in features.values()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_finest_branch_alone() -> None:
    backbone = tiny(all_branches=False)
    assert list(backbone(torch.rand(1, 3, 64, 64))) == ["c2"]
    assert len(backbone.stage4.blocks[-1].fuse) == 1
    for out in ((), ("c3",), ("c6",)):
        with pytest.raises(ValueError, match=r"the branches are c2$"):
            tiny(all_branches=False, out=out) if out else HRNet(nn.Sequential(), [nn.Identity()] * 4, [4], out=out)


def test_fusion_worked_by_definition() -> None:
    fusion = Fusion([4, 8, 16], 1, "nearest", "bn").eval()
    fine, middle, coarse = torch.rand(1, 4, 8, 12), torch.rand(1, 8, 4, 6), torch.rand(1, 16, 2, 3)
    down, up = fusion.paths[0][0], fusion.paths[2][0]
    expected = down.norm(F.conv2d(fine, down.conv.weight, stride=2, padding=1)) + middle
    expected = expected + F.interpolate(up.norm(F.conv2d(coarse, up.conv.weight)), scale_factor=2.0, mode="nearest")
    copies = middle.clone()
    torch.testing.assert_close(fusion([fine, middle, coarse]), expected.relu())
    assert torch.equal(copies, middle)  # other fusions need it


@pytest.mark.parametrize("target", range(4))
def test_fusion_of_four_branches_equals_the_sum_of_their_paths(target: int) -> None:
    """With and without gradients, and of sides that are no multiples of the stride."""
    fusion = Fusion([4, 8, 16, 32], target, "nearest", "bn").eval()
    for sides in ([16, 8, 4, 2], [15, 8, 4, 2], [13, 7, 4, 2]):
        branches = [torch.rand(2, 4 * 2**index, side, side) for index, side in enumerate(sides)]
        maps = [path(branch) for path, branch in zip(fusion.paths, branches, strict=True)]
        size = (sides[target], sides[target])
        for source in range(target + 1, 4):
            factor = 2 ** (source - target)
            maps[source] = F.interpolate(F.interpolate(maps[source], scale_factor=factor), size=size)
        copies = [branch.clone() for branch in branches]
        expected = sum(maps[1:], maps[0]).relu()  # type: ignore[arg-type]
        torch.testing.assert_close(fusion(branches), expected)
        with torch.inference_mode():
            torch.testing.assert_close(fusion(branches), expected)
        assert all(map(torch.equal, branches, copies))  # other fusions need them
    leaves = [torch.rand(1, 4 * 2**index, 8 // 2**index, 8 // 2**index, requires_grad=True) for index in range(4)]
    fusion(leaves).sum().backward()
    assert all(leaf.grad is not None for leaf in leaves)


def test_sum_with_relu() -> None:
    x, y = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 4)
    expected = F.relu(x + y)
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            assert torch.equal(add_relu(x, y), expected)
            copy = x.clone()
            assert torch.equal(add_relu(copy, y, overwrite=True), expected)
            assert torch.equal(copy, expected)
    assert add_relu(x[:0], y[:0]).shape == (0, 3, 5, 4)
    assert add_relu(x.bfloat16(), y.bfloat16()).dtype == torch.bfloat16
    assert torch.isnan(add_relu(torch.tensor([float("nan")]), torch.ones(1))).all()


def test_frozen_stages() -> None:
    """As in the originals, a frozen stage freezes the transition after it."""
    backbone = tiny(frozen_stages=2).train()
    frozen = {name.split(".")[0] for name, p in backbone.named_parameters() if not p.requires_grad}
    assert frozen == {"stem", "stage1", "stage2"}
    assert not any(p.requires_grad for p in backbone.stage2.transition.parameters())
    assert all(p.requires_grad for p in backbone.stage2.blocks.parameters())
    assert not backbone.stage1.training
    assert backbone.stage3.training
    assert all(not p.requires_grad for p in tiny(frozen_stages=5).parameters())
    evaluated = tiny(norm_eval=True).train()
    assert not any(m.training for m in evaluated.modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_fast_path_is_equal(upsampling: str) -> None:
    backbone = tiny(8, upsampling=upsampling).eval()
    for norm in (m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
        norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    images = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        plain = backbone(images)
        make_fast(backbone)
        for _ in range(2):
            for name, feature in backbone(images).items():
                torch.testing.assert_close(feature, plain[name], atol=1e-4, rtol=1e-4)


def test_fast_ocr_head_is_equal() -> None:
    """In float64: the softmax over far apart numbers, as an untrained network has them, magnifies rounding."""
    changes = {**BACKBONE, "model.head": "ocr", "model.all_levels": True, "model.head_channels": 16}
    changes |= {"model.auxiliary_channels": 60, "model.ocr_channels": 8}
    module = splitnest.build("fcn_resnest101_d8_cityscapes", changes).double().eval()
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    with torch.inference_mode():
        plain = module(images)
        make_fast(module, torch.float64, pack_weights=False)
        torch.testing.assert_close(module(images), plain)


def test_concatenation_of_one_and_of_several_levels() -> None:
    fine, coarse = torch.rand(1, 2, 4, 6), torch.rand(1, 3, 2, 3)
    assert resize_concat([fine]) is fine
    both = resize_concat([fine, coarse])
    assert torch.equal(both[:, :2], fine)
    assert torch.equal(both[:, 2:], F.interpolate(coarse, size=(4, 6), mode="bilinear", align_corners=False))


def test_pyramid_of_all_branches() -> None:
    neck = HRFPN({"c2": 4, "c3": 8, "c4": 16, "c5": 32}, 6)
    levels = neck(tiny()(torch.rand(1, 3, 128, 192)))
    shapes = {name: tuple(x.shape) for name, x in levels.items()}
    assert shapes == {f"p{i + 2}": (1, 6, 32 // 2**i, 48 // 2**i) for i in range(5)}


def test_pyramid_of_a_small_image_has_a_cell_in_each_level() -> None:
    """Its coarsest level would be empty; it is the mean over the part of its cell that exists."""
    neck = HRFPN({"c2": 4, "c3": 8, "c4": 16, "c5": 32}, 6)
    levels = neck(tiny()(torch.rand(1, 3, 32, 128)))
    assert [tuple(x.shape[2:]) for x in levels.values()] == [(8, 32), (4, 16), (2, 8), (1, 4), (1, 2)]


BACKBONE = {"model.backbone": {"hrnet": 4, "num_blocks": [1, 1, 1, 1], "num_modules": [1, 1, 1]}}


def test_models_of_all_tasks() -> None:
    images = torch.rand(2, 3, 64, 96)
    classifier = splitnest.build("resnest50_imagenet.official", {**BACKBONE, "data.classes": ["a", "b"], "train": None})
    assert classifier(images).shape == (2, 2)
    for head, auxiliary in (("fcn", None), ("ocr", 60)):
        changes = {**BACKBONE, "model.head": head, "model.all_levels": True, "model.head_channels": 60}
        changes |= {"model.auxiliary_channels": auxiliary, "model.ocr_channels": 8}
        segmentor = splitnest.build("fcn_resnest101_d8_cityscapes", changes)
        assert segmentor(images).shape[:2] == (2, 19)
    pose = {**BACKBONE, "model.deconv_channels": [], "input.height": 64, "input.width": 96}
    name = "simplebaseline_resnest50_256x192_coco"
    assert splitnest.build(name, pose)(images).shape == (2, 17, 16, 24)
    wide = splitnest.build(name, {**pose, "model.all_levels": True, "model.conv_channels": 60})
    assert wide(images).shape == (2, 17, 16, 24)
    offsets = splitnest.build(name, {**pose, "model.codec": "udp", "model.offsets": True, "model.output_keypoints": 5})
    assert offsets(images).shape == (2, 51, 16, 24)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.all_levels": True}, "takes the branches of an HRNet"),
        ({"model.offsets": True}, "offsets are of codec udp, not of msra"),
        ({"model.codec": "udp", "model.offsets": True, "model.loss": "adaptive_wing"}, "without offsets"),
        ({"model.blur_kernel": 12}, "give an odd number"),
        (BACKBONE, "heatmaps would be larger"),
    ],
)
def test_invalid_recipes(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(splitnest.UsageError, match=message):
        splitnest.build("simplebaseline_resnest50_256x192_coco", changes)
