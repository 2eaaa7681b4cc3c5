"""Measuring masks: the twin of cpp/kernels/measures.hpp, which says what the columns are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import (
    Counts,
    Float64s,
    Int64s,
    Offsets,
    Sizes,
    check_array,
    check_masks,
    compiled,
    fail_mask,
    segments_of,
    size_text,
    unpack,
)

LONGEST_BOX = 2**25
"""Products of two sides, in half pixels, are then exact in float64."""

N_COUNTS, N_LENGTHS = 15, 14


def measures_table(
    counts: Counts, offsets: Offsets, sizes: Sizes, largest: bool, pixels: Float64s
) -> tuple[Int64s, Float64s]:
    """The two tables, a row per mask."""
    check_masks(counts, offsets, sizes)
    check_array("pixels", pixels, np.float64)
    if pixels.shape != (len(sizes), 2):
        raise ValueError("pixels must have shape (N, 2), N being the number of masks")
    count_rows = np.zeros((len(sizes), N_COUNTS), np.int64)
    length_rows = np.full((len(sizes), N_LENGTHS), np.nan)
    for i, mask in enumerate(unpack(counts, offsets, sizes)):
        if len(mask.intervals) == 0:
            continue
        _check_box(i, mask.intervals, mask.height)
        segments = segments_of(mask.intervals, mask.height)
        root, met = _join(segments)
        components = int((root == np.arange(len(root))).sum())
        kept = np.ones(len(root), np.bool_)
        if largest:
            areas = np.bincount(root, segments[:, 2] - segments[:, 1])
            kept = root == areas.argmax()
        segments = segments[kept]
        # Closed pixels of one segment have the Euler characteristic 1, as has what two segments share.
        euler = len(segments) - int(met[kept].sum())
        holes = (1 if largest else components) - euler
        box = _box(segments)
        hull_columns = _convex(segments)
        convex_area = int((hull_columns[:, 2] - hull_columns[:, 1]).sum())
        area = int((segments[:, 2] - segments[:, 1]).sum())
        weights, steps = _border(segments, box)
        count_rows[i] = (area, *box, components, holes, convex_area, *weights, *steps)
        length_rows[i] = (
            *_moments(segments, box[0], box[1], area),
            *_rectangle(_diamonds(hull_columns), 0.5 * pixels[i]),
            *_feret(_corners(segments), pixels[i]),
        )
    return count_rows, length_rows


@compiled
def _join(segments: Int64s) -> tuple[Int64s, Int64s]:
    """Of each segment the first one of its component, and how many it meets in the column before."""
    n = len(segments)
    root = np.arange(n)
    met = np.zeros(n, np.int64)
    left = 0
    for k in range(n):
        x, top, bottom = segments[k]
        while left < k and (
            segments[left, 0] + 1 < x or (segments[left, 0] + 1 == x and segments[left, 2] < top)
        ):
            left += 1
        j = left
        while j < k and segments[j, 0] + 1 == x and segments[j, 1] <= bottom:  # at a corner, too
            a = j
            while root[a] != a:
                a = root[a]
            b = k
            while root[b] != b:
                b = root[b]
            root[max(a, b)] = min(a, b)
            met[k] += 1
            j += 1
    for k in range(n):
        root[k] = root[root[k]]
    return root, met


def _box(segments: Int64s) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1."""
    return (
        int(segments[0, 0]),
        int(segments[:, 1].min()),
        int(segments[-1, 0]) + 1,
        int(segments[:, 2].max()),
    )


