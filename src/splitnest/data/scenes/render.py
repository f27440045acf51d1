"""One scene: a landscape with objects in front of each other, and exact labels of what is visible."""

import numpy as np

from splitnest.data.scenes.backdrop import Backdrop
from splitnest.data.scenes.classes import CATEGORIES, THINGS
from splitnest.data.scenes.dice import Dice
from splitnest.data.scenes.figure import Part, ellipse
from splitnest.data.scenes.layout import Placed, place_objects
from splitnest.data.scenes.noise import field
from splitnest.data.scenes.raster import Patch, rasterise
from splitnest.data.scenes.scene import Scene, SceneObject
from splitnest.results.panoptic import SegmentInfo

LEAST_VISIBLE = 0.25
"""Least visible share of an object's pixels in the image: one that nearer objects hide further is left out."""

LEAST_AREA = 0.0006
"""Least visible share of the image: a smaller object is left out, too."""


def render(dice: Dice, image_size: tuple[int, int]) -> Scene | None:
    """Draw a scene; None where fewer than two objects found room."""
    scene = Backdrop(dice, image_size)
    placed = place_objects(dice, scene)
    if len(placed) < 2:
        return None
    shadows = [_shadow(one, scene) for one in placed]
    groups = [[*shadow, *one.figure.parts] for shadow, one in zip(shadows, placed, strict=True)]
    patches = iter(rasterise([part.points for group in groups for part in group], image_size))
    layers = [
        _Layer(one, shadow, [next(patches) for _ in shadow], [next(patches) for _ in one.figure.parts])
        for one, shadow in zip(placed, shadows, strict=True)
    ]
    layers = _visible(layers, image_size)
    if len(layers) < 2:
        return None
    texture = field(dice, image_size, image_size[0] / 70)
    owners = np.zeros(image_size, np.int32)
    for number, layer in enumerate(layers, start=1):
        layer.paint(scene, texture)
        owners[layer.rows, layer.columns][layer.solid] = number
    image = _photograph(dice, scene.pixels)
    return _labelled(image, layers, owners, scene.labels)


class _Layer:
    """One object, drawn apart from the others in the part of the image that it touches."""

    def __init__(self, placed: Placed, shadow: list[Part], shadow_patches: list[Patch], patches: list[Patch]) -> None:
        self.placed, self.shadow, self.shadow_patches = placed, shadow, shadow_patches
        seen = [patch for patch in patches if patch.coverage.size]
        top, bottom = min(patch.rows.start for patch in seen), max(patch.rows.stop for patch in seen)
        left, right = min(patch.columns.start for patch in seen), max(patch.columns.stop for patch in seen)
        self.rows, self.columns = slice(top, bottom), slice(left, right)
        self.color = np.zeros((3, bottom - top, right - left), np.float32)
        self.alpha = np.zeros((bottom - top, right - left), np.float32)
        for patch, part in zip(patches, placed.figure.parts, strict=True):
            if not patch.coverage.size:
                continue
            where = (
                slice(patch.rows.start - top, patch.rows.stop - top),
                slice(patch.columns.start - left, patch.columns.stop - left),
            )
            cover = patch.coverage if part.opacity == 1 else patch.coverage * np.float32(part.opacity)
            color = self.color[:, *where]
            color += cover * (np.array(part.color, np.float32)[:, None, None] - color)
            alpha = self.alpha[where]
            alpha += cover * (1 - alpha)
        self.solid = self.alpha >= 0.5

    def paint(self, scene: Backdrop, texture: np.ndarray) -> None:
        """Put the object and its shadow into the landscape, in its light."""
        for patch, part in zip(self.shadow_patches, self.shadow, strict=True):
            ground = scene.pixels[:, patch.rows, patch.columns]
            ground *= 1 - patch.coverage * np.float32(part.opacity)
        height, width = self.alpha.shape
        across = np.arange(width, dtype=np.float32) * np.float32(2 / max(1, width - 1)) - 1
        down = np.arange(height, dtype=np.float32)[:, None] * np.float32(1 / max(1, height - 1))
        tone = (1 + across * np.float32(0.16 * scene.sun)) * (np.float32(1.05) - down * down * np.float32(0.2))
        tone = tone * (1 + texture[self.rows, self.columns] * np.float32(0.05))
        tint = np.array(scene.light.tint, np.float32)[:, None, None]
        # The colour was mixed with black where alpha is under 1, so it is added, not mixed again.
        behind = scene.pixels[:, self.rows, self.columns]
        behind *= 1 - self.alpha
        behind += self.color * tone * tint


