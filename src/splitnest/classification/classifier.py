"""Image classification: backbone, global average pooling, one linear layer."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.batch import Batch
from splitnest.data.categories import Categories
from splitnest.layers.precision import at_least_float32
from splitnest.model import Model
from splitnest.processes import mean_count
from splitnest.results import Classification, Result


class Classifier(Model):
    """A classifier over the last map of a backbone.

    Args:
        backbone: Returns a dictionary of one map.
        channels: Channels of that map.
        categories: What the classes mean.

    Attributes:
        dropout: Of the pooled features, in training; its share is 0 unless it is set.
        label_smoothing: Share of the target that is spread over all classes, of the loss.
    """

    def __init__(self, backbone: nn.Module, channels: int, categories: Categories) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(0.0)
        self.label_smoothing = 0.0
        self.fc = nn.Linear(channels, len(categories))
        self.categories = categories

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``[N, num_classes]`` of normalised images ``[N, 3, H, W]``."""
        (maps,) = self.backbone(images).values()
        return self.fc(self.dropout(maps.mean((2, 3))))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss_class``, the cross entropy with the labels of the batch, of which an image may have shares."""
        assert batch.labels is not None
        logits = at_least_float32(self(batch.images))
        total = F.cross_entropy(logits, batch.labels, reduction="sum", label_smoothing=self.label_smoothing)
        return {"loss_class": total / mean_count(len(logits), logits)}

    def predict(self, batch: Batch) -> list[Result]:
        """Return the class probabilities of each image, which must all have one size.

        Raises:
            ValueError: The images differ in size: padding would change what global pooling gives.
        """
        if len(set(batch.sizes)) > 1:
            raise ValueError(f"a classifier takes images of one size in a batch, not {sorted(set(batch.sizes))}")
        probabilities = torch.softmax(self(batch.images), dim=1)
        return [
            Classification(probabilities=p, image_size=size, categories=self.categories)
            for p, size in zip(probabilities.float().cpu().numpy(), batch.original_sizes, strict=True)
        ]
