"""Where the images are, in degrees: histograms, cells of a map, and images of one place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset import Table
from maskmill.studies.coast.counts import table
from maskmill.studies.coast.records import rows_of_sets

BINS = 19
CELLS = 40
BOX = ("LonMin", "LatMin", "LonMax", "LatMax")


def histogram(records: Table, column: str, bins: int = BINS) -> Table:
    """Images by latitude or longitude: bins of equal width from the least to the greatest value.

    Parameters
    ----------
    column : {"LatMin", "LonMin"}, or another column of numbers

    Returns
    -------
    Table
        ``low``, ``high`` (in the last bin only, included) and ``images``.
    """
    values = records[column][np.isfinite(records[column])]
    counts, edges = np.histogram(values, bins) if len(values) else (np.zeros(0, int), np.zeros(1))
    return Table({"low": edges[:-1], "high": edges[1:], "images": counts}, len(counts))


def cells(records: Table, bins: int = CELLS) -> Table:
    """Images in the cells of a grid over the whole extent; empty cells are left out.

    Returns
    -------
    Table
        ``lat_low``, ``lat_high``, ``lon_low``, ``lon_high`` and ``images``.
    """
    lat, lon = records["LatMin"], records["LonMin"]
    known = np.isfinite(lat) & np.isfinite(lon)
    if not known.any():
        return table([], ("lat_low", "lat_high", "lon_low", "lon_high", "images"))
    counts, lats, lons = np.histogram2d(lat[known], lon[known], bins)
    i, j = np.nonzero(counts)
    return Table(
        {
            "lat_low": lats[i],
            "lat_high": lats[i + 1],
            "lon_low": lons[j],
            "lon_high": lons[j + 1],
            "images": counts[i, j].astype(np.int64),
        }
    )


def places(records: Table, overlap: float = 0.1) -> NDArray[np.int64]:
    """The place of each image, (N,): images whose boxes overlap, or overlap with one that does, and so on.

    Parameters
    ----------
    overlap : float
        The least share of the smaller of two boxes that must lie in the other one. Boxes of neighbouring tiles overlap
        a little in degrees, as their grid is turned.

    Returns
    -------
    (N,) int64
        Numbers from 0 in order of first appearance; an image without box is a place of its own.
    """
    boxes, box_of = np.unique(np.stack([records[name] for name in BOX], 1), axis=0, return_inverse=True)
    west, south, east, north = boxes.T
    area = np.where((east > west) & (north > south), (east - west) * (north - south), np.nan)
    parent = list(range(len(boxes)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i in np.flatnonzero(np.isfinite(area)).tolist():  # in order of the west side
        near = np.arange(i + 1, np.searchsorted(west, east[i]))
        width = np.minimum(east[i], east[near]) - west[near]
        height = np.minimum(north[i], north[near]) - np.maximum(south[i], south[near])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        for j in near[shared >= overlap * np.minimum(area[i], area[near])].tolist():
            a, b = root(i), root(j)
            parent[max(a, b)] = min(a, b)
    numbers: dict[int, int] = {}
    alone = -1
    found = []
    for box in box_of.ravel().tolist():
        known = bool(np.isfinite(area[box]))
        alone -= not known
        found.append(numbers.setdefault(root(box) if known else alone, len(numbers)))
    return np.array(found, np.int64)


def places_by_set(records: Table, place: NDArray[np.int64]) -> Table:
    """How many places the images of each record set are of, and how many images the greatest place has."""
    rows = []
    for name, part in rows_of_sets(records).items():
        _, counts = np.unique(place[part], return_counts=True)
        rows.append(
            {"record_set": name, "images": len(part), "places": len(counts), "most_of_one": int(counts.max())}
        )
    return table(rows, ("record_set", "images", "places", "most_of_one"))