def _shadow(one: Placed, scene: Backdrop) -> list[Part]:
    """A soft dark spot on the ground, away from the sun."""
    if one.flying:
        return []
    half, (x, y) = (one.box[2] - one.box[0]) / 2, one.base
    x -= scene.sun * half * 0.35
    return [
        ellipse((x, y - half * 0.01), (half * grow, half * 0.16 * grow), (0, 0, 0), opacity=0.16)
        for grow in (1.15, 1.0, 0.85)
    ]


def _visible(layers: list[_Layer], image_size: tuple[int, int]) -> list[_Layer]:
    """The layers of which enough is to be seen, judged from the nearest to the farthest."""
    taken = np.zeros(image_size, bool)
    kept = []
    for layer in reversed(layers):
        window = taken[layer.rows, layer.columns]
        whole = np.count_nonzero(layer.solid)
        seen = np.count_nonzero(layer.solid & ~window)
        if seen >= LEAST_VISIBLE * whole and seen >= LEAST_AREA * taken.size:
            window |= layer.solid
            kept.append(layer)
    return kept[::-1]


def _photograph(dice: Dice, pixels: np.ndarray) -> np.ndarray:
    """What a camera adds: exposure, vignette, a little blur, grain. uint8 [H, W, 3] of float32 [3, H, W]."""
    _, height, width = pixels.shape
    if dice.chance(0.5):
        for planes in (pixels, pixels.swapaxes(1, 2)):
            planes[:, 1:-1] = planes[:, 1:-1] * np.float32(0.5) + (planes[:, :-2] + planes[:, 2:]) * np.float32(0.25)
    x = np.arange(width, dtype=np.float32) * np.float32(2 / width) - 1
    y = np.arange(height, dtype=np.float32)[:, None] * np.float32(2 / height) - 1
    gain = (1 - (x * x + y * y) * np.float32(dice.between(0.0, 0.1))) * np.float32(dice.between(0.92, 1.12))
    grain = dice.grid(height, width) * np.float32(dice.between(1, 6))
    image = np.empty((height, width, 3), np.uint8)
    for channel, plane in enumerate(pixels):
        plane *= gain
        plane += grain
        image[..., channel] = np.clip(plane, 0, 255, out=plane)
    return image


def _labelled(image: np.ndarray, layers: list[_Layer], owners: np.ndarray, stuff: np.ndarray) -> Scene:
    """Derive all labels from the map of owners: int32 [H, W], 0 for stuff, else 1 + index of the layer."""
    semantic, segments = stuff.copy(), owners.copy()
    objects, infos = [], []
    for number, layer in enumerate(layers, start=1):
        mask = owners == number
        semantic[mask] = layer.placed.label
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
        objects.append(SceneObject(layer.placed.label, box, mask, _keypoints(layer.placed, mask)))
        infos.append(
            SegmentInfo(id=number, category=layer.placed.label, isthing=True, score=None, area=int(mask.sum()))
        )
    for category in range(len(THINGS), len(CATEGORIES)):
        mask = semantic == category
        if mask.any():
            number = len(infos) + 1
            segments[mask] = number
            infos.append(SegmentInfo(id=number, category=category, isthing=False, score=None, area=int(mask.sum())))
    return Scene(image, tuple(objects), semantic, segments, tuple(infos))


def _keypoints(placed: Placed, mask: np.ndarray) -> np.ndarray | None:
    """Keypoints with their visibility, judged by the pixel that they are on."""
    if placed.figure.keypoints is None:
        return None
    height, width = mask.shape
    keypoints = np.zeros((len(placed.figure.keypoints), 3), np.float32)
    for row, (x, y), hidden in zip(keypoints, placed.figure.keypoints, placed.figure.hidden, strict=True):
        if 0 <= x < width and 0 <= y < height:
            row[:] = x, y, 2 if mask[int(y), int(x)] and not hidden else 1
    return keypoints
