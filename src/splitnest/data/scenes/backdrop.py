"""Background of a scene: sky, mountains, water, ground, road and wall, with a label for each pixel."""

from dataclasses import dataclass

import numpy as np

from splitnest.data.scenes.classes import CATEGORIES
from splitnest.data.scenes.figure import Rgb, hsv, shade
from splitnest.data.scenes.noise import field, ridge, sample_grid, smoothstep
from splitnest.data.scenes.rng import StableRng

SKY, MOUNTAIN, GROUND, WATER, ROAD, WALL = (
    CATEGORIES.names.index(name) for name in ("sky", "mountain", "ground", "water", "road", "wall")
)


@dataclass(frozen=True)
class Light:
    """Illumination at a time of day, colors as RGB from 0 to 255.

    Attributes:
        zenith, horizon: Colors of the sky.
        tint: Factor of each channel for everything but the sky.
        clouds: Color of clouds.
    """

    zenith: Rgb
    horizon: Rgb
    tint: Rgb
    clouds: Rgb

    def apply(self, color: Rgb) -> np.ndarray:
        """Return a color under this illumination, float32 ``[3, 1, 1]``."""
        return _column(color) * _column(self.tint)


LIGHTS = (
    Light((70, 132, 214), (190, 218, 240), (1.0, 1.0, 1.0), (250, 250, 252)),
    Light((96, 158, 226), (214, 230, 240), (1.05, 1.04, 1.0), (252, 250, 246)),
    Light((146, 160, 178), (206, 210, 214), (0.9, 0.92, 0.96), (226, 228, 232)),
    Light((84, 100, 164), (250, 190, 130), (1.04, 0.9, 0.78), (255, 206, 170)),
    Light((62, 72, 128), (214, 146, 142), (0.82, 0.76, 0.86), (200, 152, 168)),
)
"""Noon, hazy morning, overcast day, golden evening and dusk."""


