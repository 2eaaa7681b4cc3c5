"""Polygons to masks by named rules, and polygons of fewer points: the twin of cpp/kernels/polygons.hpp.

All rules look where the outline of a polygon crosses a column of pixels. Such a crossing has a position, as
pixels have: x * height + y says that it is above row y of column x, y being 0 .. height.
"""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._fill_coverage import ellipse_segments, fill_coverage
from maskmill._numba._fill_rows import fill_labelme, fill_skimage
from maskmill._numba._nesting import tangle
from maskmill._numba._runs import (
    Float64s,
    Int64s,
    Mask,
    Offsets,
    Runs,
    Sizes,
    check_array,
    check_offsets,
    check_sides,
    compiled,
    fail_mask,
    join,
    pack,
    split,
    union_of,
)

COCO, EVEN_ODD, NON_ZERO, SKIMAGE, LABELME, COVERAGE = range(6)
BY_PIXELS = {SKIMAGE: fill_skimage, LABELME: fill_labelme, COVERAGE: fill_coverage}
DOUGLAS_PEUCKER, AREA = range(2)

LARGEST = 4e8
"""In fifths of a pixel it fits 32 bits, as pycocotools needs."""


# Rasterising


def polygons_rasterize(points: Float64s, rings: Offsets, masks: Offsets, sizes: Sizes, rule: int) -> Runs:
    """The pixels of every mask's rings: each ring by COCO's rule and their union, or all rings at once."""
    check_array("points", points, np.float64)
    check_array("rings", rings, np.int64)
    check_array("masks", masks, np.int64)
    check_array("sizes", sizes, np.int64)
    _check_points(points)
    check_offsets(rings, len(points))
    check_offsets(masks, rings.size - 1)
    if sizes.shape != (masks.size - 1, 2):
        raise ValueError("sizes must have shape (N, 2), N being the number of masks")
    check_sides("mask", sizes)
    if not COCO <= rule <= COVERAGE:
        raise ValueError(f"rule must be 0 to 5, not {rule}")
    every_ring = split(points, rings)
    return pack(
        _rasterize(i, every_ring[masks[i] : masks[i + 1]], height, width, rule)
        for i, (height, width) in enumerate(sizes.tolist())
    )


def _rasterize(i: int, rings: list[Float64s], height: int, width: int, rule: int) -> Mask:
    for ring in rings:
        bad = _bad_points(ring)
        if bad.any():
            _fail_point(i, ring, int(bad.argmax()))
    if rule in BY_PIXELS:
        return Mask(BY_PIXELS[rule](rings, height, width), height, width)
    find_crossings = _coco_crossings if rule == COCO else _centre_crossings
    crossings = [find_crossings(ring, height, width) for ring in rings]
    # By COCO's rule a ring is a mask; by the others all rings are one outline, and may be holes in each
    # other.
    outlines = crossings if rule == COCO else [np.concatenate([np.empty((0, 2), np.int64), *crossings])]
    parts = [_fill(outline, rule, height * width) for outline in outlines]
    return Mask(union_of(np.concatenate([np.empty((0, 2), np.int64), *parts])), height, width)


def _bad_points(ring: Float64s) -> NDArray[np.bool_]:
    bad: NDArray[np.bool_] = ~np.all(np.abs(ring) <= LARGEST, axis=1)
    return bad


def _fail_point(mask: int, ring: Float64s, point: int) -> NoReturn:
    x, y = ring[point]
    fail_mask(mask, f"point {point} of a ring is ({x:g}, {y:g}), not finite and at most 4e8")


def _fill(crossings: Int64s, rule: int, pixels: int) -> Int64s:
    """Intervals between crossings (K, 2), each a position and a turn: 1 or -1, depending on the direction.

    What the turns from the first pixel on sum to says whether a pixel is inside. An outline is closed: in
    every column they sum to nothing, and the next column starts anew. (Almost: see `_draw_edge`.)
    """
    position, turn = crossings[np.argsort(crossings[:, 0])].T
    sums = np.cumsum(turn)
    inside = sums != 0 if rule == NON_ZERO else sums % 2 == 1
    intervals: Int64s = np.stack([position, np.append(position, pixels)[1:]], axis=1)[inside]
    return intervals


@compiled
def _as_array(crossings: list[tuple[int, int]]) -> Int64s:
    array = np.empty((len(crossings), 2), np.int64)
    for k in range(len(crossings)):
        array[k] = crossings[k]
    return array


