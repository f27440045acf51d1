"""Interface of all networks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from splitnest.structures import Result
from splitnest.structures.batch import Batch

Forward = Callable[..., Any]
"""Function with the arguments and the outputs of ``Model.forward``."""


class Model(nn.Module, ABC):
    """Network with a fixed interface: ``forward`` for raw tensors and export, ``predict`` for results, ``loss``.

    None of the three depends on ``self.training`` in what it returns.

    Attributes:
        backbone: Backbone of the network.
        input_names, output_names: Names of the arguments and outputs of ``forward`` in exported files.
        num_regions, num_masks: Number of regions that the box heads, and of masks that the mask heads process for each
            image; 0 for a network without such heads.
        num_passes: Number of forward passes for each image in ``predict``.
    """

    backbone: nn.Module
    input_names: ClassVar[tuple[str, ...]] = ("images",)
    output_names: ClassVar[tuple[str, ...]]
    num_regions: int = 0
    num_masks: int = 0
    num_passes: int = 1

    @abstractmethod
    def forward(self, images: Tensor) -> Any:
        """Return the raw outputs for normalized images ``[N, 3, H, W]``."""

    @abstractmethod
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch with ground truth, scalars by name; their sum is minimized."""

    @abstractmethod
    def predict_with(self, forward: Forward, batch: Batch) -> list[Result]:
        """Return one result for each image, computed from the outputs of ``forward``.

        Args:
            forward: This network's ``forward``, or that of the same network in another runtime.
            batch: Images.
        """

    def predict(self, batch: Batch) -> list[Result]:
        """Return one result for each image, in pixels of the original images."""
        return self.predict_with(self.forward, batch)

    def forward_inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the arguments of ``forward`` for a batch, in the order of ``input_names``."""
        return (batch.images,)

    @property
    @abstractmethod
    def layer_parts(self) -> list[nn.Module]:
        """Submodules of layers alone, which can be compiled and timed apart from the code between them."""

    def run_layers(self, images: Tensor, num_regions: int, num_masks: int) -> None:
        """Run every layer that prediction runs, whatever the values of the images; for the meta device.

        Args:
            images: Normalized images ``[N, 3, H, W]``.
            num_regions: Number of regions of all images in the box heads.
            num_masks: Number of regions of all images in the mask heads.
        """
        self.forward(images)

    def run_training_layers(self, images: Tensor) -> None:
        """Run every layer that ``loss`` runs, whatever the values of the images; for the meta device."""
        self.forward(images)


def check_one_size(batch: Batch, name: str) -> None:
    """Raise a ValueError if the images of a batch are padded.

    Networks that pool over whole images would see the padding.
    """
    size_hw = batch.images.shape[2], batch.images.shape[3]
    if set(batch.sizes) != {size_hw}:
        raise ValueError(f"a {name} takes images of one size in a batch, not {sorted(set(batch.sizes))}")


def size_tensor(sizes: Sequence[tuple[int, int]], like: Tensor) -> Tensor:
    """Return (height, width) of images as a tensor ``[N, 2]`` of at least float32 on the device of ``like``."""
    dtype = torch.promote_types(like.dtype, torch.float32)  # half precision cannot represent every size
    return torch.tensor(sizes, dtype=dtype, device=like.device)