class Backdrop:
    """Landscape without objects: a meadow, lake, coast or street.

    Args:
        rng: Random number generator.
        image_size: Height and width in pixels.

    Attributes:
        height, width: Size in pixels.
        pixels: float32 RGB ``[3, H, W]``, from 0 to 255.
        labels: uint8 ``[H, W]``, indices into ``CATEGORIES``.
        columns: float32 ``[W]``, x of each column in pixels.
        horizon: Row of the horizon in pixels.
        camera_height: Height of the camera above the ground in meters. An object that stands at row y has a scale of
            (y - horizon) / camera_height pixels per meter.
        sun: Horizontal direction of the light, from -1 (left) to 1 (right).
        light: Illumination.
    """

    def __init__(self, rng: StableRng, image_size: tuple[int, int]) -> None:
        self.height, self.width = image_size
        self.pixels = np.zeros((3, *image_size), np.float32)
        self.labels = np.full(image_size, SKY, np.uint8)
        self.columns = np.arange(self.width, dtype=np.float32)
        self.light = rng.choice(LIGHTS, weights=(3, 3, 1.5, 1.5, 1))
        self.horizon = rng.uniform(0.3, 0.5) * self.height
        self.camera_height = rng.uniform(1.7, 3.0)
        self.sun = rng.uniform(-1, 1)
        kind = rng.choice(("meadow", "lake", "coast", "street"), weights=(3, 3, 2, 2.5))
        shore = row = int(self.horizon)
        self._sky(rng, row + 2)
        if kind in ("meadow", "lake"):
            self._mountains(rng)
        if kind in ("lake", "coast"):
            shore = int(self.horizon + rng.uniform(0.35, 0.65) * (self.height - self.horizon))
            self._water(rng, row, shore)
        self._ground(rng, kind, shore)
        if kind == "street":
            self._wall(rng)
        if kind == "street" or (kind == "meadow" and rng.bernoulli(0.4)):
            self._road(rng)

    def _band(self, top: float, bottom: float) -> tuple[slice, np.ndarray]:
        """Return the rows of the image between two y coordinates as a slice, and their y as float32 ``[h, 1]``."""
        rows = slice(max(0, int(top)), min(self.height, int(bottom) + 1))
        return rows, np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]

    def _paint(self, rows: slice, color: np.ndarray, coverage: np.ndarray, label: int) -> None:
        """Blend a color into rows, and label the pixels that it covers by at least half.

        Args:
            rows: Rows to paint.
            color: float32 ``[3, h, W]``.
            coverage: Opacity of each pixel, ``[h, W]``, clipped to 0 and 1.
            label: Class of the covered pixels.
        """
        coverage = np.clip(coverage, 0, 1)
        behind = self.pixels[:, rows]
        color = color - behind
        color *= coverage
        behind += color
        self.labels[rows][coverage >= 0.5] = label

    def _sky(self, rng: StableRng, bottom: int) -> None:
        rows, y = self._band(0, bottom)
        fall = np.minimum(y / np.float32(self.horizon), 1)
        sky = self.pixels[:, rows]
        sky[:] = _gradient(_column(self.light.zenith), _column(self.light.horizon), fall * (3 - fall) * np.float32(0.5))
        x = self.columns - np.float32((self.sun + 1) / 2 * self.width)
        y = y - np.float32(self.horizon * rng.uniform(0.1, 0.8))
        near = np.maximum(1 - (x * x + y * y) * np.float32(1 / (0.45 * self.width) ** 2), 0)
        sky += near * near * np.float32(0.4) * (255 - sky)
        if rng.bernoulli(0.75):
            size, cell = near.shape, self.height / rng.uniform(5, 9)
            puffs = field(rng, size, cell * 0.6, cell * 1.6) * np.float32(0.6)
            puffs += field(rng, size, cell * 0.25, cell * 0.5) * np.float32(0.4)
            coverage = smoothstep(puffs, rng.uniform(-0.1, 0.25), 0.6) * (1 - fall * fall)
            sky += coverage * np.float32(rng.uniform(0.5, 0.95)) * (_column(self.light.clouds) - sky)

    def _mountains(self, rng: StableRng) -> None:
        rock = rng.choice([(112, 118, 134), (98, 116, 92), (128, 108, 96)])
        snowy = rng.bernoulli(0.4)
        rows, y = self._band(0, self.horizon)
        texture = field(rng, (len(y), self.width), self.height / 30, self.height / 40)
        for layer in range(rng.choice((1, 2, 2))):
            reach = self.horizon * rng.uniform(0.28, 0.6) * (1 - 0.4 * layer)
            rise = np.float32(0.62) + ridge(rng, self.width, self.width / 4, 4) * np.float32(0.7)
            crest = np.float32(self.horizon) - np.float32(reach) * rise
            depth = (y - crest) * np.float32(1 / reach)
            haze = np.float32(0.42 - 0.24 * layer) + np.clip(depth, 0, 1) * np.float32(0.2)
            color = _gradient(self.light.apply(shade(rock, 1 - 0.18 * layer)), _column(self.light.horizon), haze)
            color *= 1 + texture * np.float32(0.09)
            if snowy and layer == 0:
                cap = smoothstep(texture * np.float32(0.12) - depth, -0.3, -0.12)
                color += cap * (self.light.apply((246, 248, 252)) - color)
            self._paint(rows, color, y - crest + np.float32(0.5), MOUNTAIN)

    def _water(self, rng: StableRng, top: int, shore: int) -> None:
        rows, y = self._band(top, shore + 0.06 * self.height)
        depth = (y - np.float32(top)) * np.float32(1 / max(1, shore - top))
        deep = rng.choice([(34, 86, 128), (40, 112, 128), (52, 96, 120)])
        fraction = np.minimum(depth, 1) * np.float32(0.85)
        color = _gradient(_column(shade(self.light.horizon, 0.88)), self.light.apply(deep), fraction)
        # Waves get taller towards the camera: y in the noise grids advances more slowly.
        grid_y = np.sqrt(depth[:, 0] + np.float32(0.02)) * np.float32(24)
        last = int(grid_y[-1])
        waves = sample_grid(rng.grid(last + 3, 14), grid_y, self.columns * np.float32(12 / self.width))
        ripple = sample_grid(rng.grid(2 * last + 5, 42), grid_y * 2, self.columns * np.float32(40 / self.width))
        color = color * (1 + waves * np.float32(0.1) + ripple * np.float32(0.07))
        color += smoothstep(ripple + waves * np.float32(0.5), 0.75, 1.2) * np.float32(0.5) * (255 - color)
        self._paint(rows, color, np.ones((len(y), self.width), np.float32), WATER)

    def _ground(self, rng: StableRng, kind: str, top: int) -> None:
        """Paint grass, snow, sand or paving below an uneven edge near row ``top``."""
        color: Rgb
        if kind == "street":
            color = rng.choice([(176, 172, 164), (160, 160, 164), (186, 170, 148)])
        elif kind == "coast":
            color = rng.choice([(226, 204, 156), (212, 188, 142)])
        else:
            grass = hsv(rng.uniform(0.2, 0.34), rng.uniform(0.4, 0.62), rng.uniform(0.5, 0.72))
            color = rng.choice([grass, (194, 176, 104), (216, 221, 230)], weights=(5, 1, 0.7))
        uneven = 0.05 * self.height if kind in ("lake", "coast") else 0
        edge = top + ridge(rng, self.width, self.width / 3, 3) * np.float32(uneven)
        rows, y = self._band(top - uneven, self.height)
        nearness = np.clip((y - np.float32(self.horizon)) * np.float32(1 / (self.height - self.horizon)), 0, 1)
        grid_y = np.sqrt(nearness[:, 0] + np.float32(0.01)) * np.float32(30)
        patches = sample_grid(rng.grid(15, 12), grid_y * np.float32(0.4), self.columns * np.float32(10 / self.width))
        blades = sample_grid(rng.grid(63, 122), grid_y * 2, self.columns * np.float32(120 / self.width))
        pixels = _gradient(self.light.apply(shade(color, 1.12)), self.light.apply(shade(color, 0.88)), nearness)
        rough = (np.float32(0.4) + nearness) * np.float32(0.025 if kind == "street" else 0.06)
        pixels = pixels * (1 + patches * np.float32(0.06) + blades * rough)
        self._paint(rows, pixels, y - edge + np.float32(0.5), GROUND)

    def _wall(self, rng: StableRng) -> None:
        """Paint a brick wall across the image, which stands slightly below the horizon."""
        low = self.horizon + rng.uniform(0.03, 0.1) * self.height
        high = self.horizon - rng.uniform(0.3, 0.85) * self.horizon
        color = rng.choice([(184, 104, 82), (212, 196, 170), (172, 176, 182), (196, 148, 102)])
        brick = max(3, round(self.height * rng.uniform(0.018, 0.03)))
        rows, y = self._band(high, low)
        course = np.arange(rows.stop - rows.start)[:, None]
        shifted = np.arange(self.width) + course // brick % 2 * brick
        tones = rng.grid(len(y) // brick + 1, (self.width + brick) // (2 * brick) + 1)
        joint = (course % brick == 0) | (shifted % (2 * brick) == 0)
        pattern = tones[course // brick, shifted // (2 * brick)] * np.float32(0.09) - joint * np.float32(0.13)
        pattern += field(rng, pattern.shape, self.height / 6) * np.float32(0.06)
        down = (y - np.float32(high)) * np.float32(1 / (low - high))
        pixels = self.light.apply(color) * ((1 + pattern) * (np.float32(1.06) - down * np.float32(0.16)))
        coping = max(2, round(self.height / 60))
        pixels[:, :coping] = self.light.apply(shade(color, 1.35))
        coverage = np.minimum(y - np.float32(high), np.float32(low) - y) + np.float32(0.5)
        self._paint(rows, pixels, np.broadcast_to(coverage, pattern.shape), WALL)

    def _road(self, rng: StableRng) -> None:
        """Paint a road across the image, with curbs and a dashed line."""
        depth = self.height - self.horizon
        far = self.horizon + rng.uniform(0.2, 0.4) * depth
        near = far + rng.uniform(0.28, 0.5) * depth
        slope = rng.uniform(-0.03, 0.03)
        lean = abs(slope) * self.width / 2 + 1
        rows, y = self._band(far - lean, near + lean)
        level = y - (self.columns - np.float32(self.width / 2)) * np.float32(slope)
        pixels = 1 + field(rng, level.shape, self.height / 80, self.height / 50) * np.float32(0.05)
        pixels += field(rng, level.shape, self.height / 12, self.height / 3) * np.float32(0.05)
        pixels = self.light.apply(rng.choice([(100, 100, 106), (118, 114, 110), (84, 86, 92)])) * pixels
        thick = max(1.5, self.height * 0.009)
        dashes = (self.columns * np.float32(1 / (self.width * 0.12)) + np.float32(rng.random())) % 1 < 0.55
        line = np.clip(np.float32(thick + 0.5) - np.abs(level - np.float32(far * 0.55 + near * 0.45)), 0, 1) * dashes
        pixels += line * (self.light.apply((232, 226, 206)) - pixels)
        rim = np.minimum(level - np.float32(far), np.float32(near) - level)
        curb = np.clip(np.float32(thick * 1.6 + 0.5) - rim, 0, 1)
        pixels += curb * (self.light.apply((196, 194, 188)) - pixels)
        self._paint(rows, pixels, np.where(self.labels[rows] == GROUND, rim + np.float32(0.5), 0), ROAD)


def _column(color: Rgb) -> np.ndarray:
    """Return a color as float32 ``[3, 1, 1]``."""
    return np.array(color, np.float32).reshape(3, 1, 1)


def _gradient(first: np.ndarray, second: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """Return the interpolation of two colors ``[3, 1, 1]`` by a fraction ``[h, w]``, float32 ``[3, h, w]``."""
    return (second - first) * fraction + first
