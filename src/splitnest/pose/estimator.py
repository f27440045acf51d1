"""A pose estimator: a backbone and a heatmap for each keypoint, one person an image.

N images, K keypoints, h x w cells of a heatmap, H x W pixels of an image.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from splitnest.batch import Batch
from splitnest.data.categories import Categories
from splitnest.data.person_crop import Person, Region
from splitnest.layers.precision import at_least_float32
from splitnest.model import Model
from splitnest.pose.heatmaps import decode, encode, mirror
from splitnest.processes import mean_count
from splitnest.results import Poses, Result


class PoseEstimator(Model):
    """Finds the keypoints of the person in each image.

    Args:
        backbone: Maps images to one map.
        head: Maps that to heatmaps ``[N, K, h, w]``.
        categories: The class that people are of, with the names of their keypoints.
        swaps: The keypoint that each one is in a mirror image, K of them.
        stride: Pixels of a cell of the heatmaps, a side.
        sigma: Standard deviation of a peak of the heatmaps that are learnt, in cells.
        flip_test: ``predict`` averages the heatmaps of an image and of its mirror image.
        shift_heatmap: Those of the mirror image are first moved right by a cell.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        categories: Categories,
        swaps: Sequence[int],
        *,
        stride: int = 4,
        sigma: float = 2.0,
        flip_test: bool = True,
        shift_heatmap: bool = True,
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.categories = backbone, head, categories
        self.swaps, self.stride, self.sigma = tuple(swaps), stride, sigma
        self.flip_test, self.shift_heatmap = flip_test, shift_heatmap

    def forward(self, images: Tensor) -> Tensor:
        """Return the heatmaps ``[N, K, h, w]`` of normalised images ``[N, 3, H, W]``."""
        (maps,) = self.backbone(images).values()
        return self.head(maps)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss_heatmap``: the squared error, averaged over all cells, those that do not count included.

        Raises:
            ValueError: The batch has no keypoints.
        """
        if batch.keypoints is None:
            raise ValueError("the batch has no keypoints to learn from")
        heatmaps = at_least_float32(self(batch.images))
        targets, weights = encode(batch.keypoints, (heatmaps.shape[2], heatmaps.shape[3]), self.stride, self.sigma)
        errors = (heatmaps - targets.to(heatmaps.dtype)) ** 2 * weights[..., None, None].to(heatmaps.dtype)
        return {"loss_heatmap": errors.sum() / mean_count(errors.numel(), errors)}

    def heatmaps(self, images: Tensor) -> Tensor:
        """Return the heatmaps ``[N, K, h, w]`` that ``predict`` takes the keypoints from."""
        heatmaps = self(images)
        if not self.flip_test:
            return heatmaps
        return (heatmaps + mirror(self(images.flip(-1)), self.swaps, self.shift_heatmap)) * 0.5

    def predict(self, batch: Batch) -> list[Result]:
        """Return the pose of one person for each image, in pixels of the photograph that it was cut from.

        Without ``batch.people`` an image is taken for the person itself, and for the photograph.
        """
        cells, scores = decode(at_least_float32(self.heatmaps(batch.images)))
        points = (cells * self.stride).float().cpu().numpy()
        peaks = scores.float().cpu().numpy()
        size_hw = batch.images.shape[2], batch.images.shape[3]
        people = batch.people or [_whole(size) for size in batch.sizes]
        found: list[Result] = []
        for n, (person, size) in enumerate(zip(people, batch.original_sizes, strict=True)):
            found.append(
                Poses(
                    keypoints=person.region.to_photograph(points[n : n + 1], size_hw),
                    scores=peaks[n : n + 1],
                    boxes=person.box[None],
                    box_scores=np.array([person.score], np.float32),
                    image_size=size,
                    categories=self.categories,
                )
            )
        return found


def _whole(size_hw: tuple[int, int]) -> Person:
    """Return the person that an image of this size is all of."""
    size = np.array(size_hw[::-1], np.float32)
    return Person(Region(size * np.float32(0.5), size), np.array([0, 0, *size], np.float32))
