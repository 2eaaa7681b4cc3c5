"""Labels as GeoJSON: exact outlines of the connected parts of classes, holes included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.masks import Masks
from maskmill.studies.coast.georeference import Place


def geojson(
    labels: NDArray[np.uint8], classes: Sequence[str], base: int, place: Place | None = None
) -> dict[str, Any]:
    """A feature for each connected part (4 neighbours) of a class, with its id, class and pixels.

    Parameters
    ----------
    labels : (H, W) uint8
        Class + 1, 0 for none.
    classes : sequence of str
    base : {0, 1}
        The first id.
    place : Place, optional
        Coordinates are in its system, which `crs` names as GeoJSON did before RFC 7946, and GDAL and QGIS read it.
        Without one, they are pixels: x to the right, y down from the upper edge.

    References
    ----------
    RFC 7946; "crs": The GeoJSON Format Specification, 2008, section 3.

    Examples
    --------
    >>> found = geojson(np.array([[1, 1], [2, 1]], np.uint8), ["water", "land"], 0)
    >>> [(one["properties"]["class"], one["geometry"]["coordinates"]) for one in found["features"]][1]
    ('land', [[[0.0, 1.0], [1.0, 1.0], [1.0, 2.0], [0.0, 2.0], [0.0, 1.0]]])
    """
    masks, values = Masks.from_labels(labels)
    parts, of = masks.components(connectivity=4)
    outlines = parts.polygons(connectivity=4)
    features = []
    for i, (k, area) in enumerate(zip(values[of].tolist(), parts.area.tolist(), strict=True)):
        rings = [_ring(ring, labels.shape, place) for ring in outlines[i]]
        parent = outlines.parent[outlines.masks[i] : outlines.masks[i + 1]].tolist()
        [outer] = [n for n, above in enumerate(parent) if above < 0]
        holes = [ring for n, ring in enumerate(rings) if n != outer]
        features.append(
            {
                "type": "Feature",
                "properties": {"id": k - 1 + base, "class": classes[k - 1], "pixels": area},
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [_turned(rings[outer], True), *(_turned(ring, False) for ring in holes)],
                },
            }
        )
    made: dict[str, Any] = {"type": "FeatureCollection", "features": features}
    if place is not None:
        made["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{place.epsg}"}}
    return made


def _ring(ring: NDArray[np.float64], size: tuple[int, ...], place: Place | None) -> NDArray[np.float64]:
    if place is None:
        return ring
    scale = (place.east - place.west) / size[1], (place.south - place.north) / size[0]
    return ring * scale + (place.west, place.north)


def _turned(ring: NDArray[np.float64], counterclockwise: bool) -> list[list[float]]:
    """Closed, and the way round that GeoJSON wants it."""
    x, y = ring.T
    area = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
    ordered = ring if (area > 0) == counterclockwise else ring[::-1]
    closed: list[list[float]] = np.round(np.concatenate([ordered, ordered[:1]]), 9).tolist()
    return closed
