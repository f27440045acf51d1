"""Parts of a training that come from Python instead of its recipe."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import nn

from splitnest.data.augmentations.augmentations import UserTransform
from splitnest.data.items import ImageSequence
from splitnest.metrics.own import Metric
from splitnest.training.callbacks import Callbacks


@dataclass(frozen=True)
class Extensions:
    """Parts of a training that the caller of ``train`` gives; the arguments of ``train`` have the same names.

    Attributes:
        model: Network; None builds that of the recipe.
        train_data: Training dataset; None opens that of the recipe.
        val_data: Validation dataset; None opens that of the recipe, or none if ``train_data`` is given.
        augment: Augmentation after those of the recipe.
        callbacks: Callbacks, called in this order.
        metrics: Metrics that each evaluation computes too.
    """

    model: nn.Module | None = None
    train_data: ImageSequence | None = None
    val_data: ImageSequence | None = None
    augment: UserTransform | None = None
    callbacks: Callbacks = field(default_factory=lambda: Callbacks(()))
    metrics: Sequence[Metric] = ()

    @property
    def to_resume(self) -> list[str]:
        """Names of the given parts without which a resumed training would be another one."""
        return [name for name in ("model", "train_data", "val_data", "augment") if getattr(self, name) is not None]


NO_EXTENSIONS = Extensions()
"""Training by its recipe alone."""
