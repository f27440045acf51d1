"""Smooth random fields: clouds, hills, grass, waves."""

import numpy as np

from splitnest.data.scenes.dice import Dice


def smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 under ``low``, 1 over ``high``, and a smooth rise between."""
    share = values - np.float32(low)
    share *= np.float32(1 / (high - low))
    np.clip(share, 0, 1, out=share)
    return share * share * (3 - 2 * share)


def stretched(grid: np.ndarray, positions_y: np.ndarray, positions_x: np.ndarray) -> np.ndarray:
    """Read a grid between its points, smoothly.

    Args:
        grid: float32 [rows, columns].
        positions_y: float32 [H], rows of the grid, from 0 to rows - 1.
        positions_x: float32 [W], columns of the grid, from 0 to columns - 1.

    Returns:
        float32 [H, W].
    """
    column, share = _split(positions_x)
    grid = grid[:, column] * (1 - share) + grid[:, column + 1] * share
    row, share = _split(positions_y)
    above, below = grid[row], grid[row + 1]
    below -= above
    below *= share[:, None]
    below += above
    return below


def _split(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The grid point before each position, and a smooth share of the way to the next."""
    before = positions.astype(np.int64)
    return before, smoothstep(positions - before.astype(np.float32), 0, 1)


def field(dice: Dice, image_size: tuple[int, int], cell: float, cell_x: float | None = None) -> np.ndarray:
    """A random field from -1 to 1 with features of ``cell`` pixels (``cell_x`` in width), float32 [H, W]."""
    height, width = image_size
    cell_x = cell_x or cell
    grid = dice.grid(int(height / cell) + 3, int(width / cell_x) + 3)
    y = np.arange(height, dtype=np.float32) * np.float32(1 / cell)
    x = np.arange(width, dtype=np.float32) * np.float32(1 / cell_x)
    return stretched(grid, y, x)


def ridge(dice: Dice, width: int, cell: float, octaves: int) -> np.ndarray:
    """A random line from -1 to 1, each octave with features half as wide and half as high, float32 [W]."""
    line = np.zeros(width, np.float32)
    for octave in range(octaves):
        line += field(dice, (1, width), 1, max(2.0, cell / 2**octave))[0] * np.float32(0.5 ** (octave + 1))
    return line
