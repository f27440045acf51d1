"""Segmentors: logits row by row, sliding windows, losses, heads, test-time augmentation."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import splitnest
from splitnest.inference.semantic_tta import SemanticTTA
from splitnest.models.layers.logit_rows import ROWS_AT_ONCE, Placed, best_classes, joined, resized, whole
from splitnest.models.segmentation import decode_heads as heads
from splitnest.models.segmentation.pixel_loss import PixelMiner, pixel_loss
from splitnest.models.segmentation.segmentor import Segmentor
from splitnest.structures.batch import Batch
from splitnest.structures.categories import from_names

CLASSES = from_names(["a", "b", "c"])
SMALL = {
    "model.backbone.depth": 14,
    "model.backbone.planes": 16,
    "model.backbone.stem_width": 16,
    "model.head_channels": 16,
    "model.auxiliary_channels": 8,
}


class SubsamplingBackbone(nn.Module):
    """Backbone whose features are every eighth pixel."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"c4": images[..., ::8, ::8], "c5": images[..., ::8, ::8]}


class IdentityHead(nn.Module):
    """Head whose logits are c5."""

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        return features["c5"]


def segmentor(**options: object) -> Segmentor:
    return Segmentor(SubsamplingBackbone(), IdentityHead(), None, CLASSES, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(1, 1), (16, 24), (33, 17), (5, 100), (150, 61)])
