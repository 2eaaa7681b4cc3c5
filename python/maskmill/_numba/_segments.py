"""Segments of ImageHash's crop-resistant hash, the part of the twin of cpp/kernels/hashes.hpp that is in
hashes_segments.cpp."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from maskmill._numba._runs import Bytes, Int64s, compiled


def boxes(small: Bytes, threshold: int, least: int, limit: int) -> Int64s:
    """(S, 4) as y0, y1, x0, x1: bright regions of the blurred picture, then dark ones, each by their first pixels."""
    side = len(small)
    found = _regions(_median(_blur(small)) > threshold)
    found = found[found[:, 0] > least]
    if len(found) == 0:
        return np.array([[0, side, 0, side]])
    if 0 < limit < len(found):
        found = found[np.argsort(-found[:, 0], kind="stable")[:limit]]
    return found[:, 1:]


def scaled(box: Int64s, side: int, height: int, width: int) -> tuple[int, int, int, int]:
    """The box in the image: rounded to even, as Python does."""
    y0, y1, x0, x1 = (
        round(at * (length / side))
        for at, length in zip(box.tolist(), (height, height, width, width), strict=True)
    )
    return y0, y1, x0, x1


def _blur(picture: Bytes) -> Bytes:
    """Pillow's Gaussian blur of radius 2: three passes of a box along rows, then three along columns."""
    for axis in (1, 1, 1, 0, 0, 0):
        width = [(2, 2) if k == axis else (0, 0) for k in (0, 1)]
        window = sliding_window_view(np.pad(picture, width, "edge"), 5, axis=axis).astype(np.int64)
        inner, outer = window[..., 1:4].sum(axis=2), window[..., ::4].sum(axis=2)
        picture = ((inner * 4473924 + outer * 1677722 + 2**23) >> 24).astype(np.uint8)
    return picture


def _median(picture: Bytes) -> NDArray[np.float64]:
    """Of 3 x 3 pixels."""
    out: NDArray[np.float64] = np.median(sliding_window_view(np.pad(picture, 1, "edge"), (3, 3)), axis=(2, 3))
    return out


@compiled
def _regions(bright: NDArray[np.bool_]) -> Int64s:
    """(R, 5) number of pixels, y0, y1, x0, x1 of 4-connected regions.

    As in the reference, the 4 * side places around the picture count as seen from the start, so that the search ends
    before the last dark pixels; and a region of one pixel is never counted.
    """
    side = len(bright)
    todo = np.ones(bright.shape, np.bool_)
    stack = np.empty((side * side, 2), np.int64)
    out = []
    seen = 4 * side
    for value in (True, False):
        for at in range(side * side):
            if not value and seen >= side * side:
                break
            y, x = at // side, at % side
            if bright[y, x] != value or not todo[y, x]:
                continue
            todo[y, x] = False
            stack[0] = y, x
            waiting = 1
            pixels, y0, y1, x0, x1 = 0, y, y + 1, x, x + 1
            while waiting > 0:
                waiting -= 1
                r, c = stack[waiting]
                pixels += 1
                y0, y1, x0, x1 = min(y0, r), max(y1, r + 1), min(x0, c), max(x1, c + 1)
                for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                    q, p = r + dy, c + dx
                    if 0 <= q < side and 0 <= p < side and bright[q, p] == value and todo[q, p]:
                        todo[q, p] = False
                        stack[waiting] = q, p
                        waiting += 1
            if pixels > 1:
                seen += pixels
            out.append((pixels, y0, y1, x0, x1))
    found = np.empty((len(out), 5), np.int64)
    for k in range(len(out)):
        found[k] = out[k]
    return found
