"""Masks to polygons of fewer points, within limits that are kept; and what polygons have lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check, outlines, rle, setops
from maskmill._device import on_host, refuse_gpu
from maskmill.polygons import Polygons, rasterize, simplify, tangles

__all__ = ["Loss", "Vectorized", "losses", "trace"]

STEPS = 9
"""Halvings between a tolerance that is too much and one that is not."""
FINEST = 0.05
"""Pixels: tolerances nearer to each other are as good."""


@dataclass(frozen=True)
class Loss:
    """What polygons have lost against N masks.

    Attributes
    ----------
    iou : (N,) float64
        Of the masks and the polygons, filled again; 1 where both are empty.
    area_change : (N,) float64
        Area of the polygons (shoelace: outer rings less holes) by that of the mask, less 1; 0 where both are nothing,
        infinite where there is a polygon of no mask.
    """

    iou: NDArray[np.float64]
    area_change: NDArray[np.float64]


@dataclass(frozen=True)
class Vectorized:
    """Polygons of N masks, and what they have lost.

    Attributes
    ----------
    polygons : Polygons
    tolerance : (N,) float64
        Pixels: no point of the exact outline is farther from the polygon, and none of the polygon from the outline.
        0 for exact outlines.
    loss : Loss
    """

    polygons: Polygons
    tolerance: NDArray[np.float64]
    loss: Loss


def trace(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    rule: str = "exact",
    connectivity: int = 8,
    *,
    max_distance: ArrayLike | None = None,
    max_area_change: float | None = None,
    min_iou: float | None = None,
) -> Vectorized:
    """Outlines with as few points as the limits allow.

    Every mask begins with its exact outline (`maskmill.outlines.trace`) and is simplified by Douglas and Peucker's
    method with the greatest tolerance, found by halving, for which all limits hold. They are checked on the result, so
    that they are kept, and so is the topology: no edges cross, and every hole and part stays where it is. Where nothing
    else will do, the outline stays exact. Without limits, all do. Vertices are corners of pixels: rounding them to
    whole numbers changes nothing.

    Parameters
    ----------
    counts, offsets, sizes : masks as in `maskmill.rle`
    rule : {"exact", "coco"}
        How the polygons will be filled: "exact" by even-odd, "coco" by pycocotools, which knows no holes: masks with
        holes then stay exact, their holes joined by cuts.
    connectivity : {8, 4}
        Whether pixels that touch at a corner share a ring.
    max_distance : float or (N,), optional
        Of all masks or of each: pixels between the outline and the polygon, either way (Hausdorff).
    max_area_change : float, optional
        Share of the mask's pixels by which the area of the polygon (shoelace) may differ.
    min_iou : float, optional
        Between the mask and the polygon filled again.

    Raises
    ------
    ValueError
        On limits that are negative, not finite, or a min_iou above 1.

    Examples
    --------
    >>> from maskmill import Masks, polygons, vectorize
    >>> disc = Masks(*polygons.ellipses([[50, 50]], [40], 0, (100, 100)))
    >>> [len(vectorize.trace(*disc._arrays, min_iou=limit).polygons.points) for limit in (1, 0.99, 0.95, 0.9)]
    [130, 16, 12, 8]
    """
    for name, value in (("max_area_change", max_area_change), ("min_iou", min_iou)):
        if value is not None and not (0 <= value < np.inf and (name != "min_iou" or value <= 1)):
            raise ValueError(f"{name} must be {'0 to 1' if name == 'min_iou' else '0 or more'}, not {value}")
    masks = _check.masks(counts, offsets, sizes)
    exact = outlines.trace(*masks, connectivity=connectivity)
    tolerance = np.zeros(len(exact))
    distance = None
    if max_distance is not None:
        distance = np.broadcast_to(on_host(max_distance, "max_distance", np.float64), tolerance.shape)
        if not ((distance >= 0) & (distance < np.inf)).all():
            raise ValueError(f"max_distance must be 0 or more, not {max_distance}")
    fill = "even-odd"
    free = np.diff(exact.masks) > 0
    if rule == "coco":
        fill = "coco"
        holes = np.add.reduceat(np.append(exact.parent >= 0, False), exact.masks[:-1]) if len(exact) else free
        free &= holes == 0
    elif rule != "exact":
        raise ValueError(f"rule must be one of 'exact', 'coco', not {rule!r}")
    if any(limit is not None for limit in (distance, max_area_change, min_iou)):
        _search(tolerance, np.flatnonzero(free), exact, masks, fill, distance, max_area_change, min_iou)
    polygons = _simplified(exact, tolerance)
    if rule == "coco":
        bridged = outlines.trace(*masks, "coco", connectivity)
        polygons = _mixed(bridged, polygons, free)
    return Vectorized(polygons, tolerance, losses(polygons, *masks, rule=fill))


def _search(
    tolerance: NDArray[np.float64],
    rest: NDArray[np.int64],
    exact: Polygons,
    masks: _check.Masks,
    fill: str,
    max_distance: NDArray[np.float64] | None,
    max_area_change: float | None,
    min_iou: float | None,
) -> None:
    """Sets the greatest tolerance found for masks `rest`; all of them at once, halving for each by itself."""
    low = np.zeros(len(rest))
    # Without a limit to the distance: a ring that is off by a quarter of its extent says nothing any more.
    side = rle.bbox(*masks)[rest, 2:].max(axis=1, initial=0) / 4
    high = side if max_distance is None else np.minimum(side, max_distance[rest])
    trial = high
    for _ in range(STEPS):
        some = take(exact, rest)
        tried = _simplified(some, trial)
        loss = losses(tried, *_taken(masks, rest), rule=fill, iou=min_iou is not None)
        good = tangles(tried) == 0
        if max_area_change is not None:
            good &= np.abs(loss.area_change) <= max_area_change
        if min_iou is not None:
            good &= loss.iou >= min_iou
        tolerance[rest[good]] = np.maximum(tolerance[rest[good]], trial[good])
        low, high = np.where(good, trial, low), np.where(good, high, trial)
        open_ = high - low > FINEST
        rest, low, high = rest[open_], low[open_], high[open_]
        trial = (low + high) / 2
        if len(rest) == 0:
            return


def losses(
    polygons: Polygons,
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    *,
    rule: str = "even-odd",
    iou: bool = True,
) -> Loss:
    """What polygons have lost against masks: by simplifying, rounding, a format that holds no holes.

    Parameters
    ----------
    polygons : Polygons of N masks
    counts, offsets, sizes : N masks as in `maskmill.rle`
    rule : str
        How the polygons are filled, as in `maskmill.polygons.rasterize`.
    iou : bool
        Whether to fill them; NaN if not.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from maskmill import Masks, polygons, vectorize
    >>> disc = Masks(*polygons.ellipses([[50.5, 50.5]], [40.3], 0, (100, 100)))
    >>> rounded = replace(disc.polygons(), points=disc.polygons().points.round(-1))
    >>> vectorize.losses(rounded, *disc._arrays).iou.round(3).tolist()
    [0.92]
    """
    refuse_gpu(counts, "counts")
    refuse_gpu(polygons.points, "polygons")
    masks = _check.masks(counts, offsets, sizes)
    area = rle.area(*masks[:2]).astype(np.float64)
    shares = np.full(len(area), np.nan)
    if iou:
        filled = rasterize(polygons, masks[2], rule)
        common = rle.area(*setops.pairs(masks, filled, "intersection")).astype(np.float64)
        either = area + rle.area(*filled[:2]) - common
        shares = np.divide(common, either, out=np.ones(len(area)), where=either > 0)
    drawn = areas(polygons)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.where(drawn == area, 0.0, drawn / area - 1)
    return Loss(shares, change)


def areas(polygons: Polygons) -> NDArray[np.float64]:
    """(N,) the area of each mask's rings by the shoelace formula: clockwise ones, as seen, less the others."""
    points, rings = polygons.points, polygons.rings
    following = np.arange(1, len(points) + 1)
    filled = np.diff(rings) > 0
    following[rings[1:][filled] - 1] = rings[:-1][filled]
    # Relative to the first point of each ring: far from the origin nothing is lost.
    x, y = (points - np.repeat(points[rings[:-1][filled]], np.diff(rings)[filled], axis=0)).T
    sums = np.concatenate([[0.0], np.cumsum(x * y[following] - x[following] * y)])
    ends = sums[rings]
    of_rings = np.concatenate([[0.0], np.cumsum(np.diff(ends) / 2)])
    result: NDArray[np.float64] = np.diff(of_rings[polygons.masks])
    return result


