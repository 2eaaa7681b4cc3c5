"""The rule coverage, and ellipses: the twin of cpp/kernels/polygons_coverage.cpp and polygons_ellipses.cpp."""

from __future__ import annotations

import math

import numpy as np

from maskmill._numba._runs import Float64s, Int64s, compiled, from_segments

HALF = 0.5 - 1e-9
"""Sums of areas are rounded."""
THINNEST = 1e-9
"""In pixels; slabs are not cut into thinner ones where edges cross."""


def fill_coverage(rings: list[Float64s], height: int, width: int) -> Int64s:
    """Intervals of the pixels of which the rings, taken together by even-odd, cover at least half."""
    ends = np.concatenate(
        [np.empty((0, 4)), *(np.concatenate([ring, np.roll(ring, -1, axis=0)], axis=1) for ring in rings)]
    )
    ends = ends[ends[:, 0] != ends[:, 2]]
    # From left to right; an upright edge has nothing below it.
    edges = np.where((ends[:, 0] > ends[:, 2])[:, None], ends[:, [2, 3, 0, 1]], ends)
    edges = edges[np.argsort(edges[:, 0], kind="stable")]
    if len(edges) == 0:
        return np.empty((0, 2), np.int64)
    heights = edges[:, [1, 3]]
    top = int(np.clip(np.floor(heights.min()), 0, height))
    bottom = int(np.clip(np.ceil(heights.max()), 0, height))
    first = int(np.clip(np.floor(edges[:, 0].min()), 0, width))
    last = int(np.clip(np.ceil(edges[:, 2].max()), 0, width))
    segments = _segments(np.ascontiguousarray(edges), first, last, top, bottom)
    return from_segments(segments[:, 0], segments[:, 1], segments[:, 2], height)


@compiled
def _segments(edges: Float64s, first: int, last: int, top: int, bottom: int) -> Int64s:
    """(x, begin, end) of what is set, column by column."""
    found = [(0, 0, 0) for _ in range(0)]
    # Of every row: what is covered in part, and what is covered from it on down.
    part = np.zeros(bottom - top)
    step = np.zeros(bottom - top)
    for x in range(first, last):
        active = edges[(edges[:, 0] < x + 1) & (edges[:, 2] > x)]
        cuts = np.concatenate((np.array([float(x), x + 1.0]), active[:, 0], active[:, 2]))
        cuts = np.sort(cuts[(cuts >= x) & (cuts <= x + 1)])
        for k in range(len(cuts) - 1):
            if cuts[k] < cuts[k + 1]:
                _cover_between(active, cuts[k], cuts[k + 1], top, bottom, part, step)
        sum_ = 0.0
        begin = -1
        for row in range(bottom - top):
            sum_ += step[row]
            inside = sum_ + part[row] >= HALF
            if inside and begin < 0:
                begin = row
            if not inside and begin >= 0:
                found.append((x, top + begin, top + row))
                begin = -1
        if begin >= 0:
            found.append((x, top + begin, bottom))
        part[:] = 0
        step[:] = 0
    segments = np.empty((len(found), 3), np.int64)
    for k in range(len(found)):
        segments[k] = found[k]
    return segments


@compiled
def _y_at(edge: Float64s, x: float) -> float:
    ax, ay, bx, by = edge
    if x <= ax:
        return float(ay)
    if x >= bx:
        return float(by)
    return float(ay + (x - ax) * ((by - ay) / (bx - ax)))


@compiled
def _cover_between(
    active: Float64s, from_: float, to: float, top: int, bottom: int, part: Float64s, step: Float64s
) -> None:
    """Between two neighbouring corners: cut again where edges cross, so that edges lie one below the other.

    What is between the first and the second, the third and the fourth, .. is inside.
    """
    slabs = [(from_, to)]
    while len(slabs) > 0:
        u0, u1 = slabs.pop()
        chords = [(0.0, 0, 0.0, 0.0) for _ in range(0)]
        for k in range(len(active)):
            if active[k, 0] <= u0 and active[k, 2] >= u1:
                left, right = _y_at(active[k], u0), _y_at(active[k], u1)
                chords.append((left + right, k, left, right))
        chords.sort()
        cut = u0
        for k in range(len(chords) - 1):
            left = chords[k + 1][2] - chords[k][2]
            right = chords[k + 1][3] - chords[k][3]
            if (left < 0) != (right < 0) and left != 0 and right != 0:
                crossing = u0 + (u1 - u0) * (left / (left - right))
                if crossing - u0 > THINNEST and u1 - crossing > THINNEST:
                    cut = crossing
                    break
        if cut > u0:
            slabs.append((cut, u1))
            slabs.append((u0, cut))
            continue
        for k in range(len(chords)):
            _add_below(chords[k][2], chords[k][3], u1 - u0, 1 - 2 * (k % 2), top, bottom, part, step)


