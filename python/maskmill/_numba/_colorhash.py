"""ImageHash's colorhash, the part of the twin of cpp/kernels/hashes.hpp that is in hashes_color.cpp."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import Bytes

HUE_EDGES = np.array([43, 85, 128, 170, 213])


def numbers(image: Bytes, gray: Bytes, binbits: int) -> list[int]:
    """14 numbers below 2**binbits: the parts that are black and gray, then of all colours the faint ones and the bright
    ones by hue."""
    black = gray < 32
    if image.ndim == 2:
        saturation = hue = np.zeros(image.shape, np.int64)
    else:
        hue, saturation = _hue_and_saturation(*np.moveaxis(image[..., :3], 2, 0))
    no_color = ~black & (saturation < 85)
    colors = ~black & ~no_color
    sector = np.searchsorted(HUE_EDGES, hue, side="right")
    scale = 2**binbits
    parts = [black.mean() * scale, no_color.mean() * scale]
    for kind in (saturation < 170, saturation > 170):  # 170 itself is neither
        counts = np.bincount(sector[colors & kind], minlength=6)
        parts += (counts * scale / max(1, colors.sum())).tolist()
    return [min(scale - 1, int(part)) for part in parts]


def bits(values: list[int], binbits: int) -> NDArray[np.bool_]:
    """(14 * binbits,) the reference's digits: whether anything is left of the number above its first bits."""
    shifts = np.arange(binbits)
    rows = [value // 2 ** (binbits - shifts - 1) % 2 ** (binbits - shifts) > 0 for value in values]
    return np.concatenate(rows)


def _hue_and_saturation(red: Bytes, green: Bytes, blue: Bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pillow's, 0 to 255: quotients are float32, sums are double and then float32."""
    most = np.maximum(np.maximum(red, green), blue)
    range_ = most - np.minimum(np.minimum(red, green), blue)
    divisor = np.maximum(range_, 1).astype(np.float32)
    s = range_.astype(np.float32) / np.maximum(most, 1).astype(np.float32)
    r, g, b = (
        ((most - channel).astype(np.float32) / divisor).astype(np.float64) for channel in (red, green, blue)
    )
    h = np.select([red == most, green == most], [b - g, 2.0 + r - b], 4.0 + g - r).astype(np.float32)
    turn = np.fmod(h.astype(np.float64) / 6.0 + 1.0, 1.0).astype(np.float32)
    return (turn.astype(np.float64) * 255.0).astype(np.int64), (s.astype(np.float64) * 255.0).astype(np.int64)
