"""Preprocessed image: the inputs of a network before they are padded and batched."""

from dataclasses import dataclass

from torch import Tensor

from splitnest.structures.person import Person


@dataclass(frozen=True)
class PreparedImage:
    """Network inputs of one image: the image itself, or a crop of each person (pose only).

    Attributes:
        inputs: ``[M, 3, h, w]``, normalized. M is 1, or the number of persons.
        original_size: (height, width) of the original image.
        people: Person that each crop shows (pose only).
    """

    inputs: Tensor
    original_size: tuple[int, int]
    people: tuple[Person, ...] | None = None

    def __len__(self) -> int:
        return len(self.inputs)
