"""Gradient checkpointing of stages: the same losses, gradients and statistics with less memory."""

import copy

import pytest
import torch
from torch import Tensor, nn

from splitnest import zoo
from splitnest.errors import UsageError
from splitnest.models.backbones.resnet import ResNet, resnet
from splitnest.models.build import build_model
from splitnest.models.layers.checkpointing import checkpointed
from splitnest.models.layers.recompute import recomputing
from splitnest.recipe import overrides
from splitnest.training.memory import estimate_memory

NAME = "resnest50_imagenet.official"
SMALL = {"model.backbone": {"depth": 14, "planes": 8, "stem_width": 8, "stem_stride": 1}, "train.batch_size": 4}


def gradients_of(backbone: ResNet, images: Tensor) -> list[Tensor]:
    torch.manual_seed(1)
    with recomputing(images.device):
        features = backbone(images)
    sum(feature.square().mean() for feature in features.values()).backward()
    return [parameter.grad for parameter in backbone.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("norm", ["bn", "gn", "frozen_bn"])
@pytest.mark.parametrize("frozen_stages", [0, 2])
def test_gradients_and_statistics_equal_those_of_a_plain_pass(norm: str, frozen_stages: int) -> None:
    plain = resnet(14, planes=16, stem_width=8, norm=norm, drop_block=0.1, frozen_stages=frozen_stages).train()
    recomputed = copy.deepcopy(plain)
    recomputed.checkpoint_stages = frozenset({"c2", "c3", "c5"})
    images = torch.randn(2, 3, 64, 64)
    for _ in range(2):
        expected, gradients = gradients_of(plain, images), gradients_of(recomputed, images)
        assert len(expected) == len(gradients) > 0
        for one, other in zip(expected, gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    for (name, one), other in zip(plain.state_dict().items(), recomputed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_nothing_is_recomputed_without_gradients() -> None:
    calls = []

    class Stage(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            calls.append(x)
            return x * 2

    with torch.no_grad():
        checkpointed(Stage(), torch.ones(1))
    assert len(calls) == 1


def test_recipe_selects_stages_and_the_estimate_is_lower() -> None:
    plain = overrides.apply(zoo.get(NAME), SMALL)
    recomputed = overrides.apply(plain, {"train.checkpoint_stages": [2, 3, 4, 5]})
    model = build_model(recomputed)
    assert isinstance(model.backbone, ResNet)
    assert model.backbone.checkpoint_stages == {"c2", "c3", "c4", "c5"}
    all_kept, one_stage = estimate_memory(plain), estimate_memory(recomputed)
    assert one_stage.activations < 0.75 * all_kept.activations
    assert one_stage._replace(activations=0) == all_kept._replace(activations=0)
    with pytest.raises(UsageError, match=r"train\.checkpoint_stages\[0\] should be less than or equal to 5"):
        overrides.apply(plain, {"train.checkpoint_stages": [6]})
