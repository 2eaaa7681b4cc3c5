"""PDQ, the part of the twin of cpp/kernels/hashes.hpp that is in hashes_pdq.cpp.

Every sum is made in the order of the reference, in float32: its roundings decide the bits of flat images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import Bytes, compiled

Float32s: TypeAlias = NDArray[np.float32]

SIDE = 64
"""Of the pixels that are transformed."""
LUMAS = ("pdqhash", "float32")
LEAST_SIDE = 5
"""Of an image that has a hash."""

TURNS = (
    (False, False, False),  # as it is
    (True, True, False),  # np.rot90(image, 1)
    (False, True, True),  # np.rot90(image, 2)
    (True, False, True),  # np.rot90(image, 3)
    (False, True, False),  # np.flipud(image)
    (False, False, True),  # np.fliplr(image)
    (True, False, False),  # image.T
    (True, True, True),  # np.rot90(image, 2).T
)
"""Whether the frequencies are transposed, the odd ones along columns and those along rows negated."""


def pdq(images: Sequence[Bytes], luma: str, dihedral: bool) -> tuple[NDArray[np.uint64], Bytes]:
    """Codes (N, 4), or (N, 8, 4) if dihedral, and qualities (N,) of images (H, W) or (H, W, C)."""
    turns = TURNS if dihedral else TURNS[:1]
    codes = np.zeros((len(images), len(turns), 4), np.uint64)
    quality = np.zeros(len(images), np.uint8)
    matrix = _cosines()
    for i, image in enumerate(images):
        if min(image.shape[:2]) < LEAST_SIDE:
            continue
        pixels = _luma(image, luma)
        # The reference filters an image of 64 x 64 only where it also turns it.
        if pixels.shape != (SIDE, SIDE) or dihedral:
            pixels = _downsample(pixels)
        quality[i] = _quality(pixels)
        frequencies = _multiply(_multiply(matrix, pixels), np.ascontiguousarray(matrix.T))
        for k, turn in enumerate(turns):
            codes[i, k] = _words(_turned(frequencies, *turn))
    return (codes if dihedral else codes[:, 0]), quality


def _luma(image: Bytes, luma: str) -> Float32s:
    if image.ndim == 2 or image.shape[2] == 1:
        gray: Float32s = image.reshape(image.shape[:2]).astype(np.float32)
        return gray
    red, green, blue = np.moveaxis(image[..., :3], 2, 0)
    if luma == "pdqhash":
        rounded: Float32s = (red * 0.299 + green * 0.587 + blue * 0.114).astype(np.float32)
        return rounded
    parts = [
        np.float32(weight) * channel.astype(np.float32)
        for weight, channel in ((0.299, red), (0.587, green), (0.114, blue))
    ]
    total: Float32s = parts[0] + parts[1] + parts[2]
    return total


def _downsample(pixels: Float32s) -> Float32s:
    """64 x 64 samples of the image filtered by two boxes along rows and two along columns, in turns."""
    for _ in range(2):
        pixels = np.ascontiguousarray(_box(np.ascontiguousarray(pixels.T)).T)
        pixels = _box(pixels)
    rows, columns = (((np.arange(SIDE) + 0.5) * side / SIDE).astype(np.int64) for side in pixels.shape)
    return np.ascontiguousarray(pixels[rows[:, None], columns])


@compiled
def _box(pixels: Float32s) -> Float32s:
    """Means along axis 0 over a window that is cut off at the border, from running sums."""
    side = len(pixels)
    window = (side + 2 * 64 - 1) // (2 * 64)
    ahead = (window + 2) // 2 - 1
    total = np.zeros(pixels.shape[1], np.float32)
    out = np.empty_like(pixels)
    count = 0
    for entering in range(side + ahead):
        if entering < side:
            total += pixels[entering]
            count += 1
        leaving = entering - window
        if leaving >= 0:
            total -= pixels[leaving]
            count -= 1
        if entering >= ahead:
            out[entering - ahead] = total / np.float32(count)
    return out


def _quality(pixels: Float32s) -> int:
    """How much there is to see: gradients in percent, each cut to an integer, over 90; at most 100."""
    steps = [np.diff(pixels, axis=axis) * np.float32(100) / np.float32(255) for axis in (0, 1)]
    return min(int(sum(np.abs(step.astype(np.int32)).sum() for step in steps)) // 90, 100)


def _cosines() -> Float32s:
    """(16, 64) the rows 1 to 16 of the discrete cosine transform of 64 values."""
    scale = float(np.float32(math.sqrt(2 / SIDE)))
    rows = [
        [scale * math.cos(math.pi / 2 / SIDE * (i + 1) * (2 * j + 1)) for j in range(SIDE)] for i in range(16)
    ]
    return np.array(rows, np.float32)


@compiled
def _multiply(left: Float32s, right: Float32s) -> Float32s:
    out = np.zeros((left.shape[0], right.shape[1]), np.float32)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            total = np.float32(0)
            for k in range(left.shape[1]):
                total += left[i, k] * right[k, j]
            out[i, j] = total
    return out


def _turned(frequencies: Float32s, transposed: bool, odd_rows: bool, odd_columns: bool) -> Float32s:
    """The frequencies of the turned image. Index 0 is frequency 1: the even indices are the odd ones."""
    out = (frequencies.T if transposed else frequencies).copy()
    if odd_rows:
        out[::2] *= -1
    if odd_columns:
        out[:, ::2] *= -1
    return out


def _words(frequencies: Float32s) -> NDArray[np.uint64]:
    """Bit 16 i + j counts from the last; it is set where the frequency is above the lower median."""
    median = np.sort(frequencies, axis=None)[127]
    bits = (frequencies.ravel() > median)[::-1]
    return np.packbits(bits).view(">u8").astype(np.uint64)
