"""Pillow's resampling of 8-bit images; the twin of cpp/support/resample.hpp."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import Int64s, compiled
from maskmill._numba._sine import cosine, sine

BOX, BILINEAR, HAMMING, BICUBIC, LANCZOS = range(5)
REGIMES = ("pillow<=12.1", "pillow12.2", "pillow13")
PI = 3.141592653589793


def resize(image: NDArray[np.uint8], height: int, width: int, filter: int, regime: str) -> NDArray[np.uint8]:
    """Both passes, each rounded to 8 bits; an axis whose length does not change has no pass."""
    if vertical_first(image.shape[0], image.shape[1], height, width, regime):
        return _across(_across(image.T, height, filter).T, width, filter)
    return _across(_across(image, width, filter).T, height, filter).T


def vertical_first(h: int, w: int, new_h: int, new_w: int, regime: str) -> bool:
    """Which pass comes first; Pillow changed it twice."""
    if new_h >= h or regime == "pillow<=12.1":
        return False
    if regime == "pillow12.2":
        return h > 100 * w
    return h - new_h > 2 * (w - new_w)


def _across(image: NDArray[np.uint8], width: int, filter: int) -> NDArray[np.uint8]:
    if image.shape[1] == width:
        return image
    return _pass(image, *taps(image.shape[1], width, filter))


@compiled
def _pass(image: NDArray[np.uint8], first: Int64s, starts: Int64s, weights: Int64s) -> NDArray[np.uint8]:
    outputs = len(first)
    out = np.empty((image.shape[0], outputs), np.uint8)
    for y in range(image.shape[0]):
        for o in range(outputs):
            total = 1 << 21
            for i in range(starts[o + 1] - starts[o]):
                total += weights[starts[o] + i] * np.int64(image[y, first[o] + i])
            out[y, o] = min(max(total >> 22, 0), 255)
    return out


@compiled
def taps(inputs: int, outputs: int, filter: int) -> tuple[Int64s, Int64s, Int64s]:
    """Output o is the sum over i of weights[starts[o] + i] * input[first[o] + i], in 2**-22.

    The order of every operation is part of the definition.
    """
    reaches = (0.5, 1.0, 1.0, 2.0, 3.0)
    scale = inputs / outputs
    stretch = max(scale, 1.0)
    reach = reaches[filter] * stretch
    inverse = 1.0 / stretch
    first = np.empty(outputs, np.int64)
    starts = np.zeros(outputs + 1, np.int64)
    weights = np.empty(outputs * (2 * int(reach + 1) + 1), np.int64)
    k = 0
    for o in range(outputs):
        centre = (o + 0.5) * scale
        lo = max(0, int(centre - reach + 0.5))
        hi = min(inputs, int(centre + reach + 0.5))
        row = np.empty(hi - lo)
        total = 0.0
        for i in range(lo, hi):
            row[i - lo] = _weight((i - centre + 0.5) * inverse, filter)
            total += row[i - lo]
        for w in row:
            if total != 0.0:
                w = w / total
            weights[k] = int(w * 4194304.0 + (-0.5 if w < 0 else 0.5))
            k += 1
        first[o] = lo
        starts[o + 1] = k
    return first, starts, weights[:k]


@compiled
def _weight(x: float, filter: int) -> float:
    if filter == LANCZOS:
        return _sinc(x) * _sinc(x / 3) if -3.0 <= x < 3.0 else 0.0
    if filter == BOX:
        return 1.0 if -0.5 < x <= 0.5 else 0.0
    x = abs(x)
    if filter == BILINEAR:
        return 1.0 - x if x < 1.0 else 0.0
    if filter == HAMMING:
        if x == 0.0:
            return 1.0
        if x >= 1.0:
            return 0.0
        x *= PI
        return sine(x) / x * (np.float64(np.float32(0.54)) + np.float64(np.float32(0.46)) * cosine(x))
    if x < 1.0:  # bicubic, a = -0.5
        return (1.5 * x - 2.5) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2.0 else 0.0


@compiled
def _sinc(x: float) -> float:
    if x == 0.0:
        return 1.0
    x *= PI
    return sine(x) / x