# Samples at pixel centres


@compiled
def _centre_crossings(ring: Float64s, height: int, width: int) -> Int64s:
    """Crossings with the lines through the pixels' centres, x + 0.5."""
    crossings = [(0, 0) for _ in range(0)]
    for k in range(len(ring)):
        ax, ay = ring[k]
        bx, by = ring[(k + 1) % len(ring)]
        if ax == bx:
            continue
        turn = 1
        if ax > bx:
            # Polygons that share an edge, and walk it in opposite directions, must find the same crossings.
            turn = -1
            ax, ay, bx, by = bx, by, ax, ay
        slope = (by - ay) / (bx - ax)
        # ax <= x + 0.5 < bx: of two edges that meet on the line, one crosses it.
        for x in range(max(0, math.ceil(ax - 0.5)), min(width, math.ceil(bx - 0.5))):
            y = ay + ((x + 0.5) - ax) * slope
            row = min(max(math.ceil(y - 0.5), 0), height)
            crossings.append((x * height + row, turn))
    return _as_array(crossings)


# COCO's rule


@compiled
def _coco_crossings(ring: Float64s, height: int, width: int) -> Int64s:
    """Crossings of the outline as pycocotools draws it: from corner to corner on a grid of fifths of a pixel.

    Two corners that are neighbours share a point. Where it is left of the image, the edges may disagree about
    it, for lack of rounding down, but what happens there is no crossing.
    """
    crossings = [(0, 0) for _ in range(0)]
    for k in range(len(ring)):
        xs, ys = _fifths(ring[k, 0]), _fifths(ring[k, 1])
        following = (k + 1) % len(ring)
        xe, ye = _fifths(ring[following, 0]), _fifths(ring[following, 1])
        # An upright edge stays in its column.
        if xs != xe:
            _draw_edge(_edge(xs, ys, xe, ye), height, width, crossings)
    return _as_array(crossings)


@compiled
def _fifths(coordinate: float) -> int:
    # Cut off towards zero, also below it: -1.1 is at -5, and -1 at -4.
    return int(5.0 * coordinate + 0.5)


class _Edge(NamedTuple):
    """An edge while it is drawn: a point for every step along its longer side, both ends included."""

    x: int
    y: int
    """The end where the coordinate along the longer side is smaller."""
    slope: float
    steps: int
    along_x: bool
    backward: bool
    """Whether it is drawn towards that end."""


@compiled
def _edge(xs: int, ys: int, xe: int, ye: int) -> _Edge:
    """The edge from (xs, ys) to (xe, ye)."""
    dx = abs(xe - xs)
    dy = abs(ye - ys)
    along_x = dx >= dy
    backward = xs > xe if along_x else ys > ye
    # Drawn backward it has the same points, to the last bit: they are computed from the same end.
    if backward:
        xs, ys, xe, ye = xe, ye, xs, ys
    if along_x:
        return _Edge(xs, ys, (ye - ys) / dx, dx, True, backward)
    return _Edge(xs, ys, (xe - xs) / dy, dy, False, backward)


@compiled
def _point(edge: _Edge, k: int) -> tuple[int, int]:
    """The point drawn after k steps."""
    t = edge.steps - k if edge.backward else k
    if edge.along_x:
        return edge.x + t, int((edge.y + edge.slope * t) + 0.5)
    return int((edge.x + edge.slope * t) + 0.5), edge.y + t


@compiled
def _draw_edge(edge: _Edge, height: int, width: int, crossings: list[tuple[int, int]]) -> None:
    """Adds the crossings of one edge: steps between the third and the fourth fifth of a pixel.

    The column stepped over is that next to the point drawn last. It matters where rounding makes a step of
    two fifths, in edges of tens of millions of pixels: the other column then has a crossing too few.
    """
    k = _next_step_aside(edge, 0, width)
    while k <= edge.steps:
        u_before, v_before = _point(edge, k - 1)
        u, v = _point(edge, k)
        fifth = u if u < u_before else u - 1
        x = fifth // 5
        if fifth % 5 == 2 and 0 <= x < width:
            # The first row whose middle is at the upper point or below it: (v - 2) / 5, rounded up.
            row = (min(v_before, v) + 2) // 5
            crossings.append((x * height + min(max(row, 0), height), 1))
        k = _next_step_aside(edge, k, width)


