"""Outlines of masks along pixel edges: the twin of cpp/kernels/outlines.hpp.

An outline is made of horizontal edges, each one pixel long: segment s (see `segments_of`) has the edge 2 s
along its top, walked to the right, and the edge 2 s + 1 along its bottom, walked to the left. So the
foreground is always on the right hand. The vertical pieces between need no list: they lead from each edge to
the one that follows it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import (
    Counts,
    Float64s,
    Int64s,
    Mask,
    Offsets,
    Sizes,
    check_masks,
    compiled,
    join,
    segments_of,
    split,
    unpack,
)


def outlines_trace(
    counts: Counts, offsets: Offsets, sizes: Sizes, connectivity: int, bridge: bool
) -> tuple[Float64s, Offsets, Offsets, Int64s]:
    """Points, rings, masks and parent of the outlines of all masks."""
    check_masks(counts, offsets, sizes)
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity must be 4 or 8, not {connectivity}")
    rings = []
    parents = []
    for mask in unpack(counts, offsets, sizes):
        of_mask, parent = _trace(mask, connectivity == 8, bridge)
        rings += of_mask
        parents.append(parent)
    points, ring_ends = join([ring.ravel() for ring in rings], np.float64)
    parent, mask_ends = join(parents, np.int64)
    return points.reshape(-1, 2), ring_ends // 2, mask_ends, parent


def _trace(mask: Mask, diagonal: bool, bridge: bool) -> tuple[list[Float64s], Int64s]:
    """The rings of one mask, in the order of their first edges, and their parents."""
    segments = segments_of(mask.intervals, mask.height)
    # Per edge: the height at which it lies, the column border where its walk ends, the edge that follows.
    y = segments[:, 1:].ravel()
    end = np.stack([segments[:, 0] + 1, segments[:, 0]], axis=1).ravel()
    following = _follow(segments[:, 0], y, diagonal)
    walk, offsets = _walk(following)
    parent = _parents(walk, offsets)
    if bridge:
        _bridge(following, walk[offsets[:-1]][parent >= 0])
        walk, offsets = _walk(following)
        parent = np.full(len(offsets) - 1, -1, np.int64)
    rings = []
    for edges in split(walk, offsets):
        up_or_down = edges[y[edges] != y[following[edges]]]
        heights = np.stack([y[up_or_down], y[following[up_or_down]]], axis=1)
        corners = np.stack([np.repeat(end[up_or_down], 2), heights.ravel()], axis=1)
        # A ring starts at the left end of its first edge. If that is a top, the piece leading there came
        # last.
        rings.append(np.roll(corners, 1, axis=0) if _is_top(edges[0]) else corners)
    return rings, parent


def _is_top(edge: Int64s) -> NDArray[np.bool_]:
    return np.equal(edge % 2, 0)


def _follow(x: Int64s, y: Int64s, diagonal: bool) -> Int64s:
    """(E,) the edge that follows each edge.

    Every edge has an end on the column border left of its segment and on the one right of it. What ends on
    one border is joined in pairs from the top down: between the two of a pair, foreground is on one side
    only.
    """
    edges = np.arange(len(y))
    border = np.concatenate([x[edges // 2], x[edges // 2] + 1])
    edge = np.concatenate([edges, edges])
    in_left_column = np.repeat([False, True], len(edges))
    # Two ends at one height are a straight outline, whatever their order, or a corner where two pixels touch:
    # one of them below, with its top, the other above, with its bottom. What comes down the side of the upper
    # pixel is joined to the first of the two, which makes the walk go over to the lower pixel or stay with
    # the upper.
    rank = np.where(_is_top(edge) == diagonal, 0, 1)
    order = np.lexsort([rank, y[edge], border])
    # A walk arrives at the right end of a top, at the left end of a bottom.
    arrives = (_is_top(edge) == in_left_column)[order]
    following = np.empty(len(y), np.int64)
    # Of every pair one arrives and the other leaves.
    pairs = edge[order].reshape(-1, 2)
    first_arrives = arrives[::2]
    following[np.where(first_arrives, pairs[:, 0], pairs[:, 1])] = np.where(
        first_arrives, pairs[:, 1], pairs[:, 0]
    )
    return following


@compiled
def _walk(following: Int64s) -> tuple[Int64s, Offsets]:
    """All edges as they are walked, ring by ring, each from its lowest edge on; and the rings' offsets."""
    walk = np.empty(len(following), np.int64)
    offsets = [0]
    seen = np.zeros(len(following), np.bool_)
    k = 0
    for start in range(len(following)):
        if seen[start]:
            continue
        edge = start
        while not seen[edge]:
            seen[edge] = True
            walk[k] = edge
            k += 1
            edge = following[edge]
        offsets.append(k)
    return walk, np.array(offsets)


def _parents(walk: Int64s, offsets: Offsets) -> Int64s:
    """(rings,) the outer ring around each hole; -1 for outer rings."""
    ring_of = np.empty_like(walk)
    ring_of[walk] = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    parent = np.full(len(offsets) - 1, -1, np.int64)
    for ring, start in enumerate(walk[offsets[:-1]].tolist()):
        if start % 2 == 1:
            # A hole starts with the bottom of the segment above it. The top of that segment is on the outer
            # ring, or on another hole of it, which has a lower number.
            above = int(ring_of[start - 1])
            parent[ring] = above if parent[above] == -1 else parent[above]
    return parent


def _bridge(following: Int64s, bottoms: Int64s) -> None:
    """Joins holes, which start with these edges, to what the segments above them are part of.

    The left ends of the top and the bottom of such a segment are on one column border. There, the walk around
    the hole goes on to the top, and what led to the top goes on around the hole.
    """
    before = np.argsort(following)
    for bottom in bottoms.tolist():
        top = bottom - 1
        into_top, after_bottom = before[top], following[bottom]
        following[into_top], before[after_bottom] = after_bottom, into_top
        following[bottom], before[top] = top, bottom
