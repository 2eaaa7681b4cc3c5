"""Polygons for formats of drawn outlines: the source's vertices where they may stay, else outlines of pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset import Dataset
from maskmill.dataset.shapes import POLYGON, take_polygons
from maskmill.masks import Masks

__all__ = ["join", "outlines"]

Ring = NDArray[np.float64]


def outlines(
    dataset: Dataset, rule: str = "even-odd", read_again: Callable[[Ring, Ring], Ring] | None = None
) -> list[list[Ring]]:
    """The rings of each instance, which filled by `rule` give its mask; none for what has no pixels.

    The source's own vertices, where `rule` fills them with the same pixels as the source's rule does; else outlines
    along pixel edges.

    Parameters
    ----------
    read_again : function of vertices (K, 2) and the sizes (K, 2) of their images as width, height, optional
        What the format makes of vertices, where it cannot hold each number: rounding may move an edge over the middle
        of a pixel.
    """
    masks = dataset.masks
    made: list[list[Ring]] = [[] for _ in range(len(masks))]
    drawn = np.flatnonzero(dataset.shapes.kind == POLYGON)
    own = take_polygons(dataset.shapes.points, drawn)
    if read_again is not None:
        per_mask = np.diff(own.rings[own.masks])
        sides = np.repeat(masks.sizes[drawn][:, ::-1], per_mask, 0).astype(np.float64)
        own = replace(own, points=read_again(own.points, sides))
    filled = Masks.from_polygons(own, masks.sizes[drawn], rule=rule)
    kept = drawn[(filled ^ masks[drawn]).area == 0]
    for i in kept.tolist():
        made[i] = list(dataset.shapes.points[i])
    rest = np.setdiff1d(np.flatnonzero(masks.area > 0), kept)
    for i, rings in zip(rest.tolist(), masks[rest].polygons(), strict=True):
        made[i] = rings
    return made


def join(rings: Sequence[Ring]) -> Ring:
    """One ring of several: each is entered from the one before where their vertices are nearest, and left by the same
    bridge, so that the even-odd rule fills the same pixels, holes and all."""
    before: list[Ring] = []
    behind: list[Ring] = []
    entry = 0
    for k, ring in enumerate(rings):
        turned = np.roll(ring, -entry, 0)
        leave, entry = _nearest(turned, rings[k + 1]) if k + 1 < len(rings) else (len(ring) - 1, 0)
        before.append(turned[: leave + 1])
        back = turned[leave:] if k + 1 < len(rings) else turned[:0]
        closed = back if k == 0 else np.concatenate([back, turned[:1]])
        behind.append(closed)
    return np.concatenate([*before, *reversed(behind)])


def _nearest(a: Ring, b: Ring) -> tuple[int, int]:
    """Vertices of a and of b with the least distance; of long rings every so many are looked at."""
    step_a, step_b = -(-len(a) // 2048), -(-len(b) // 2048)
    some, others = a[::step_a], b[::step_b]
    distances = ((some[:, None] - others[None]) ** 2).sum(2)
    i, j = divmod(int(distances.argmin()), len(others))
    return i * step_a, j * step_b
