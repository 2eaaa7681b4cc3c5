"""What describes a pixel of a core beyond `maskmill.densify`'s own columns: textures of its surroundings.

A rock is known by its texture: by which grey levels lie side by side, more than by any one of them. Means and
deviations blur that; histograms of a neighbourhood keep it, as do means of what early layers of a network respond to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill.densify._bilinear import Steps, interpolate_box, interpolate_points, placed
from maskmill.densify._map_cache import MapCache, Maps
from maskmill.densify.columns import Box, colours
from maskmill.densify.hypercolumns import Network
from maskmill.densify.labels import checked_photo


class Bins(NamedTuple):
    """Of a histogram: of which LAB band, from where to where, how many, over which sigma in pixels."""

    band: int
    low: float
    high: float
    n: int
    sigma: float


BINS = (Bins(0, 0, 100, 12, 32), Bins(1, -12, 12, 10, 16))
"""Lightness, and green to red."""
CELL = 4
"""Histograms are counted in cells of so many pixels a side."""
STRIP = 128 * CELL
"""Rows whose colours are in memory at once."""
TAPS = {"b0": 16.0, "b2": 8.0}
"""Layers, and the sigmas of the means around a pixel."""
STEPS = {"b0": 2, "b2": 4, "histograms": CELL}
"""Pixels of the image for one of a map."""


class Textures:
    """Textures around pixels, kept as maps smaller than the image and read between their values.

    Local histograms of lightness (12 bins, sigma 32) and of green to red (10 bins, sigma 16): square roots of shares,
    so that a difference between 0 and 1 % counts as one between 50 and 64 % (Hellinger's distance). Values count for
    the two nearest bins. With a network, also blocks b0 and b2 of EfficientNet-Lite0 (`densify.hypercolumns`) at the
    pixel, and their means over sigma 16 and 8.

    For `maskmill.densify`, it is a network: `sample` and `columns` of whole images, of which one's maps are kept.

    Parameters
    ----------
    network : bool

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.studies.core.columns import Textures
    >>> grey = np.full((20, 30, 3), 128, np.uint8)
    >>> found = Textures(network=False).columns(grey)
    >>> found.shape, (100 * found[0, 0, :12] ** 2).round().astype(int).tolist()     # L is 53.6, bins are 9.1 wide
    ((20, 30, 22), [0, 0, 0, 0, 0, 11, 89, 0, 0, 0, 0, 0])
    """

    def __init__(self, network: bool = True) -> None:
        self.digest = "textures, b0, b2" if network else "textures"
        """What models that were trained with it call it."""
        self._network = Network(taps=tuple(TAPS)) if network else None
        self._cache = MapCache(1, self.digest, ())

    def maps(self, image: NDArray[Any]) -> Maps:
        """Name -> (h, w, C) float32."""
        return self._cache.get(image, lambda: self._maps(image))

    def sample(self, image: ArrayLike, at: ArrayLike) -> NDArray[np.float32]:
        """Columns of the pixels at (K, 2) rows and columns, (K, F)."""
        whole, places = np.asarray(image), np.asarray(at, np.intp).reshape(-1, 2)
        maps = self.maps(whole)
        out = np.empty((len(places), sum(values.shape[2] for values in maps.values())), np.float32)
        h, w = whole.shape[:2]
        for values, rows, columns, part in _grids(maps, (0, h, 0, w)):
            interpolate_points(values, rows, columns, (places[:, 0], places[:, 1]), out[:, part])
        return out

    def columns(self, image: ArrayLike, *, box: Box | None = None) -> NDArray[np.float32]:
        """Columns of all pixels, or of those in a box of rows y0 to y1 and columns x0 to x1; the same bits."""
        whole = np.asarray(image)
        maps = self.maps(whole)
        y0, y1, x0, x1 = (0, whole.shape[0], 0, whole.shape[1]) if box is None else box
        out = np.empty((y1 - y0, x1 - x0, sum(values.shape[2] for values in maps.values())), np.float32)
        for values, down, across, part in _grids(maps, (y0, y1, x0, x1)):
            interpolate_box(values, down, across, out[..., part])
        return out

    def _maps(self, image: NDArray[Any]) -> Maps:
        maps = {}
        if self._network is not None:
            for tap, values in self._network.maps(image).items():
                channels = np.ascontiguousarray(values.transpose(1, 2, 0))
                maps[tap] = np.concatenate([channels, _mean(channels, TAPS[tap] / STEPS[tap])], axis=2)
        maps["histograms"] = _histograms(checked_photo(image))
        return maps


def _grids(maps: Maps, box: Box) -> Iterator[tuple[NDArray[np.float32], Steps, Steps, slice]]:
    """Each map, where the rows and columns of a box lie in it, and which columns it makes."""
    y0, y1, x0, x1 = box
    start = 0
    for name, values in maps.items():
        # Value i stands for pixels i * step to (i + 1) * step.
        step = STEPS[name]
        rows, columns = (
            placed(span, n, step, (step - 1) / 2)
            for span, n in zip(((y0, y1), (x0, x1)), values.shape[:2], strict=True)
        )
        yield values, rows, columns, slice(start, start + values.shape[2])
        start += values.shape[2]


def _histograms(image: NDArray[Any]) -> NDArray[np.float32]:
    """Roots of shares of bins, (h, w, 22)."""
    strips: list[list[NDArray[np.float32]]] = [[] for _ in BINS]
    for top in range(0, len(image), STRIP):
        lab = colours(image[top : top + STRIP])
        for strip, bins in zip(strips, BINS, strict=True):
            step = np.float32((bins.high - bins.low) / (bins.n - 1))
            place = (np.clip(lab[..., bins.band], bins.low, bins.high) - np.float32(bins.low)) / step
            strip.append(
                np.stack([_cells(np.maximum(1 - np.abs(place - k), 0)) for k in range(bins.n)], axis=2)
            )
    means = [
        _mean(np.concatenate(strip), bins.sigma / CELL) for strip, bins in zip(strips, BINS, strict=True)
    ]
    return np.sqrt(np.maximum(np.concatenate(means, axis=2), 0))


def _cells(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of cells; those at the far edges have what is left of them."""
    h, w = image.shape
    sums = np.add.reduceat(np.add.reduceat(image, np.arange(0, h, CELL), 0), np.arange(0, w, CELL), 1)
    rows, columns = (np.minimum(CELL, n - np.arange(0, n, CELL)) for n in (h, w))
    means: NDArray[np.float32] = (sums / (rows[:, None] * columns)).astype(np.float32)
    return means


def _mean(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """By a Gaussian that is cut at 4 sigma, mirrored at the edges."""
    import cv2

    side = 2 * int(4 * sigma) + 1
    found = cv2.GaussianBlur(values, (side, side), sigma, borderType=cv2.BORDER_REFLECT)
    return np.asarray(found, np.float32).reshape(values.shape)
