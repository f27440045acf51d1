"""Class weights of the cross entropy of classifiers and segmentors."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from splitnest import zoo
from splitnest.errors import UsageError
from splitnest.inference.resolve import resolve
from splitnest.models.build import build_model
from splitnest.models.segmentation.pixel_loss import PixelMiner, pixel_loss
from splitnest.recipe import overrides
from splitnest.structures.batch import collate

CLASSIFIER = {
    "data.classes": ["a", "b", "c"],
    "model.backbone": {"depth": 14, "planes": 8, "stem_width": 8, "stem_stride": 1},
}


def test_classes_are_weighted_in_the_loss_of_a_classifier() -> None:
    losses = []
    for weights in (None, [1, 1, 1], [3, 1, 0.5]):
        recipe = overrides.apply(zoo.get("resnest50_imagenet.official"), {**CLASSIFIER, "train.class_weights": weights})
        recipe = overrides.apply(recipe, {"train.label_smoothing": 0})
        torch.manual_seed(0)
        model = build_model(recipe).eval()
        images = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32))
        labels = torch.tensor([0, 2, 1])
        losses.append(model.loss(collate(list(images), labels=labels))["loss_class"].item())
        terms = F.cross_entropy(model(images), labels, reduction="none")
    assert losses[0] == pytest.approx(losses[1])
    assert losses[2] == pytest.approx(((terms * torch.tensor([3, 0.5, 1])).sum() / 3).item(), rel=1e-5)


def test_classes_are_weighted_in_the_loss_of_pixels() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    labels[0, 0] = 255
    terms = F.cross_entropy(logits, labels, reduction="none", ignore_index=255)
    weights = torch.tensor([3, 1, 0.5])
    expected = (terms * weights[labels.clamp(max=2)]).sum() / labels.numel()
    torch.testing.assert_close(pixel_loss(logits, labels, class_weights=(3, 1, 0.5)), expected)
    torch.testing.assert_close(pixel_loss(logits, labels, class_weights=(1, 1, 1)), pixel_loss(logits, labels))
    mined = pixel_loss(logits, labels, PixelMiner(0.3, 5), class_weights=(3, 1, 0.5))
    assert 0 < mined <= expected


def test_number_of_weights_is_checked() -> None:
    message = "train.class_weights has 2 weights for 3 classes. Give one for each class, in the order of data.classes"
    recipe = overrides.apply(zoo.get("resnest50_imagenet.official"), {**CLASSIFIER, "train.class_weights": [1, 2]})
    with pytest.raises(UsageError, match=message):
        build_model(recipe)
    segmentor, _ = resolve("pspnet_resnest101_d8_cityscapes.mmseg", {"train.class_weights": [1, 2]})
    with torch.device("meta"), pytest.raises(UsageError, match="2 weights for 19 classes"):
        build_model(segmentor)
    with pytest.raises(UsageError, match=r"train\.class_weights\[1\] should be greater than 0"):
        overrides.apply(segmentor, {"train.class_weights": [1, 0]})