@pytest.mark.parametrize("source", [(1, 1), (2, 3), (16, 24), (40, 9)])
def test_rows_are_those_of_bilinear_interpolation(source: tuple[int, int], size: tuple[int, int]) -> None:
    logits = torch.randn(3, *source, dtype=torch.float64)
    expected = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
    rows = resized(whole(logits), size)
    cuts = sorted({0, size[0] // 3, size[0] // 2, size[0]})
    parts = torch.cat([rows.get(start, stop) for start, stop in pairwise(cuts)], dim=1)
    assert torch.allclose(parts, expected, atol=1e-12)


def test_rows_can_be_resized_twice() -> None:
    logits = torch.randn(3, 7, 9, dtype=torch.float64)
    once = F.interpolate(logits[None], size=(50, 40), mode="bilinear", align_corners=False)
    expected = F.interpolate(once, size=(123, 77), mode="bilinear", align_corners=False)[0]
    rows = resized(resized(whole(logits), (50, 40)), (123, 77))
    assert torch.allclose(torch.cat([rows.get(0, 60), rows.get(60, 123)], dim=1), expected, atol=1e-12)


def test_classes_of_one_view_and_of_several() -> None:
    height = 2 * ROWS_AT_ONCE + 5
    a, b = torch.randn(2, 3, height, 11)
    assert torch.equal(best_classes([whole(a)]), a.argmax(0))
    assert torch.equal(best_classes([whole(a), whole(b)]), (a.softmax(0) + b.softmax(0)).argmax(0))


def test_windows_are_averaged_where_they_overlap() -> None:
    ones, threes = torch.ones(1, 4, 4), torch.full((1, 4, 4), 3.0)
    rows = joined([Placed(whole(ones), 0, 0), Placed(whole(threes), 0, 2), Placed(whole(ones), 2, 0)], (6, 6))
    values = rows.get(0, 3)[0]
    assert values[0].tolist() == [1, 1, 2, 2, 3, 3]
    assert values[2].tolist() == [1, 1, pytest.approx(5 / 3), pytest.approx(5 / 3), 3, 3]


def test_window_as_large_as_the_image_changes_nothing() -> None:
    images = torch.randn(2, 3, 48, 64)
    batch = Batch(images, ((48, 64),) * 2, ((30, 90),) * 2)
    plain, windowed = segmentor().predict(batch), segmentor(window=(48, 64)).predict(batch)
    larger = segmentor(window=(500, 500), stride=(100, 100)).predict(batch)
    for a, b, c in zip(plain, windowed, larger, strict=True):
        assert (a.labels == b.labels).all()
        assert (a.labels == c.labels).all()


@pytest.mark.parametrize("stride", [(16, 16), (24, 8), None])
def test_windows_cover_the_image_and_the_last_ones_are_moved_back(stride: tuple[int, int] | None) -> None:
    images = torch.randn(1, 3, 56, 80)
    (rows,) = segmentor(window=(32, 32), stride=stride).rows(images)
    total, count = torch.zeros(3, 56, 80), torch.zeros(56, 80)
    step = stride or (32, 32)
    for top in range(0, 56 - 32 + step[0], step[0]):
        for left in range(0, 80 - 32 + step[1], step[1]):
            y, x = min(top, 56 - 32), min(left, 80 - 32)
            crop = images[..., y : y + 32, x : x + 32]
            total[:, y : y + 32, x : x + 32] += segmentor()(crop)[0]
            count[y : y + 32, x : x + 32] += 1
    assert (count > 0).all()
    assert torch.allclose(rows.get(0, 56), total / count, atol=1e-5)


def test_padded_batch_is_an_error() -> None:
    """Heads that pool whole images would see the padding."""
    batch = Batch(torch.randn(2, 3, 48, 64), ((48, 64), (32, 48)), ((48, 64), (32, 48)))
    with pytest.raises(ValueError, match="takes images of one size"):
        segmentor().predict(batch)


def test_loss_is_averaged_over_all_pixels() -> None:
    """Four pixels, one of them unlabeled; logits of 0 cost log 3 each."""
    labels = torch.tensor([[[0, 1], [2, 255]]], dtype=torch.uint8)
    loss = pixel_loss(torch.zeros(1, 3, 1, 1, requires_grad=True), labels)
    assert loss.item() == pytest.approx(3 * np.log(3) / 4, rel=1e-6)
    assert pixel_loss(torch.zeros(1, 3, 1, 1), torch.full((1, 2, 2), 255)).item() == 0


def test_hard_example_mining_worked_by_hand() -> None:
    """True classes have scores 0.9, 0.8, 0.6 and 0.2: two are under 0.7; a minimum of three adds the one with 0.8."""
    scores = torch.tensor([0.9, 0.8, 0.6, 0.2])
    logits = torch.stack((scores, 1 - scores)).log().view(1, 2, 1, 4)
    labels = torch.zeros(1, 1, 4, dtype=torch.long)
    assert PixelMiner(0.7, 1)(logits, labels).tolist() == [[[False, False, True, True]]]
    assert PixelMiner(0.7, 3)(logits, labels).tolist() == [[[False, True, True, True]]]
    labels[..., 3] = 255
    assert PixelMiner(0.7, 1)(logits, labels).tolist() == [[[False, False, True, False]]]
    loss = pixel_loss(logits, labels, PixelMiner(0.7, 1))
    assert loss.item() == pytest.approx(-np.log(0.6) / 4, rel=1e-5)
    assert not PixelMiner(0.7, 1)(logits, torch.full((1, 1, 4), 255)).any()


def test_hard_pixels_without_a_threshold_are_those_of_the_highest_loss() -> None:
    scores = torch.tensor([0.9, 0.2, 0.6, 0.8])
    logits = torch.stack((scores, 1 - scores)).log().view(1, 2, 1, 4)
    labels = torch.zeros(1, 1, 4, dtype=torch.long)
    assert PixelMiner(None, 2)(logits, labels).tolist() == [[[False, True, True, False]]]
    assert PixelMiner(None, 9)(logits, labels).all()
    labels[..., 1] = 255
    assert PixelMiner(None, 2)(logits, labels).tolist() == [[[False, False, True, True]]]
    assert not PixelMiner(None, 2)(logits, torch.full((1, 1, 4), 255)).any()


def test_dropout_drops_whole_channels_in_training_only() -> None:
    head = heads.FCNHead(["c5"], 8, 3, 8, dropout=0.5)
    features = {"c5": torch.randn(2, 8, 4, 4)}
    head.eval()
    assert torch.equal(head(features), head(features))
    head.train()
    dropped = head.dropout(torch.ones(2, 8, 4, 4))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert (dropped.amax((2, 3)) == dropped.amin((2, 3))).all()


@pytest.mark.parametrize("name", ["fcn_resnest101_d8_ade20k", "deeplabv3plus_resnest101_d8_cityscapes"])
def test_one_unflipped_view_is_plain_prediction(name: str) -> None:
    predictor = splitnest.load(name, weights=None, device="cpu", overrides={**SMALL, "input.short_side": 64})
    predictor.module.double()
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    one_view = SemanticTTA(predictor.module, predictor.recipe.input, (1.0,), flip=False)
    for resize in (True, False):
        (plain,) = predictor.predict(image, resize=resize)
        assert (one_view(image, resize).labels == plain.labels).all()


def test_augmented_labels_of_a_flipped_image_are_flipped() -> None:
    predictor = splitnest.load("fcn_resnest101_d8_ade20k", weights=None, device="cpu", overrides=SMALL)
    predictor.module.double()
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    tta = SemanticTTA(predictor.module, predictor.recipe.input.model_copy(update={"short_side": 64}), (0.5, 1.0))
    assert (tta(image[:, ::-1]).labels[:, ::-1] == tta(image).labels).mean() > 0.999


def test_no_views_are_an_error() -> None:
    predictor = splitnest.load("fcn_resnest101_d8_ade20k", weights=None, device="cpu", overrides=SMALL)
    with pytest.raises(ValueError, match="at least one ratio"):
        SemanticTTA(predictor.module, predictor.recipe.input, ())


def test_loss_of_ocr_on_hrnet_pixel_by_pixel() -> None:
    """Both cross-entropies from the definition of OCR (Yuan et al. 2020, equations 8 to 11), and their gradients."""
    torch.manual_seed(0)
    changes: dict[str, Any] = {
        "model.backbone": {"hrnet": 4, "num_blocks": [1, 1, 1, 1], "num_modules": [1, 1, 1]},
        **{"model.all_levels": True, "model.head": "ocr", "model.head_channels": 12, "model.ocr_channels": 6},
        **{"model.auxiliary_channels": 60, "model.dropout": 0.0, "data.classes": ["a", "b", "c"], "train": None},
    }
    module = splitnest.build("fcn_resnest101_d8_cityscapes", changes).double().eval()
    images, labels = torch.rand(2, 3, 64, 64, dtype=torch.float64), torch.randint(0, 3, (2, 64, 64))
    labels[:, :9] = 255
    losses = module.loss(Batch(images, [(64, 64)] * 2, [(64, 64)] * 2, semantic=labels))

    features = module.backbone(images)
    size = features["c2"].shape[-2:]
    levels = [F.interpolate(features[f"c{i}"], size=size, mode="bilinear", align_corners=False) for i in range(2, 6)]
    head, regions = module.decode_head, module.auxiliary_head(features)
    pixels = head.pixels(torch.cat(levels, 1))
    logits = torch.zeros_like(regions)
    for n in range(2):
        x, soft = pixels[n].flatten(1), regions[n].flatten(1).softmax(1)  # [C, cells], [K, cells]
        centers = torch.stack([(weight * x).sum(1) for weight in soft], 1)[None, ..., None]
        key, value = head.key(centers)[0, ..., 0], head.value(centers)[0, ..., 0]
        query = head.query(pixels[n : n + 1])[0].flatten(1)
        cells = []
        for cell in query.T:
            attention = torch.softmax((cell[:, None] * key).sum(0) / 6**0.5, 0)
            cells.append((attention * value).sum(1))
        context = head.project(torch.stack(cells, 1).view(1, 6, *size))
        logits[n] = head.classify(head.fuse(torch.cat((context, pixels[n : n + 1]), 1)))[0]
    expected = []
    for scores in (logits, regions):
        large = F.interpolate(scores, size=(64, 64), mode="bilinear", align_corners=False)
        picked = large.log_softmax(1).gather(1, labels.clamp(max=2)[:, None])[:, 0]
        expected.append(-torch.where(labels < 255, picked, 0).sum() / labels.numel())
    assert losses["loss_decode"].item() == pytest.approx(expected[0].item(), rel=1e-9)
    assert losses["loss_auxiliary"].item() == pytest.approx(module.auxiliary_weight * expected[1].item(), rel=1e-9)
    weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
    ours = torch.autograd.grad(sum(losses.values()), weights, allow_unused=True)  # type: ignore[arg-type]
    theirs = torch.autograd.grad(expected[0] + module.auxiliary_weight * expected[1], weights, allow_unused=True)
    for one, other in zip(ours, theirs, strict=True):
        if one is not None:
            torch.testing.assert_close(one, other)
