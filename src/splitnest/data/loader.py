"""Photographs in the order of their data set, read and prepared by worker processes."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from splitnest.data.coco import CocoDetection
from splitnest.data.transforms import prepare
from splitnest.errors import DataError
from splitnest.recipe.schema import DetectionInput


@dataclass(frozen=True)
class PreparedImage:
    """One photograph as the network takes it, or as it is.

    Attributes:
        image: float32 ``[3, h, w]``, neither padded nor batched; or uint8 RGB ``[H, W, 3]``.
        image_id, file_name: As the annotation file has them.
        original_size: (height, width) of the photograph.
    """

    image: Tensor
    image_id: int
    file_name: str
    original_size: tuple[int, int]


class EvaluationLoader:
    """Iterates over lists of prepared photographs; ``len`` counts the lists."""

    def __init__(self, batches: DataLoader[PreparedImage | DataError]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[PreparedImage]]:
        for items in self._batches:
            for item in items:
                if isinstance(item, DataError):
                    raise item
            yield items


def evaluation_loader(
    dataset: CocoDetection, facts: DetectionInput | None, batch_size: int = 1, workers: int = 0
) -> EvaluationLoader:
    """Return what yields the photographs of ``dataset`` in its order, in lists of ``batch_size``, the last one shorter.

    Iterating raises a DataError where a photograph cannot be read, with the same message from a worker process.

    Args:
        dataset: The photographs.
        facts: ``input`` of the network's recipe; None leaves the photographs as they are.
        batch_size: Photographs in a list.
        workers: Processes that read and prepare; 0 does it in this one.
    """
    # collate_fn=list: the images differ in size; to pad them into one tensor is the affair of splitnest.batch.
    images = _PreparedImages(dataset, facts)
    return EvaluationLoader(DataLoader(images, batch_size=batch_size, num_workers=workers, collate_fn=list))


class _PreparedImages(Dataset[PreparedImage | DataError]):
    """Gives a DataError instead of raising it, as torch wraps what a worker raises into its own traceback's text."""

    def __init__(self, dataset: CocoDetection, facts: DetectionInput | None) -> None:
        self.dataset, self.facts = dataset, facts

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> PreparedImage | DataError:
        try:
            sample = self.dataset[index]
        except DataError as error:
            return error
        tensor = torch.tensor(sample.image) if self.facts is None else prepare(sample.image, self.facts)
        return PreparedImage(tensor, sample.image_id, sample.file_name, (sample.image.shape[0], sample.image.shape[1]))
