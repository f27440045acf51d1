"""Image classifier: backbone, global average pooling, one linear layer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitnest.distributed import loss_normalizer
from splitnest.models.base import Forward, Model, check_one_size
from splitnest.models.class_loss import ClassLoss, sum_of
from splitnest.models.layers.precision import at_least_float32
from splitnest.structures import Classification, Result
from splitnest.structures.batch import Batch
from splitnest.structures.categories import Categories


class Classifier(Model):
    """Image classifier on the last feature map of a backbone.

    Args:
        backbone: Backbone that returns c5.
        channels: Number of channels of c5.
        categories: Classes.
        dropout: Dropout probability before the linear layer, in training.
        label_smoothing: Label smoothing of the cross entropy.
        class_weights: Weight of each class in the loss; None weighs all the same.
        class_loss: Loss of each image; None for the cross entropy.
    """

    output_names = ("logits",)

    def __init__(
        self,
        backbone: nn.Module,
        channels: int,
        categories: Categories,
        *,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        class_loss: ClassLoss | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.categories, self.label_smoothing = backbone, categories, label_smoothing
        self.class_weights, self.class_loss = class_weights, class_loss
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, len(categories))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``[N, num_classes]`` of normalized images ``[N, 3, H, W]``."""
        return self.fc(self.dropout(self.backbone(images)["c5"].mean((2, 3))))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss_class``, the mean loss with the labels or class probabilities of the batch.

        Raises:
            ValueError: The batch has no labels.
        """
        if batch.labels is None:
            raise ValueError("the batch has no labels, the ground truth of the loss")
        logits = at_least_float32(self(batch.images))
        if self.class_loss is None:
            weights = None if self.class_weights is None else logits.new_tensor(self.class_weights)
            smoothing = self.label_smoothing
            total = F.cross_entropy(logits, batch.labels, weights, reduction="sum", label_smoothing=smoothing)
        else:
            total = sum_of(self.class_loss, logits, batch.labels)
        return {"loss_class": total / loss_normalizer(len(logits), logits)}

    def predict_with(self, forward: Forward, batch: Batch) -> list[Result]:
        """Return the class probabilities of each image.

        Raises:
            ValueError: The images have different sizes.
        """
        check_one_size(batch, "classifier")
        probabilities = torch.softmax(forward(batch.images), dim=1)
        return [
            Classification(probabilities=p, image_size=size, categories=self.categories)
            for p, size in zip(probabilities.float().cpu().numpy(), batch.original_sizes, strict=True)
        ]

    @property
    def layer_parts(self) -> list[nn.Module]:
        """Backbone and linear layer."""
        return [self.backbone, self.fc]
