"""Tracing the outlines of run-length masks along pixel edges."""

from __future__ import annotations

from numpy.typing import ArrayLike

from maskmill import _check
from maskmill._backend import kernels
from maskmill.polygons import Polygons

__all__ = ["trace"]

RULES = {"exact": 0, "coco": 1}


def trace(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    rule: str = "exact",
    connectivity: int = 8,
    *,
    backend: str | None = None,
) -> Polygons:
    """Outlines that give the masks back.

    Parameters
    ----------
    counts, offsets, sizes : masks as in `maskmill.rle`
    rule : {"exact", "coco"}
        "exact": outer rings (clockwise as seen) and holes (the other way); filled by "even-odd" or "non-zero" they
        are the mask. "coco": holes are joined to their outer ring by a cut one pixel edge wide, so that
        pycocotools, which fills every ring by itself and unites them, gives the mask back, IoU 1, for every image
        with sides below 4e8.
    connectivity : {8, 4}
        Whether pixels that touch at a corner share a ring.

    Examples
    --------
    >>> from maskmill import outlines, rle
    >>> outlines.trace(*rle.encode([[1, 1], [1, 0]])).to_coco()
    [[[0.0, 0.0, 2.0, 0.0, 2.0, 1.0, 1.0, 1.0, 1.0, 2.0, 0.0, 2.0]]]
    """
    bridge = _check.choice(rule, "rule", RULES)
    return Polygons(
        *_check.on_masks(
            kernels(backend, counts).outlines_trace, counts, offsets, sizes, connectivity, bool(bridge)
        )
    )
