"""The published models that a checkpoint without a recipe fits."""

from pathlib import Path

import pytest
from torch import Size, empty

from splitnest import zoo
from splitnest.device import on_meta
from splitnest.models.build import build_model
from splitnest.recipe import overrides
from splitnest.upstream.fitting_models import fitting_models, unknown_model
from splitnest.weights.read import Checkpoint


def shapes_of(name: str, **changes: object) -> dict[str, Size]:
    recipe = overrides.apply(zoo.get(name), {key.replace("__", "."): value for key, value in changes.items()})
    with on_meta():
        return {key: tensor.shape for key, tensor in build_model(recipe).state_dict().items()}


def test_nothing_fits_no_tensors() -> None:
    assert fitting_models({}, "official") == ([], [])


def test_models_of_equal_tensors_are_all_named() -> None:
    """The two differ in where average pooling stands, which no tensor shows."""
    exact, other_classes = fitting_models(shapes_of("resnest50_imagenet.official"), "official")
    assert {"resnest50_imagenet.official", "resnest50_fast_2s1x64d_imagenet.official"} <= set(exact)
    assert other_classes == []


def test_own_code_base_comes_first() -> None:
    shapes = shapes_of("faster_rcnn_resnet50_fpn_1x_coco.detectron2")
    assert fitting_models(shapes, "detectron2") == (["faster_rcnn_resnet50_fpn_1x_coco.detectron2"], [])
    assert fitting_models(shapes, "mmdet") == (["faster_rcnn_resnet50_fpn_1x_coco.detectron2"], [])


def test_other_classes() -> None:
    name = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"
    assert fitting_models(shapes_of(name, data__classes=["a", "b"]), "mmdet") == ([], [name])
    assert fitting_models(shapes_of(name, model__fpn_channels=128), "mmdet") == ([], [])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "resnest14d_imagenet.timm",
            "ResNeSt-14, 1000 classes, in the layout of splitnest) fit resnest14d_imagenet.timm",
        ),
        (None, "fits no published model: tensors such as a.weight are in none"),
    ],
)
def test_message(name: str | None, text: str) -> None:
    shapes = {"a.weight": Size([3])} if name is None else shapes_of(name)
    state = {key: empty(shape, device="meta") for key, shape in shapes.items()}
    message = str(unknown_model(Checkpoint(Path("x.pth"), "torch", state)))
    assert text in message
    assert message.startswith("x.pth has neither a recipe nor a configuration, so its model is unknown.")
    assert "--config" in message
    assert "--model" in message
