"""The rules of scikit-image and labelme, pixel by pixel and row by row: the twin of cpp/kernels/polygons_rows.cpp."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import Float64s, Int64s, compiled, union_of


class Box:
    """The pixels of an image that rings may cover, to be painted."""

    def __init__(self, rings: list[Float64s], height: int, width: int) -> None:
        points = np.concatenate([np.empty((0, 2)), *rings])
        low = np.floor(points.min(axis=0, initial=np.inf)) - 1
        high = np.ceil(points.max(axis=0, initial=-np.inf)) + 2
        self.x, self.y = (int(v) for v in np.clip(low, 0, [width, height]))
        right, bottom = (int(v) for v in np.clip(high, 0, [width, height]))
        self.pixels: NDArray[np.bool_] = np.zeros((max(bottom - self.y, 0), max(right - self.x, 0)), np.bool_)

    def intervals(self, height: int) -> Int64s:
        """What was painted, as a mask has it."""
        rows = len(self.pixels)
        # A row of nothing between the columns.
        changes = np.flatnonzero(np.diff(np.pad(self.pixels, ((1, 1), (0, 0))).ravel(order="F"))) + 1
        x, row = np.divmod(changes, rows + 2)
        position = (x + self.x) * height + row - 1 + self.y
        return union_of(position.reshape(-1, 2).astype(np.int64))


# scikit-image


def fill_skimage(rings: list[Float64s], height: int, width: int) -> Int64s:
    """Intervals of the pixels (y, x) for which the point (x, y) is inside the rings or on them."""
    box = Box(rings, height, width)
    ends = [np.concatenate([np.roll(ring, 1, axis=0), ring], axis=1) for ring in rings]
    _test_points(np.concatenate([np.empty((0, 4)), *ends]), box.x, box.y, box.pixels)
    return box.intervals(height)


@compiled
def _test_points(edges: Float64s, left: int, top: int, pixels: NDArray[np.bool_]) -> None:
    """Rays go to both sides of a point: it is inside, or on an edge, if one of them crosses an odd number of edges."""
    for row in range(pixels.shape[0]):
        for column in range(pixels.shape[1]):
            x, y = left + column, top + row
            right_crossings = left_crossings = 0
            on_corner = False
            for x1, y1, x0, y0 in edges:
                x1, y1, x0, y0 = x1 - x, y1 - y, x0 - x, y0 - y
                if abs(x0) < 1e-12 and abs(y0) < 1e-12:
                    on_corner = True
                if (y0 > 0) != (y1 > 0) and (x0 * y1 - x1 * y0) / (y1 - y0) > 0:
                    right_crossings += 1
                if (y0 < 0) != (y1 < 0) and (x0 * y1 - x1 * y0) / (y1 - y0) < 0:
                    left_crossings += 1
            pixels[row, column] = on_corner or right_crossings % 2 == 1 or left_crossings % 2 == 1


# labelme


def fill_labelme(rings: list[Float64s], height: int, width: int) -> Int64s:
    """Intervals of what Pillow's ImageDraw.polygon paints, ring by ring."""
    # In single precision an edge of millions of pixels may leave the extent of its corners.
    unbounded = [np.concatenate([ring, ring[:1] * [0, 1], ring[:1] * [0, 1] + [width, 0]]) for ring in rings]
    box = Box(unbounded, height, width)
    for ring in rings:
        _paint_ring(ring.astype(np.int64), box.x, box.y, box.pixels)  # cuts off
    return box.intervals(height)


@compiled
def _paint_ring(ring: Int64s, left: int, top: int, pixels: NDArray[np.bool_]) -> None:
    edges = [(0, 0, 0, 0) for _ in range(0)]
    for k in range(len(ring)):
        (x0, y0), (x1, y1) = ring[k], ring[(k + 1) % len(ring)]
        closed = k + 1 == len(ring) and x0 == x1 and y0 == y1
        if y0 == y1 and not closed:
            _paint(pixels, left, top, y0, min(x0, x1), max(x0, x1))
        elif y0 != y1:
            edges.append((x0, y0, x1, y1))
    for y in range(top, top + len(pixels)):
        ends = _ends_in_row(edges, y)
        ends.sort()
        for k in range(0, len(ends) - 1, 2):
            _paint(pixels, left, top, y, _round_up(ends[k]), _round_down(ends[k + 1]))


@compiled
def _paint(pixels: NDArray[np.bool_], left: int, top: int, y: int, first: int, last: int) -> None:
    if top <= y < top + len(pixels):
        pixels[y - top, max(first - left, 0) : max(last + 1 - left, 0)] = True


@compiled
def _ends_in_row(edges: list[tuple[int, int, int, int]], y: int) -> list[np.float32]:
    """Where edges are in a row: those that end in it count twice, unless it is the last row of all.

    Where a row begins or ends at a corner between an edge and one drawn before, and both leave it to the same side by
    more than a pixel, it is drawn on to where the nearer of them is in the next row.
    """
    lowest = 0
    for _, y0, _, y1 in edges:
        lowest = max(lowest, y0, y1)
    ends = [np.float32(0) for _ in range(0)]
    for k in range(len(edges)):
        _, y0, _, y1 = edges[k]
        if not min(y0, y1) <= y <= max(y0, y1):
            continue
        x = _x_at(edges[k], y)
        if y == max(y0, y1) and y < lowest:
            ends.append(x)
        elif y in (y0, y1) and _slope(edges[k]) != 0:
            following = y - 1 if y == max(y0, y1) else y + 1
            for j in range(k):
                _, v0, _, v1 = edges[j]
                beside = y in (v0, v1) and min(v0, v1) <= following <= max(v0, v1)
                if beside and _slope(edges[j]) != 0 and _rounded(x) == _rounded(_x_at(edges[j], y)):
                    a, b = _x_at(edges[k], following), _x_at(edges[j], following)
                    one = np.float32(1)
                    if x > a + one and x > b + one:
                        x = np.float32(_rounded(max(a, b)) + 1)
                    elif x < a - one and x < b - one:
                        x = np.float32(_rounded(min(a, b)) - 1)
                    break
        ends.append(x)
    return ends


@compiled
def _slope(edge: tuple[int, int, int, int]) -> np.float32:
    x0, y0, x1, y1 = edge
    return np.float32(np.float32(x1 - x0) / np.float32(y1 - y0))


@compiled
def _x_at(edge: tuple[int, int, int, int], y: int) -> np.float32:
    """In single precision, from where the edge was begun."""
    return np.float32(np.float32(np.float32(y - edge[1]) * _slope(edge)) + np.float32(edge[0]))


@compiled
def _rounded(x: np.float32) -> int:
    """To the nearest integer; halves away from zero."""
    nearest = math.floor(abs(float(x)) + 0.5)
    return nearest if x >= 0 else -nearest


@compiled
def _round_up(x: np.float32) -> int:
    """Halves away from zero: of the sum in single precision where it is positive."""
    if x >= 0:
        return math.floor(float(np.float32(x + np.float32(0.5))))
    return -math.floor(abs(float(x)) + 0.5)


@compiled
def _round_down(x: np.float32) -> int:
    """Halves towards zero."""
    if x >= 0:
        return math.ceil(float(np.float32(x - np.float32(0.5))))
    return -math.ceil(abs(float(x)) - 0.5)
