"""Object-contextual representations (OCRNet, Yuan et al. 2020).

Shapes: N images, C channels, h x w cells, K classes, each of which has one object region.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from splitnest.models.layers.conv import ConvNormAct
from splitnest.models.layers.resize_concat import resize_concat
from splitnest.models.segmentation.decode_heads import DecodeHead


class OCRHead(DecodeHead):
    """OCR head: each cell attends to the mean features of the object regions that another head predicts.

    Args:
        sources: Names of the input features; several are resized to the first one and concatenated.
        in_channels: Number of their channels, all together.
        num_classes: Number of classes.
        channels: Number of channels of the convolutions.
        key_channels: Number of channels of queries, keys and values.
        norm: Name of the normalization.
        dropout: Dropout probability of a channel.
        align_corners: Same as in ``DecodeHead``.
    """

    def __init__(
        self,
        sources: Sequence[str],
        in_channels: int,
        num_classes: int,
        channels: int = 512,
        key_channels: int = 256,
        *,
        norm: str = "bn",
        dropout: float = 0.1,
        align_corners: bool = False,
    ) -> None:
        super().__init__(channels, num_classes, dropout, align_corners)
        self.sources = tuple(sources)

        def projection() -> nn.Sequential:
            widths = (channels, key_channels, key_channels)
            return nn.Sequential(*(ConvNormAct(widths[i], key_channels, 1, norm=norm) for i in (0, 1)))

        self.pixels = ConvNormAct(in_channels, channels, 3, norm=norm)
        self.query, self.key = projection(), projection()
        self.value = ConvNormAct(channels, key_channels, 1, norm=norm)
        self.project = ConvNormAct(key_channels, channels, 1, norm=norm)
        self.fuse = ConvNormAct(2 * channels, channels, 1, norm=norm)

    def forward(self, features: Mapping[str, Tensor], regions: Tensor) -> Tensor:
        """Return the logits ``[N, K, h, w]``.

        Args:
            features: Features of the backbone.
            regions: Logits ``[N, K, h, w]`` of the head that predicts the object regions.
        """
        pixels = self.pixels(resize_concat([features[name] for name in self.sources], self.align_corners))
        weights = regions.to(pixels.dtype).flatten(2).softmax(2)  # [N, K, h * w]
        objects = torch.bmm(weights, pixels.flatten(2).transpose(1, 2)).transpose(1, 2)[..., None]  # [N, C, K, 1]
        query = self.query(pixels).flatten(2).transpose(1, 2)  # [N, h * w, key channels]
        key, value = self.key(objects).flatten(2), self.value(objects).flatten(2).transpose(1, 2)
        attention = (torch.bmm(query, key) * key.shape[1] ** -0.5).softmax(2)  # [N, h * w, K]
        context = torch.bmm(attention, value).transpose(1, 2).unflatten(2, pixels.shape[-2:])
        return self.classify(self.fuse(torch.cat((self.project(context), pixels), dim=1)))
