"""Which cubes of a volume to take: a grid, those that are not padding, and as many of them as the budget allows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from maskmill.studies.em.names import stable_keys

Box = tuple[int, int, int, int, int, int]
"""z0, z1, y0, y1, x0, x1, half-open."""

GIB = 1 << 30


def cells(length: int, size: int) -> list[tuple[int, int]]:
    """One axis of the grid: ranges of `size`, and what remains if it is more than half of that.

    An axis shorter than `size` is one range of its own length.

    Examples
    --------
    >>> cells(600, 256), cells(700, 256), cells(40, 256)
    ([(0, 256), (256, 512)], [(0, 256), (256, 512), (512, 700)], [(0, 40)])
    """
    if length < size:
        return [(0, length)] if length > 0 else []
    whole, rest = divmod(length, size)
    return [(i * size, min((i + 1) * size, length)) for i in range(whole + (2 * rest > size))]


def roi_grid(shape: Sequence[int], size: int, region: Sequence[int] | None = None) -> NDArray[np.int64]:
    """Boxes of a volume that touch nowhere: z slowest, x fastest.

    Parameters
    ----------
    shape
        Depth, height, width.
    size
        Length of a cube's edges, in voxels.
    region
        z0, z1, y0, y1, x0, x1 to stay in; the grid begins at its corner. By default the whole volume.

    Returns
    -------
    (N, 6) int64: z0, z1, y0, y1, x0, x1, half-open.

    Raises
    ------
    ValueError
        If the size is not positive, or the region not within the volume.

    Examples
    --------
    >>> roi_grid((40, 700, 600), 256)[:3].tolist()
    [[0, 40, 0, 256, 0, 256], [0, 40, 0, 256, 256, 512], [0, 40, 256, 512, 0, 256]]
    """
    if size < 1:
        raise ValueError(f"the size of cubes must be 1 or more voxels, not {size}")
    box = [end for length in shape for end in (0, length)] if region is None else [int(end) for end in region]
    if not all(0 <= lo < hi <= length for lo, hi, length in zip(box[::2], box[1::2], shape, strict=True)):
        raise ValueError(
            f"the region must lie within x 0-{shape[2]}, y 0-{shape[1]}, z 0-{shape[0]}, "
            f"not x {box[4]}-{box[5]}, y {box[2]}-{box[3]}, z {box[0]}-{box[1]}"
        )
    axes = [
        np.array(cells(hi - lo, size), np.int64).reshape(-1, 2) + lo
        for lo, hi in zip(box[::2], box[1::2], strict=True)
    ]
    index = np.indices([len(axis) for axis in axes]).reshape(3, -1)
    return np.concatenate([axis[i] for axis, i in zip(axes, index, strict=True)], axis=1)


def padding_shares(
    overview: NDArray[np.generic], factors: Sequence[float], boxes: NDArray[np.int64], padding: float
) -> NDArray[np.float64]:
    """How much of each box is padding, as an overview shows it.

    Parameters
    ----------
    overview
        (D, H, W), the volume at a lower resolution.
    factors
        Voxels of the volume per voxel of the overview, along z, y, x.
    boxes
        (N, 6) in voxels of the volume.
    padding
        The value of voxels outside of the specimen.

    Returns
    -------
    (N,) shares, 0 to 1, of the overview's voxels whose centres lie in the box; of the one in its middle if none does.
    """
    # Counts of any box from one table of sums: eight look-ups, however large the boxes are.
    table = np.zeros([n + 1 for n in overview.shape], np.int64)
    table[1:, 1:, 1:] = overview == padding
    for axis in range(3):
        np.cumsum(table, axis=axis, out=table)
    ends = []
    for axis, factor in enumerate(factors):
        lo, hi = boxes[:, 2 * axis], boxes[:, 2 * axis + 1]
        length = overview.shape[axis]
        first = np.clip(np.ceil(lo / factor - 0.5), 0, length).astype(np.int64)
        last = np.clip(np.ceil(hi / factor - 0.5), 0, length).astype(np.int64)
        middle = np.clip((lo + hi) / (2 * factor), 0, length - 1).astype(np.int64)
        none = last <= first
        ends.append((np.where(none, middle, first), np.where(none, middle + 1, last)))
    count = np.zeros(len(boxes), np.int64)
    volume = np.ones(len(boxes), np.int64)
    for corner in range(8):
        high = [corner >> axis & 1 for axis in range(3)]
        sign = 1 if sum(high) % 2 else -1
        count += sign * table[tuple(ends[axis][high[axis]] for axis in range(3))]
    for first, last in ends:
        volume *= last - first
    return count / volume


def roi_order(name: str, boxes: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """The order in which boxes are taken: as good as random, and the same on every machine.

    A larger budget takes the same boxes and then more, whatever else is left out.

    Examples
    --------
    >>> boxes = roi_grid((512, 512, 512), 256)
    >>> roi_order("cell", boxes, seed=0).tolist()
    [0, 3, 4, 1, 6, 2, 5, 7]
    """
    keys = stable_keys(name, 0, boxes[:, 0], boxes[:, 2], boxes[:, 4], seed=seed)
    return np.argsort(keys, kind="stable")


def budget_count(gb: float, size: int, itemsize: int = 1) -> int:
    """How many whole cubes fit into so many GiB; at least one.

    Examples
    --------
    >>> budget_count(5, 256), budget_count(0.001, 256)
    (320, 1)
    """
    return max(1, math.floor(gb * GIB) // (size**3 * itemsize))


def blocks(box: Sequence[int], grain: Sequence[int], voxels: int) -> Iterator[Box]:
    """Cut a box into blocks of about so many voxels at most, in the order of the file, none across a grain it need not.

    Blocks are whole slabs of rows and slices as long as these are small enough.

    Examples
    --------
    >>> list(blocks((0, 5, 0, 4, 0, 4), (2, 4, 4), 32))
    [(0, 2, 0, 4, 0, 4), (2, 4, 0, 4, 0, 4), (4, 5, 0, 4, 0, 4)]
    """
    sizes = [box[2 * axis + 1] - box[2 * axis] for axis in range(3)]
    steps = [min(size, g) for size, g in zip(sizes, grain, strict=True)]
    for axis in (2, 1, 0):
        others = math.prod(steps[a] for a in range(3) if a != axis)
        fit = max(1, voxels // max(1, others * grain[axis])) * grain[axis]
        steps[axis] = min(sizes[axis], max(steps[axis], fit))
    for z in _cuts(box[0], box[1], steps[0], grain[0]):
        for y in _cuts(box[2], box[3], steps[1], grain[1]):
            for x in _cuts(box[4], box[5], steps[2], grain[2]):
                yield (*z, *y, *x)


def _cuts(lo: int, hi: int, step: int, grain: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most `step`, cut at multiples of the grain where there is one within reach."""
    while lo < hi:
        end = min(hi, lo + step)
        if end < hi and end // grain * grain > lo:
            end = end // grain * grain
        yield lo, end
        lo = end
