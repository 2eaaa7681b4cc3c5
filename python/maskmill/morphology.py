"""Shape operations on run-length masks (`counts`, `offsets`, `sizes` as in `maskmill.rle`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check
from maskmill._backend import kernels
from maskmill._device import on_host

__all__ = ["boundary", "components", "dilate", "erode", "fill_holes", "remove_small"]

SHAPES = {"square": 0, "disc": 1}


def components(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    connectivity: int = 8,
    *,
    backend: str | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """Connected components of all masks.

    Returns
    -------
    counts, offsets : the components as masks, ordered by mask, then by first pixel in column order
    parent : (M,) int64, the mask each component is of
    """
    found: tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]
    found = _check.on_masks(
        kernels(backend, counts).morphology_components, counts, offsets, sizes, connectivity
    )
    return found


def fill_holes(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    connectivity: int = 8,
    *,
    backend: str | None = None,
) -> _check.Runs:
    """Fill background that is not connected to the image border. `connectivity` is the foreground's."""
    runs: _check.Runs = _check.on_masks(
        kernels(backend, counts).morphology_fill_holes, counts, offsets, sizes, connectivity
    )
    return runs


def remove_small(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    min_area: int,
    connectivity: int = 8,
    *,
    backend: str | None = None,
) -> _check.Runs:
    """Remove components of fewer than `min_area` pixels."""
    runs: _check.Runs = _check.on_masks(
        kernels(backend, counts).morphology_remove_small, counts, offsets, sizes, int(min_area), connectivity
    )
    return runs


def dilate(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    radius: float,
    shape: str = "disc",
    *,
    backend: str | None = None,
) -> _check.Runs:
    """All pixels within `radius` pixels of the foreground.

    Parameters
    ----------
    shape : {"disc", "square"}
        Euclidean (dx**2 + dy**2 <= radius**2) or Chebyshev distance.
    """
    disc = _check.choice(shape, "shape", SHAPES)
    runs: _check.Runs = _check.on_masks(
        kernels(backend, counts).morphology_dilate, counts, offsets, sizes, float(radius), bool(disc)
    )
    return runs


def erode(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    radius: float,
    shape: str = "disc",
    border: bool = False,
    *,
    backend: str | None = None,
) -> _check.Runs:
    """Foreground that is farther than `radius` pixels from the background, and from the image's outside if `border`."""
    disc = _check.choice(shape, "shape", SHAPES)
    runs: _check.Runs = _check.on_masks(
        kernels(backend, counts).morphology_erode, counts, offsets, sizes, float(radius), bool(disc), border
    )
    return runs


def boundary(
    counts: ArrayLike, offsets: ArrayLike, sizes: ArrayLike, radius: ArrayLike, *, backend: str | None = None
) -> _check.Runs:
    """Foreground within `radius` pixels (Chebyshev) of the background or of the outside of the image.

    Parameters
    ----------
    radius : one integer or (N,)

    Notes
    -----
    The inner boundary of Cheng et al., "Boundary IoU" (CVPR 2021), who use 2 % of the image diagonal.
    """
    compute = kernels(backend, counts).morphology_boundary
    masks = _check.masks(counts, offsets, sizes)
    reach = np.broadcast_to(
        _check.integers(on_host(radius, "radius"), _check.INT64, "radius"), (len(masks[2]),)
    )
    runs: _check.Runs = compute(*masks, np.ascontiguousarray(reach))
    return runs
