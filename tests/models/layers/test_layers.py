"""Normalization, convolutions, split attention."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from splitnest.models.layers.conv import ConvNormAct, make_conv, make_norm
from splitnest.models.layers.deformable_conv import DeformableConv2d
from splitnest.models.layers.split_attention import SplitAttention


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bn", "BatchNorm2d"),
        ("sync_bn", "BatchNorm2d"),
        ("frozen_bn", "FrozenBatchNorm2d"),
        ("gn", "GroupNorm"),
        ("gn32", "GroupNorm"),
    ],
)
def test_norm_keeps_the_shape(name: str, kind: str) -> None:
    norm = make_norm(name, 48)
    assert type(norm).__name__ == kind
    assert norm(torch.randn(2, 48, 3, 5)).shape == (2, 48, 3, 5)


def test_unknown_norm_names_the_choices() -> None:
    with pytest.raises(ValueError, match="bn, sync_bn, frozen_bn, gn or gn32"):
        make_norm("batch", 8)


@pytest.mark.parametrize(("kernel_size", "dilation"), [(1, 1), (3, 1), (3, 4), (7, 1)])
def test_convolution_keeps_the_size(kernel_size: int, dilation: int) -> None:
    layer = ConvNormAct(4, 6, kernel_size, dilation=dilation)
    assert layer.conv.bias is None
    assert layer(torch.randn(2, 4, 9, 11)).shape == (2, 6, 9, 11)
    assert ConvNormAct(4, 6, kernel_size, norm=None).conv.bias is not None


def test_deformable_convolution_starts_as_half_a_convolution() -> None:
    """Offsets start at 0 and the modulation at sigmoid(0) = 0.5."""
    deformable = DeformableConv2d(8, 6, stride=2, groups=2)
    plain = make_conv(8, 6, 3, stride=2, groups=2)
    plain.load_state_dict({"weight": deformable.weight.detach()})
    x = torch.randn(2, 8, 7, 9)
    assert torch.allclose(deformable(x), 0.5 * plain(x), atol=1e-6)


def naive_split_attention(layer: SplitAttention, x: torch.Tensor) -> torch.Tensor:
    """Return the formulation of the paper: each cardinal group alone, with its slice of every inner layer."""
    splits = F.relu(layer.norm(layer.conv(x)))
    num_groups, radix = layer.cardinality, layer.radix
    group_channels = layer.channels // num_groups
    sums = sum(splits.split(layer.channels, dim=1))
    hidden_weights = layer.fc1.weight.chunk(num_groups), layer.fc1.bias.chunk(num_groups)
    hidden = []
    for group in range(num_groups):
        pooled = sums[:, group * group_channels : (group + 1) * group_channels].mean((2, 3), keepdim=True)
        hidden.append(F.conv2d(pooled, hidden_weights[0][group], hidden_weights[1][group]))
    hidden = F.relu(layer.fc1_norm(torch.cat(hidden, dim=1))).chunk(num_groups, dim=1)
    weights, biases = layer.fc2.weight.chunk(num_groups), layer.fc2.bias.chunk(num_groups)
    outputs = []
    for group in range(num_groups):
        logits = F.conv2d(hidden[group], weights[group], biases[group]).chunk(radix, dim=1)
        attention = [logits[0].sigmoid()] if radix == 1 else list(torch.stack(logits).softmax(0))
        of_group = slice(group * group_channels, (group + 1) * group_channels)
        outputs.append(
            sum(a * s[:, of_group] for a, s in zip(attention, splits.split(layer.channels, dim=1), strict=True))
        )
    return torch.cat(outputs, dim=1)


@pytest.mark.parametrize("radix", [1, 2, 4])
@pytest.mark.parametrize("cardinality", [1, 2, 4])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_split_attention_equals_the_paper(radix: int, cardinality: int, stride: int, dilation: int) -> None:
    channels = 16
    conv = make_conv(channels, channels * radix, 3, stride=stride, dilation=dilation, groups=radix * cardinality)
    layer = SplitAttention(conv, channels, radix, cardinality, "gn").double()
    nn.init.normal_(layer.fc2.bias)
    x = torch.randn(2, channels, 6, 5, dtype=torch.float64, requires_grad=True)
    ours, naive = layer(x), naive_split_attention(layer, x)
    assert torch.allclose(ours, naive, atol=1e-12)
    gradients = [torch.autograd.grad(out.square().sum(), [x, *layer.parameters()]) for out in (ours, naive)]
    for a, b in zip(*gradients, strict=True):
        assert torch.allclose(a, b, atol=1e-9)
