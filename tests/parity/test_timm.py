"""Classifiers against timm: networks with the same weights, forward and backward; evaluation inputs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import splitnest
from helpers import oracle
from helpers.formula import formula_state_dict
from splitnest import zoo
from splitnest.data.images.normalize import center_crop, normalize
from splitnest.models.backbones.resnet import NUM_BLOCKS
from splitnest.recipe import ClassificationRecipe
from splitnest.weights.key_maps.translate import translate

timm = pytest.importorskip("timm")

MODELS = zoo.list_models("classification")
GAINS = [["bn.*weight", 0.5]]
"""Gains of the formula weights: with halved norms the sum of a hundred blocks is within the range of float32."""


def recipe_of(name: str) -> ClassificationRecipe:
    recipe = zoo.get(name)
    assert isinstance(recipe, ClassificationRecipe)
    return recipe


def depth_of(name: str) -> int:
    return recipe_of(name).model.backbone.depth


def network_of(name: str) -> nn.Module:
    """Return timm's network of a model with formula weights, built from timm's parts where timm has no name for it."""
    from timm.models.resnest import ResNestBottleneck
    from timm.models.resnet import ResNet

    backbone = recipe_of(name).model.backbone
    if name.endswith(".timm"):
        network = timm.create_model(name.removesuffix("_imagenet.timm"))
    else:
        network = ResNet(
            ResNestBottleneck,
            list(NUM_BLOCKS[backbone.depth]),
            stem_type="deep",
            stem_width=backbone.stem_width,
            avg_down=True,
            base_width=backbone.base_width,
            cardinality=backbone.cardinality,
            block_args={"radix": backbone.radix, "avd": True, "avd_first": backbone.avd_first},
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
        *(pytest.param(name, marks=pytest.mark.parity) for name in MODELS if depth_of(name) in (26, 50)),
    ],
)
def test_outputs_and_gradients_equal_those_of_timm(name: str, tmp_path: Path) -> None:
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
        if theirs_key not in parameters:  # statistics of batch normalization after a step
            assert torch.allclose(ours.get_buffer(key), state[theirs_key], rtol=1e-9), key
        else:
            expected, grad = parameters[theirs_key].grad, ours.get_parameter(key).grad
            assert torch.allclose(grad, expected, rtol=1e-6, atol=1e-8 * expected.norm().item() + least), key


@pytest.mark.parity
@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_every_model_at_its_input_size(name: str, tmp_path: Path) -> None:
    theirs = network_of(name).eval()
    predictor = splitnest.load(name, weights=None, device="cpu")
    image = oracle.image("scene_a")
    size = predictor.recipe.input.size
    images = predictor.prepared_batch([image]).images
    assert images.shape == (1, 3, size, size)
    expected = theirs(images)[0]
    predictor = splitnest.Predictor(loaded(name, theirs, tmp_path), predictor.recipe)
    logits = predictor.module(images)[0]
    assert (logits - expected).abs().max() < 1e-4 * expected.std()
    (result,) = predictor.predict(image)
    assert np.abs(result.probabilities - expected.softmax(0).numpy()).max() < 1e-6


@pytest.mark.parametrize("name", [name for name in MODELS if name.endswith(".timm")])
def test_inputs_equal_those_of_timm(name: str) -> None:
    """Images of several aspect ratios are cropped to the input size of the model."""
    from timm.data import create_transform, resolve_data_config
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(name.removesuffix("_imagenet.timm"))
    data: dict[str, Any] = resolve_data_config({}, pretrained_cfg=config.to_dict())
    transform = create_transform(**data, is_training=False)
    input_cfg = recipe_of(name).input
    rng = np.random.default_rng(0)
    for height, width in ((375, 500), (500, 375), (333, 251), (97, 640), (30, 31)):
        coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
        image = np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
        expected = transform(Image.fromarray(image))
        assert torch.allclose(normalize(center_crop(image, input_cfg), input_cfg), expected, atol=1e-6), (height, width)
