"""Maps of a network, read between their values: bilinear, clamped at the borders.

Points and whole rows are computed by the same steps in the same order, so that they have the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

STRIP = 1 << 18
"""Numbers that are computed at once: what is made on the way stays in cache."""


class Steps(NamedTuple):
    """For rows (or columns) of an image: the rows of a map that each lies between, and the weight of the second."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    weight: NDArray[np.float32]

    @property
    def extent(self) -> slice:
        """The rows of the map that are needed."""
        return slice(int(self.low[0]), int(self.high[-1]) + 1)

    def within(self, first: int) -> Steps:
        """The same in a part of the map, from row `first`."""
        return Steps(self.low - first, self.high - first, self.weight)


def steps(at: NDArray[np.float64], size: int) -> Steps:
    """From places in a map of `size` rows."""
    at = np.clip(at, 0, size - 1)
    low = np.floor(at).astype(np.intp)
    return Steps(low, np.minimum(low + 1, size - 1), (at - low).astype(np.float32))


def stretched(rows: tuple[int, int], pixels: int, size: int) -> Steps:
    """A map of `size` rows stretched over an image of `pixels` rows: row y lies at (y + 1/2) size / pixels - 1/2."""
    return steps((np.arange(*rows) + 0.5) * size / pixels - 0.5, size)


def placed(rows: tuple[int, int], size: int, step: int, centre: float) -> Steps:
    """A map whose row i lies at row step * i + centre of the image."""
    return steps((np.arange(*rows) - centre) / step, size)


def interpolate_points(
    values: NDArray[np.float32],
    rows: Steps,
    columns: Steps,
    at: tuple[NDArray[np.intp], NDArray[np.intp]],
    out: NDArray[np.float32],
) -> None:
    """A map (h, w, C) at K pixels, (K, C)."""
    chunk = max(1, STRIP // values.shape[2])
    for start in range(0, len(at[0]), chunk):
        y, x = at[0][start : start + chunk], at[1][start : start + chunk]
        left, right, across = columns.low[x], columns.high[x], columns.weight[x][:, None]
        top = _between(values[rows.low[y], left], values[rows.low[y], right], across)
        bottom = _between(values[rows.high[y], left], values[rows.high[y], right], across)
        out[start : start + chunk] = _between(top, bottom, rows.weight[y][:, None])


def interpolate_box(
    values: NDArray[np.float32], rows: Steps, columns: Steps, out: NDArray[np.float32]
) -> None:
    """A map (h, w, C) at all the rows and columns, (H, W, C)."""
    chunk = max(1, STRIP // (len(columns.low) * values.shape[2]))
    across = columns.weight[:, None]
    for start in range(0, len(rows.low), chunk):
        low, high, down = (part[start : start + chunk] for part in rows)
        strip = values[low[0] : high[-1] + 1]
        wide = _between(strip[:, columns.low], strip[:, columns.high], across)
        out[start : start + chunk] = _between(wide[low - low[0]], wide[high - low[0]], down[:, None, None])


def _between(a: NDArray[np.float32], b: NDArray[np.float32], weight: Any) -> NDArray[np.float32]:
    """a + (b - a) weight; b is used up."""
    b -= a
    b *= weight
    b += a
    return b
