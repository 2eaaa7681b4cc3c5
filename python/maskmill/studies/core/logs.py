"""What changes with depth: shares of classes, numbers and sizes of clasts; sorting curves, percentiles of sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._device import on_host
from maskmill.dataset import Table, objects
from maskmill.densify.classmaps import class_map
from maskmill.studies.core.shapes import Shapes

MOST_BINS = 1_000_000
PERCENTILES = (10, 50, 90)
WEIGHTS = ("number", "area")


def percentiles(
    sizes: ArrayLike, areas: ArrayLike, at: Sequence[float] = PERCENTILES, *, weights: str = "number"
) -> NDArray[np.float64]:
    """D10, D50, D90: sizes that this part of the clasts, or of their area, does not exceed; NaN of no clasts.

    By number as NumPy's quantiles. By area, each clast stands in the middle of its share, with lines between.

    Examples
    --------
    >>> from maskmill.studies.core.logs import percentiles
    >>> percentiles([1, 2, 3], [1, 4, 9]).round(2).tolist()
    [1.2, 2.0, 2.8]
    >>> percentiles([1, 2, 3], [1, 4, 9], weights="area").round(2).tolist()
    [1.36, 2.62, 3.0]
    """
    if weights not in WEIGHTS:
        raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, not {weights!r}")
    size, area = np.asarray(sizes, np.float64), np.asarray(areas, np.float64)
    if not len(size):
        return np.full(len(at), np.nan)
    if weights == "number":
        return np.asarray(np.percentile(size, at), np.float64)
    order = np.argsort(size, kind="stable")
    share = np.cumsum(area[order]) - area[order] / 2
    found: NDArray[np.float64] = np.interp(np.asarray(at, np.float64) / 100 * area.sum(), share, size[order])
    return found


def sorting_curve(areas: ArrayLike, perimeters: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cumulative shares of the area and of the perimeter, clasts in order of falling area.

    Well sorted clasts give a straight line; of badly sorted ones a few large clasts have most of the area, and little
    of the perimeter.

    Examples
    --------
    >>> from maskmill.studies.core.logs import sorting_curve
    >>> area, perimeter = sorting_curve([1, 9], [4, 12])
    >>> area.tolist(), perimeter.tolist()
    ([0.9, 1.0], [0.75, 1.0])
    """
    area, perimeter = on_host(areas, "areas", np.float64), on_host(perimeters, "perimeters", np.float64)
    if area.shape != perimeter.shape or area.ndim != 1:
        raise ValueError(
            f"areas and perimeters must be one for each clast, not {area.shape} and {perimeter.shape}"
        )
    order = np.argsort(-area, kind="stable")
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.cumsum(area[order]) / area.sum(), np.cumsum(perimeter[order]) / perimeter.sum()


def logs(classes: ArrayLike, shapes: Shapes, *, bin_mm: float = 10.0, weights: str = "number") -> Table:
    """Shares of classes and sizes of clasts, in bins along depth.

    Parameters
    ----------
    classes : (H, W) integers
        The class map that `shapes` is of.
    shapes : Shapes
        A clast belongs to the bin that its centre is in.
    bin_mm : float
        Bins begin at the upper edge of the picture; the last one may be shorter.
    weights : {"number", "area"}
        Of the percentiles.

    Returns
    -------
    Table
        A row for each bin and class that occurs anywhere, 0 (no class) included: ``depth_top``, ``depth_bottom`` in m,
        ``class``, ``name``, ``pixels``, ``area`` (mm²), ``fraction`` (of the pixels of the bin), ``clasts``, and of
        their equivalent diameters in mm ``mean``, ``d10``, ``d50``, ``d90``, NaN without clasts.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.studies.core import Scale, logs, shapes
    >>> image = np.ones((40, 10), np.uint8)
    >>> image[5:9, 2:6] = 2
    >>> found = logs(image, shapes(image, Scale.of(40, image.shape), only=[2]), bin_mm=20)
    >>> [(row["depth_bottom"], row["class"], row["fraction"], row["clasts"]) for row in found]
    [(0.02, 1, 0.92, 0), (0.02, 2, 0.08, 1), (0.04, 1, 1.0, 0), (0.04, 2, 0.0, 0)]
    """
    image, scale, table = class_map(classes), shapes.scale, shapes.table
    if not (math.isfinite(bin_mm) and bin_mm > 0):
        raise ValueError(f"bin_mm must be above 0, not {bin_mm}")
    n = math.ceil(round(image.shape[0] * scale.mm / bin_mm, 9))
    if n > MOST_BINS:
        raise ValueError(f"bin_mm must make at most {MOST_BINS:,} bins, not {n:,}: {bin_mm} is too small")
    of_row = np.minimum((np.arange(image.shape[0]) + 0.5) * scale.mm // bin_mm, n - 1).astype(np.int64)
    of_clast = np.minimum(table["y"] * scale.mm // bin_mm, n - 1).astype(np.int64)
    ids, index = np.unique(image, return_inverse=True)
    counts = np.zeros((n, len(ids)), np.int64)
    np.add.at(counts, (of_row[:, None], index.reshape(image.shape)), 1)
    legend = shapes.legend.with_ids(ids.tolist())
    rows = [
        _row(table.take((of_clast == b) & (table["class"] == number)), weights)
        for b in range(n)
        for number in ids.tolist()
    ]
    edges = np.minimum(np.arange(n + 1) * bin_mm / scale.mm, image.shape[0])
    repeated = np.tile(ids.astype(np.int64), n)
    with np.errstate(invalid="ignore"):
        fraction = counts / counts.sum(1, keepdims=True)
    return Table(
        {
            "depth_top": np.repeat(scale.depth(edges[:-1]), len(ids)),
            "depth_bottom": np.repeat(scale.depth(edges[1:]), len(ids)),
            "class": repeated,
            "name": objects([legend.name(number) for number in repeated.tolist()]),
            "pixels": counts.ravel(),
            "area": counts.ravel() * scale.mm**2,
            "fraction": fraction.ravel(),
            **{key: np.array([row[key] for row in rows]) for key in ("clasts", "mean", "d10", "d50", "d90")},
        },
        n * len(ids),
    )


def _row(clasts: Table, weights: str) -> dict[str, float]:
    size = clasts["equivalent_diameter"]
    d10, d50, d90 = percentiles(size, clasts["area"], weights=weights).tolist()
    return {
        "clasts": len(clasts),
        "mean": float(size.mean()) if len(clasts) else math.nan,
        "d10": d10,
        "d50": d50,
        "d90": d90,
    }
