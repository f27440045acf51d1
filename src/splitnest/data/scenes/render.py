"""Rendering of a scene: a landscape with overlapping objects, and exact labels of their visible pixels."""

import numpy as np

from splitnest.data.scenes.backdrop import Backdrop
from splitnest.data.scenes.classes import CATEGORIES, THINGS
from splitnest.data.scenes.figure import Part, ellipse
from splitnest.data.scenes.layout import PlacedObject, place_objects
from splitnest.data.scenes.noise import field
from splitnest.data.scenes.raster import Patch, rasterize
from splitnest.data.scenes.rng import StableRng
from splitnest.data.scenes.scene import Scene, SceneObject
from splitnest.structures.panoptic import SegmentInfo

MIN_VISIBLE_FRACTION = 0.25
"""Minimum visible fraction of an object; objects with more occlusion are left out."""

MIN_AREA_FRACTION = 0.0006
"""Minimum visible area of an object as a fraction of the image; smaller objects are left out."""


def render(rng: StableRng, image_size: tuple[int, int]) -> Scene | None:
    """Draw a scene.

    Args:
        rng: Random number generator.
        image_size: Height and width in pixels.

    Returns:
        Scene, or None if fewer than two objects are visible.
    """
    backdrop = Backdrop(rng, image_size)
    placed = place_objects(rng, backdrop)
    if len(placed) < 2:
        return None
    shadows = [_shadow(obj, backdrop) for obj in placed]
    groups = [[*shadow, *obj.figure.parts] for shadow, obj in zip(shadows, placed, strict=True)]
    patches = iter(rasterize([part.points for group in groups for part in group], image_size))
    layers = [
        _Layer(obj, shadow, [next(patches) for _ in shadow], [next(patches) for _ in obj.figure.parts])
        for obj, shadow in zip(placed, shadows, strict=True)
    ]
    layers = _visible(layers, image_size)
    if len(layers) < 2:
        return None
    texture = field(rng, image_size, image_size[0] / 70)
    owners = np.zeros(image_size, np.int32)
    for number, layer in enumerate(layers, start=1):
        layer.paint(backdrop, texture)
        owners[layer.rows, layer.columns][layer.solid] = number
    image = _camera_effects(rng, backdrop.pixels)
    return _make_scene(image, layers, owners, backdrop.labels)


class _Layer:
    """Object drawn separately, in its bounding box.

    Attributes:
        rows, columns: Bounding box in the image.
        color: float32 RGB ``[3, h, w]``, premultiplied by ``alpha``.
        alpha: float32 ``[h, w]``, opacity from 0 to 1.
        solid: bool ``[h, w]``, pixels with an opacity of at least 0.5: the mask without occlusion.
    """

    def __init__(
        self, placed: PlacedObject, shadow: list[Part], shadow_patches: list[Patch], patches: list[Patch]
    ) -> None:
        self.placed, self.shadow, self.shadow_patches = placed, shadow, shadow_patches
        visible = [patch for patch in patches if patch.coverage.size]
        top, bottom = min(patch.rows.start for patch in visible), max(patch.rows.stop for patch in visible)
        left, right = min(patch.columns.start for patch in visible), max(patch.columns.stop for patch in visible)
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
            coverage = patch.coverage if part.opacity == 1 else patch.coverage * np.float32(part.opacity)
            color = self.color[:, *where]
            color += coverage * (np.array(part.color, np.float32)[:, None, None] - color)
            alpha = self.alpha[where]
            alpha += coverage * (1 - alpha)
        self.solid = self.alpha >= 0.5

    def paint(self, backdrop: Backdrop, texture: np.ndarray) -> None:
        """Composite the object and its shadow onto the landscape, with its illumination."""
        for patch, part in zip(self.shadow_patches, self.shadow, strict=True):
            ground = backdrop.pixels[:, patch.rows, patch.columns]
            ground *= 1 - patch.coverage * np.float32(part.opacity)
        height, width = self.alpha.shape
        across = np.arange(width, dtype=np.float32) * np.float32(2 / max(1, width - 1)) - 1
        down = np.arange(height, dtype=np.float32)[:, None] * np.float32(1 / max(1, height - 1))
        tone = (1 + across * np.float32(0.16 * backdrop.sun)) * (np.float32(1.05) - down * down * np.float32(0.2))
        tone = tone * (1 + texture[self.rows, self.columns] * np.float32(0.05))
        tint = np.array(backdrop.light.tint, np.float32)[:, None, None]
        # The color is premultiplied by alpha, so it is added.
        behind = backdrop.pixels[:, self.rows, self.columns]
        behind *= 1 - self.alpha
        behind += self.color * tone * tint


