"""What every model can do, whatever its task."""

from abc import ABC, abstractmethod

from torch import nn

from splitnest.batch import Batch
from splitnest.results import Result


class Model(nn.Module, ABC):
    """A network with a fixed contract: ``forward(images)`` returns raw tensors and can be exported, ``predict(batch)``
    returns results in the frame of each photograph, ``loss(batch)`` what training minimises the sum of. None of them
    looks at ``self.training`` to choose what it returns.
    """

    @abstractmethod
    def predict(self, batch: Batch) -> "list[Result]":
        """Return one result an image of the batch."""
