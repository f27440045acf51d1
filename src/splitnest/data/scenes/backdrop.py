"""What is behind the objects: sky, mountains, water, ground, road and wall, with a label for every pixel."""

from dataclasses import dataclass

import numpy as np

from splitnest.data.scenes.classes import CATEGORIES
from splitnest.data.scenes.dice import Dice
from splitnest.data.scenes.figure import Rgb, hsv, shade
from splitnest.data.scenes.noise import field, ridge, smoothstep, stretched

SKY, MOUNTAIN, GROUND, WATER, ROAD, WALL = (
    CATEGORIES.names.index(name) for name in ("sky", "mountain", "ground", "water", "road", "wall")
)


@dataclass(frozen=True)
class Light:
    """The time of day.

    Attributes:
        zenith, horizon: Colours of the sky.
        tint: Factor on each channel of everything but the sky.
        clouds: Colour of clouds.
    """

    zenith: Rgb
    horizon: Rgb
    tint: Rgb
    clouds: Rgb

    def on(self, color: Rgb) -> np.ndarray:
        """How something of this colour looks in this light, float32 [3, 1, 1]."""
        return _column(color) * _column(self.tint)


LIGHTS = (
    Light((70, 132, 214), (190, 218, 240), (1.0, 1.0, 1.0), (250, 250, 252)),
    Light((96, 158, 226), (214, 230, 240), (1.05, 1.04, 1.0), (252, 250, 246)),
    Light((146, 160, 178), (206, 210, 214), (0.9, 0.92, 0.96), (226, 228, 232)),
    Light((84, 100, 164), (250, 190, 130), (1.04, 0.9, 0.78), (255, 206, 170)),
    Light((62, 72, 128), (214, 146, 142), (0.82, 0.76, 0.86), (200, 152, 168)),
)
"""Noon, a hazy morning, an overcast day, a golden evening, dusk."""


