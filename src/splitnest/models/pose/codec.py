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
        points, scores = heatmaps.decode(maps)
        return points * (input_hw[1] / maps.shape[-1]), scores

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

    def decode(self, maps: Tensor, input_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return keypoints and scores, as in ``MSRACodec``."""
        points, scores = dark.decode(maps, self.blur_kernel)
        return points * (input_hw[1] / maps.shape[-1]), scores


@dataclass(frozen=True)
class UDPCodec(MSRACodec):
    """Heatmaps of UDP: as those of DARK, in units of the distance between the first and last cell.

    Attributes:
        blur_kernel: Side of the blur kernel in cells, an odd number over 7.
    """

    blur_kernel: int = BLUR_KERNEL

    def encode(self, keypoints: Tensor, size_hw: tuple[int, int], input_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return target maps and weights, as in ``MSRACodec``."""
        return udp.encode(keypoints, size_hw, input_hw, self.sigma)

    def decode(self, maps: Tensor, input_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return keypoints and scores, as in ``MSRACodec``."""
        points, scores = udp.decode(maps, self.blur_kernel)
        return udp.to_pixels(points, (maps.shape[-2], maps.shape[-1]), input_hw), scores


@dataclass(frozen=True)
class UDPOffsetCodec(MSRACodec):
    """Disks and offsets of UDP: maps ``[N, 3 * K, h, w]``, a score and the offsets in x and y of each keypoint.

    Attributes:
        blur_kernel: Half side of the blur kernel in cells.
    """

    maps_per_keypoint: int = 3
    blur_kernel: int = BLUR_KERNEL

    def encode(self, keypoints: Tensor, size_hw: tuple[int, int], input_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return target maps and weights, as in ``MSRACodec``."""
        return udp.encode_offsets(keypoints, size_hw, input_hw)

    def decode(self, maps: Tensor, input_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return keypoints and scores, as in ``MSRACodec``."""
        points, scores = udp.decode_offsets(maps, self.blur_kernel)
        return udp.to_pixels(points, (maps.shape[-2], maps.shape[-1]), input_hw), scores

    def flip_back(self, maps: Tensor, flip_indices: Sequence[int], shift: bool) -> Tensor:
        """Return flipped maps, as in ``MSRACodec``; offsets in x change their sign."""
        flipped = [heatmaps.flip_back(part, flip_indices, shift) for part in maps.unflatten(1, (-1, 3)).unbind(2)]
        return torch.stack((flipped[0], -flipped[1], flipped[2]), 2).flatten(1, 2)
