"""Label Studio's brush masks: runs of red, green, blue and alpha of an image's pixels, row by row, packed into bits.

A header: 32 bits number of values, 5 bits size of a value less 1, four times 4 bits sizes of lengths less 1. Then
records: 1 bit whether one value follows for all or one for each, 2 bits which size the length has, the length less 1,
the values. It is the run-length code of the JavaScript package @thi.ng/rle-pack.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskmill.masks import Masks

__all__ = ["decode_brush", "encode_brush"]

LENGTHS = (3, 4, 8, 16)
"""Sizes of lengths, in bits, that Label Studio writes."""


def decode_brush(data: bytes, height: int, width: int, threshold: int = 1) -> Masks:
    """The mask of the pixels whose alpha is at least `threshold`; nothing is unfolded to pixels.

    Raises
    ------
    ValueError
        If the data are cut short, or are not of height * width pixels.
    """
    bits = _Bits(data)
    n, word = bits.read(32), bits.read(5) + 1
    sizes = [bits.read(4) + 1 for _ in range(4)]
    if n != 4 * height * width:
        raise ValueError(f"must be of {height} x {width} pixels, {4 * height * width} values, not {n}")
    lengths: list[NDArray[np.int64]] = []
    inside: list[NDArray[np.bool_]] = []
    done = 0
    while done < n:
        alike, length = bits.read(1), bits.read(sizes[bits.read(2)]) + 1
        end = done + length
        if end > n:
            raise ValueError(f"must be {n} values, not {end} or more")
        # Value 4 * k + 3 is the alpha of pixel k.
        if alike:
            value = bits.read(word)
            lengths.append(np.array([end // 4 - done // 4]))
            inside.append(np.array([value >= threshold]))
        else:
            values = bits.read_many(length, word)[(3 - done) % 4 :: 4]
            lengths.append(np.ones(len(values), np.int64))
            inside.append(values >= threshold)
        done = end
    return _from_rows(np.concatenate([*lengths, [0]]), np.concatenate([*inside, [False]]), height, width)


class _Bits:
    """Reads numbers from bits, the highest first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, n: int) -> int:
        at, end = self._at, self._at + n
        if end > 8 * len(self._data):
            raise ValueError(f"must be longer than {len(self._data)} bytes: it is cut short")
        self._at = end
        number = int.from_bytes(self._data[at // 8 : -(-end // 8)], "big")
        return (number >> (-end % 8)) & ((1 << n) - 1)

    def read_many(self, count: int, n: int) -> NDArray[np.int64]:
        at, end = self._at, self._at + count * n
        if end > 8 * len(self._data):
            raise ValueError(f"must be longer than {len(self._data)} bytes: it is cut short")
        self._at = end
        part = np.frombuffer(self._data, np.uint8, -(-end // 8) - at // 8, at // 8)
        bits = np.unpackbits(part)[at % 8 :][: count * n].reshape(count, n)
        return bits @ (1 << np.arange(n - 1, -1, -1, dtype=np.int64))


def _from_rows(lengths: NDArray[np.int64], inside: NDArray[np.bool_], height: int, width: int) -> Masks:
    """A mask from runs along rows, neighbours of which may be alike: columns of the transposed."""
    lengths, inside = lengths[lengths > 0], inside[lengths > 0]
    starts = np.flatnonzero(np.diff(inside, prepend=~inside[:1]))
    counts = np.add.reduceat(lengths, starts) if len(starts) else lengths
    if len(inside) and inside[0]:
        counts = np.concatenate([[0], counts])
    return Masks.from_coco({"size": [width, height], "counts": counts}).transpose()


def encode_brush(mask: Masks) -> bytes:
    """One mask as Label Studio's converter packs it: 255 in all four channels, else 0.

    Raises
    ------
    ValueError
        If the image has 2**30 pixels or more.
    """
    height, width = mask.sizes[0].tolist()
    if height * width >= 1 << 30:
        raise ValueError(f"must be of less than 2**30 pixels, not {height} x {width}")
    runs = mask.transpose().counts.astype(np.int64) * 4
    values = np.where(np.arange(len(runs)) % 2 == 1, 255, 0)[runs > 0]
    runs = runs[runs > 0]
    # Runs longer than the longest length take several records.
    longest = 1 << LENGTHS[-1]
    pieces = -(-runs // longest)
    values = np.repeat(values, pieces)
    last = np.cumsum(pieces) - 1
    lengths = np.full(len(values), longest)
    lengths[last] = runs - (pieces - 1) * longest
    which = np.searchsorted(1 << np.array(LENGTHS), lengths)
    size = np.array(LENGTHS)[which]
    codes = ((((4 | which) << size) | (lengths - 1)) << 8) | values
    return _packed(
        np.concatenate([[4 * height * width, 7, *(n - 1 for n in LENGTHS)], codes]),
        np.concatenate([[32, 5, 4, 4, 4, 4], 3 + size + 8]),
    )


def _packed(codes: NDArray[np.int64], sizes: NDArray[np.int64]) -> bytes:
    """Numbers of so many bits each, up to 32, one after the other; filled up with 1 to 8 bits of 0."""
    high = (codes << (32 - sizes)).astype(">u4")
    bits = np.unpackbits(high.view(np.uint8).reshape(-1, 4), axis=1)
    stream = bits[np.arange(32) < sizes[:, None]]
    return np.packbits(np.concatenate([stream, np.zeros(8 - len(stream) % 8, np.uint8)])).tobytes()
