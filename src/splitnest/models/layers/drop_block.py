"""DropBlock (Ghiasi et al. 2018), with a drop probability that rises linearly over the training."""

from torch import Tensor, nn

BLOCK_SIZE = 3
"""Side of a block in cells (``resnest/gluon/resnet.py`` of the ResNeSt repository)."""


class DropBlock(nn.Module):
    """DropBlock: drops blocks of 3x3 cells in training and rescales the rest; the identity in evaluation.

    Args:
        probability: Drop probability at the end of the training.

    Attributes:
        progress: Progress of the training from 0 to 1, set by ``set_progress``.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability, self.progress = probability, 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to the same shape."""
        if not self.training or not self.progress:
            return x
        from torchvision.ops import drop_block2d

        side = min(BLOCK_SIZE, *x.shape[2:])
        block_size = side - 1 + side % 2  # torchvision requires an odd size
        return drop_block2d(x, self.probability * self.progress, block_size)


def set_progress(module: nn.Module, progress: float) -> None:
    """Set the progress of the training, from 0 to 1, in every ``DropBlock`` of a module."""
    for layer in module.modules():
        if isinstance(layer, DropBlock):
            layer.progress = progress
