"""Whether a ring crosses itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["crossings"]

_AT_ONCE = 1 << 20


def crossings(ring: NDArray[np.float64]) -> tuple[float, float] | None:
    """Where a ring crosses itself, None if it does not. Edges that only touch do not cross.

    Parameters
    ----------
    ring : (K, 2), closed by itself

    Notes
    -----
    Edges are compared with those whose range of x overlaps theirs: K log K for outlines, K² for a ball of wool.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.dataset.crossing import crossings
    >>> crossings(np.array([[0, 0], [2, 2], [2, 0], [0, 2.0]]))
    (1.0, 1.0)
    """
    a = ring[np.r_[True, (np.diff(ring, axis=0) != 0).any(1)]] if len(ring) else ring
    if len(a) > 1 and (a[0] == a[-1]).all():
        a = a[:-1]
    if len(a) < 4:
        return None
    b = np.roll(a, -1, 0)
    order = np.argsort(np.minimum(a[:, 0], b[:, 0]), kind="stable")
    a, b = a[order], b[order]
    low, high = np.minimum(a[:, 0], b[:, 0]), np.maximum(a[:, 0], b[:, 0])
    # Edge i meets in x the edges i + 1 to last[i] - 1 of this order.
    last = np.searchsorted(low, high, "right")
    partners = np.maximum(last - np.arange(len(a)) - 1, 0)
    ends = np.cumsum(partners)
    start = 0
    while start < len(a):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _AT_ONCE, "right")))
        own = np.repeat(np.arange(start, stop), partners[start:stop])
        first = ends[start:stop] - partners[start:stop] - before
        other = own + 1 + np.arange(len(own)) - np.repeat(first, partners[start:stop])
        found = _crossing(a[own], b[own], a[other], b[other])
        if found is not None:
            return found
        start = stop
    return None


def _side(p: NDArray[np.float64], q: NDArray[np.float64], r: NDArray[np.float64]) -> NDArray[np.float64]:
    """Above 0 where r is left of the line from p to q, below 0 where it is right."""
    side: NDArray[np.float64] = (q[:, 0] - p[:, 0]) * (r[:, 1] - p[:, 1]) - (q[:, 1] - p[:, 1]) * (
        r[:, 0] - p[:, 0]
    )
    return side


def _crossing(
    a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64], d: NDArray[np.float64]
) -> tuple[float, float] | None:
    """Where the first edge a-b that crosses its c-d does so."""
    side_c, side_d = np.sign(_side(a, b, c)), np.sign(_side(a, b, d))
    side_a, side_b = np.sign(_side(c, d, a)), np.sign(_side(c, d, b))
    hits = np.flatnonzero((side_c * side_d < 0) & (side_a * side_b < 0))
    if len(hits) == 0:
        return None
    i = hits[:1]
    to_c, to_d = abs(_side(a[i], b[i], c[i])), abs(_side(a[i], b[i], d[i]))
    point = c[i] + (d[i] - c[i]) * (to_c / (to_c + to_d))[:, None]
    return float(point[0, 0]), float(point[0, 1])
