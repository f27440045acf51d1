"""Where objects stand: on a surface that suits them, of the size that their distance asks for."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from splitnest.data.scenes import objects
from splitnest.data.scenes.backdrop import GROUND, MOUNTAIN, ROAD, SKY, WATER, Backdrop
from splitnest.data.scenes.classes import THING_NAMES
from splitnest.data.scenes.dice import Dice
from splitnest.data.scenes.figure import Figure
from splitnest.data.scenes.person import person

TRIES = 60
"""Places tried for the objects of one scene."""


@dataclass(frozen=True)
class Kind:
    """How the objects of a class are placed.

    Attributes:
        draw: Draws one.
        metres: Least and greatest height in metres; None for what flies, whose distance is not seen.
        share: Least and greatest height as a share of the image's.
        surfaces: Labels of the stuff that it stands on, or that is behind it if it flies.
        weight: How often it is tried.
    """

    draw: Callable[[Dice], Figure]
    metres: tuple[float, float] | None
    share: tuple[float, float]
    surfaces: tuple[int, ...]
    weight: float = 1.0


KINDS = {
    "person": Kind(person, (1.55, 1.9), (0.17, 0.62), (GROUND, ROAD), 1.8),
    "car": Kind(objects.car, (1.4, 1.7), (0.085, 0.3), (ROAD, GROUND), 1.4),
    "house": Kind(objects.house, (5, 7), (0.2, 0.55), (GROUND,), 1.5),
    "tree": Kind(objects.tree, (3.5, 8), (0.18, 0.72), (GROUND,), 1.7),
    "boat": Kind(objects.boat, (2.5, 7), (0.1, 0.45), (WATER,), 2.4),
    "bird": Kind(objects.bird, None, (0.055, 0.15), (SKY, MOUNTAIN, WATER), 1.0),
    "ball": Kind(objects.ball, (0.45, 1.0), (0.06, 0.22), (GROUND,), 1.3),
    "balloon": Kind(objects.balloon, None, (0.14, 0.48), (SKY, MOUNTAIN), 0.9),
}


@dataclass(frozen=True)
class Placed:
    """An object in the image.

    Attributes:
        label: Index into ``THINGS``.
        figure: What is drawn; its points are in pixels, y down.
        box: xyxy in pixels, may reach beyond the image.
        base: (x, y) where it stands.
        depth: Larger is nearer.
        flying: True for what casts no shadow.
    """

    label: int
    figure: Figure
    box: np.ndarray
    base: tuple[float, float]
    depth: float
    flying: bool


def place_objects(dice: Dice, scene: Backdrop) -> list[Placed]:
    """Two to eight objects, the farthest first; fewer where there is no room for them."""
    wanted = 2 + int(dice.unit() * 7)
    placed: list[Placed] = []
    for _ in range(TRIES):
        name = dice.pick(THING_NAMES, weights=[KINDS[name].weight for name in THING_NAMES])
        candidate = _place(dice, name, scene)
        if candidate is not None and all(_apart(candidate, other) for other in placed):
            placed.append(candidate)
            if len(placed) == wanted:
                break
    return sorted(placed, key=lambda one: one.depth)


def _place(dice: Dice, name: str, scene: Backdrop) -> Placed | None:
    """An object at a random place, or None where it cannot be."""
    kind = KINDS[name]
    height, width = scene.labels.shape
    least, most = kind.share
    pixels = height * least * (most / least) ** dice.unit()
    x = dice.between(-0.02, 1.02) * width
    if kind.metres is None:
        y = dice.between(0.04 * height + pixels, max(scene.horizon * 1.05, 0.06 * height + pixels))
        depth = -pixels if name == "balloon" else height + pixels
        probe = y - pixels / 2
    else:
        y = scene.horizon + pixels / dice.between(*kind.metres) * scene.eye
        depth = probe = y
    if not 0 <= probe < height * 1.12:
        return None
    if scene.labels[min(int(probe), height - 1), min(max(int(x), 0), width - 1)] not in kind.surfaces:
        return None
    figure = kind.draw(dice)
    flip = -1 if figure.keypoints is None and dice.chance(0.5) else 1
    moved = figure.placed((x, y), pixels, flip)
    points = np.concatenate([part.points for part in moved.parts])
    box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    inside = np.clip(box, 0, [width, height, width, height])
    if _area(inside) < 0.55 * _area(box):
        return None
    return Placed(THING_NAMES.index(name), moved, box, (x, y), depth, flying=kind.metres is None)


def _apart(first: Placed, second: Placed) -> bool:
    """Whether neither box covers most of the other."""
    overlap = np.concatenate([np.maximum(first.box[:2], second.box[:2]), np.minimum(first.box[2:], second.box[2:])])
    share = _area(overlap) / min(_area(first.box), _area(second.box))
    return share < 0.55


def _area(box: np.ndarray) -> float:
    return float(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))
