"""An exported network in place of the one that it was made of: the same results from the same photographs."""

from typing import Any

import torch
from torch import Tensor, nn

from splitnest.batch import Batch
from splitnest.build import build_model
from splitnest.detection.panoptic import PanopticFPN
from splitnest.detection.rcnn import RCNN, RawDetections
from splitnest.device import on_meta
from splitnest.errors import UsageError
from splitnest.model import Model
from splitnest.recipe import Recipe
from splitnest.results import Result
from splitnest.runtimes import Session
from splitnest.segmentation.segmentor import Segmentor


class ExportedModel(Model):
    """A model whose layers are a file.

    Args:
        recipe: Of the model that was exported.
        session: Runs the file.

    Attributes:
        network: Its layers.
    """

    def __init__(self, recipe: Recipe, session: Session) -> None:
        super().__init__()
        self.network = _Layers(session)
        with on_meta():
            twin: Any = build_model(recipe).eval()
        twin.forward = self.network.one
        if isinstance(twin, Segmentor):
            twin.logits = self.network.one  # type: ignore[method-assign]
        self._twin = (twin,)  # a tuple: its weights, which hold nothing, are not weights of this module
        self.like = nn.Parameter(torch.empty(0), requires_grad=False)  # tells where inputs are to be, and their type

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> Any:
        """Return what the network that was exported gives, in the order of ``splitnest.runtimes.OUTPUTS``.

        Args:
            images, sizes: As of the model: ``sizes`` ``[N, 2]`` of a detector, None for images without padding.
        """
        if not isinstance(self._twin[0], RCNN):
            return self.network(images)
        if sizes is None:
            sizes = images.new_tensor([images.shape[2:]]).expand(images.shape[0], -1)
        return self.network(images, sizes)

    def predict(self, batch: Batch) -> list[Result]:
        """Return the results of a batch, as the model that was exported does."""
        (twin,) = self._twin
        if not isinstance(twin, RCNN):
            return twin.predict(batch)
        outputs = self(batch.images, torch.tensor(batch.sizes, dtype=batch.images.dtype))
        found = twin.from_raw(RawDetections(*outputs[:5]), batch)
        if not isinstance(twin, PanopticFPN):
            return list(found)
        return twin.merged(found, outputs[5], batch)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Raise a UsageError: there are no weights to train."""
        raise UsageError("An exported network cannot be trained: train the model that it was made of.")


class _Layers(nn.Module):
    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def forward(self, *inputs: Tensor) -> Any:
        return self.session(*inputs)

    def one(self, images: Tensor) -> Tensor:
        """Return the only output."""
        (output,) = self(images)
        return output