@compiled
def _add_below(
    left: float, right: float, width: float, sign: int, top: int, bottom: int, part: Float64s, step: Float64s
) -> None:
    """Adds, with a sign, how much of every pixel of the column is below a chord of this width."""
    y0, y1 = min(left, right), max(left, right)
    first = int(min(max(math.floor(y0), top), bottom))
    full = int(min(max(math.ceil(y1), top), bottom))
    for row in range(first, full):
        a, b = max(float(row), y0), min(row + 1.0, y1)
        area = row + 1.0 - a  # of a flat one
        if y0 < y1:
            over = (a - y0) / (y1 - y0)
            within = (b - y0) / (y1 - y0) - over
            area = over + within * ((row + 1.0 - a) + (row + 1.0 - b)) / 2
        part[row - top] += sign * width * area
    if full < bottom:
        step[full - top] += sign * width


# Ellipses


def ellipse_segments(ellipse: Float64s, height: int, width: int) -> Int64s:
    """Intervals of the pixels whose centres are in an ellipse: x, y of the centre, radii, cosine and sine."""
    cx, _, rx, ry, cos, sin = ellipse.tolist()
    half = math.sqrt(rx * rx * cos * cos + ry * ry * sin * sin)
    first = int(np.clip(math.floor(cx - half - 0.5), 0, width))
    last = int(np.clip(math.ceil(cx + half + 0.5), 0, width))
    segments = _ellipse_segments(ellipse, first, last, height)
    return from_segments(segments[:, 0], segments[:, 1], segments[:, 2], height)


@compiled
def _inside_ellipse(ellipse: Float64s, x: int, y: int) -> bool:
    cx, cy, rx, ry, cos, sin = ellipse
    dx, dy = (x + 0.5) - cx, (y + 0.5) - cy
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    return bool(u * u * (ry * ry) + v * v * (rx * rx) <= (rx * rx) * (ry * ry))


@compiled
def _ellipse_segments(ellipse: Float64s, first: int, last: int, height: int) -> Int64s:
    """In a column an ellipse is between the two solutions of a square equation, but for rounding."""
    cx, cy, rx, ry, cos, sin = ellipse
    rx2, ry2 = rx * rx, ry * ry
    a = sin * sin * ry2 + cos * cos * rx2
    segments = np.empty((max(last - first, 0), 3), np.int64)
    n = 0
    if rx == 0 or ry == 0 or a == 0:
        return segments[:0]
    for x in range(first, last):
        dx = (x + 0.5) - cx
        b = dx * sin * cos * (ry2 - rx2)
        c = dx * dx * (cos * cos * ry2 + sin * sin * rx2) - rx2 * ry2
        root = math.sqrt(max(b * b - a * c, 0.0))
        begin = int(min(max(math.ceil(cy + (-b - root) / a - 0.5), 0.0), float(height)))
        end = int(min(max(math.floor(cy + (-b + root) / a + 0.5), 0.0), float(height)))
        while begin > 0 and _inside_ellipse(ellipse, x, begin - 1):
            begin -= 1
        while begin < end and not _inside_ellipse(ellipse, x, begin):
            begin += 1
        end = max(begin, end)
        while end < height and _inside_ellipse(ellipse, x, end):
            end += 1
        while end > begin and not _inside_ellipse(ellipse, x, end - 1):
            end -= 1
        if begin < end:
            segments[n, 0], segments[n, 1], segments[n, 2] = x, begin, end
            n += 1
    return segments[:n]
