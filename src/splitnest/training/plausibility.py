"""Plausibility of the data of a training, checked before it begins: of every task, whether anything can be learned."""

from splitnest.data.dataset import ImageDataset
from splitnest.data.loading.training_loader import TrainingSet
from splitnest.errors import DataError


def check_plausible(training_set: TrainingSet, validation: ImageDataset | None) -> list[str]:
    """Return notes on classes and keypoints without ground truth.

    Raises:
        DataError: Nothing can be learned from the training data: too few classes have ground truth.
    """
    of_training = training_set.class_counts()
    for counts in of_training[:1]:
        if (fault := counts.fault()) is not None:
            raise DataError(fault)
    notes = [f"training: {note}" for counts in of_training if (note := counts.note()) is not None]
    if validation is None:
        return notes
    of_validation = validation.class_counts()
    if of_validation and not any(counts.present for counts in of_validation):
        undefined = (
            f"validation: {validation.source} has no {of_validation[0].unit}, so metrics are undefined and there will "
            f"be no best.pt. Give another validation set, or none (data.val_images=null)."
        )
        return [*notes, undefined]
    return notes + [f"validation: {note}" for counts in of_validation if (note := counts.note()) is not None]
