"""Top-down pose estimator: a backbone and a heatmap for each keypoint, one person per image.

Shapes: N images, K keypoints, h x w cells of a heatmap, H x W pixels of an image. The offset codec of UDP has 3 K maps.
"""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor, nn

from splitnest.distributed import loss_normalizer
from splitnest.models.base import Forward, Model
from splitnest.models.layers.precision import at_least_float32
from splitnest.models.layers.resize_concat import resize_concat
from splitnest.models.pose.codec import MSRACodec
from splitnest.models.pose.heatmap_losses import squared_errors
from splitnest.structures import Poses, Result
from splitnest.structures.batch import Batch
from splitnest.structures.categories import Categories
from splitnest.structures.person import Person


class PoseEstimator(Model):
    """Top-down pose estimator.

    Args:
        backbone: Backbone that returns the feature maps of ``levels``.
        head: Head that returns heatmaps ``[N, K, h, w]``.
        categories: Class of the persons, with the names of their keypoints: of all, or the first ones of predictions.
        flip_indices: Keypoint that each keypoint becomes under a horizontal flip, K of them.
        levels: Names of the feature maps that the head takes, resized to the first one and concatenated.
        codec: Codec of the heatmaps.
        criterion: Sum of the loss over all cells, as a function of heatmaps, targets and weights of the keypoints.
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
        levels: Sequence[str] = ("c5",),
        codec: MSRACodec | None = None,
        criterion: Callable[[Tensor, Tensor, Tensor], Tensor] = squared_errors,
        flip_test: bool = True,
        shift_heatmap: bool = True,
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.categories = backbone, head, categories
        self.flip_indices, self.codec, self.criterion = tuple(flip_indices), codec or MSRACodec(), criterion
        self.levels = tuple(levels)
        self.flip_test, self.shift_heatmap = flip_test, shift_heatmap
        self.num_passes = 2 if flip_test else 1

    def forward(self, images: Tensor) -> Tensor:
        """Return the heatmaps ``[N, K, h, w]`` of normalized images ``[N, 3, H, W]``."""
        features = self.backbone(images)
        return self.head(resize_concat([features[name] for name in self.levels]))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss_heatmap``: the loss averaged over all cells of all keypoints, ignored ones included.

        Raises:
            ValueError: The batch has no keypoints.
        """
        if batch.keypoints is None:
            raise ValueError("the batch has no keypoints, the ground truth of the loss")
        heatmaps = at_least_float32(self(batch.images))
        input_hw = batch.images.shape[2], batch.images.shape[3]
        targets, weights = self.codec.encode(batch.keypoints, (heatmaps.shape[2], heatmaps.shape[3]), input_hw)
        total = self.criterion(heatmaps, targets.to(heatmaps.dtype), weights.to(heatmaps.dtype))
        return {"loss_heatmap": total / loss_normalizer(heatmaps.numel() // self.codec.maps_per_keypoint, total)}

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
        flipped = self.codec.flip_back(compute(images.flip(-1)), self.flip_indices, self.shift_heatmap)
        return (heatmaps + flipped) * 0.5

    def predict_with(self, forward: Forward, batch: Batch) -> list[Result]:
        """Return the pose of the person in each image, in pixels of the original images.

        Without ``batch.people``, an image is taken as the box of a person in an original image of its size.
        """
        size_hw = batch.images.shape[2], batch.images.shape[3]
        found, scores = self.codec.decode(at_least_float32(self.heatmaps(batch.images, forward)), size_hw)
        points, peaks = found.float().cpu().numpy(), scores.float().cpu().numpy()
        num_keypoints = len(self.categories.keypoint_names)
        people = batch.people or [Person.whole_image(size) for size in batch.sizes]
        return [
            Poses(
                keypoints=person.region.to_original(points[n : n + 1, :num_keypoints], size_hw),
                scores=peaks[n : n + 1, :num_keypoints],
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
