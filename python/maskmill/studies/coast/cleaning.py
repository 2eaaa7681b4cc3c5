"""What Doodler does with images and labels besides classifying them, bit for bit.

Labels here are (H, W) uint8 ids, 0 for none. Means of ids and truncations are Doodler's: they make classes of others.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ids = NDArray[np.uint8]

_NEAR, _NEAREST = 2, cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))
_WITHIN = (np.add.outer(np.arange(-2, 3) ** 2, np.arange(-2, 3) ** 2) <= _NEAR**2).astype(np.uint8)
"""Pixels closer than 2, and those up to 2 away."""


def stretched(image: NDArray[np.generic]) -> Floats:
    """(H, W, bands) of 0 to 1: over all bands together. An image without bands gets three equal ones.

    Raises
    ------
    ValueError
        If all values are the same.
    """
    values: Floats = np.asarray(image, np.float64)
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    spread = max(float(np.std(values)), 1 / np.sqrt(values.shape[0] * values.shape[1]))
    values = (values - np.mean(values)) / spread
    low, high = values.min(), values.max()
    if not high > low:
        raise ValueError("the image must have more than one value; all of its pixels are the same")
    values -= low
    values /= high - low
    return values


def filled(labels: Ids) -> Ids:
    """Holes of a class, and whatever else is not of it, of fewer pixels than two columns have, become of the class.

    Where several classes want a pixel, the lowest gets it.
    """
    out = np.ones_like(labels)
    for k in range(int(labels.max(initial=0)), 0, -1):
        others = (labels != k).view(np.uint8)
        _, parts, stats, _ = cv2.connectedComponentsWithStats(others, connectivity=4)
        small = stats[:, cv2.CC_STAT_AREA] < 2 * labels.shape[0]
        small[0] = True  # the class itself
        out[small[parts]] = k
    return out


def without_edges(labels: Ids) -> Ids:
    """0 within two pixels of another class.

    Doodler counts in how many classes a pixel is not deep enough. If the highest one is nowhere deep enough, it takes
    the wrong pixels: the inner ones.
    """
    highest = int(labels.max(initial=0))
    out = np.where(_touches(labels, _NEAREST), 1, labels).astype(np.uint8)
    shallow = highest - 1 + _touches(labels, _WITHIN)
    out[shallow == out.max(initial=0)] = 0
    return out


def _touches(labels: Ids, footprint: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray(cv2.erode(labels, footprint) != cv2.dilate(labels, footprint))


def inpainted(labels: Ids) -> Ids:
    """0 becomes the mean of the ids of the 8 neighbours that are known, until none is left; cut to integers."""
    height, width = labels.shape
    values = labels.astype(np.float64)
    rows, columns = np.nonzero(labels == 0)
    if len(rows) == labels.size:
        return labels.copy()
    # From the last neighbour to the first, as `scipy.signal.convolve2d` sums them: the cut depends on it.
    steps = [(y, x) for y in (1, 0, -1) for x in (1, 0, -1) if y or x]
    while len(rows):
        total, known = np.zeros(len(rows)), np.zeros(len(rows), np.int64)
        for y, x in steps:
            near = values[np.clip(rows + y, 0, height - 1), np.clip(columns + x, 0, width - 1)]
            total += near
            known += near > 0
        ready = known > 0
        values[rows[ready], columns[ready]] = total[ready] / known[ready]
        rows, columns = rows[~ready], columns[~ready]
    return values.astype(np.uint8)


def resized(labels: Ids, size: tuple[int, int]) -> Ids:
    """The nearest pixel of a smaller image."""
    picked = []
    for n, wanted in zip(labels.shape, size, strict=True):
        picked.append(np.minimum(np.floor((np.arange(wanted) + 0.5) * n / wanted).astype(np.intp), n - 1))
    out: Ids = labels[np.ix_(*picked)]
    return out


def spread(labels: Ids, low: int, high: int, software: str) -> Ids:
    """Ids stretched to low .. high, and cut to integers: where one is gone, others take its place.

    Before 2022, they were divided by 255 first, and some came out one lower.
    """
    first, last = int(labels.min()), int(labels.max())
    if first == last:
        return np.zeros_like(labels)
    steps = np.arange(first, last + 1)
    if software == "modern":
        stretch = (high - low) * (steps - first) % 256 / (last - first)  # of 8 bits: it runs over
    else:
        stretch = (high - low) * (steps / 255 - first / 255) / (last / 255 - first / 255)
    table = np.zeros(256, np.uint8)
    table[steps] = (stretch + low).astype(np.uint8)
    out: Ids = table[labels]
    return out


def ranked(labels: Ids, doodled: Ids) -> Ids:
    """The k-th id that occurs becomes the k-th of those that were doodled; further ones stay."""
    found = np.unique(labels)
    table = np.arange(256, dtype=np.uint8)
    n = min(len(found), len(doodled))
    table[found[:n]] = doodled[:n]
    return table[labels]


def claimed(labels: Ids, doodles: Ids) -> Ids:
    """The id that is most frequent under the doodles of a class becomes that class, and 0 what no class claims."""
    out = np.zeros_like(labels)
    for k in np.unique(doodles[doodles > 0]):
        out[labels == np.bincount(labels[doodles == k]).argmax()] = k
    return out
