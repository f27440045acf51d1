"""Classifiers against timm itself: networks with the same weights, forward and backward; inputs of evaluation."""

from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from formula import formula_state_dict
from PIL import Image
from torch import nn
from torch.nn import functional as F

import splitnest
from splitnest import recipes
from splitnest.data.transforms import prepare
from splitnest.recipe import ClassificationRecipe
from splitnest.weights.layout import translate

timm = pytest.importorskip("timm")

ROWS = recipes.names("classification")
GAINS = [["bn.*weight", 0.5]]
"""Of the formula weights: halved norms keep what a hundred blocks add up to within the range of float32."""


def recipe_of(name: str) -> ClassificationRecipe:
    recipe = recipes.get(name)
    assert isinstance(recipe, ClassificationRecipe)
    return recipe


def depth_of(name: str) -> int:
    return recipe_of(name).model.backbone.depth


def network_of(name: str) -> nn.Module:
    """Return timm's network of a row, made of timm's own parts where it has no name for it, with formula weights."""
    from timm.models.resnest import ResNestBottleneck
    from timm.models.resnet import ResNet

    facts = recipe_of(name).model.backbone
    if name.endswith(".timm"):
        network = timm.create_model(name.removesuffix("_imagenet.timm"))
    else:
        network = ResNet(
            ResNestBottleneck,
            list(facts.blocks),
            stem_type="deep",
            stem_width=facts.stem_width,
            avg_down=True,
            base_width=facts.base_width,
            cardinality=facts.cardinality,
            block_args={"radix": facts.radix, "avd": True, "avd_first": facts.avd_first},
        )
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    arrays = formula_state_dict(shapes, GAINS)
    network.load_state_dict({key: torch.from_numpy(array) for key, array in arrays.items()})
    return network


def loaded(name: str, network: nn.Module, folder: Path) -> nn.Module:
    path = folder / "weights.pth"
    torch.save(network.state_dict(), path)
    return splitnest.load(name, weights=path, device="cpu").module


@pytest.mark.parametrize(
    "name",
    [
        "resnest14d_imagenet.timm",
        *(pytest.param(name, marks=pytest.mark.parity) for name in ROWS if depth_of(name) in (26, 50)),
    ],
)
def test_outputs_and_gradients_are_those_of_timm(name: str, tmp_path: Path) -> None:
    theirs = network_of(name).double().train()
    ours = loaded(name, theirs, tmp_path).double().train()
    images, labels = torch.randn(4, 3, 64, 64, dtype=torch.float64), torch.tensor([3, 141, 592, 999])
    logits = [network(images) for network in (theirs, ours)]
    assert torch.allclose(*logits, rtol=1e-9, atol=1e-9 * logits[0].std().item())
    for output in logits:
        F.cross_entropy(output, labels, label_smoothing=0.1).backward()
    parameters = dict(theirs.named_parameters())
    least = 1e-10 * max(parameter.grad.norm().item() for parameter in parameters.values())  # of biases before BN: 0
    state = theirs.state_dict()
    for key, theirs_key in translate(state.keys()).sources.items():
        if theirs_key not in parameters:  # statistics of batch normalisation after a step
            assert torch.allclose(ours.get_buffer(key), state[theirs_key], rtol=1e-9), key
        else:
            expected, found = parameters[theirs_key].grad, ours.get_parameter(key).grad
            assert torch.allclose(found, expected, rtol=1e-6, atol=1e-8 * expected.norm().item() + least), key


@pytest.mark.parity
@pytest.mark.parametrize("name", ROWS)
@torch.inference_mode()
def test_every_row_at_its_own_size(name: str, tmp_path: Path) -> None:
    theirs = network_of(name).eval()
    predictor = splitnest.load(name, weights=None, device="cpu")
    image = oracle.image("scene_a")
    size = predictor.recipe.input.size
    images = prepare(image, predictor.recipe.input)[None]
    assert images.shape == (1, 3, size, size)
    expected = theirs(images)[0]
    predictor = splitnest.Predictor(loaded(name, theirs, tmp_path), predictor.recipe)
    logits = predictor.module(images)[0]
    assert (logits - expected).abs().max() < 1e-4 * expected.std()
    (result,) = predictor.predict(image)
    assert np.abs(result.probabilities - expected.softmax(0).numpy()).max() < 1e-6


@pytest.mark.parametrize("name", [name for name in ROWS if name.endswith(".timm")])
def test_inputs_are_those_of_timm(name: str) -> None:
    """Of photographs of many proportions, at the size of the row."""
    from timm.data import create_transform, resolve_data_config
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(name.removesuffix("_imagenet.timm"))
    data: dict[str, Any] = resolve_data_config({}, pretrained_cfg=config.to_dict())
    transform = create_transform(**data, is_training=False)
    facts = recipe_of(name).input
    rng = np.random.default_rng(0)
    for height, width in ((375, 500), (500, 375), (333, 251), (97, 640), (30, 31)):
        coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
        image = np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
        expected = transform(Image.fromarray(image))
        assert torch.allclose(prepare(image, facts), expected, atol=1e-6), (height, width)
