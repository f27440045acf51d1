"""Models of timm as backbones: feature maps, recipes, refusals."""

import sys
from typing import Any

import pytest
import timm
import torch

import splitnest
from splitnest import zoo
from splitnest.device import on_meta
from splitnest.errors import UsageError, WeightsError
from splitnest.models.backbones.timm_backbone import timm_backbone
from splitnest.models.build import build_model
from splitnest.models.complexity import complexity
from splitnest.recipe import ClassificationRecipe, Recipe, TimmBackboneConfig, overrides

TINY_CONVNEXT: dict[str, Any] = {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)}
SMALL = {"model.head_channels": 8, "model.auxiliary_channels": 8, "data.classes": ["cat", "dog"]}


def segmentor(**backbone: Any) -> Recipe:
    recipe = zoo.get("deeplabv3plus_resnest101_d8_cityscapes.mmseg")
    return overrides.apply(recipe, {**SMALL, **{f"model.backbone.{key}": value for key, value in backbone.items()}})


@pytest.mark.parametrize(
    ("name", "options", "stride"),
    [
        ("convnext_tiny", TINY_CONVNEXT, 32),
        ("convnext_tiny", TINY_CONVNEXT, 8),
        ("test_efficientnet", {}, 32),
        ("test_resnet", {}, 32),
        ("resnet10t", {}, 16),  # its first feature map has stride 2
        ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 1, 1), "embed_dim": 12, "strict_img_size": False}, 32),
    ],
)
def test_features_are_those_of_timm(name: str, options: dict[str, Any], stride: int) -> None:
    backbone = timm_backbone(name, output_stride=stride, **options).eval()
    images = torch.rand(2, 3, 64, 96)
    expected = backbone.model(images)[-4:]
    features = backbone(images)
    assert list(features) == ["c2", "c3", "c4", "c5"]
    for (key, found), of_timm in zip(features.items(), expected, strict=True):
        assert torch.equal(found, of_timm.permute(0, 3, 1, 2) if "swin" in name else of_timm)
        assert found.shape[1] == backbone.channels[key]
        assert found.shape[-2] == -(-64 // backbone.strides[key])
    assert list(backbone.strides.values()) == [min(s, stride) for s in (4, 8, 16, 32)]


def test_only_named_features_are_returned() -> None:
    backbone = timm_backbone("test_resnet", out=("c3", "c5"))
    assert list(backbone(torch.rand(1, 3, 64, 64))) == list(backbone.channels) == ["c3", "c5"]
    for out in ((), ("c1",)):
        with pytest.raises(UsageError, match="The feature maps of a backbone are c2, c3, c4, c5"):
            timm_backbone("test_resnet", out=out)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("convnext_tny", {}, r"timm .* has no model 'convnext_tny'. Similar names: .*convnext_tiny"),
        ("vit_tiny_patch16_224", {"depth": 3}, "has the strides|have the strides 16, 16, 16; a backbone needs 4, 8"),
        ("swin_tiny_patch4_window7_224", {"output_stride": 8}, "timm cannot build swin_tiny.*output_stride=8"),
        ("convnext_tiny", {"nonsense": 1}, "timm cannot build convnext_tiny with .*nonsense=1"),
    ],
)
def test_unusable_models_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        timm_backbone(name, **options)


def test_missing_timm_is_a_plain_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"pip install 'splitnest\[timm\]'"):
        build_model(segmentor(timm="test_convnext"))


def test_weights_of_timm_are_loaded_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What timm fetches is replaced by a model with other random weights: the class of the failure is any."""
    create = timm.create_model
    fetched = create("test_resnet", features_only=True)

    def offline(name: str, **options: Any) -> Any:
        if options.get("pretrained"):
            raise OSError("Couldn't reach the Hub.")
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(WeightsError, match="timm's weights of test_resnet cannot be fetched: Couldn't reach the Hub"):
        timm_backbone("test_resnet", pretrained=True)
    monkeypatch.setattr(timm, "create_model", lambda name, **o: fetched if o.get("pretrained") else create(name, **o))
    backbone = timm_backbone("test_resnet", pretrained=True)
    assert all(torch.equal(fetched.state_dict()[key], value) for key, value in backbone.model.state_dict().items())


@pytest.mark.parametrize("name", ["hf-hub:someone/model", "local-dir:/tmp", "../model", "", "A", "a.b.c", "x" * 70])
def test_recipes_name_models_of_timm_alone(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a model of timm"):
        segmentor(timm=name)


def test_recipe_switches_between_timm_and_resnets() -> None:
    recipe = segmentor(timm="test_convnext")
    assert recipe.model.backbone == TimmBackboneConfig(timm="test_convnext", output_stride=8)
    assert recipe.weights is None
    other = overrides.apply(recipe, {"model.backbone": {"timm": "test_resnet", "pretrained": True}})
    assert other.model.backbone == TimmBackboneConfig(timm="test_resnet", output_stride=8, pretrained=True)
    back = overrides.apply(other, {"model.backbone": {"timm": None, "depth": 50}})
    assert back.model.backbone.model_dump()["depth"] == 50
    for base, changes, message in (
        (recipe, {"depth": 50}, "model.backbone.depth has no effect with model.backbone.timm test_convnext. Remove it"),
        (back, {"pretrained": True}, "model.backbone.pretrained has an effect with model.backbone.timm only"),
        (back, {"depht": 50}, "use model.backbone.depth"),
        (recipe, {"output_stride": 9}, "model.backbone.output_stride should be 8, 16 or 32, not 9"),
    ):
        with pytest.raises(UsageError, match=message):
            overrides.apply(base, {"model.backbone": changes})


def test_keys_of_resnets_have_no_effect_on_a_classifier() -> None:
    recipe = zoo.get("resnest50_imagenet.official")
    assert isinstance(recipe, ClassificationRecipe)
    with pytest.raises(UsageError, match=r"train\.\w+ is of ResNets: set it to"):
        overrides.apply(recipe, {"model.backbone.timm": "test_resnet"})
    changes = {"model.backbone.timm": "test_resnet", "train.drop_block": 0, "train.zero_init_last": False}
    model = build_model(overrides.apply(recipe, changes)).eval()
    assert model(torch.rand(1, 3, 64, 64)).shape == (1, 1000)


def test_networks_are_built_on_the_meta_device_too() -> None:
    """Swin has tables that no checkpoint has: they keep their values."""
    with on_meta():
        backbone = timm_backbone("swin_tiny_patch4_window7_224", depths=(1, 1, 1, 1), embed_dim=12)
        assert all(p.is_meta for p in timm_backbone("test_convnext").parameters())
    assert not any(buffer.is_meta for buffer in backbone.buffers())
    recipe = segmentor(timm="test_convnext")
    count = sum(p.numel() for p in build_model(recipe).parameters())
    assert complexity(recipe, (64, 64)).parameters == count


def test_detector_needs_the_strides_of_its_pyramid() -> None:
    recipe = zoo.get("faster_rcnn_resnest50_fpn_1x_coco.mmdet")
    changes = {"model.backbone.timm": "test_resnet", "model.backbone.output_stride": 8}
    with pytest.raises(UsageError, match="c4 of the backbone TimmBackbone has stride 8; a detector needs 16"):
        build_model(overrides.apply(recipe, changes))


def test_public_name() -> None:
    assert splitnest.models.timm_backbone is timm_backbone
