"""Shapes of labelme as labelme itself fills them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._files import need
from maskmill.masks import Masks

LINE_WIDTH = 10
POINT_RADIUS = 5
LARGEST = 4e8
LARGEST_CIRCLE = 50_000
"""Pillow computes with the fourth power of the diameter in 64 bits."""

POINTS = {"rectangle": 2, "circle": 2, "line": 2, "point": 1, "linestrip": 2, "polygon": 3}
"""Kinds, and how many points they have; the last two have more, too."""


def shape_mask(kind: str, points: ArrayLike, size: tuple[int, int]) -> Masks:
    """One shape as a mask, pixel for pixel what labelme's `shape_to_mask` makes with Pillow 13.

    Polygons are filled by the rule "labelme" of `maskmill.polygons.rasterize`, the other kinds are drawn by Pillow
    (``pip install 'maskmill[labelme]'``). Versions of Pillow differ by a few pixels at corners.

    Parameters
    ----------
    kind : {"polygon", "rectangle", "circle", "line", "linestrip", "point"}
        Rectangles have two opposite corners in any order, both included; circles the centre and a point on them;
        lines are 10 pixels wide; points are discs of radius 5. An "oriented_rectangle" is a polygon of 4.
    points : (K, 2), x first
    size : (height, width) of the image

    Returns
    -------
    Masks
        One mask.

    Raises
    ------
    ValueError
        On an unknown kind, a wrong number of points, or points that are not finite, or too large to be drawn.
    ImportError
        Without Pillow.

    Examples
    --------
    >>> from maskmill.io._labelme_raster import shape_mask
    >>> shape_mask("polygon", [[2, 2], [7, 2], [7, 6], [2, 6]], (10, 10)).area.tolist()
    [30]
    """
    at = _checked(kind, points)
    if kind == "polygon":
        return Masks.from_polygons([[at]], size, rule="labelme")
    if kind in ("circle", "point"):
        at = _ellipse_box(kind, at)
    elif kind == "rectangle":
        at = np.sort(at, axis=0)
    # Only the part of the image is painted that the shape may reach. Corners are cut off to integers towards zero:
    # left of zero, or above it, nothing may be moved.
    margin = 2 * LINE_WIDTH
    height, width = size
    left, top = (max(0, math.floor(v) - margin) for v in at.min(axis=0))
    right, bottom = (math.ceil(v) + margin for v in at.max(axis=0))
    box = (min(left, width), min(top, height), min(right, width), min(bottom, height))
    seen = (max(box[2] - box[0], 0), max(box[3] - box[1], 0))
    if 0 in seen:
        return Masks.empty([size])
    painted = _paint(kind, at - box[:2], seen)
    return Masks.encode(painted).crop((-box[0], -box[1], width, height))


def _checked(kind: str, points: ArrayLike) -> NDArray[np.float64]:
    if kind not in POINTS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, POINTS))}, not {kind!r}")
    at = np.asarray(points, np.float64)
    if at.ndim != 2 or at.shape[1] != 2:
        raise ValueError(f"points must have shape (K, 2), not {at.shape}")
    wanted, more = POINTS[kind], kind in ("linestrip", "polygon")
    if len(at) < wanted or (len(at) > wanted and not more):
        raise ValueError(f"a {kind} must have {wanted} points{' or more' if more else ''}, not {len(at)}")
    bad = ~(np.abs(at) <= LARGEST).all(axis=1)
    if bad.any():
        x, y = at[bad.argmax()]
        raise ValueError(f"point {bad.argmax()} is ({x:g}, {y:g}), not finite and at most 4e8")
    return at


def _ellipse_box(kind: str, at: NDArray[np.float64]) -> NDArray[np.float64]:
    radius = float(POINT_RADIUS) if kind == "point" else float(np.sqrt(((at[0] - at[1]) ** 2).sum()))
    if 2 * radius > LARGEST_CIRCLE:
        raise ValueError(f"a circle must be at most {LARGEST_CIRCLE} pixels across, not {2 * radius:g}")
    return np.stack([at[0] - radius, at[0] + radius])


def _paint(kind: str, at: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """What Pillow draws on an image of (width, height)."""
    image = need("PIL.Image", "labelme").new("L", size)
    draw = need("PIL.ImageDraw", "labelme").Draw(image)
    xy = [tuple(point) for point in at.tolist()]
    drawn: dict[str, Callable[[], Any]] = {
        "rectangle": lambda: draw.rectangle(xy, outline=1, fill=1),
        "circle": lambda: draw.ellipse(xy, outline=1, fill=1),
        "point": lambda: draw.ellipse(xy, outline=1, fill=1),
        "line": lambda: draw.line(xy, fill=1, width=LINE_WIDTH),
        "linestrip": lambda: draw.line(xy, fill=1, width=LINE_WIDTH, joint="curve"),
    }
    drawn[kind]()
    painted: NDArray[np.bool_] = np.asarray(image) != 0
    return painted