@compiled
def _next_step_aside(edge: _Edge, k: int, width: int) -> int:
    """The first point after point k in another column of fifths, or steps + 1.

    Drawing point by point would do, but a steep edge may have billions of points in a column. An edge goes
    one way, so that the point is found by steps that double until they are too long, then halve. What is left
    or right of the image counts as one column.
    """
    step = 1
    while _same_column(edge, k, k + step, width):
        step *= 2
    while step > 1:
        step //= 2
        if _same_column(edge, k, k + step, width):
            k += step
    return k + 1


@compiled
def _same_column(edge: _Edge, k: int, other: int, width: int) -> bool:
    if other > edge.steps:
        return False
    u = min(max(_point(edge, k)[0], 0), 5 * width)
    return u == min(max(_point(edge, other)[0], 0), 5 * width)


# Ellipses


def polygons_ellipses(ellipses: Float64s, sizes: Sizes) -> Runs:
    """The pixels whose centres are in ellipses: x, y, radii, cosine and sine of each."""
    check_array("ellipses", ellipses, np.float64)
    check_array("sizes", sizes, np.int64)
    if ellipses.ndim != 2 or ellipses.shape[1] != 6:
        raise ValueError("ellipses must have shape (N, 6)")
    if sizes.shape != (len(ellipses), 2):
        raise ValueError("sizes must have shape (N, 2), N being the number of masks")
    check_sides("mask", sizes)
    for i, ellipse in enumerate(ellipses):
        bad = ~(np.abs(ellipse) <= LARGEST)
        if bad.any():
            fail_mask(
                i, f"an ellipse must be of finite numbers of at most 4e8, not {ellipse[bad.argmax()]:g}"
            )
        if ellipse[2:4].min() < 0:
            fail_mask(i, f"radii must be 0 or more, not {ellipse[2:4].min():g}")
    return pack(
        Mask(ellipse_segments(ellipse, height, width), height, width)
        for ellipse, (height, width) in zip(ellipses, sizes.tolist(), strict=True)
    )


# Tangles


def polygons_tangles(points: Float64s, rings: Offsets, masks: Offsets) -> NDArray[np.uint8]:
    """Of each mask: 1 where edges are in each other's way, else 2 where rings are not nested as they should, else 0."""
    check_array("points", points, np.float64)
    check_array("rings", rings, np.int64)
    check_array("masks", masks, np.int64)
    _check_points(points)
    check_offsets(rings, len(points))
    check_offsets(masks, rings.size - 1)
    every_ring = split(points, rings)
    found = []
    for i in range(masks.size - 1):
        of_mask = every_ring[masks[i] : masks[i + 1]]
        for ring in of_mask:
            bad = _bad_points(ring)
            if bad.any():
                _fail_point(i, ring, int(bad.argmax()))
        found.append(tangle(of_mask))
    return np.array(found, np.uint8)


# Simplifying


def polygons_simplify(
    points: Float64s, rings: Offsets, tolerances: Float64s, method: int
) -> tuple[Float64s, Offsets]:
    """Rings without the points that matter least; rings of up to 3 points stay as they are."""
    check_array("points", points, np.float64)
    check_array("rings", rings, np.int64)
    _check_points(points)
    check_offsets(rings, len(points))
    if method not in (DOUGLAS_PEUCKER, AREA):
        raise ValueError(f"method must be 0 or 1, not {method}")
    check_array("tolerances", tolerances, np.float64)
    if tolerances.shape != (rings.size - 1,):
        raise ValueError("tolerances must have shape (R,), R being the number of rings")
    if not np.all(tolerances >= 0):
        bad_one = tolerances[np.argmin(tolerances >= 0)]
        raise ValueError(f"tolerance must be 0 or more, not {bad_one:g}")
    for r, ring in enumerate(split(points, rings)):
        bad = _bad_points(ring)
        if bad.any():
            x, y = ring[bad.argmax()]
            raise ValueError(f"ring {r}: point {bad.argmax()} is ({x:g}, {y:g}), not finite and at most 4e8")
    kept = _douglas_peucker if method == DOUGLAS_PEUCKER else _drop_triangles
    parts = [
        ring if len(ring) <= 3 else ring[kept(ring, tolerance)]
        for ring, tolerance in zip(split(points, rings), tolerances.tolist(), strict=True)
    ]
    values, offsets = join([part.ravel() for part in parts], np.float64)
    return values.reshape(-1, 2), offsets // 2


