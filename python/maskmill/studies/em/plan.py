"""Which planes of a volume are cut, into which tiles, and which box of the volume is read for which of them.

A cell is one tile along one axis, with up to `crop` adjacent slices. Where the grids of the three axes are aligned, the
cells of the axes lie in the same cubes of crop**3 voxels, so that one read of a cube serves all three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskmill import patches

UNKNOWN = ("xy", "iso", "error")
Spacing = tuple[float, float, float]

_ROUNDING = 1e-9  # sizes such as 0.1 have no exact double


@dataclass(frozen=True)
class Grid:
    """How slices are tiled.

    Attributes
    ----------
    crop : int
        Side of a patch.
    stride : int or None
        From tile to tile; None is `crop`.
    edge : str
        What becomes of the rest of a slice that no whole tile fits: "cem", "ragged", "drop", "shift" or "pad", see
        `maskmill.patches.grid`.
    step : int
        Every how manieth slice is cut.
    last_slice : bool
        Whether the last slice of an axis counts; cem-dataset leaves it out.
    """

    crop: int = 224
    stride: int | None = None
    edge: str = "cem"
    step: int = 1
    last_slice: bool = True

    def __post_init__(self) -> None:
        for name in ("crop", "step", "stride"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if self.edge not in patches.EDGES:
            raise ValueError(f"edge must be one of {', '.join(patches.EDGES)}, not {self.edge!r}")
        if self.edge == "cem" and self.stride not in (None, self.crop):
            raise ValueError(f"edge must be another one than 'cem' with a stride of {self.stride}")

    @property
    def overlaps(self) -> bool:
        """Whether tiles of one slice can overlap."""
        return self.edge == "shift" or (self.stride is not None and self.stride < self.crop)

    def tiles(self, height: int, width: int) -> NDArray[np.int64]:
        """(T, 4) y0, y1, x0, x1 of a slice's tiles, row by row."""
        size = self.crop
        if self.edge == "shift":  # a slice smaller than a tile is a tile
            boxes = [
                _one_axis(n, size, self.stride, "shift" if n > size else "ragged") for n in (height, width)
            ]
            rows, columns = boxes
            return np.concatenate([rows.repeat(len(columns), 0), np.tile(columns, (len(rows), 1))], 1)
        return patches.grid((height, width), size, self.stride, edge=self.edge)


def _one_axis(length: int, size: int, stride: int | None, edge: str) -> NDArray[np.int64]:
    return patches.grid((length, 1), (size, 1), (stride or size, 1), edge=edge)[:, :2]


def axes_to_cut(
    axes: Sequence[int], spacing: Spacing | None, *, tolerance: float = 0.25, unknown: str = "xy"
) -> list[int]:
    """The axes whose planes have pixels that are nearly square.

    Parameters
    ----------
    axes
        Those asked for: 0 xy, 1 xz, 2 yz.
    spacing
        (z, y, x) size of a voxel; None if not known.
    tolerance
        A plane is cut if the greater of its two sizes exceeds the smaller by at most this share.
    unknown
        What an unknown spacing means: "xy" only xy planes are cut, "iso" all are, "error" ValueError.

    Examples
    --------
    >>> axes_to_cut([0, 1, 2], (10, 8, 8)), axes_to_cut([0, 1, 2], (10.1, 8, 8)), axes_to_cut([0, 1, 2], None)
    ([0, 1, 2], [0], [0])
    """
    if spacing is None:
        if unknown == "error":
            raise ValueError("its voxel size is not known: give it by --voxel-size, or see --unknown-spacing")
        return [axis for axis in axes if axis == 0 or unknown == "iso"]
    cut = []
    for axis in axes:
        a, b = (size for place, size in enumerate(spacing) if place != axis)
        if max(a, b) / min(a, b) - 1 <= tolerance + _ROUNDING:
            cut.append(axis)
    return cut


@dataclass(frozen=True)
class Cells:
    """Columns of C cells: axis (C,), tile (C, 4) in the slice, first and number of slices (C,), box (C, 6) in the
    volume (z0, z1, y0, y1, x0, x1)."""

    axis: NDArray[np.int64]
    tile: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    box: NDArray[np.int64]
    step: int

    def __len__(self) -> int:
        return len(self.axis)

    def part(self, chosen: slice | NDArray[np.int64]) -> Cells:
        axis, tile, first, count, box = (
            column[chosen] for column in (self.axis, self.tile, self.first, self.count, self.box)
        )
        return Cells(axis, tile, first, count, box, self.step)

    def alike(self) -> Iterator[Cells]:
        """Parts whose cells share axis, slices and the size of their tiles: one call of a kernel each."""
        key = np.column_stack([self.axis, self.first, self.count, self.tile[:, 1::2] - self.tile[:, ::2]])
        _, group = np.unique(key, axis=0, return_inverse=True)
        for number in range(int(group.max(initial=-1)) + 1):
            yield self.part(np.flatnonzero(group.ravel() == number))

    def slices(self) -> NDArray[np.int64]:
        """Of cells that are alike."""
        return int(self.first[0]) + self.step * np.arange(int(self.count[0]), dtype=np.int64)


