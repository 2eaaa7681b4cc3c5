"""Maps of images that need no network: GeoJSON for any map program, and SVG with a grid of degrees.

Maps are equirectangular, with the middle latitude in true shape. There is no coastline: nothing is fetched from the
web.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset import Table
from maskmill.studies.coast.geography import BOX
from maskmill.studies.coast.records import NAMES, present, title
from maskmill.studies.coast.rules import iso_date


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
                    "date": iso_date([records[name][i] for name in ("year", "month", "day")]),
                    "classes": list(names),
                },
            }
        )
    return {"type": "FeatureCollection", "features": features}


@dataclass(frozen=True)
class _Frame:
    """Degrees to the units of the picture."""

    west: float
    south: float
    east: float
    north: float
    scale: float
    stretch: float
    left: int
    top: int

    def x(self, longitude: float) -> float:
        return round(self.left + (longitude - self.west) * self.stretch * self.scale, 1)

    def y(self, latitude: float) -> float:
        return round(self.top + (self.north - latitude) * self.scale, 1)


def _frame(lon: NDArray[np.float64], lat: NDArray[np.float64], width: int, top: int) -> _Frame:
    west, east = _padded(lon)
    south, north = _padded(lat)
    stretch = max(0.05, math.cos(math.radians((south + north) / 2)))
    left = 56
    scale = min((width - left - 14) / ((east - west) * stretch), 560 / (north - south))
    return _Frame(west, south, east, north, scale, stretch, left, top)


def _padded(values: NDArray[np.float64]) -> tuple[float, float]:
    """From somewhat below to somewhat above, and never a line alone."""
    low, high = float(values.min()), float(values.max())
    pad = max(0.06 * (high - low), 0.005)
    return low - pad, high + pad


def svg_map(records: Table, colours: Mapping[str, str], *, width: int = 900, heading: str = "") -> str:
    """Marks of the images on a grid of degrees, as SVG: one for each place of a record set, larger for more images.

    Parameters
    ----------
    records : Table
        Those to show; at (LonMin, LatMin).
    colours : dict
        Of each record set.
    heading : str

    Notes
    -----
    A mark shows the names of its images when it is pointed at. It has their files and lines in `data-rows`.
    """
    lon, lat = records["LonMin"], records["LatMin"]
    known = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat))
    if not len(known):
        return f'<svg {_SVG} width="{width}" height="40"><text y="20">no place is known</text></svg>'
    frame = _frame(lon[known], lat[known], width, 34 if heading else 12)
    total = round(frame.x(frame.east) + 14), round(frame.y(frame.south) + 34)
    parts = [
        f'<svg {_SVG} viewBox="0 0 {total[0]} {total[1]}" width="{total[0]}" height="{total[1]}" '
        'font-family="sans-serif" font-size="11">',
        f'<text x="{frame.left}" y="20" font-size="14">{escape(heading)}</text>' if heading else "",
        *_graticule(frame),
    ]
    marks: dict[tuple[str, float, float], list[int]] = {}
    for i in known.tolist():
        at = frame.x(lon[i]), frame.y(lat[i])
        marks.setdefault((records["record_set"][i], *at), []).append(i)
    parts += [
        _mark(records.take(rows), colours[name], x, y)
        for (name, x, y), rows in sorted(marks.items(), key=lambda mark: -len(mark[1]))
    ]
    return "\n".join([*filter(None, parts), "</svg>\n"])


_SVG = 'xmlns="http://www.w3.org/2000/svg"'


def _mark(part: Table, colour: str, x: float, y: float) -> str:
    n = len(part)
    place = f"{part['LatMin'][0]:.4f}, {part['LonMin'][0]:.4f}"
    said = f"{title(part['record_set'][0])}: {n} {'image' if n == 1 else 'images'} at {place}"
    names = [*map(str, part["image"][:5]), *["..."] * (n > 5)]
    rows = " ".join(row_key(part, i) for i in range(n))
    return (
        f'<circle cx="{x}" cy="{y}" r="{2.6 + 0.75 * math.sqrt(n):.1f}" fill="{colour}" fill-opacity="0.55" '
        f'stroke="{colour}" data-rows="{escape(rows)}"><title>{escape(chr(10).join([said, *names]))}</title></circle>'
    )


def row_key(records: Table, i: int) -> str:
    """What a mark calls a row: its record set and line."""
    return f"{records['record_set'][i]}:{records['line'][i]}".replace(" ", "_")


def _graticule(frame: _Frame) -> list[str]:
    """The frame, and lines at round degrees with their numbers."""
    right, bottom = frame.x(frame.east), frame.y(frame.south)
    parts = [
        f'<rect x="{frame.left}" y="{frame.top}" width="{right - frame.left:.1f}" '
        f'height="{bottom - frame.top:.1f}" fill="#f4f7fa" stroke="#999"/>'
    ]
    for value in _steps(frame.west, frame.east):
        x = frame.x(value)
        parts.append(
            f'<line x1="{x}" x2="{x}" y1="{frame.top}" y2="{bottom}" stroke="#d5dde5"/>'
            f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{_degrees(value, "E", "W")}</text>'
        )
    for value in _steps(frame.south, frame.north):
        y = frame.y(value)
        parts.append(
            f'<line x1="{frame.left}" x2="{right}" y1="{y}" y2="{y}" stroke="#d5dde5"/>'
            f'<text x="{frame.left - 5}" y="{y + 4}" text-anchor="end">{_degrees(value, "N", "S")}</text>'
        )
    return parts


def _steps(low: float, high: float) -> list[float]:
    """Round degrees between, about six of them.

    >>> _steps(-125.2, -68.1)
    [-120, -110, -100, -90, -80, -70]
    """
    raw = (high - low) / 6
    size = 10.0 ** math.floor(math.log10(raw))
    step = size * next(k for k in (1, 2, 5, 10) if k * size >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    found = [k * step for k in range(first, last + 1)]
    return [int(value) if value == int(value) else value for value in found]


def _degrees(value: float, positive: str, negative: str) -> str:
    return f"{abs(value):.10g}°{positive if value > 0 else negative if value < 0 else ''}"
