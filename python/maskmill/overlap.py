"""How much run-length masks overlap; `a`, `b` are (counts, offsets, sizes) as in `maskmill.rle`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check
from maskmill._backend import kernels
from maskmill._device import as_cupy, is_on_gpu, refuse_gpu

__all__ = ["intersection", "iou", "nms"]

_Masks = tuple[ArrayLike, ArrayLike, ArrayLike]


def iou(
    a: _Masks, b: _Masks, iscrowd: ArrayLike | None = None, *, backend: str | None = None
) -> NDArray[np.float64]:
    """Intersection over union of all masks of `a` with all of `b`.

    Parameters
    ----------
    iscrowd : (len(b),) of 0 and 1, optional
        Where 1, the intersection is divided by the area of `a`, as COCO does for crowds. For masks on a GPU it may be
        there or on the host.

    Returns
    -------
    (len(a), len(b)) float64; 0 where two masks have nothing in common.

    Raises
    ------
    ValueError
        If image sizes differ; names the pair.

    Examples
    --------
    >>> from maskmill import overlap, rle
    >>> a, b = rle.encode([[1, 1, 0]]), rle.encode([[0, 1, 1]])
    >>> overlap.iou(a, b).round(3).tolist()
    [[0.333]]
    """
    n = max(np.size(b[1]) - 1, 0)
    if is_on_gpu(iscrowd):
        if not is_on_gpu(a[0]):
            refuse_gpu(iscrowd, "iscrowd")
        crowd = as_cupy(iscrowd).astype(np.uint8)
    else:
        crowd = np.zeros(n, np.uint8) if iscrowd is None else np.ascontiguousarray(iscrowd, dtype=np.uint8)
    if crowd.shape != (n,):
        raise ValueError(f"iscrowd must have shape ({n},), not {crowd.shape}")
    out: NDArray[np.float64] = _check.on_pairs(kernels(backend, a[0], b[0]).overlap_iou, a, b, crowd)
    return out


def intersection(a: _Masks, b: _Masks, *, backend: str | None = None) -> NDArray[np.uint64]:
    """Pixels in common of all masks of `a` with all of `b`: (len(a), len(b)) uint64."""
    out: NDArray[np.uint64] = _check.on_pairs(kernels(backend, a[0], b[0]).overlap_intersection, a, b)
    return out


def nms(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    threshold: float,
    *,
    backend: str | None = None,
) -> NDArray[np.bool_]:
    """Greedy non-maximum suppression in the order given: True for the masks that stay.

    A mask goes when its IoU with one that stayed before it is above `threshold`.
    """
    out: NDArray[np.bool_] = _check.on_masks(
        kernels(backend, counts).overlap_nms, counts, offsets, sizes, float(threshold)
    )
    return out
