"""Codecs of heatmaps: how keypoints become target maps, and maps become keypoints.

Shapes: N persons, K keypoints, h x w cells of a heatmap, H x W pixels of the crop.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from splitnest.models.pose import dark, heatmaps, udp

BLUR_KERNEL = 11
"""Side of the blur kernel of DARK and UDP in cells (mmpose ``MSRAHeatmap``, ``UDPHeatmap``)."""


@dataclass(frozen=True)
class MSRACodec:
    """Heatmaps of SimpleBaseline: targets at the nearest cell, peaks refined by a quarter cell.

    Attributes:
        sigma: Standard deviation of the targets in cells.
        maps_per_keypoint: Number of maps of each keypoint.
    """

    sigma: float = 2.0
    maps_per_keypoint: int = 1

    def encode(self, keypoints: Tensor, size_hw: tuple[int, int], input_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return target maps, float32 ``[N, K, h, w]``, and weights, float32 ``[N, K]``.

        Args:
            keypoints: float32 ``[N, K, 3]``, x and y in pixels of the crop, and visibility, over 0.5 for labeled ones.
            size_hw: h and w.
            input_hw: H and W.
        """
        return heatmaps.encode(keypoints, size_hw, input_hw[1] / size_hw[1], self.sigma)

    def decode(self, maps: Tensor, input_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the keypoints of maps ``[N, K, h, w]`` in pixels of the crop, ``[N, K, 2]``, and scores ``[N, K]``.

        Args:
            maps: Maps.
            input_hw: H and W.
        """
        cells, scores = self._decode_cells(maps)
        return self._to_pixels(cells, (maps.shape[-2], maps.shape[-1]), input_hw), scores

    def _decode_cells(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return keypoints in cells, and scores."""
        return heatmaps.decode(maps)

    def _to_pixels(self, cells: Tensor, size_hw: tuple[int, int], input_hw: tuple[int, int]) -> Tensor:
        """Return points in cells, ``[N, K, 2]``, in pixels of the crop."""
        return cells * (input_hw[1] / size_hw[1])

    def flip_back(self, maps: Tensor, flip_indices: Sequence[int], shift: bool) -> Tensor:
        """Return the maps of a horizontally flipped image as those of the image itself.

        Args:
            maps: Maps.
            flip_indices: Keypoint that each keypoint becomes under a horizontal flip, K of them.
            shift: Whether to shift them right by one cell.
        """
        return heatmaps.flip_back(maps, flip_indices, shift)


@dataclass(frozen=True)
class DARKCodec(MSRACodec):
    """Heatmaps of DARK: targets at the keypoint, peaks of the blurred logarithm.

    Attributes:
        blur_kernel: Side of the blur kernel in cells, an odd number over 7.
    """

    blur_kernel: int = BLUR_KERNEL

    def encode(self, keypoints: Tensor, size_hw: tuple[int, int], input_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return target maps and weights, as in ``MSRACodec``."""
        return dark.encode(keypoints, size_hw, input_hw[1] / size_hw[1], self.sigma)

    def _decode_cells(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        return dark.decode(maps, self.blur_kernel)


class UDPCodec(DARKCodec):
    """Heatmaps of UDP: as those of DARK, in units of the distance between the first and last cell."""

    def encode(self, keypoints: Tensor, size_hw: tuple[int, int], input_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return target maps and weights, as in ``MSRACodec``."""
        return udp.encode(keypoints, size_hw, input_hw, self.sigma)

    def _decode_cells(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        return udp.decode(maps, self.blur_kernel)

    def _to_pixels(self, cells: Tensor, size_hw: tuple[int, int], input_hw: tuple[int, int]) -> Tensor:
        return udp.to_pixels(cells, size_hw, input_hw)


@dataclass(frozen=True)
class UDPOffsetCodec(UDPCodec):
    """Disks and offsets of UDP: maps ``[N, 3 * K, h, w]``, a score and the offsets in x and y of each keypoint.

    ``blur_kernel`` is half the side of the blur kernel.
    """

    maps_per_keypoint: int = 3

    def encode(self, keypoints: Tensor, size_hw: tuple[int, int], input_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return target maps and weights, as in ``MSRACodec``."""
        return udp.encode_offsets(keypoints, size_hw, input_hw)

    def _decode_cells(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        return udp.decode_offsets(maps, self.blur_kernel)

    def flip_back(self, maps: Tensor, flip_indices: Sequence[int], shift: bool) -> Tensor:
        """Return flipped maps, as in ``MSRACodec``; offsets in x change their sign."""
        flipped = [heatmaps.flip_back(part, flip_indices, shift) for part in maps.unflatten(1, (-1, 3)).unbind(2)]
        return torch.stack((flipped[0], -flipped[1], flipped[2]), 2).flatten(1, 2)