class Backdrop:
    """A landscape without objects, of one of four kinds: meadow, lake, coast or street.

    Attributes:
        pixels: float32 [3, H, W], 0 to 255, colour planes.
        labels: uint8 [H, W], indices into ``CATEGORIES``.
        horizon: Row of the horizon in pixels.
        eye: Height of the camera above the ground in metres: what stands at row y is drawn with
            (y - horizon) / eye pixels a metre.
        sun: Side that the light comes from, -1 left to 1 right.
        light: The time of day.
    """

    def __init__(self, dice: Dice, image_size: tuple[int, int]) -> None:
        self.height, self.width = image_size
        self.pixels = np.zeros((3, *image_size), np.float32)
        self.labels = np.full(image_size, SKY, np.uint8)
        self.columns = np.arange(self.width, dtype=np.float32)
        self.light = dice.pick(LIGHTS, weights=(3, 3, 1.5, 1.5, 1))
        self.horizon = dice.between(0.3, 0.5) * self.height
        self.eye = dice.between(1.7, 3.0)
        self.sun = dice.between(-1, 1)
        kind = dice.pick(("meadow", "lake", "coast", "street"), weights=(3, 3, 2, 2.5))
        shore = row = int(self.horizon)
        self._sky(dice, row + 2)
        if kind in ("meadow", "lake"):
            self._mountains(dice)
        if kind in ("lake", "coast"):
            shore = int(self.horizon + dice.between(0.35, 0.65) * (self.height - self.horizon))
            self._water(dice, row, shore)
        self._ground(dice, kind, shore)
        if kind == "street":
            self._wall(dice)
        if kind == "street" or (kind == "meadow" and dice.chance(0.4)):
            self._road(dice)

    def _band(self, top: float, bottom: float) -> tuple[slice, np.ndarray]:
        """The rows of the image between two heights, as a slice and as float32 [h, 1]."""
        rows = slice(max(0, int(top)), min(self.height, int(bottom) + 1))
        return rows, np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]

    def _paint(self, rows: slice, color: np.ndarray, cover: np.ndarray, label: int) -> None:
        """Paint some rows, float32 [3, h, W], as far as they are covered, [h, W], and label what is covered half."""
        cover = np.clip(cover, 0, 1)
        behind = self.pixels[:, rows]
        color = color - behind
        color *= cover
        behind += color
        self.labels[rows][cover >= 0.5] = label

    def _sky(self, dice: Dice, bottom: int) -> None:
        rows, y = self._band(0, bottom)
        fall = np.minimum(y / np.float32(self.horizon), 1)
        sky = self.pixels[:, rows]
        sky[:] = _gradient(_column(self.light.zenith), _column(self.light.horizon), fall * (3 - fall) * np.float32(0.5))
        x = self.columns - np.float32((self.sun + 1) / 2 * self.width)
        y = y - np.float32(self.horizon * dice.between(0.1, 0.8))
        near = np.maximum(1 - (x * x + y * y) * np.float32(1 / (0.45 * self.width) ** 2), 0)
        sky += near * near * np.float32(0.4) * (255 - sky)
        if dice.chance(0.75):
            size, cell = near.shape, self.height / dice.between(5, 9)
            puffs = field(dice, size, cell * 0.6, cell * 1.6) * np.float32(0.6)
            puffs += field(dice, size, cell * 0.25, cell * 0.5) * np.float32(0.4)
            cover = smoothstep(puffs, dice.between(-0.1, 0.25), 0.6) * (1 - fall * fall)
            sky += cover * np.float32(dice.between(0.5, 0.95)) * (_column(self.light.clouds) - sky)

    def _mountains(self, dice: Dice) -> None:
        rock = dice.pick([(112, 118, 134), (98, 116, 92), (128, 108, 96)])
        snowy = dice.chance(0.4)
        rows, y = self._band(0, self.horizon)
        texture = field(dice, (len(y), self.width), self.height / 30, self.height / 40)
        for layer in range(dice.pick((1, 2, 2))):
            reach = self.horizon * dice.between(0.28, 0.6) * (1 - 0.4 * layer)
            rise = np.float32(0.62) + ridge(dice, self.width, self.width / 4, 4) * np.float32(0.7)
            crest = np.float32(self.horizon) - np.float32(reach) * rise
            depth = (y - crest) * np.float32(1 / reach)
            haze = np.float32(0.42 - 0.24 * layer) + np.clip(depth, 0, 1) * np.float32(0.2)
            color = _gradient(self.light.on(shade(rock, 1 - 0.18 * layer)), _column(self.light.horizon), haze)
            color *= 1 + texture * np.float32(0.09)
            if snowy and layer == 0:
                cap = smoothstep(texture * np.float32(0.12) - depth, -0.3, -0.12)
                color += cap * (self.light.on((246, 248, 252)) - color)
            self._paint(rows, color, y - crest + np.float32(0.5), MOUNTAIN)

    def _water(self, dice: Dice, top: int, shore: int) -> None:
        rows, y = self._band(top, shore + 0.06 * self.height)
        depth = (y - np.float32(top)) * np.float32(1 / max(1, shore - top))
        deep = dice.pick([(34, 86, 128), (40, 112, 128), (52, 96, 120)])
        share = np.minimum(depth, 1) * np.float32(0.85)
        color = _gradient(_column(shade(self.light.horizon, 0.88)), self.light.on(deep), share)
        # Waves get higher towards the viewer: the rows of the grids are crossed ever more slowly.
        crossing = np.sqrt(depth[:, 0] + np.float32(0.02)) * np.float32(24)
        last = int(crossing[-1])
        waves = stretched(dice.grid(last + 3, 14), crossing, self.columns * np.float32(12 / self.width))
        ripple = stretched(dice.grid(2 * last + 5, 42), crossing * 2, self.columns * np.float32(40 / self.width))
        color = color * (1 + waves * np.float32(0.1) + ripple * np.float32(0.07))
        color += smoothstep(ripple + waves * np.float32(0.5), 0.75, 1.2) * np.float32(0.5) * (255 - color)
        self._paint(rows, color, np.ones((len(y), self.width), np.float32), WATER)

    def _ground(self, dice: Dice, kind: str, top: int) -> None:
        """Grass, snow, sand or paving from an uneven edge near row ``top`` down."""
        color: Rgb
        if kind == "street":
            color = dice.pick([(176, 172, 164), (160, 160, 164), (186, 170, 148)])
        elif kind == "coast":
            color = dice.pick([(226, 204, 156), (212, 188, 142)])
        else:
            grass = hsv(dice.between(0.2, 0.34), dice.between(0.4, 0.62), dice.between(0.5, 0.72))
            color = dice.pick([grass, (194, 176, 104), (216, 221, 230)], weights=(5, 1, 0.7))
        uneven = 0.05 * self.height if kind in ("lake", "coast") else 0
        edge = top + ridge(dice, self.width, self.width / 3, 3) * np.float32(uneven)
        rows, y = self._band(top - uneven, self.height)
        nearness = np.clip((y - np.float32(self.horizon)) * np.float32(1 / (self.height - self.horizon)), 0, 1)
        crossing = np.sqrt(nearness[:, 0] + np.float32(0.01)) * np.float32(30)
        patches = stretched(dice.grid(15, 12), crossing * np.float32(0.4), self.columns * np.float32(10 / self.width))
        blades = stretched(dice.grid(63, 122), crossing * 2, self.columns * np.float32(120 / self.width))
        pixels = _gradient(self.light.on(shade(color, 1.12)), self.light.on(shade(color, 0.88)), nearness)
        rough = (np.float32(0.4) + nearness) * np.float32(0.025 if kind == "street" else 0.06)
        pixels = pixels * (1 + patches * np.float32(0.06) + blades * rough)
        self._paint(rows, pixels, y - edge + np.float32(0.5), GROUND)

    def _wall(self, dice: Dice) -> None:
        """A long brick wall that stands a little below the horizon."""
        low = self.horizon + dice.between(0.03, 0.1) * self.height
        high = self.horizon - dice.between(0.3, 0.85) * self.horizon
        color = dice.pick([(184, 104, 82), (212, 196, 170), (172, 176, 182), (196, 148, 102)])
        brick = max(3, round(self.height * dice.between(0.018, 0.03)))
        rows, y = self._band(high, low)
        course = np.arange(rows.stop - rows.start)[:, None]
        shifted = np.arange(self.width) + course // brick % 2 * brick
        tones = dice.grid(len(y) // brick + 1, (self.width + brick) // (2 * brick) + 1)
        joint = (course % brick == 0) | (shifted % (2 * brick) == 0)
        pattern = tones[course // brick, shifted // (2 * brick)] * np.float32(0.09) - joint * np.float32(0.13)
        pattern += field(dice, pattern.shape, self.height / 6) * np.float32(0.06)
        down = (y - np.float32(high)) * np.float32(1 / (low - high))
        pixels = self.light.on(color) * ((1 + pattern) * (np.float32(1.06) - down * np.float32(0.16)))
        coping = max(2, round(self.height / 60))
        pixels[:, :coping] = self.light.on(shade(color, 1.35))
        cover = np.minimum(y - np.float32(high), np.float32(low) - y) + np.float32(0.5)
        self._paint(rows, pixels, np.broadcast_to(cover, pattern.shape), WALL)

    def _road(self, dice: Dice) -> None:
        """A level road from side to side, with kerbs and a dashed line."""
        depth = self.height - self.horizon
        far = self.horizon + dice.between(0.2, 0.4) * depth
        near = far + dice.between(0.28, 0.5) * depth
        slope = dice.between(-0.03, 0.03)
        lean = abs(slope) * self.width / 2 + 1
        rows, y = self._band(far - lean, near + lean)
        level = y - (self.columns - np.float32(self.width / 2)) * np.float32(slope)
        pixels = 1 + field(dice, level.shape, self.height / 80, self.height / 50) * np.float32(0.05)
        pixels += field(dice, level.shape, self.height / 12, self.height / 3) * np.float32(0.05)
        pixels = self.light.on(dice.pick([(100, 100, 106), (118, 114, 110), (84, 86, 92)])) * pixels
        thick = max(1.5, self.height * 0.009)
        dashes = (self.columns * np.float32(1 / (self.width * 0.12)) + np.float32(dice.unit())) % 1 < 0.55
        line = np.clip(np.float32(thick + 0.5) - np.abs(level - np.float32(far * 0.55 + near * 0.45)), 0, 1) * dashes
        pixels += line * (self.light.on((232, 226, 206)) - pixels)
        rim = np.minimum(level - np.float32(far), np.float32(near) - level)
        kerb = np.clip(np.float32(thick * 1.6 + 0.5) - rim, 0, 1)
        pixels += kerb * (self.light.on((196, 194, 188)) - pixels)
        self._paint(rows, pixels, np.where(self.labels[rows] == GROUND, rim + np.float32(0.5), 0), ROAD)


def _column(color: Rgb) -> np.ndarray:
    """A colour as float32 [3, 1, 1]."""
    return np.array(color, np.float32).reshape(3, 1, 1)


def _gradient(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Colours from the first, [3, 1, 1], at 0 to the second at 1, float32 [3, h, w] for a share of [h, w]."""
    return (second - first) * share + first
