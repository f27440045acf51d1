"""Networks that a user would write in Python: a backbone, a segmentor, heads, a loss; and recipes for them."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.data.scenes.classes import STUFF_NAMES, THING_NAMES
from splitnest.structures import Result, SemanticSegmentation
from splitnest.structures.batch import Batch

SEMANTIC: dict[str, Any] = {
    "base": "deeplabv3plus_resnest101_d8_cityscapes.mmseg",
    "name": "tiny",
    "data": {
        "format": "scenes",
        "classes": [*THING_NAMES, *STUFF_NAMES],
        "train_count": 4,
        "val_count": 2,
        "height": 64,
        "width": 96,
    },
    "input": {"short_side": 64, "long_side": 96},
    "model": {
        "backbone": {"depth": 14, "planes": 8, "stem_width": 4, "base_width": 32, "norm": "bn"},
        "head_channels": 16,
        "auxiliary_channels": 8,
        "norm": "bn",
    },
    "train": {
        "batch_size": 2,
        "iterations": 4,
        "evaluate_every": 2,
        "save_every": 2,
        "init_from": None,
        "crop_size": [48, 64],
        "workers": 0,
    },
}


class Pyramid(nn.Module):
    """Backbone of four strided convolutions."""

    def __init__(self, widths: tuple[int, ...] = (8, 12, 16, 20)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 4, stride=4, padding=0)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        names = ("c2", "c3", "c4", "c5")
        self.channels = dict(zip(names, widths, strict=True))
        self.strides = dict(zip(names, (4, 8, 16, 32), strict=True))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = self.stem(images)
        features = {"c2": x}
        for name, conv in zip(("c3", "c4", "c5"), self.convs, strict=True):
            x = conv(F.pad(x.relu(), (0, x.shape[-1] % 2, 0, x.shape[-2] % 2)))
            features[name] = x
        return features


class PixelClassifier(nn.Module):
    """Segmentor that shares nothing with those of the package."""

    def __init__(self, categories: Any) -> None:
        super().__init__()
        self.categories = categories
        self.conv = nn.Conv2d(3, len(categories), 3, padding=1)
        self.dropout = nn.Dropout(0.2)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        logits = self.conv(self.dropout(batch.images))
        assert batch.semantic is not None
        return {"loss_pixel": F.cross_entropy(logits, batch.semantic.long(), ignore_index=255)}

    def predict(self, batch: Batch) -> list[Result]:
        results: list[Result] = []
        for logits, size in zip(self.conv(batch.images), batch.original_sizes, strict=True):
            labels = F.interpolate(logits[None], size).argmax(1)[0].to(torch.uint8).cpu().numpy()
            results.append(SemanticSegmentation(labels, image_size=size, categories=self.categories))
        return results


def focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the focal loss (Lin et al. 2017) of each row."""
    cross_entropy = F.cross_entropy(logits, labels, reduction="none")
    return (1 - torch.exp(-cross_entropy)) ** 2 * cross_entropy
