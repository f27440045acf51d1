"""Model whose network runs in another runtime: same results as the model that was exported."""

from typing import Any

import torch
from torch import Tensor, nn

from splitnest.device import is_out_of_memory, on_meta
from splitnest.errors import UsageError, WeightsError, first_few
from splitnest.inference.runtimes import Session
from splitnest.models.base import Model, size_tensor
from splitnest.models.build import build_model
from splitnest.recipe import Recipe
from splitnest.structures import Result
from splitnest.structures.batch import Batch


class ExportedModel(Model):
    """Exported network with the pre- and post-processing of its model.

    Args:
        recipe: Recipe of the exported model.
        session: Session of the exported file.

    Attributes:
        network: Layers of the network.
    """

    def __init__(self, recipe: Recipe, session: Session) -> None:
        super().__init__()
        self.network = _Session(session)
        with on_meta():
            model = build_model(recipe).eval()
        self._model = (model,)  # a tuple, so that its weights without values are no parameters of this module
        self._check_names(session)
        self.like = nn.Parameter(torch.empty(0), requires_grad=False)  # device and type of the inputs
        self.num_passes = model.num_passes

    def _check_names(self, session: Session) -> None:
        """Raise a WeightsError if the network has other outputs than its model."""
        (model,) = self._model
        names = getattr(session, "output_names", list(model.output_names))
        if names != list(model.output_names):
            raise WeightsError(
                f"The exported network has the outputs {first_few(names)}, not {first_few(model.output_names)} as "
                f"its model. Export the model again."
            )

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> Any:
        """Return the outputs of the exported network: a tensor, or a list in the order of ``output_names``.

        Args:
            images: Normalized images ``[N, 3, H, W]``.
            sizes: (height, width) of each image without padding, ``[N, 2]`` in pixels, for a network that takes it;
                None for images without padding.
        """
        (model,) = self._model
        if "sizes" not in model.input_names:
            (output,) = self.network(images)
            return output
        if sizes is None:
            sizes = size_tensor([(images.shape[2], images.shape[3])], like=images).expand(images.shape[0], -1)
        return self.network(images, sizes)

    def predict_with(self, forward: Any, batch: Batch) -> list[Result]:
        """Return the results of a batch, computed from the outputs of ``forward``.

        Raises:
            WeightsError: The outputs are not those of the model, by shape or value.
        """
        (model,) = self._model
        try:
            return model.predict_with(forward, batch)
        except (RuntimeError, ValueError, IndexError, TypeError, AttributeError) as error:
            if is_out_of_memory(error):
                raise
            raise WeightsError(
                f"The outputs of the exported network are not those of its model ({str(error).partition(chr(10))[0]}). "
                f"Export the model again."
            ) from error

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Raise a UsageError: there are no weights to train."""
        raise UsageError("An exported network cannot be trained. Train the model that it was exported from.")

    @property
    def layer_parts(self) -> list[nn.Module]:
        """Exported network."""
        return [self.network]


class _Session(nn.Module):
    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def forward(self, *inputs: Tensor) -> Any:
        return self.session(*inputs)
