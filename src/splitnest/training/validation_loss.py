"""Losses of a model on a validation dataset."""

from itertools import islice

import torch

from splitnest.data.dataset import ImageDataset
from splitnest.distributed import all_reduce_mean, world_size
from splitnest.metrics.statistics.errors import VAL_LOSS
from splitnest.models.base import Model
from splitnest.models.own import check_losses
from splitnest.recipe import Recipe, required_training
from splitnest.tasks import task_of
from splitnest.training.batches import TrainingBatches
from splitnest.training.memory import images_per_forward


class ValidationLoss:
    """Losses of a model on a validation dataset.

    Images are prepared as in training, without augmentation; crops that remain are the same in every evaluation. As in
    training, there are complete batches only, always of the same images. Worker processes are kept.

    Args:
        recipe: Recipe of the training.
        dataset: Validation dataset.

    Raises:
        DataError: No image takes part.
    """

    def __init__(self, recipe: Recipe, dataset: ImageDataset) -> None:
        task, train_cfg = task_of(recipe), required_training(recipe)
        changes = {**task.without_augmentation(recipe), "augment": (), "accumulate": 1, "max_corrupt_fraction": 0.0}
        plain = recipe.model_copy(update={"train": train_cfg.model_copy(update=changes)})
        samples = task.training_set(dataset, plain)
        batch_size = min(images_per_forward(train_cfg) * world_size(), len(samples))
        batch_size -= batch_size % world_size()  # each process has the same number of images
        of_batch = {"train": required_training(plain).model_copy(update={"batch_size": batch_size})}
        self._batches: TrainingBatches | None = None
        if batch_size:
            self._batches = TrainingBatches(samples, plain.model_copy(update=of_batch), keeps_workers=True)

    def start(self) -> None:
        """Start the worker processes."""
        if self._batches is not None:
            self._batches.loader.start()

    @torch.no_grad()
    def __call__(self, model: Model) -> dict[str, float]:
        """Return the losses of a model in evaluation mode, and ``val_loss``, their sum; collective.

        Raises:
            DataError: Images cannot be read.
        """
        batches, totals = self._batches, dict[str, float]()
        if batches is None:
            return {VAL_LOSS: -1.0}
        device = next(model.parameters()).device
        for (batch,) in islice(batches.steps(0), batches.steps_per_epoch):
            losses = check_losses(model.loss(batch.to(device, torch.float32)), model)
            values = all_reduce_mean(torch.stack([loss.float() for loss in losses.values()])).tolist()
            for name, value in zip(losses, values, strict=True):
                totals[name] = totals.get(name, 0.0) + value / batches.steps_per_epoch
        return {VAL_LOSS: sum(totals.values()), **{f"val_{name}": value for name, value in totals.items()}}
