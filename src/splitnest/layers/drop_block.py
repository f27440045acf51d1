"""DropBlock (Ghiasi et al. 2018): blocks of a map are dropped in training, more of them the longer it goes on."""

from torch import Tensor, nn

BLOCK = 3
"""Side of a block in cells (``resnest/gluon/resnet.py`` of the ResNeSt repository)."""


class DropBlock(nn.Module):
    """Drops blocks of 3x3 cells in training and scales the rest up; otherwise nothing changes.

    Args:
        probability: Share of a map that is dropped at the end of a training.

    Attributes:
        progress: Share of the training that is done, from 0 to 1; set by ``set_progress``.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability, self.progress = probability, 0.0

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to the same size."""
        if not self.training or not self.progress:
            return maps
        from torchvision.ops import drop_block2d

        side = min(BLOCK, *maps.shape[2:])
        return drop_block2d(maps, self.probability * self.progress, side - 1 + side % 2)  # torchvision wants it odd


def set_progress(module: nn.Module, progress: float) -> None:
    """Tell every ``DropBlock`` of ``module`` how much of the training is done, from 0 to 1."""
    for layer in module.modules():
        if isinstance(layer, DropBlock):
            layer.progress = progress
