"""Whether outlines are those of a region: the twin of cpp/kernels/polygons_tangles.cpp."""

from __future__ import annotations

import numpy as np

from maskmill._numba._runs import Float64s, compiled


def tangle(rings: list[Float64s]) -> int:
    """1 where edges are in each other's way, else 2 where rings are not nested as their directions say, else 0."""
    clean = [ring for ring in map(_without_repeats, rings) if len(ring) > 1]
    if not clean:
        return 0
    # Per corner: that before it, itself, that after it.
    corners = np.concatenate(
        [
            np.concatenate([np.roll(ring, 1, axis=0), ring, np.roll(ring, -1, axis=0)], axis=1)
            for ring in clean
        ]
    )
    number = np.repeat(np.arange(len(clean)), [len(ring) for ring in clean])
    if _edges_cross(corners[:, 2:]) or _corners_cross(corners):
        return 1
    for k, ring in enumerate(clean):
        x, y = (ring - ring[0]).T
        hole = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) < 0
        # Through the middle of an edge no other ring goes. No ring is around an outer ring, or rings and as many holes;
        # one more is around a hole.
        if _rings_around(corners[number != k, 2:], (ring[0] + ring[1]) / 2) != int(hole):
            return 2
    return 0


def _without_repeats(ring: Float64s) -> Float64s:
    keep = np.any(ring != np.roll(ring, 1, axis=0), axis=1)
    if len(ring) and not keep.any():
        keep[0] = True
    return ring[keep]


@compiled
def _side(ax: float, ay: float, bx: float, by: float, cx: float, cy: float) -> float:
    """Positive where c is on the right hand of the way from a to b, as seen with y down."""
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


@compiled
def _before(ax: float, ay: float, bx: float, by: float) -> bool:
    return ax < bx or (ax == bx and ay < by)


@compiled
def _edges_cross(edges: Float64s) -> bool:
    """Whether edges cross, or a corner of one is on another, but not on its corners, or two are the same."""
    # From the left end, or the upper one, to the other.
    e = edges.copy()
    for k in range(len(e)):
        if _before(e[k, 2], e[k, 3], e[k, 0], e[k, 1]):
            e[k] = np.array([e[k, 2], e[k, 3], e[k, 0], e[k, 1]])
    for k in range(len(e)):
        ax, ay, bx, by = e[k]
        for j in range(k):
            cx, cy, dx, dy = e[j]
            if cx > bx or ax > dx or max(cy, dy) < min(ay, by) or max(ay, by) < min(cy, dy):
                continue
            c, d = _side(ax, ay, bx, by, cx, cy), _side(ax, ay, bx, by, dx, dy)
            a, b = _side(cx, cy, dx, dy, ax, ay), _side(cx, cy, dx, dy, bx, by)
            if (a > 0) != (b > 0) and (c > 0) != (d > 0) and a != 0 and b != 0 and c != 0 and d != 0:
                return True
            if c == 0 and _before(ax, ay, cx, cy) and _before(cx, cy, bx, by):
                return True
            if d == 0 and _before(ax, ay, dx, dy) and _before(dx, dy, bx, by):
                return True
            if a == 0 and _before(cx, cy, ax, ay) and _before(ax, ay, dx, dy):
                return True
            if b == 0 and _before(cx, cy, bx, by) and _before(bx, by, dx, dy):
                return True
            if ax == cx and ay == cy and bx == dx and by == dy:
                return True
    return False


@compiled
def _corners_cross(corners: Float64s) -> bool:
    """Whether one way through a corner changes from one side of another way to the other."""
    order = np.argsort(corners[:, 2])
    for k in range(len(order)):
        for j in range(k + 1, len(order)):
            one, other = corners[order[k]], corners[order[j]]
            if one[2] != other[2]:
                break
            if one[3] == other[3] and _right_of(one, other[0], other[1]) != _right_of(
                one, other[4], other[5]
            ):
                return True
    return False


@compiled
def _right_of(corner: Float64s, x: float, y: float) -> bool:
    px, py, vx, vy, qx, qy = corner
    turn = _side(px, py, vx, vy, qx, qy)
    in_, out = _side(px, py, vx, vy, x, y) > 0, _side(vx, vy, qx, qy, x, y) > 0
    return in_ and out if turn > 0 else in_ or out


@compiled
def _rings_around(edges: Float64s, point: Float64s) -> int:
    """How often edges go around a point: the sum of the turns of those above it."""
    around = 0
    x, y = point
    for ax, ay, bx, by in edges:
        if ax <= x < bx and _side(ax, ay, bx, by, x, y) > 0:
            around += 1
        if bx <= x < ax and _side(bx, by, ax, ay, x, y) > 0:
            around -= 1
    return around
