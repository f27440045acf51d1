"""Normalisation and ReLU that are computed again in the backward pass."""

import gc
import weakref
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from splitnest.layers.conv import ConvNormAct
from splitnest.layers.recompute import norm_relu, recomputing
from splitnest.layers.split_attention import SplitAttention


def network() -> nn.Sequential:
    torch.manual_seed(0)
    grouped = nn.Conv2d(8, 16, 3, padding=1, groups=2, bias=False)
    layers = nn.Sequential(ConvNormAct(3, 8, 3), SplitAttention(grouped, 8, 2, 1, "bn"), ConvNormAct(8, 8, 1))
    return layers.to(memory_format=torch.channels_last)


def gradients(layers: nn.Module, images: torch.Tensor, again: bool) -> list[torch.Tensor]:
    layers.zero_grad()
    with recomputing() if again else nullcontext():
        found = layers(images)
    found.square().sum().backward()
    return [parameter.grad for parameter in layers.parameters()]


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_gradients_are_the_same(dtype: torch.dtype, bound: float) -> None:
    layers, images = network().to(dtype), torch.randn(2, 3, 9, 7, dtype=dtype)
    plain, again = (gradients(layers, images, kind) for kind in (False, True))
    for ours, theirs in zip(again, plain, strict=True):
        assert (ours - theirs).abs().max() <= bound * theirs.abs().max()


def test_gradients_are_those_of_torch() -> None:
    images = torch.randn(2, 4, 5, 3, dtype=torch.float64, requires_grad=True)
    norm = nn.BatchNorm2d(4).double()
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    assert torch.autograd.gradcheck(lambda maps: norm_relu(norm, nn.ReLU(), maps), images)
    assert norm.num_batches_tracked > 1


def test_statistics_are_those_of_torch() -> None:
    ours, theirs = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
    images = torch.randn(2, 4, 5, 3, requires_grad=True)
    assert torch.equal(norm_relu(ours, nn.ReLU(), images), theirs(images).relu())
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value), key


def test_half_precision() -> None:
    layers, images = network(), torch.randn(2, 3, 9, 7)
    with torch.autocast("cpu", torch.bfloat16):
        plain, again = (gradients(layers, images, kind) for kind in (False, True))
    for ours, theirs in zip(again, plain, strict=True):
        assert (ours - theirs).abs().max() <= 0.02 * theirs.abs().max()


@pytest.mark.parametrize("again", [False, True])
def test_results_are_not_kept(again: bool) -> None:
    layers, kept = network(), []
    layers[0].register_forward_hook(lambda *call: kept.append(weakref.ref(call[-1].untyped_storage())))
    with recomputing() if again else nullcontext():
        found = layers(torch.randn(2, 3, 9, 7))
    gc.collect()
    held = sum(storage() is not None for storage in kept)
    assert found.requires_grad
    assert held == 0 or not again


def test_a_result_that_was_changed_is_kept() -> None:
    """What a layer then saw is not what normalisation gave."""
    norm, weight = nn.BatchNorm2d(2), torch.ones(1, 2, 1, 1, requires_grad=True)
    maps = torch.randn(2, 2, 3, 3, requires_grad=True)
    with recomputing():
        changed = norm_relu(norm, nn.ReLU(), maps).mul_(0).add_(5)
        (changed * weight).sum().backward()
    assert torch.equal(weight.grad, torch.full_like(weight, 2 * 3 * 3 * 5.0))


def test_frozen_statistics_and_evaluation_are_plain() -> None:
    norm, maps = nn.BatchNorm2d(2), torch.randn(2, 2, 3, 3, requires_grad=True)
    assert norm_relu(norm.eval(), nn.ReLU(), maps).grad_fn.name().startswith("Relu")
    with torch.no_grad():
        assert not norm_relu(norm.train(), nn.ReLU(), maps).requires_grad
