"""Moving run-length masks (`counts`, `offsets`, `sizes` as in `maskmill.rle`): windows, flips, transposition."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from maskmill import _check
from maskmill._backend import kernels
from maskmill._device import on_host

__all__ = ["flip", "transpose", "window"]


def window(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    boxes: ArrayLike,
    *,
    fill: bool = False,
    backend: str | None = None,
) -> _check.Masks:
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
    compute = kernels(backend, counts).geometry_window
    n = max(np.size(offsets) - 1, 0)
    box = _check.integers(on_host(boxes, "boxes"), _check.INT64, "boxes")
    if box.shape == (4,):
        box = np.ascontiguousarray(np.broadcast_to(box, (n, 4)))
    if box.size == 0:
        box = box.reshape(0, 4)
    if box.shape != (n, 4):
        raise ValueError(f"boxes must be one (x, y, width, height) or have shape ({n}, 4), not {box.shape}")
    runs: _check.Runs = _check.on_masks(compute, counts, offsets, sizes, box, fill)
    return *runs, box[:, 3:1:-1].copy()


def flip(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    *,
    horizontal: bool = False,
    vertical: bool = False,
    backend: str | None = None,
) -> _check.Masks:
    """Mirror left-right (horizontal), top-bottom (vertical), or both (a turn by 180 degrees)."""
    kernel = kernels(backend, counts).geometry_flip
    runs: _check.Runs = _check.on_masks(kernel, counts, offsets, sizes, horizontal, vertical)
    return *runs, _check.sizes(sizes, len(runs[1]) - 1)


def transpose(
    counts: ArrayLike, offsets: ArrayLike, sizes: ArrayLike, *, backend: str | None = None
) -> _check.Masks:
    """Exchange rows and columns."""
    runs: _check.Runs = _check.on_masks(kernels(backend, counts).geometry_transpose, counts, offsets, sizes)
    return *runs, np.ascontiguousarray(_check.sizes(sizes, len(runs[1]) - 1)[:, ::-1])
