"""OpenCV's img_hash; the twin of cpp/kernels/hashes_opencv.cpp."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._dct import dct
from maskmill._numba._runs import Int64s

Image = NDArray[np.uint8]


def ahash_bits(image: Image) -> NDArray[np.bool_]:
    """(8, 8)"""
    pixels = grid(image, 8)
    above: NDArray[np.bool_] = pixels > np.rint(pixels.sum() / 64)
    return above


def phash_bits(image: Image) -> NDArray[np.bool_]:
    """(8, 8): of an orthonormal DCT in double, rounded to floats; OpenCV's own rounding errors are not followed."""
    block = dct(dct(grid(image, 32).astype(np.float64))[:8].T).T[:, :8]
    scale = np.sqrt(np.where(np.arange(8) == 0, 1 / 128, 1 / 64))
    values = (block * (scale[:, None] * scale)).astype(np.float32)
    values[0, 0] = 0
    total = np.add.accumulate(values.ravel(), dtype=np.float64)[-1]
    above: NDArray[np.bool_] = values > np.float32(total / 64)
    return above


def grid(image: Image, side: int) -> Image:
    """(side, side), gray: two pixels weighted on each axis, one rounding after both."""
    (y0, y1, rows), (x0, x1, columns) = (_taps(length, side) for length in image.shape[:2])
    pixels = image.astype(np.int64)
    if image.ndim == 3:
        rows, columns = rows[:, None], columns[:, None]
    lines = (256 - columns) * pixels[:, x0] + columns * pixels[:, x1]
    rows = rows[:, None]
    value = ((256 - rows) * lines[y0] + rows * lines[y1] + (1 << 15)) >> 16
    if image.ndim == 3:
        value = (9798 * value[:, :, 0] + 19235 * value[:, :, 1] + 3735 * value[:, :, 2] + (1 << 14)) >> 15
    return value.astype(np.uint8)


def _taps(inputs: int, outputs: int) -> tuple[Int64s, Int64s, Int64s]:
    """Of each output: the inputs it lies between, and what the second one weighs in 256ths."""
    scale = 1.0 / (outputs / inputs)
    place = scale * (np.arange(outputs) + 0.5) - 0.5
    below = np.floor(place)
    first = below.astype(np.int64)
    weight = np.where((first < 0) | (first >= inputs - 1), 0, np.rint((place - below) * 256.0)).astype(
        np.int64
    )
    first = first.clip(0, inputs - 1)
    return first, np.minimum(first + 1, inputs - 1), weight
