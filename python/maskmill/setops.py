"""Set operations on run-length masks (`counts`, `offsets`, `sizes` as in `maskmill.rle`), without decoding."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check
from maskmill._backend import kernels
from maskmill._device import on_host

__all__ = ["complement", "merge", "pairs"]

PAIR_OPS = {"union": 0b1110, "intersection": 0b1000, "xor": 0b0110, "difference": 0b0010}
GROUP_OPS = {"union": 0, "intersection": 1, "xor": 2, "difference": 3}


def merge(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    groups: ArrayLike,
    group_sizes: ArrayLike,
    op: str = "union",
    *,
    backend: str | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Merge consecutive masks: group g is masks ``groups[g]`` to ``groups[g + 1] - 1``.

    Parameters
    ----------
    groups : (G + 1,) integers, rising, from 0 or more to N or less; on the host, as sizes are
    group_sizes : one (height, width) or (G, 2); needed since a group may be empty
    op : {"union", "intersection", "xor", "difference"}
        "difference": the first mask of the group without all others.

    Raises
    ------
    ValueError
        If a mask has another size than its group; names the mask.
    """
    starts = _check.integers(on_host(groups, "groups"), _check.INT64, "groups")
    runs: _check.Runs = kernels(backend, counts).setops_merge(
        *_check.masks(counts, offsets, sizes),
        starts,
        _check.sizes(group_sizes, max(len(starts) - 1, 0)),
        _check.choice(op, "op", GROUP_OPS),
    )
    return runs


def pairs(
    a: tuple[ArrayLike, ArrayLike, ArrayLike],
    b: tuple[ArrayLike, ArrayLike, ArrayLike],
    op: str = "union",
    *,
    backend: str | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Combine mask i of `a` with mask i of `b`; each is (counts, offsets, sizes).

    Parameters
    ----------
    op : {"union", "intersection", "xor", "difference"}

    Examples
    --------
    >>> from maskmill import rle, setops
    >>> a, b = rle.encode([[1, 1, 0]]), rle.encode([[0, 1, 1]])
    >>> setops.pairs(a, b, "difference")[0].tolist()
    [0, 1, 2]
    """
    table = _check.choice(op, "op", PAIR_OPS)
    runs: _check.Runs = _check.on_pairs(kernels(backend, a[0], b[0]).setops_pairs, a, b, table)
    return runs


def complement(
    counts: ArrayLike, offsets: ArrayLike, sizes: ArrayLike, *, backend: str | None = None
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Exchange foreground and background."""
    runs: _check.Runs = _check.on_masks(kernels(backend, counts).setops_complement, counts, offsets, sizes)
    return runs