def _check_box(mask: int, intervals: Int64s, height: int) -> None:
    """Before there are segments: an interval may reach across billions of columns."""
    first, last = intervals[:, 0], intervals[:, 1] - 1
    width = int(last[-1] // height - first[0] // height) + 1
    tall = height  # as is what reaches across a border of columns
    if (first // height == last // height).all():
        tall = int((last % height).max() - (first % height).min()) + 1
    if max(tall, width) > LONGEST_BOX:
        size = size_text((tall, width))
        fail_mask(
            mask, f"its box of {size} is too large to be measured: no side may be longer than {LONGEST_BOX}"
        )


@compiled
def _moments(segments: Int64s, x0: int, y0: int, area: int) -> tuple[float, float, float, float, float]:
    """The centroid and the central second moments, summed in the order of the segments."""
    sum_x = sum_y = 0.0
    for x, top, bottom in segments:
        n = float(bottom - top)
        sum_x += n * (x - x0)
        sum_y += n * (0.5 * (top + bottom - 1 - 2 * y0))
    mean_x, mean_y = sum_x / area, sum_y / area
    xx = yy = xy = 0.0
    for x, top, bottom in segments:
        n = float(bottom - top)
        dx = (x - x0) - mean_x
        dy = 0.5 * (top + bottom - 1 - 2 * y0) - mean_y
        xx += n * (dx * dx)
        yy += n * (dy * dy + (n * n - 1) / 12)  # n consecutive integers about their mean
        xy += n * (dx * dy)
    return x0 + mean_x, y0 + mean_y, xx / area, yy / area, xy / area


# Perimeters


def _border(segments: Int64s, box: tuple[int, int, int, int]) -> tuple[Int64s, Int64s]:
    """Border pixels of each weight, and steps across the border in each direction."""
    x0, y0, x1, y1 = box
    weights, steps = np.zeros(3, np.int64), np.zeros(4, np.int64)
    width = max(8, 2**22 // (y1 - y0))
    for x in range(x0, x1 + 1, width):
        # Columns x .. x + width - 1, with two more on either side and two rows above and below.
        image = _paint(segments, x - 2, min(width, x1 + 1 - x) + 4, y0 - 2, y1 - y0 + 4)
        weights += _weights(image)
        steps += _steps(image)
    return weights, steps


@compiled
def _paint(segments: Int64s, x: int, columns: int, y: int, rows: int) -> NDArray[np.bool_]:
    image = np.zeros((columns, rows), np.bool_)
    for s in range(np.searchsorted(segments[:, 0], x), len(segments)):
        column, top, bottom = segments[s]
        if column >= x + columns:
            break
        image[column - x, top - y : bottom - y] = True
    return image


_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1))
_CORNERS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


def _weights(image: NDArray[np.bool_]) -> Int64s:
    """Border pixels of weight 1, sqrt 2 and (1 + sqrt 2) / 2, by their neighbours on the border."""

    def neighbours(pixels: NDArray[np.bool_], where: tuple[tuple[int, int], ...]) -> NDArray[np.int8]:
        return sum(np.roll(pixels, step, (0, 1)).astype(np.int8) for step in where)  # type: ignore[return-value]

    border = image & (neighbours(image, _SIDES) < 4)
    side = neighbours(border, _SIDES)[2:-2][border[2:-2]]
    corner = neighbours(border, _CORNERS)[2:-2][border[2:-2]]
    straight = ((side == 2) | (side == 3)) & (corner <= 2)
    diagonal = ((side == 0) & (corner == 2)) | ((side == 1) & (corner == 3))
    mixed = (side == 1) & ((corner == 1) | (corner == 2))
    return np.array([straight.sum(), diagonal.sum(), mixed.sum()])


def _steps(image: NDArray[np.bool_]) -> Int64s:
    """How often neighbours differ: right, down, falling, rising."""
    here = image[2:-2, 1:-1]
    down = image[2:-2, 2:]
    left, above, below = image[1:-3, 1:-1], image[1:-3, :-2], image[1:-3, 2:]
    return np.array(
        [(left != here).sum(), (here != down).sum(), (above != here).sum(), (below != here).sum()]
    )


# Hulls, whose corners are integers: half pixels from the first pixel's centre, or pixels from its corner.


def _diamonds(columns: Int64s) -> Int64s:
    """The hull of the points half a pixel left, right, above and below of pixel centres, in half pixels.

    columns : (K, 3) as segments are; of each column the first top and the last bottom matter.
    """
    x, top, bottom = 2 * columns[:, 0], 2 * columns[:, 1], 2 * (columns[:, 2] - 1)
    return _hull(np.concatenate([x, x - 1, x + 1]), np.tile(top, 3), np.tile(bottom, 3), len(x))


def _corners(segments: Int64s) -> Int64s:
    """The hull of the pixels' corners."""
    x, top, bottom = segments.T
    return _hull(np.concatenate([x, x + 1]), np.tile(top, 2), np.tile(bottom, 2), 0)


def _hull(x: Int64s, high: Int64s, low: Int64s, tips: int) -> Int64s:
    """(K, 2) corners, clockwise as seen from the left one; the first `tips` reach one farther up and down."""
    high[:tips] -= 1
    low[:tips] += 1
    top = _chain(*_extremes(x, high, np.minimum), 1)
    bottom = _chain(*_extremes(x, low, np.maximum), -1)[::-1]
    if (bottom[0] == top[-1]).all():
        bottom = bottom[1:]
    if (bottom[-1] == top[0]).all():
        bottom = bottom[:-1]
    return np.concatenate([top, bottom])


def _extremes(x: Int64s, y: Int64s, best: np.ufunc) -> tuple[Int64s, Int64s]:
    order = np.argsort(x, kind="stable")
    values, first = np.unique(x[order], return_index=True)
    return values, best.reduceat(y[order], first)


@compiled
def _chain(x: Int64s, y: Int64s, side: int) -> Int64s:
    """The upper (side 1) or lower (-1) part of the hull of points of rising x: it turns in one direction only."""
    chain = np.empty((len(x), 2), np.int64)
    n = 0
    for k in range(len(x)):
        while n >= 2:
            ax, ay = chain[n - 2]
            bx, by = chain[n - 1]
            if side * ((bx - ax) * (y[k] - ay) - (by - ay) * (x[k] - ax)) > 0:
                break
            n -= 1
        chain[n] = x[k], y[k]
        n += 1
    return chain[:n]


def _convex(segments: Int64s) -> Int64s:
    """Columns (x, top, bottom) of the pixels whose centres are within the hull of all diamonds or on it."""
    hull = _diamonds(segments)
    leftmost, rightmost = segments[0, 0], segments[-1, 0]
    end = int(hull[:, 0].argmax())
    top = hull[: end + 1]
    bottom = np.concatenate([hull[end:], hull[:1]])[::-1]
    if bottom[1, 0] == bottom[0, 0]:
        bottom = bottom[1:]
    if bottom[-2, 0] == bottom[-1, 0]:
        bottom = bottom[:-1]
    x = np.arange(leftmost, rightmost + 1)
    first = -_floor_half(-1, top, x)
    return np.stack([x, first, _floor_half(1, bottom, x) + 1], axis=1)


@compiled
def _floor_half(side: int, chain: Int64s, columns: Int64s) -> Int64s:
    """Half of side * y of the chain at 2 x, rounded down."""
    out = np.empty(len(columns), np.int64)
    edge = 0
    for k in range(len(columns)):
        x = 2 * columns[k]
        while chain[edge + 1, 0] < x:
            edge += 1
        dx, dy = chain[edge + 1] - chain[edge]
        out[k] = side * (chain[edge, 1] * dx + dy * (x - chain[edge, 0])) // (2 * dx)
    return out


@compiled
def _rectangle(corners: Int64s, unit: Float64s) -> tuple[float, float, float, float]:
    """Long and short side of the rectangle of least area with a side along the hull, and where the long one points."""
    points = corners * unit
    best = math.inf
    found = (0.0, 0.0, 0.0, 0.0)
    for k in range(len(points)):
        ex, ey = points[(k + 1) % len(points)] - points[k]
        projected = ex * points[:, 0] + ey * points[:, 1]
        along = projected.max() - projected.min()
        across = unit[0] * unit[1] * _reach(corners, k)
        square = ex * ex + ey * ey
        if along * across / square < best:
            best = along * across / square
            edge = math.sqrt(square)
            dx, dy = (ex, ey) if along >= across else (-ey, ex)
            found = (max(along, across) / edge, min(along, across) / edge, dx, dy)
    return found


@compiled
def _reach(corners: Int64s, k: int) -> int:
    """How far the hull reaches from its edge k, times the length of that edge: exact in integers."""
    ex, ey = corners[(k + 1) % len(corners)] - corners[k]
    spanned = ex * (corners[:, 1] - corners[k, 1]) - ey * (corners[:, 0] - corners[k, 0])
    return int(spanned.max())


@compiled
def _feret(corners: Int64s, unit: Float64s) -> tuple[float, float, float, float, float]:
    """The longest diameter, where it points, the shortest, and the extent across the longest."""
    points = corners * unit
    n = len(points)
    least = math.inf
    most = 0.0
    longest_x = longest_y = 0.0
    for i in range(n):
        ex, ey = points[(i + 1) % n] - points[i]
        least = min(least, unit[0] * unit[1] * _reach(corners, i) / math.sqrt(ex * ex + ey * ey))
        for j in range(i + 1, n):
            dx, dy = points[j] - points[i]
            square = dx * dx + dy * dy
            # Of several the one that points farthest to the right, then down.
            if square > most or (square == most and (dx, dy) > (longest_x, longest_y)):
                most = square
                longest_x, longest_y = dx, dy
    across = longest_x * points[:, 1] - longest_y * points[:, 0]
    diameter = math.sqrt(most)
    return diameter, longest_x, longest_y, least, (across.max() - across.min()) / diameter
