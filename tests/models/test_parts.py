"""Networks with parts that are given from Python: what they compute, and refusals of parts that do not fit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F

import splitnest
from helpers.own_networks import SEMANTIC, Pyramid, focal_loss
from helpers.tiny_detector import CONTENT as DETECTION
from splitnest.errors import UsageError
from splitnest.models.class_loss import sum_of
from splitnest.models.detection.box_head import BoxHead
from splitnest.models.detection.mask_head import MaskHead
from splitnest.models.detection.rcnn import RCNN
from splitnest.models.segmentation.pixel_loss import pixel_loss
from splitnest.models.segmentation.segmentor import Segmentor
from splitnest.zoo import load_recipe

CLASSIFIER = {"train.label_smoothing": 0, "data.classes": ["cat", "dog"]}
POSE = "simplebaseline_resnest50_256x192_coco.mmpose"


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("recipes")
    for name, content in (("semantic", SEMANTIC), ("detection", DETECTION)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return {name: folder / f"{name}.yaml" for name in ("semantic", "detection")}


class Mean(nn.Module):
    """Decode head on all features of the backbone."""

    def __init__(self, channels: dict[str, int], num_classes: int) -> None:
        super().__init__()
        self.convs = nn.ModuleDict({name: nn.Conv2d(width, num_classes, 1) for name, width in channels.items()})

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        size = features["c2"].shape[-2:]
        maps = [F.interpolate(conv(features[name]), size=size) for name, conv in self.convs.items()]
        return torch.stack(maps).mean(0)


def test_a_backbone_and_heads_of_a_segmentor(recipes: dict[str, Path]) -> None:
    backbone = Pyramid()
    head = Mean(backbone.channels, 3)
    model = splitnest.build(recipes["semantic"], backbone=backbone, decode_head=head, class_loss=focal_loss)
    assert isinstance(model, Segmentor)
    assert model.backbone is backbone
    assert model.decode_head is head
    assert model.training
    assert model(torch.rand(1, 3, 64, 96)).shape == (1, 3, 64, 96)
    of_recipe = splitnest.build(recipes["semantic"], decode_head=Mean({"c2": 32, "c3": 64, "c4": 128, "c5": 256}, 3))
    assert of_recipe.eval()(torch.rand(1, 3, 64, 96)).shape == (1, 3, 64, 96)  # the backbone returns all its features


def test_parts_of_a_detector(recipes: dict[str, Path]) -> None:
    box_head = BoxHead(16, 7, num_convs=0, num_fcs=1, fc_channels=8)
    mask_head = MaskHead(16, 7, num_convs=1, channels=8)
    model = splitnest.build(
        recipes["detection"], backbone=Pyramid(), box_heads=[box_head], mask_heads=[mask_head], class_loss=focal_loss
    )
    assert isinstance(model, RCNN)
    assert list(model.roi_heads.box_heads) == [box_head]
    assert list(model.roi_heads.mask_heads) == [mask_head]
    neck = model.neck
    assert isinstance(neck, nn.Module)
    again = splitnest.build(recipes["detection"], backbone=Pyramid(), neck=neck)
    assert isinstance(again, RCNN)
    assert again.neck is neck


def test_parts_of_a_classifier_and_a_pose_estimator() -> None:
    backbone = Pyramid()
    model = splitnest.build("resnest50_imagenet.official", CLASSIFIER, backbone=backbone, class_loss=focal_loss)
    assert model(torch.rand(2, 3, 64, 64)).shape == (2, 2)
    pose = splitnest.build(POSE, {"model.deconv_channels": [8]}, backbone=backbone)
    assert pose(torch.rand(1, 3, 64, 64)).shape == (1, 17, 4, 4)

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(20, 17, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x)

    pose = splitnest.build(POSE, backbone=backbone, heatmap_head=Head())
    assert pose(torch.rand(1, 3, 64, 64)).shape == (1, 17, 2, 2)


def test_class_loss_of_nothing_and_of_labeled_pixels() -> None:
    assert sum_of(focal_loss, torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)) == 0
    logits, labels = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5), dtype=torch.uint8)
    labels[0] = 255
    cross_entropy = pixel_loss(logits, labels)
    own = pixel_loss(logits, labels, class_loss=lambda x, y: F.cross_entropy(x, y, reduction="none"))
    torch.testing.assert_close(own, cross_entropy)
    labels[:] = 255
    assert pixel_loss(logits, labels, class_loss=focal_loss) == 0


@pytest.mark.parametrize("result", [torch.zeros(()), torch.zeros(3), 1.0, None])
def test_class_loss_returns_one_value_for_each_row(result: Any) -> None:
    with pytest.raises(UsageError, match=r"class_loss returned a .* Return the loss of each row, a tensor \[2\]"):
        sum_of(lambda logits, labels: result, torch.zeros(2, 3), torch.zeros(2, dtype=torch.long))


def test_focal_loss_trains_a_detector(recipes: dict[str, Path]) -> None:
    """The class loss of the box head is the given one; the others stay."""
    torch.manual_seed(0)
    model = splitnest.build(recipes["detection"], class_loss=focal_loss)
    plain = splitnest.build(recipes["detection"])
    plain.load_state_dict(model.state_dict())
    batch = splitnest.load(recipes["detection"], weights=None, device="cpu").batch(
        [np.zeros((64, 96, 3), np.uint8)],
        [splitnest.Instances(torch.tensor([[8.0, 8.0, 40.0, 40.0]]), torch.tensor([2]), [torch.ones(64, 96)])],
    )
    batch = type(batch)(**{**vars(batch), "seeds": (1,)})
    focal, losses = model.eval().loss(batch), plain.eval().loss(batch)
    assert focal.keys() == losses.keys()
    assert focal["loss_cls"] < losses["loss_cls"]
    for name in losses.keys() - {"loss_cls"}:
        assert torch.equal(focal[name], losses[name])


class Wrong(Pyramid):
    """Backbone with one attribute changed, or removed."""

    def __init__(self, attribute: str, value: Any) -> None:
        super().__init__()
        delattr(self, attribute)
        if value is not None:
            setattr(self, attribute, value)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (Wrong("channels", None), "The backbone Wrong has no channels. Give it an attribute channels, a dictionary"),
        (Wrong("strides", None), "The backbone Wrong has no strides"),
        (Wrong("strides", [4, 8, 16, 32]), "The backbone Wrong has no strides"),
        (Wrong("channels", {}), "channels of the backbone Wrong has nothing, but the network needs c2, c3, c4, c5"),
        (Wrong("strides", {"c2": 4}), "strides of the backbone Wrong has c2, but the network needs c3, c4, c5"),
        (
            Wrong("channels", {"c2": 8, "c3": 12, "c4": 99, "c5": 20}),
            r"c4 of the backbone Wrong is \[1, 16, 8, 8\] .* by its channels \(99\) and strides \(16\) it is \[1, 99",
        ),
        (Wrong("strides", {"c2": 4, "c3": 8, "c4": 16, "c5": 16}), r"c5 of the backbone Wrong is \[1, 20, 4, 4\]"),
        (nn.Conv2d(3, 8, 3), "The backbone Conv2d has no channels"),
    ],
)
def test_backbones_without_the_interface_are_refused(
    backbone: nn.Module, message: str, recipes: dict[str, Path]
) -> None:
    with pytest.raises(UsageError, match=message):
        splitnest.build(recipes["detection"], backbone=backbone)


def test_backbones_that_return_or_raise_anything(recipes: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for returned in (None, [], torch.zeros(1), {"c2": torch.zeros(1)}):
        monkeypatch.setattr(Pyramid, "forward", lambda self, images, value=returned: value)
        with pytest.raises(UsageError, match="The backbone Pyramid does not return c2"):
            splitnest.build(recipes["detection"], backbone=Pyramid())
    monkeypatch.setattr(Pyramid, "forward", lambda self, images: images.view(7, -1))
    with pytest.raises(UsageError, match="The backbone Pyramid fails for an image of 128 x 128 pixels: RuntimeError"):
        splitnest.build(recipes["detection"], backbone=Pyramid())


def test_trying_a_backbone_leaves_it_as_it_was(recipes: dict[str, Path]) -> None:
    class Normalized(Pyramid):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)
            self.frozen = nn.BatchNorm2d(3).eval()

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            return super().forward(self.frozen(self.norm(images)))

    backbone = Normalized()
    splitnest.build(recipes["detection"], backbone=backbone)
    assert backbone.training
    assert backbone.norm.training
    assert not backbone.frozen.training
    assert backbone.norm.num_batches_tracked == 0


@pytest.mark.parametrize(
    ("recipe", "parts", "message"),
    [
        ("semantic", {"box_heads": []}, "A network of the task semantic has no box_heads. It has backbone, decode_h"),
        ("detection", {"decode_head": nn.Identity()}, "A network of the task instance has no decode_head"),
        ("detection", {"box_heads": []}, "box_heads has 0 modules, but the recipe has 1"),
        ("detection", {"mask_heads": [nn.Identity()] * 2}, "mask_heads has 2 modules, but the recipe has 1"),
        ("detection", {"box_heads": nn.Identity()}, "box_heads is a Identity. Give a list of modules"),
        ("detection", {"neck": "fpn"}, r"neck is a str. Give a module \(torch.nn.Module\)"),
        ("semantic", {"class_loss": 3}, "class_loss is a int. Give a function"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    recipe: str, parts: dict[str, Any], message: str, recipes: dict[str, Path]
) -> None:
    with pytest.raises(UsageError, match=message):
        splitnest.build(recipes[recipe], **parts)


def test_keys_of_the_cross_entropy_are_refused_with_a_class_loss(recipes: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"train\.label_smoothing 0\.1 is of the cross entropy"):
        splitnest.build("resnest50_imagenet.official", class_loss=focal_loss)
    weights = {"train.class_weights": [1.0] * load_recipe(recipes["semantic"]).num_classes}
    with pytest.raises(UsageError, match=r"train\.class_weights .* is of the cross entropy.* Set it to null"):
        splitnest.build(recipes["semantic"], weights, class_loss=focal_loss)
    splitnest.build(recipes["semantic"], weights)


def test_heads_of_ocrnet_and_of_a_segmentor_without_auxiliary_head(recipes: dict[str, Path]) -> None:
    num_classes = load_recipe(recipes["semantic"]).num_classes
    regions = Mean({"c4": 16}, num_classes)
    regions.convs["c2"] = nn.Conv2d(8, num_classes, 1)
    ocr = {"model.head": "ocr", "model.ocr_channels": 8, "model.align_corners": True}
    backbone = Pyramid((8, 12, 16, 20))
    model = splitnest.build(recipes["semantic"], ocr, backbone=backbone, auxiliary_head=regions)
    assert isinstance(model, Segmentor)
    assert model.align_corners
    assert model.auxiliary_head is regions
    plain = splitnest.build(recipes["semantic"], {"model.auxiliary_channels": None}, backbone=Pyramid())
    assert isinstance(plain, Segmentor)
    assert plain.auxiliary_head is None
    assert plain.eval()(torch.rand(1, 3, 64, 96)).shape == (1, num_classes, 64, 96)


def test_stages_of_a_given_backbone_are_not_recomputed(recipes: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"train\.checkpoint_stages has no effect on a Pyramid\. Remove it"):
        splitnest.build(recipes["semantic"], {"train.checkpoint_stages": [4]}, backbone=Pyramid())
