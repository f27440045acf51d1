"""Top-down pose estimator: a backbone and a heatmap for each keypoint, one person per image.

Shapes: N images, K keypoints, h x w cells of a heatmap, H x W pixels of an image.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from splitnest.distributed import loss_normalizer
from splitnest.models.base import Forward, Model
from splitnest.models.layers.precision import at_least_float32
from splitnest.models.pose.heatmaps import decode, encode, flip_back
from splitnest.structures import Poses, Result
from splitnest.structures.batch import Batch
from splitnest.structures.categories import Categories
from splitnest.structures.person import Person


class PoseEstimator(Model):
    """Top-down pose estimator.

    Args:
        backbone: Backbone that returns c5.
        head: Head that returns heatmaps ``[N, K, h, w]``.
        categories: Class of the persons, with the names of their keypoints.
        flip_indices: Keypoint that each keypoint becomes under a horizontal flip, K of them.
        stride: Stride of the heatmaps in pixels.
        sigma: Standard deviation of the target heatmaps in cells.
        flip_test: Whether ``predict`` averages the heatmaps of an image and of its horizontal flip.
        shift_heatmap: Whether the heatmaps of the flipped image are shifted right by one cell.
    """

    output_names = ("heatmaps",)

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        categories: Categories,
        flip_indices: Sequence[int],
        *,
        stride: int = 4,
        sigma: float = 2.0,
        flip_test: bool = True,
        shift_heatmap: bool = True,
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.categories = backbone, head, categories
        self.flip_indices, self.stride, self.sigma = tuple(flip_indices), stride, sigma
        self.flip_test, self.shift_heatmap = flip_test, shift_heatmap
        self.num_passes = 2 if flip_test else 1

    def forward(self, images: Tensor) -> Tensor:
        """Return the heatmaps ``[N, K, h, w]`` of normalized images ``[N, 3, H, W]``."""
        return self.head(self.backbone(images)["c5"])

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss_heatmap``: the squared error averaged over all cells, those of ignored keypoints included.

        Raises:
            ValueError: The batch has no keypoints.
        """
        if batch.keypoints is None:
            raise ValueError("the batch has no keypoints, the ground truth of the loss")
        heatmaps = at_least_float32(self(batch.images))
        targets, weights = encode(batch.keypoints, (heatmaps.shape[2], heatmaps.shape[3]), self.stride, self.sigma)
        errors = (heatmaps - targets.to(heatmaps.dtype)) ** 2 * weights[..., None, None].to(heatmaps.dtype)
        return {"loss_heatmap": errors.sum() / loss_normalizer(errors.numel(), errors)}

    def heatmaps(self, images: Tensor, forward: Forward | None = None) -> Tensor:
        """Return the heatmaps ``[N, K, h, w]`` that keypoints are decoded from, averaged over the flip test.

        Args:
            images: Normalized images ``[N, 3, H, W]``.
            forward: Function from images to heatmaps; None uses this network.
        """
        compute = forward or self.forward
        heatmaps = compute(images)
        if not self.flip_test:
            return heatmaps
        return (heatmaps + flip_back(compute(images.flip(-1)), self.flip_indices, self.shift_heatmap)) * 0.5

    def predict_with(self, forward: Forward, batch: Batch) -> list[Result]:
        """Return the pose of the person in each image, in pixels of the original images.

        Without ``batch.people``, an image is taken as the box of a person in an original image of its size.
        """
        cells, scores = decode(at_least_float32(self.heatmaps(batch.images, forward)))
        points = (cells * self.stride).float().cpu().numpy()
        peaks = scores.float().cpu().numpy()
        size_hw = batch.images.shape[2], batch.images.shape[3]
        people = batch.people or [Person.whole_image(size) for size in batch.sizes]
        return [
            Poses(
                keypoints=person.region.to_original(points[n : n + 1], size_hw),
                scores=peaks[n : n + 1],
                boxes=person.box[None],
                box_scores=np.array([person.score], np.float32),
                labels=np.array([person.label], np.int64),
                image_size=size,
                categories=self.categories,
            )
            for n, (person, size) in enumerate(zip(people, batch.original_sizes, strict=True))
        ]

    @property
    def layer_parts(self) -> list[nn.Module]:
        """Backbone and head."""
        return [self.backbone, self.head]
