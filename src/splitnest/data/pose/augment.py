"""Training augmentation of pose estimation: flip, half-body crop, shift, scale, rotation.

Shapes: K keypoints.
"""

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from splitnest.recipe.training import PoseTraining
from splitnest.structures.person import CropRegion
from splitnest.structures.skeleton import Skeleton

MIN_KEYPOINTS, MIN_UPPER, MIN_LOWER = 9, 2, 3
"""Minimum labeled keypoints of a person and of its halves for a half-body crop (mmpose ``RandomHalfBody``)."""

UPPER_PROBABILITY = 0.7
"""Probability of the upper body, where both halves are possible (same source)."""

HALF_BODY_PADDING = 1.5
"""Factor by which the box of the keypoints of a half is enlarged (same source)."""


@dataclass(frozen=True)
class AnnotatedPerson:
    """Person in an image, with keypoints.

    Attributes:
        pixels: Image, uint8 RGB ``[H, W, 3]``.
        region: Region to crop, before it gets the aspect ratio of the network's input.
        keypoints: float32 ``[K, 3]``, x and y in pixels, and 1 for labeled keypoints, 0 for others.
    """

    pixels: NDArray[np.uint8]
    region: CropRegion
    keypoints: NDArray[np.float32]

    def flipped(self, skeleton: Skeleton) -> "AnnotatedPerson":
        """Flip the image horizontally, and swap left and right keypoints."""
        last = np.float32(self.pixels.shape[1] - 1)
        keypoints = self.keypoints[list(skeleton.flip_indices)]
        keypoints[:, 0] = last - keypoints[:, 0]
        x, y = self.region.center
        region = replace(self.region, center=np.array([last - x, y], np.float32), rotation=-self.region.rotation)
        return AnnotatedPerson(self.pixels[:, ::-1], region, keypoints)


def augment(
    person: AnnotatedPerson, skeleton: Skeleton, train_cfg: PoseTraining, rng: np.random.Generator
) -> AnnotatedPerson:
    """Flip a person, crop a half of the body, shift, scale and rotate the region, in this order, each at random.

    Args:
        person: Person with the region of its box.
        skeleton: Keypoints of the model.
        train_cfg: Section ``train`` of the recipe.
        rng: Random generator.
    """
    if rng.random() < train_cfg.flip:
        person = person.flipped(skeleton)
    half = _half_body(person.keypoints, skeleton, train_cfg.half_body, rng)
    region = person.region if half is None else half
    shift = _truncated_normal(rng, 2) * train_cfg.shift * (rng.random() < train_cfg.shift_probability)
    scale = 1 + float(_truncated_normal(rng, 1)[0]) * train_cfg.scale
    angle = float(_truncated_normal(rng, 1)[0]) * train_cfg.rotation * (rng.random() < train_cfg.rotation_probability)
    center, size = region.center + shift * region.size, region.size * scale
    return replace(person, region=CropRegion(center.astype(np.float32), size.astype(np.float32), angle))


def _half_body(
    keypoints: NDArray[np.float32], skeleton: Skeleton, probability: float, rng: np.random.Generator
) -> CropRegion | None:
    """Return the region of the upper-body or lower-body keypoints; None keeps the whole person."""
    labeled = keypoints[:, 2] > 0
    if labeled.sum() < MIN_KEYPOINTS or rng.random() >= probability:
        return None
    is_lower = np.isin(np.arange(len(keypoints)), skeleton.lower_body)
    upper, lower = labeled & ~is_lower, labeled & is_lower
    prefers_upper = rng.random() < UPPER_PROBABILITY
    has_upper, has_lower = upper.sum() >= MIN_UPPER, lower.sum() >= MIN_LOWER
    if not (has_upper or has_lower):
        return None
    points = keypoints[upper if has_upper and (prefers_upper or not has_lower) else lower, :2]
    size = (points.max(axis=0) - points.min(axis=0)) * np.float32(HALF_BODY_PADDING)
    return CropRegion(points.mean(axis=0), size) if (size > 0).any() else None


def _truncated_normal(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Draw from the standard normal distribution truncated to [-1, 1]."""
    normal = NormalDist()
    low, high = normal.cdf(-1), normal.cdf(1)
    return np.array([normal.inv_cdf(value) for value in rng.uniform(low, high, count)])