def take(polygons: Polygons, index: NDArray[np.int64]) -> Polygons:
    """The polygons of some masks, in this order."""
    rings, masks = _ranges(polygons.masks, index)
    points, ends = _ranges(polygons.rings, rings)
    return Polygons(polygons.points[points], ends, masks, polygons.parent[rings])


def _ranges(
    offsets: NDArray[np.int64], index: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers of what some items have, and the offsets of these items."""
    starts, lengths = offsets[index], np.diff(offsets)[index]
    ends = np.concatenate([[0], np.cumsum(lengths)])
    return np.arange(ends[-1]) + np.repeat(starts - ends[:-1], lengths), ends


def _taken(masks: _check.Masks, index: NDArray[np.int64]) -> _check.Masks:
    runs, offsets = _ranges(masks[1], index)
    return masks[0][runs], offsets, np.ascontiguousarray(masks[2][index])


def _simplified(polygons: Polygons, tolerance: NDArray[np.float64]) -> Polygons:
    """By the tolerance of each mask."""
    points, rings = simplify(polygons.points, polygons.rings, np.repeat(tolerance, np.diff(polygons.masks)))
    return Polygons(points, rings, polygons.masks, polygons.parent)


def _mixed(ours: Polygons, others: Polygons, choose: NDArray[np.bool_]) -> Polygons:
    """Others' polygons where `choose`, else ours."""
    n = len(ours)
    both = Polygons(
        np.concatenate([ours.points, others.points]),
        np.concatenate([ours.rings, others.rings[1:] + ours.rings[-1]]),
        np.concatenate([ours.masks, others.masks[1:] + ours.masks[-1]]),
        np.concatenate([ours.parent, others.parent]),
    )
    return take(both, np.arange(n) + np.where(choose, n, 0))