def _shadow(obj: PlacedObject, backdrop: Backdrop) -> list[Part]:
    """Return a soft shadow on the ground, away from the sun; empty for flying objects."""
    if obj.is_flying:
        return []
    half, (x, y) = (obj.box[2] - obj.box[0]) / 2, obj.base
    x -= backdrop.sun * half * 0.35
    return [
        ellipse((x, y - half * 0.01), (half * grow, half * 0.16 * grow), (0, 0, 0), opacity=0.16)
        for grow in (1.15, 1.0, 0.85)
    ]


def _visible(layers: list[_Layer], image_size: tuple[int, int]) -> list[_Layer]:
    """Return the layers that are sufficiently visible, decided from near to far."""
    covered = np.zeros(image_size, bool)
    kept = []
    for layer in reversed(layers):
        region = covered[layer.rows, layer.columns]
        total = np.count_nonzero(layer.solid)
        visible = np.count_nonzero(layer.solid & ~region)
        if visible >= MIN_VISIBLE_FRACTION * total and visible >= MIN_AREA_FRACTION * covered.size:
            region |= layer.solid
            kept.append(layer)
    return kept[::-1]


def _camera_effects(rng: StableRng, pixels: np.ndarray) -> np.ndarray:
    """Apply blur, exposure, vignetting and grain to float32 ``[3, H, W]``; return uint8 ``[H, W, 3]``."""
    _, height, width = pixels.shape
    if rng.bernoulli(0.5):
        for planes in (pixels, pixels.swapaxes(1, 2)):
            planes[:, 1:-1] = planes[:, 1:-1] * np.float32(0.5) + (planes[:, :-2] + planes[:, 2:]) * np.float32(0.25)
    x = np.arange(width, dtype=np.float32) * np.float32(2 / width) - 1
    y = np.arange(height, dtype=np.float32)[:, None] * np.float32(2 / height) - 1
    gain = (1 - (x * x + y * y) * np.float32(rng.uniform(0.0, 0.1))) * np.float32(rng.uniform(0.92, 1.12))
    grain = rng.grid(height, width) * np.float32(rng.uniform(1, 6))
    image = np.empty((height, width, 3), np.uint8)
    for channel, plane in enumerate(pixels):
        plane *= gain
        plane += grain
        image[..., channel] = np.clip(plane, 0, 255, out=plane)
    return image


def _make_scene(image: np.ndarray, layers: list[_Layer], owners: np.ndarray, stuff: np.ndarray) -> Scene:
    """Return a scene with all ground truth.

    Args:
        image: uint8 RGB ``[H, W, 3]``.
        layers: Visible objects from far to near.
        owners: int32 ``[H, W]``, 1 + index of the layer that each pixel shows, or 0.
        stuff: uint8 ``[H, W]``, stuff class of each pixel of the landscape.
    """
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


def _keypoints(placed: PlacedObject, mask: np.ndarray) -> np.ndarray | None:
    """Return x, y and visibility of keypoints, ``[K, 3]``; they are visible if their pixel is in the mask."""
    if placed.figure.keypoints is None:
        return None
    height, width = mask.shape
    keypoints = np.zeros((len(placed.figure.keypoints), 3), np.float32)
    for row, (x, y), hidden in zip(keypoints, placed.figure.keypoints, placed.figure.hidden, strict=True):
        if 0 <= x < width and 0 <= y < height:
            row[:] = x, y, 2 if mask[int(y), int(x)] and not hidden else 1
    return keypoints
