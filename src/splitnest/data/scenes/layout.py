"""Placement of objects in a scene: on a suitable surface, at a size that matches their distance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from splitnest.data.scenes import objects
from splitnest.data.scenes.backdrop import GROUND, MOUNTAIN, ROAD, SKY, WATER, Backdrop
from splitnest.data.scenes.classes import THING_NAMES
from splitnest.data.scenes.figure import Figure
from splitnest.data.scenes.person import person
from splitnest.data.scenes.rng import StableRng

MAX_ATTEMPTS = 60
"""Number of random placements that are tried for one scene."""


@dataclass(frozen=True)
class PlacementRule:
    """Constraints on the placement of one class.

    Attributes:
        draw: Function that draws an object of the class.
        height_m: Minimum and maximum height in meters; None for flying objects, whose distance is not visible.
        relative_height: Minimum and maximum height as a fraction of the image height.
        surfaces: Labels of the stuff classes that the object stands on, or that are behind a flying object.
        weight: Relative frequency of attempts.
    """

    draw: Callable[[StableRng], Figure]
    height_m: tuple[float, float] | None
    relative_height: tuple[float, float]
    surfaces: tuple[int, ...]
    weight: float = 1.0


RULES = {
    "person": PlacementRule(person, (1.55, 1.9), (0.17, 0.62), (GROUND, ROAD), 1.8),
    "car": PlacementRule(objects.car, (1.4, 1.7), (0.085, 0.3), (ROAD, GROUND), 1.4),
    "house": PlacementRule(objects.house, (5, 7), (0.2, 0.55), (GROUND,), 1.5),
    "tree": PlacementRule(objects.tree, (3.5, 8), (0.18, 0.72), (GROUND,), 1.7),
    "boat": PlacementRule(objects.boat, (2.5, 7), (0.1, 0.45), (WATER,), 2.4),
    "bird": PlacementRule(objects.bird, None, (0.055, 0.15), (SKY, MOUNTAIN, WATER), 1.0),
    "ball": PlacementRule(objects.ball, (0.45, 1.0), (0.06, 0.22), (GROUND,), 1.3),
    "balloon": PlacementRule(objects.balloon, None, (0.14, 0.48), (SKY, MOUNTAIN), 0.9),
}


@dataclass(frozen=True)
class PlacedObject:
    """Object at a place in the image.

    Attributes:
        label: Index into ``THINGS``.
        figure: Figure in pixels, y downwards.
        box: float ``[4]``, xyxy in pixels; it may cross the image border.
        base: Point (x, y) where the object stands, in pixels.
        depth: Drawing order; larger is nearer.
        is_flying: Whether the object flies, and casts no shadow.
    """

    label: int
    figure: Figure
    box: np.ndarray
    base: tuple[float, float]
    depth: float
    is_flying: bool


def place_objects(rng: StableRng, backdrop: Backdrop) -> list[PlacedObject]:
    """Return two to eight objects from far to near, or fewer if not enough attempts succeed."""
    count = 2 + int(rng.random() * 7)
    placed: list[PlacedObject] = []
    for _ in range(MAX_ATTEMPTS):
        name = rng.choice(THING_NAMES, weights=[RULES[name].weight for name in THING_NAMES])
        candidate = _place(rng, name, backdrop)
        if candidate is not None and all(_is_apart(candidate, other) for other in placed):
            placed.append(candidate)
            if len(placed) == count:
                break
    return sorted(placed, key=lambda candidate: candidate.depth)


def _place(rng: StableRng, name: str, backdrop: Backdrop) -> PlacedObject | None:
    """Return an object at a random place, or None if the place is not valid for its class."""
    rule = RULES[name]
    height, width = backdrop.labels.shape
    low, high = rule.relative_height
    pixels = height * low * (high / low) ** rng.random()
    x = rng.uniform(-0.02, 1.02) * width
    if rule.height_m is None:
        y = rng.uniform(0.04 * height + pixels, max(backdrop.horizon * 1.05, 0.06 * height + pixels))
        depth = -pixels if name == "balloon" else height + pixels
        probe_y = y - pixels / 2
    else:
        y = backdrop.horizon + pixels / rng.uniform(*rule.height_m) * backdrop.camera_height
        depth = probe_y = y
    if not 0 <= probe_y < height * 1.12:
        return None
    if backdrop.labels[min(int(probe_y), height - 1), min(max(int(x), 0), width - 1)] not in rule.surfaces:
        return None
    figure = rule.draw(rng)
    flip = -1 if figure.keypoints is None and rng.bernoulli(0.5) else 1
    in_pixels = figure.placed((x, y), pixels, flip)
    points = np.concatenate([part.points for part in in_pixels.parts])
    box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    inside = np.clip(box, 0, [width, height, width, height])
    if _area(inside) < 0.55 * _area(box):
        return None
    return PlacedObject(THING_NAMES.index(name), in_pixels, box, (x, y), depth, is_flying=rule.height_m is None)


def _is_apart(first: PlacedObject, second: PlacedObject) -> bool:
    """Return whether two boxes overlap by less than 0.55 of the smaller one."""
    overlap = np.concatenate([np.maximum(first.box[:2], second.box[:2]), np.minimum(first.box[2:], second.box[2:])])
    fraction = _area(overlap) / min(_area(first.box), _area(second.box))
    return fraction < 0.55


def _area(box: np.ndarray) -> float:
    return float(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))
