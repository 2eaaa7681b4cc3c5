"""Which boxes to cut around patches: windows along the axis they were cut on, and no two that overlap much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EDGES = ("skip", "shift", "pad")

Boxes = NDArray[np.int64]
"""(N, 6): z0, z1, y0, y1, x0, x1, half-open."""


def windows(
    index: NDArray[np.int64],
    length: NDArray[np.int64],
    nz: int,
    *,
    edge: str = "skip",
    legacy: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Slices around a slice.

    Parameters
    ----------
    index, length : (N,) int64
        The slice, and how many there are along its axis.
    nz : int
        Slices of a window: exactly so many, [i - nz // 2, i - nz // 2 + nz).
    edge : "skip", "shift" or "pad"
        Windows beyond the ends are left out, moved inside (those longer than the axis are left out), or kept as
        they are, to be filled up when they are cut.
    legacy : bool
        As cem-dataset: [i - nz // 2, i + nz // 2 + 1), left out if it begins before 0 or ends at the last slice.

    Returns
    -------
    start, stop : (N,) int64
    usable : (N,) bool

    Examples
    --------
    >>> at, length = np.array([0, 5, 9]), np.array([10, 10, 10])
    >>> windows(at, length, 4)[:2]
    (array([-2,  3,  7]), array([ 2,  7, 11]))
    >>> windows(at, length, 4, edge="shift")[0]
    array([0, 3, 6])
    """
    if nz < 1:
        raise ValueError(f"nz must be 1 or more, not {nz}")
    if edge not in EDGES:
        raise ValueError(f"edge must be one of {', '.join(EDGES)}, not {edge!r}")
    start = index - nz // 2
    if legacy:
        stop = index + nz // 2 + 1
        return start, stop, (start >= 0) & (stop < length)
    if edge == "shift":
        start = np.clip(start, 0, np.maximum(length - nz, 0))
    stop = start + nz
    if edge == "pad":
        return start, stop, (index >= 0) & (index < length)
    return start, stop, (start >= 0) & (stop <= length)


def boxes_of(
    axis: NDArray[np.int64], start: NDArray[np.int64], stop: NDArray[np.int64], tiles: NDArray[np.int64]
) -> Boxes:
    """Boxes in (z, y, x) of windows along an axis and tiles (N, 4) in its plane.

    Examples
    --------
    >>> boxes_of(np.array([1]), np.array([7]), np.array([12]), np.array([[0, 4, 10, 20]]))
    array([[ 0,  4,  7, 12, 10, 20]])
    """
    out = np.empty((len(axis), 3, 2), np.int64)
    for cut, (rows, cols) in enumerate([(1, 2), (0, 2), (0, 1)]):
        here = axis == cut
        out[here, cut, 0], out[here, cut, 1] = start[here], stop[here]
        out[here, rows], out[here, cols] = tiles[here, :2], tiles[here, 2:]
    return out.reshape(-1, 6)


def suppress(boxes: Boxes, max_iou: float) -> NDArray[np.int64]:
    """Greedy: a box is kept if its IoU with every one kept before is less than `max_iou`. Indices of those kept.

    Kept boxes are found through the cells of a grid that they touch, so that the time grows with the boxes and not
    with their square.

    Examples
    --------
    >>> boxes = np.array([[0, 5, 0, 9, 0, 9], [1, 6, 0, 9, 0, 9], [5, 10, 0, 9, 0, 9]])
    >>> suppress(boxes, 0.1)
    array([0, 2])
    >>> suppress(boxes, 1)
    array([0, 1, 2])
    """
    if not 0 < max_iou <= 1:
        raise ValueError(f"max_iou must be above 0 and at most 1, not {max_iou}")
    if not len(boxes):
        return np.zeros(0, np.int64)
    low, high = boxes[:, ::2], boxes[:, 1::2]
    volume = (high - low).prod(axis=1).astype(np.float64)
    # Cells as large as the middling box: a long window along one axis must not make all cells long.
    size = np.maximum(np.median(high - low, axis=0).astype(np.int64), 1)
    first, last = low // size, (high - 1) // size
    cells: dict[tuple[int, int, int], list[int]] = {}
    kept = []
    for i, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        touched = [
            (z, y, x)
            for z in range(a[0], b[0] + 1)
            for y in range(a[1], b[1] + 1)
            for x in range(a[2], b[2] + 1)
        ]
        near = list({j for cell in touched for j in cells.get(cell, ())})
        if near:
            sides = np.minimum(high[near], high[i]) - np.maximum(low[near], low[i])
            shared = np.maximum(sides, 0).prod(axis=1).astype(np.float64)
            if (shared >= max_iou * (volume[near] + volume[i] - shared)).any():
                continue
        kept.append(i)
        for cell in touched:
            cells.setdefault(cell, []).append(i)
    return np.array(kept, np.int64)


def columns(
    axis: NDArray[np.int64], index: NDArray[np.int64], tiles: NDArray[np.int64], nz: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Windows of cem-dataset v0.1: slices of one axis and one tile fall into bins [0, nz), [nz, 2 nz), ...; bins with
    more than nz // 10 of them are taken.

    Returns
    -------
    axis, start, stop, count : (M,) int64
    tiles : (M, 4) int64

    Examples
    --------
    >>> axis, index, tile = np.zeros(3, int), np.array([1, 4, 25]), np.array([[0, 9, 0, 9]] * 3)
    >>> columns(axis, index, tile, 10)[1:4]
    (array([0]), array([10]), array([2]))
    >>> columns(axis, index, tile, 5)[1:4]
    (array([ 0, 25]), array([ 5, 30]), array([2, 1]))
    """
    if nz < 1:
        raise ValueError(f"nz must be 1 or more, not {nz}")
    table = np.column_stack([axis, tiles, index // nz]).astype(np.int64).reshape(-1, 6)
    found, count = np.unique(table, axis=0, return_counts=True)
    many = count > nz // 10
    found, count = found[many], count[many].astype(np.int64)
    return found[:, 0], found[:, 5] * nz, (found[:, 5] + 1) * nz, count, found[:, 1:5]


def cut_axis_first(axis: int, zyx: Sequence[float]) -> tuple[float, float, float]:
    """Sizes along z, y, x in the order of a sub-volume, whose first axis is the one that was cut.

    Examples
    --------
    >>> cut_axis_first(1, (40, 4, 4.5)), cut_axis_first(2, (40, 4, 4.5))
    ((4, 40, 4.5), (4.5, 40, 4))
    """
    first, second, third = AXES_OF_CUT[axis]
    return zyx[first], zyx[second], zyx[third]


AXES_OF_CUT = ((0, 1, 2), (1, 0, 2), (2, 0, 1))
"""How a block (z, y, x) is transposed so that the cut axis comes first: rows and columns stay those of the patches."""
