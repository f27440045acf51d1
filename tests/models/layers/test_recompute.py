"""Normalization and ReLU whose output is recomputed in the backward pass."""

import gc
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from torch import nn

from splitnest.models.layers.conv import ConvNormAct
from splitnest.models.layers.recompute import norm_relu, recomputing
from splitnest.models.layers.split_attention import SplitAttention


def network() -> nn.Sequential:
    torch.manual_seed(0)
    grouped = nn.Conv2d(8, 16, 3, padding=1, groups=2, bias=False)
    layers = nn.Sequential(ConvNormAct(3, 8, 3), SplitAttention(grouped, 8, 2, 1, "bn"), ConvNormAct(8, 8, 1))
    return layers.to(memory_format=torch.channels_last)


def context(recomputes: bool) -> AbstractContextManager[None]:
    return recomputing(torch.device("cpu")) if recomputes else nullcontext()


def gradients(layers: nn.Module, images: torch.Tensor, recomputes: bool) -> list[torch.Tensor]:
    layers.zero_grad()
    with context(recomputes):
        output = layers(images)
    output.square().sum().backward()
    return [parameter.grad for parameter in layers.parameters()]


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_gradients_are_the_same(dtype: torch.dtype, bound: float) -> None:
    layers, images = network().to(dtype), torch.randn(2, 3, 9, 7, dtype=dtype)
    plain, recomputed = (gradients(layers, images, recomputes) for recomputes in (False, True))
    for ours, theirs in zip(recomputed, plain, strict=True):
        assert (ours - theirs).abs().max() <= bound * theirs.abs().max()


def test_gradients_are_those_of_torch() -> None:
    images = torch.randn(2, 4, 5, 3, dtype=torch.float64, requires_grad=True)
    norm = nn.BatchNorm2d(4).double()
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    assert torch.autograd.gradcheck(lambda x: norm_relu(norm, nn.ReLU(), x), images)
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
        plain, recomputed = (gradients(layers, images, recomputes) for recomputes in (False, True))
    for ours, theirs in zip(recomputed, plain, strict=True):
        assert (ours - theirs).abs().max() <= 0.02 * theirs.abs().max()


@pytest.mark.parametrize("recomputes", [False, True])
def test_outputs_are_not_kept(recomputes: bool) -> None:
    layers, storages = network(), []
    layers[0].register_forward_hook(lambda *call: storages.append(weakref.ref(call[-1].untyped_storage())))
    with context(recomputes):
        output = layers(torch.randn(2, 3, 9, 7))
    gc.collect()
    kept = sum(storage() is not None for storage in storages)
    assert output.requires_grad
    assert (kept == 0) == recomputes


def test_modified_output_is_kept() -> None:
    """The next layer did not see what the normalization returned."""
    norm, weight = nn.BatchNorm2d(2), torch.ones(1, 2, 1, 1, requires_grad=True)
    x = torch.randn(2, 2, 3, 3, requires_grad=True)
    with recomputing(torch.device("cpu")):
        changed = norm_relu(norm, nn.ReLU(), x).mul_(0).add_(5)
        (changed * weight).sum().backward()
    assert torch.equal(weight.grad, torch.full_like(weight, 2 * 3 * 3 * 5.0))


def modify_input_of_product(x: torch.Tensor) -> torch.Tensor:
    y = x.exp()
    z = (y * y).sum()
    y.mul_(2)
    return z


def modify_output(x: torch.Tensor) -> torch.Tensor:
    y = x.exp()
    y.mul_(2)
    return y.sum()


def modify_base_of_view(x: torch.Tensor) -> torch.Tensor:
    y = 1 * x
    z = y[:2].square().sum()
    y.mul_(2)
    return z


@pytest.mark.parametrize("recomputes", [False, True])
@pytest.mark.parametrize("compute", [modify_input_of_product, modify_output, modify_base_of_view])
def test_modified_tensor_that_a_gradient_needs_is_an_error(
    recomputes: bool, compute: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    """As torch itself raises it; torch does not check tensors that go through hooks."""
    with context(recomputes):
        z = compute(torch.ones(3, requires_grad=True))
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            z.backward()


def test_other_devices_keep_their_tensors() -> None:
    assert isinstance(recomputing(torch.device("cuda")), nullcontext)


def test_frozen_statistics_and_evaluation_are_plain() -> None:
    norm, x = nn.BatchNorm2d(2), torch.randn(2, 2, 3, 3, requires_grad=True)
    assert norm_relu(norm.eval(), nn.ReLU(), x).grad_fn.name().startswith("Relu")
    with torch.no_grad():
        assert not norm_relu(norm.train(), nn.ReLU(), x).requires_grad