def _check_points(points: Float64s) -> None:
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError("points must have shape (K, 2)")


@compiled
def _douglas_peucker(ring: Float64s, tolerance: float) -> Int64s:
    """Numbers of the points to keep, rising.

    The ring is cut in two at point 0 and the point farthest from it. A part whose points are all close to its
    chord becomes the chord; any other is cut at the point farthest from it.
    """
    n = len(ring)
    middle = 0
    most = -1.0
    for k in range(1, n):
        distance = _square_distance(ring[0], ring[k])
        if distance > most:
            most, middle = distance, k
    keep = np.zeros(n, np.bool_)
    keep[0] = keep[middle] = True
    parts = [(0, middle), (middle, n)]  # point n is point 0
    while len(parts) > 0:
        begin, end = parts.pop()
        most, farthest = _farthest(ring, begin, end)
        if most > tolerance * tolerance:
            keep[farthest] = True
            parts.append((begin, farthest))
            parts.append((farthest, end))
    if keep.sum() == 2:
        # A ring thinner than the tolerance stays a triangle, of the third point farthest from the chord.
        most = -1.0
        third = 0
        for k in range(n):
            distance = -1.0 if keep[k] else _square_distance_to_segment(ring[k], ring[0], ring[middle])
            if distance > most:
                most, third = distance, k
        keep[third] = True
    return np.flatnonzero(keep)


@compiled
def _farthest(ring: Float64s, begin: int, end: int) -> tuple[float, int]:
    """The point between begin and end that is farthest from their chord, after its squared distance.

    (-1, begin) where there is no point between.
    """
    most = -1.0
    farthest = begin
    for k in range(begin + 1, end):
        distance = _square_distance_to_segment(ring[k], ring[begin], ring[end % len(ring)])
        if distance > most:
            most, farthest = distance, k
    return most, farthest


@compiled
def _square_distance_to_segment(p: Float64s, a: Float64s, b: Float64s) -> float:
    """Squared distance from p to the segment from a to b, which may have no length."""
    square = _square_distance(a, b)
    if square == 0:
        return _square_distance(a, p)
    along = ((p[0] - a[0]) * (b[0] - a[0]) + (p[1] - a[1]) * (b[1] - a[1])) / square
    t = min(max(along, 0.0), 1.0)
    dx: float = p[0] - (a[0] + t * (b[0] - a[0]))
    dy: float = p[1] - (a[1] + t * (b[1] - a[1]))
    return dx * dx + dy * dy


@compiled
def _square_distance(a: Float64s, b: Float64s) -> float:
    dx: float = b[0] - a[0]
    dy: float = b[1] - a[1]
    return dx * dx + dy * dy


@compiled
def _drop_triangles(ring: Float64s, tolerance: float) -> Int64s:
    """Numbers of the points to keep, rising.

    Without a point the ring loses, or gains, the triangle of the point and its neighbours. The smallest
    triangle goes first, again and again, until the next one would bring the sum above the tolerance.
    """
    n = len(ring)
    before = np.arange(n) - 1
    before[0] = n - 1
    after = np.arange(n) + 1
    after[n - 1] = 0
    area = np.empty(n)
    for k in range(n):
        area[k] = _triangle_area(ring[before[k]], ring[k], ring[after[k]])
    keep = np.ones(n, np.bool_)
    # Of equal areas, that of the lowest point goes first. Entries whose area has changed since stay until
    # they are met.
    queue = [(area[k], k) for k in range(n)]
    heapq.heapify(queue)
    left = n
    dropped = 0.0
    while left > 3 and len(queue) > 0:
        smallest, k = heapq.heappop(queue)
        if not keep[k] or smallest != area[k]:
            continue
        if not dropped + smallest <= tolerance:
            break
        dropped += smallest
        keep[k] = False
        left -= 1
        after[before[k]] = after[k]
        before[after[k]] = before[k]
        for neighbour in (before[k], after[k]):
            area[neighbour] = _triangle_area(ring[before[neighbour]], ring[neighbour], ring[after[neighbour]])
            heapq.heappush(queue, (area[neighbour], neighbour))
    return np.flatnonzero(keep)


@compiled
def _triangle_area(a: Float64s, b: Float64s, c: Float64s) -> float:
    product: float = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return abs(product) / 2
