"""Low contrast of a whole mosaic, tested and stretched as colab_zirc_dims does it; it is read strip by strip."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.io.windows import Picture

_LEVELS = 2550  # of the gray of colours, for each level of a channel's 255
_WEIGHTS = (0.2125, 0.7154, 0.0721)  # scikit-image's rgb2gray


def is_low_contrast(picture: Picture, fraction: float = 0.1) -> bool:
    """Whether the 1st and the 99th percentile of gray are nearer than a fraction of the range.

    As scikit-image's `is_low_contrast`, whose range for colours, that are turned into floats, is -1 to 1: they need
    twice the spread. Of four channels, the first three count.

    Parameters
    ----------
    picture : Picture
        Of 8 or 16 bits.
    """
    most = _most(picture)
    if picture.channels in (3, 4):
        weights = np.array(_WEIGHTS) * (255 * _LEVELS / most)
        histogram = np.zeros(255 * _LEVELS + 1, np.int64)
        for strip in picture.strips():
            gray = np.rint(strip[..., :3] @ weights).astype(np.int64)
            histogram += np.bincount(gray.reshape(-1), minlength=len(histogram))
        spread, whole = _spread(histogram) / (255 * _LEVELS), 2.0
    else:
        histogram = np.zeros(most + 1, np.int64)
        for strip in picture.strips():
            histogram += np.bincount(strip.reshape(-1), minlength=len(histogram))
        spread, whole = _spread(histogram), float(most)
    return spread / whole < fraction


def equalizer(picture: Picture) -> NDArray[Any]:
    """(channels, levels) table of what each value of each channel becomes: its share of the whole mosaic.

    scikit-image's `equalize_hist` of each channel; in the range of the mosaic's type, not 0 to 1. The fourth channel,
    alpha, stays.
    """
    most = _most(picture)
    histogram = np.zeros((picture.channels, most + 1), np.int64)
    for strip in picture.strips():
        for channel in range(picture.channels):
            histogram[channel] += np.bincount(strip[..., channel].reshape(-1), minlength=most + 1)
    shares = histogram.cumsum(axis=1) / (picture.rows * picture.columns)
    table = np.rint(shares * most).astype(picture.dtype)
    if picture.channels == 4:
        table[3] = np.arange(most + 1)
    return table


def equalize(pixels: NDArray[Any], table: NDArray[Any]) -> NDArray[Any]:
    """(H, W, channels) pixels by a table of `equalizer`."""
    return np.stack([table[channel][pixels[..., channel]] for channel in range(pixels.shape[2])], axis=-1)


def _most(picture: Picture) -> int:
    if picture.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{picture.path}: contrast must be of 8 or 16 bits, not of {picture.dtype}")
    return int(np.iinfo(picture.dtype).max)


def _spread(histogram: NDArray[np.int64]) -> float:
    """From the 1st to the 99th percentile, interpolated as NumPy does."""
    ends = histogram.cumsum()

    def percentile(share: float) -> float:
        place = share * (int(ends[-1]) - 1)
        low, high = (int(np.searchsorted(ends, int(place) + step, side="right")) for step in (0, 1))
        high = low if int(place) + 1 >= ends[-1] else high
        return low + (high - low) * (place - int(place))

    return percentile(0.99) - percentile(0.01)
