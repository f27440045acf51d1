"""Random changes of a person for training: mirror image, half a body, shift, size, angle.

K keypoints.
"""

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from splitnest.data.person_crop import Region
from splitnest.data.skeleton import Skeleton
from splitnest.recipe.training import PoseTraining

MIN_KEYPOINTS, MIN_UPPER, MIN_LOWER = 9, 2, 3
"""Labelled keypoints that a person, its upper and its lower half need to be cut in half (mmpose ``RandomHalfBody``)."""

UPPER_SHARE = 0.7
"""How often it is the upper half, where both could be (the same)."""

HALF_BODY_PADDING = 1.5
"""Factor by which the box of those keypoints is widened (the same)."""


@dataclass(frozen=True)
class PosedPerson:
    """A person in a photograph.

    Attributes:
        pixels: The photograph, uint8 RGB ``[H, W, 3]``.
        region: What is to be cut out, not yet of the shape of the network's input.
        keypoints: float32 ``[K, 3]``, x and y in pixels, and 1 where it is labelled, otherwise 0.
    """

    pixels: NDArray[np.uint8]
    region: Region
    keypoints: NDArray[np.float32]

    def mirrored(self, skeleton: Skeleton) -> "PosedPerson":
        """Swap left and right, in the picture and among the keypoints."""
        last = np.float32(self.pixels.shape[1] - 1)
        keypoints = self.keypoints[list(skeleton.swaps)]
        keypoints[:, 0] = last - keypoints[:, 0]
        x, y = self.region.center
        region = replace(self.region, center=np.array([last - x, y], np.float32), rotation=-self.region.rotation)
        return PosedPerson(self.pixels[:, ::-1], region, keypoints)


def augment(person: PosedPerson, skeleton: Skeleton, train: PoseTraining, rng: np.random.Generator) -> PosedPerson:
    """Mirror a person, cut it in half, move, scale and turn what is to be cut out, in this order, each at random.

    Args:
        person: With the region of its box.
        skeleton: Its keypoints.
        train: ``train`` of the recipe: how often and how much.
        rng: The only source of randomness.
    """
    if rng.random() < train.flip:
        person = person.mirrored(skeleton)
    half = _half_body(person.keypoints, skeleton, train.half_body, rng)
    region = person.region if half is None else half
    shift = _bell(rng, 2) * train.shift * (rng.random() < train.shift_probability)
    scale = 1 + float(_bell(rng, 1)[0]) * train.scale
    angle = float(_bell(rng, 1)[0]) * train.rotation * (rng.random() < train.rotation_probability)
    center, size = region.center + shift * region.size, region.size * scale
    return replace(person, region=Region(center.astype(np.float32), size.astype(np.float32), angle))


def _half_body(
    keypoints: NDArray[np.float32], skeleton: Skeleton, probability: float, rng: np.random.Generator
) -> Region | None:
    """Return the region of the upper or the lower keypoints; None to leave the person whole."""
    labelled = keypoints[:, 2] > 0
    if labelled.sum() < MIN_KEYPOINTS or rng.random() >= probability:
        return None
    is_lower = np.isin(np.arange(len(keypoints)), skeleton.lower_body)
    upper, lower = labelled & ~is_lower, labelled & is_lower
    prefers_upper = rng.random() < UPPER_SHARE
    has_upper, has_lower = upper.sum() >= MIN_UPPER, lower.sum() >= MIN_LOWER
    if not (has_upper or has_lower):
        return None
    points = keypoints[upper if has_upper and (prefers_upper or not has_lower) else lower, :2]
    size = (points.max(axis=0) - points.min(axis=0)) * np.float32(HALF_BODY_PADDING)
    return Region(points.mean(axis=0), size) if (size > 0).any() else None


def _bell(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Draw from the normal distribution between minus and plus one standard deviation."""
    normal = NormalDist()
    low, high = normal.cdf(-1), normal.cdf(1)
    return np.array([normal.inv_cdf(value) for value in rng.uniform(low, high, count)])
