"""Moving run-length masks (`counts`, `offsets`, `sizes` as in `maskmill.rle`): windows, flips, transposition."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check
from maskmill._backend import kernels

__all__ = ["flip", "transpose", "window"]

_Runs = tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]


def window(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    boxes: ArrayLike,
    *,
    fill: bool = False,
    backend: str | None = None,
) -> _Runs:
    """See each mask through a box: crop, pad and shift in one.

    Parameters
    ----------
    boxes : (4,) or (N, 4) integers: x, y, width, height in pixels; may reach beyond the image
    fill : bool
        What lies outside of the image.

    Returns
    -------
    counts, offsets, sizes
        sizes are the (height, width) of the boxes.

    Examples
    --------
    >>> from maskmill import geometry, rle
    >>> counts, offsets, sizes = geometry.window(*rle.encode([[1, 1], [0, 1]]), boxes=[1, 0, 2, 2])
    >>> rle.decode(counts, offsets, sizes)[0].tolist()
    [[1, 0], [1, 0]]
    """
    counts, offsets, sizes = _check.masks(counts, offsets, sizes)
    box = _check.integers(boxes, np.int64, "boxes")
    if box.shape == (4,):
        box = np.ascontiguousarray(np.broadcast_to(box, (len(sizes), 4)))
    if box.size == 0:
        box = box.reshape(0, 4)
    if box.shape != (len(sizes), 4):
        raise ValueError(
            f"boxes must be one (x, y, width, height) or have shape ({len(sizes)}, 4), not {box.shape}"
        )
    counts, offsets = kernels(backend).geometry_window(counts, offsets, sizes, box, fill)
    return counts, offsets, np.ascontiguousarray(box[:, [3, 2]])


def flip(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    *,
    horizontal: bool = False,
    vertical: bool = False,
    backend: str | None = None,
) -> _Runs:
    """Mirror left-right (horizontal), top-bottom (vertical), or both (a turn by 180 degrees)."""
    counts, offsets, sizes = _check.masks(counts, offsets, sizes)
    counts, offsets = kernels(backend).geometry_flip(counts, offsets, sizes, horizontal, vertical)
    return counts, offsets, sizes


def transpose(
    counts: ArrayLike, offsets: ArrayLike, sizes: ArrayLike, *, backend: str | None = None
) -> _Runs:
    """Exchange rows and columns."""
    counts, offsets, sizes = _check.masks(counts, offsets, sizes)
    counts, offsets = kernels(backend).geometry_transpose(counts, offsets, sizes)
    return counts, offsets, np.ascontiguousarray(sizes[:, ::-1])
