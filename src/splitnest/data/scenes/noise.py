"""Value noise: smooth random fields for clouds, hills, grass and waves."""

import numpy as np

from splitnest.data.scenes.rng import StableRng


def smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return 0 below ``low``, 1 above ``high``, and cubic Hermite interpolation between them."""
    weight = values - np.float32(low)
    weight *= np.float32(1 / (high - low))
    np.clip(weight, 0, 1, out=weight)
    return weight * weight * (3 - 2 * weight)


def sample_grid(grid: np.ndarray, positions_y: np.ndarray, positions_x: np.ndarray) -> np.ndarray:
    """Sample a grid at fractional positions with smoothstep interpolation.

    Args:
        grid: float32 ``[rows, columns]``.
        positions_y: float32 ``[H]``, positions along the rows of the grid, in ``[0, rows - 1)``.
        positions_x: float32 ``[W]``, positions along the columns of the grid, in ``[0, columns - 1)``.

    Returns:
        float32 ``[H, W]``.
    """
    column, weight = _split(positions_x)
    grid = grid[:, column] * (1 - weight) + grid[:, column + 1] * weight
    row, weight = _split(positions_y)
    above, below = grid[row], grid[row + 1]
    below -= above
    below *= weight[:, None]
    below += above
    return below


def _split(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of the grid point before each position, and the interpolation weight of the next one."""
    before = positions.astype(np.int64)
    return before, smoothstep(positions - before.astype(np.float32), 0, 1)


def field(rng: StableRng, image_size: tuple[int, int], cell: float, cell_x: float | None = None) -> np.ndarray:
    """Return a random field from -1 to 1, float32 ``[H, W]``.

    Args:
        rng: Random number generator.
        image_size: Height and width in pixels.
        cell: Size of its features in pixels.
        cell_x: Width of its features in pixels; None uses ``cell``.
    """
    height, width = image_size
    cell_x = cell_x or cell
    grid = rng.grid(int(height / cell) + 3, int(width / cell_x) + 3)
    y = np.arange(height, dtype=np.float32) * np.float32(1 / cell)
    x = np.arange(width, dtype=np.float32) * np.float32(1 / cell_x)
    return sample_grid(grid, y, x)


def ridge(rng: StableRng, width: int, cell: float, octaves: int) -> np.ndarray:
    """Return a random curve from -1 to 1, float32 ``[W]``, as a sum of octaves.

    Args:
        rng: Random number generator.
        width: Number of points.
        cell: Size of the features of the first octave in points; each octave halves size and amplitude.
        octaves: Number of octaves.
    """
    line = np.zeros(width, np.float32)
    for octave in range(octaves):
        line += field(rng, (1, width), 1, max(2.0, cell / 2**octave))[0] * np.float32(0.5 ** (octave + 1))
    return line
