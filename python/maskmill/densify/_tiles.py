"""Parts of an image that go through a network one by one and give what the whole image would.

A part begins at a multiple of the network's period, and is by a multiple of it shorter than the image: paddings of the
kind SAME depend on whether a size is even or odd, at every layer. Around what is kept lies the margin that it sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskmill.densify._bilinear import Steps
from maskmill.densify._onnx_graph import Axis


class Span(NamedTuple):
    """A part along one axis."""

    start: int
    stop: int
    """Pixels that the network is given."""
    kept: tuple[tuple[int, int], ...]
    """Of each tap's map, from and to: what this part is computed for."""

    def slices(self, tap: int, step: int, first: int) -> tuple[slice, slice]:
        """What is computed for one tap: in a map that begins at value `first`, and in that of this part."""
        begin, end = self.kept[tap]
        own = self.start // step
        return slice(begin - first, end - first), slice(begin - own, end - own)


def spans(extent: tuple[int, int], pixels: int, tile: int, period: int, axes: Sequence[Axis]) -> list[Span]:
    """Parts of about `tile` pixels that together give what maps have of an extent of the image, or of all of it.

    Values of the taps lie as `axes` say."""
    first, last = extent[0] // period * period, extent[1]
    count = max(1, round((last - first) / tile))  # of nearly one size: none is a sliver
    core = -(-(last - first) // (count * period)) * period
    before, after = max(a.before for a in axes), max(a.after for a in axes)
    out = []
    for begin in range(first, last, core):
        end = min(begin + core, pixels)
        start = max(0, (begin - before) // period * period)
        stop = pixels - max(0, pixels - end - after - 1) // period * period
        kept = tuple(
            (min(begin // a.step, a.size), a.size if end == pixels else min(end // a.step, a.size))
            for a in axes
        )
        out.append(Span(start, stop, kept))
    return out


def extent(pixels: int, grids: Sequence[Steps], axes: Sequence[Axis]) -> tuple[int, int]:
    """From where to where maps are needed, in pixels of the image."""
    first = min(steps.extent.start * a.step for steps, a in zip(grids, axes, strict=True))
    last = max(steps.extent.stop * a.step for steps, a in zip(grids, axes, strict=True))
    return min(first, pixels - 1), min(last, pixels)


def needed(
    down: Sequence[Span],
    across: Sequence[Span],
    grids: Sequence[tuple[Steps, Steps]],
    points: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> NDArray[np.bool_]:
    """Of the parts, (rows, columns), those with values that some points are interpolated from.

    Points are counted from where the grids begin."""
    out = np.zeros((len(down), len(across)), np.bool_)
    for tap, (rows, columns) in enumerate(grids):
        y, x = _found(down, tap, rows, points[0]), _found(across, tap, columns, points[1])
        for i in y:
            for j in x:
                out[i, j] = True
    return out


def _found(parts: Sequence[Span], tap: int, steps: Steps, at: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """The parts that have the map's rows on both sides of some rows."""
    ends = [part.kept[tap][1] for part in parts]
    return [np.searchsorted(ends, rows[at], "right") for rows in (steps.low, steps.high)]
