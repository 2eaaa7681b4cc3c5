"""Where the images are: histograms, cells of a map, images of one place, GeoJSON, and maps as SVG that need no network.

Degrees of longitude and latitude, as the record tables have them. Maps are equirectangular, with the middle latitude in
true shape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset import Table
from maskmill.studies.coast.counts import table
from maskmill.studies.coast.records import NAMES, present, rows_of_sets, title

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


def geojson(records: Table) -> dict[str, Any]:
    """The images as a GeoJSON FeatureCollection (RFC 7946) of their boxes, with what the row says of them."""
    features = []
    for i, names in enumerate(present(records)):
        west, south, east, north = (float(records[name][i]) for name in BOX)
        known = all(map(math.isfinite, (west, south, east, north)))
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [ring]} if known else None,
                "properties": {
                    "record_set": records["record_set"][i],
                    "image": records[NAMES[1]][i],
                    "labeler": int(records["labeler"][i]),
                    "date": "-".join(f"{records[k][i]:02g}" for k in ("year", "month", "day")),
                    "classes": list(names),
                },
            }
        )
    return {"type": "FeatureCollection", "features": features}


# Maps

_SVG = 'xmlns="http://www.w3.org/2000/svg"'


def _steps(low: float, high: float) -> list[float]:
    """Round degrees between, about six of them."""
    raw = max(high - low, 1e-9) / 6
    size = 10 ** math.floor(math.log10(raw))
    step = size * next(k for k in (1, 2, 5, 10) if k * size >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _degrees(value: float, positive: str, negative: str) -> str:
    return f"{abs(value):.10g}°{positive if value > 0 else negative if value < 0 else ''}"


def svg_map(
    records: Table,
    colours: Mapping[str, str],
    *,
    width: int = 900,
    heading: str = "",
    pictures: Sequence[str] = (),
) -> str:
    """Marks of the images on a grid of degrees, as SVG: one for each place of a record set, larger for more images.

    Parameters
    ----------
    records : Table
        Those to show; at (LonMin, LatMin).
    colours : dict
        Of each record set.
    heading : str
    pictures : sequence of str, optional
        For each row, text that a mark shows when it is pointed at; by default the names of the images.

    Notes
    -----
    There is no coastline: nothing is fetched from the web, and none comes along. `geojson` goes into any map program.
    """
    lon, lat = records["LonMin"], records["LatMin"]
    known = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat))
    left, top, bottom = 56, 34 if heading else 12, 34
    if not len(known):
        return f'<svg {_SVG} width="{width}" height="40"><text y="20">no place is known</text></svg>'
    west, east = _padded(lon[known])
    south, north = _padded(lat[known])
    stretch = math.cos(math.radians((south + north) / 2))
    scale = min((width - left - 14) / ((east - west) * stretch), 560 / (north - south))
    inner_width, inner_height = scale * (east - west) * stretch, scale * (north - south)

    def x(value: float) -> float:
        return round(left + (value - west) * stretch * scale, 1)

    def y(value: float) -> float:
        return round(top + (north - value) * scale, 1)

    total = round(left + inner_width + 14), round(top + inner_height + bottom)
    parts = [
        f'<svg {_SVG} viewBox="0 0 {total[0]} {total[1]}" width="{total[0]}" '
        f'height="{total[1]}" font-family="sans-serif" font-size="11">',
        f'<rect x="{left}" y="{top}" width="{inner_width:.1f}" height="{inner_height:.1f}" '
        'fill="#f4f7fa" stroke="#999"/>',
    ]
    if heading:
        parts.append(f'<text x="{left}" y="20" font-size="14">{escape(heading)}</text>')
    for value in _steps(west, east):
        parts.append(
            f'<line x1="{x(value)}" x2="{x(value)}" y1="{top}" y2="{y(south)}" stroke="#d5dde5"/>'
            f'<text x="{x(value)}" y="{y(south) + 16}" text-anchor="middle">{_degrees(value, "E", "W")}</text>'
        )
    for value in _steps(south, north):
        parts.append(
            f'<line x1="{left}" x2="{x(east)}" y1="{y(value)}" y2="{y(value)}" stroke="#d5dde5"/>'
            f'<text x="{left - 5}" y="{y(value) + 4}" text-anchor="end">{_degrees(value, "N", "S")}</text>'
        )
    said = pictures or [str(name) for name in records["image"]]
    marks: dict[tuple[str, float, float], list[int]] = {}
    for i in known.tolist():
        marks.setdefault((records["record_set"][i], x(lon[i]), y(lat[i])), []).append(i)
    for (name, at_x, at_y), rows in sorted(marks.items(), key=lambda mark: -len(mark[1])):
        shown = "\n".join(said[i] for i in rows[:5]) + ("\n..." if len(rows) > 5 else "")
        images = "image" if len(rows) == 1 else "images"
        tip = f"{title(name)}: {len(rows)} {images} at {lat[rows[0]]:.4f}, {lon[rows[0]]:.4f}"
        parts.append(
            f'<circle cx="{at_x}" cy="{at_y}" r="{2.6 + 0.75 * math.sqrt(len(rows)):.1f}" fill="{colours[name]}" '
            f'fill-opacity="0.55" stroke="{colours[name]}"><title>{escape(tip)}\n{escape(shown)}</title></circle>'
        )
    return "\n".join([*parts, "</svg>\n"])


def _padded(values: NDArray[np.float64]) -> tuple[float, float]:
    """From somewhat below to somewhat above, and never a line alone."""
    low, high = float(values.min()), float(values.max())
    pad = max(0.06 * (high - low), 0.005)
    return low - pad, high + pad