def box_of(
    axis: NDArray[np.int64], tile: NDArray[np.int64], start: NDArray[np.int64], stop: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(C, 6) boxes in the volume of tiles with the slices start to stop."""
    slices = np.stack([start, stop], -1)
    box = np.empty((len(axis), 6), np.int64)
    for a in (0, 1, 2):
        mine = axis == a
        rows, columns = (n for n in (0, 1, 2) if n != a)
        box[mine, 2 * a : 2 * a + 2] = slices[mine]
        box[mine, 2 * rows : 2 * rows + 2] = tile[mine, :2]
        box[mine, 2 * columns : 2 * columns + 2] = tile[mine, 2:]
    return box


def cells(shape: tuple[int, int, int], axes: Sequence[int], grid: Grid) -> Cells:
    """All cells of a volume, in the order in which cubes of crop**3 voxels are read, row by row."""
    parts = []
    for axis in sorted(set(axes)):
        height, width = (n for a, n in enumerate(shape) if a != axis)
        tiles = grid.tiles(height, width)
        length = shape[axis] if grid.last_slice else shape[axis] - 1
        starts = np.arange(0, max(length, 0), grid.crop, dtype=np.int64)
        first = -(-starts // grid.step) * grid.step
        count = -(-(np.minimum(starts + grid.crop, length) - first) // grid.step)
        first, count = first[count > 0], count[count > 0]
        n = len(first)
        parts.append(
            (
                np.full(len(tiles) * n, axis, np.int64),
                tiles.repeat(n, 0),
                np.tile(first, len(tiles)),
                np.tile(count, len(tiles)),
            )
        )
    if not parts:
        empty = np.empty(0, np.int64)
        return Cells(empty, np.empty((0, 4), np.int64), empty, empty, np.empty((0, 6), np.int64), grid.step)
    axis_, tile, first, count = (np.concatenate(column) for column in zip(*parts, strict=True))
    box = box_of(axis_, tile, first, first + (count - 1) * grid.step + 1)
    z, y, x = (box[:, 2 * a] // grid.crop for a in (0, 1, 2))
    order = np.lexsort((tile[:, 2], tile[:, 0], axis_, x, y, z))
    return Cells(axis_, tile, first, count, box, grid.step).part(order)


def union(boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(6,) the least box that holds (N, 6) boxes."""
    out = np.empty(6, np.int64)
    out[::2], out[1::2] = boxes[:, ::2].min(0), boxes[:, 1::2].max(0)
    return out


def voxels(box: NDArray[np.int64]) -> int:
    return int(np.prod(box[1::2] - box[::2]))


def runs(boxes: NDArray[np.int64], most: int) -> list[tuple[int, int]]:
    """Cut a sequence of (N, 6) boxes into runs [a, b), each as long as the box around it has at most `most` voxels."""
    found, start = [], 0
    around: list[int] | None = None
    for place, box in enumerate(boxes.tolist()):
        if around is None:
            around = box
            continue
        wider = [
            min(a, b) if i % 2 == 0 else max(a, b) for i, (a, b) in enumerate(zip(around, box, strict=True))
        ]
        size = (wider[1] - wider[0]) * (wider[3] - wider[2]) * (wider[5] - wider[4])
        if size > most:
            found.append((start, place))
            start, wider = place, box
        around = wider
    if len(boxes):
        found.append((start, len(boxes)))
    return found


def good_read(shape: tuple[int, int, int], chunks: tuple[int, int, int], crop: int, most: int) -> int:
    """How many voxels to read at once, at most `most`: what is stored by whole slices or rows is read by such. Plain
    rows are read into memory that is used again, and the less of it the better."""
    want = 1 << 24 if chunks == (1, 1, shape[2]) else 1 << 26
    if chunks[2] >= shape[2]:
        want = max(want, crop * crop * shape[2])
        if chunks[1] >= shape[1]:
            want = max(want, crop * shape[1] * shape[2])
    return max(1, min(want, most))
