"""Measuring masks: areas, axes, perimeters, convex hulls, rectangles, Feret diameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check
from maskmill._backend import kernels
from maskmill._device import on_host

if TYPE_CHECKING:
    from maskmill.masks import Masks

__all__ = ["measure"]

_COUNTS = (
    "pixels",
    *("x0", "y0", "x1", "y1"),
    *("components", "holes", "convex"),
    *("straight", "diagonal", "mixed"),
    *("right", "down", "falling", "rising"),
)
_LENGTHS = (
    *("x", "y", "xx", "yy", "xy"),
    *("rectangle_long", "rectangle_short", "rectangle_dx", "rectangle_dy"),
    *("feret_max", "feret_dx", "feret_dy", "feret_min", "feret_orthogonal"),
)
"""Columns of the kernel's tables, in the order of cpp/kernels/measures.hpp."""

Columns = dict[str, NDArray[Any]]


def measure(
    masks: Masks | Sequence[ArrayLike],
    *,
    scale: ArrayLike = 1.0,
    largest: bool = False,
    backend: str | None = None,
) -> Columns:
    """Measure every mask.

    Parameters
    ----------
    masks : Masks, or (counts, offsets, sizes) as in `maskmill.rle`
    scale : float, (sx, sy), (N,) or (N, 2)
        Length of a pixel's side in the unit wanted, for all masks or for each; a tuple of two is width and height of a
        pixel. NaN where it is not known: lengths and areas are then NaN.
    largest : bool
        Of each mask measure its largest 8-connected component only; of equal ones the first in column order.

    Returns
    -------
    dict of (N,) arrays, float64 where nothing else is said
        In units of scale: ``area``, ``convex_area`` (scale²), ``equivalent_diameter`` √(4 A / π), ``perimeter`` (by the
        weights of scikit-image, times the mean side of a pixel; NaN where its sides differ by more than 1 %),
        ``perimeter_crofton`` (by lines in four directions: sub-pixel, and for pixels of any shape), ``major``,
        ``minor`` (4 √ of the eigenvalues of the central second moments; no 1/12 for the pixel), ``rectangle_long``,
        ``rectangle_short`` (rectangle of least area around the convex pixels, half a pixel beyond their centres),
        ``feret_max``, ``feret_min`` (largest and smallest distance of parallel lines that hold the pixels, corners
        included), ``feret_orthogonal`` (across ``feret_max``).
        Without unit: ``solidity``, ``circularity`` 4 π A / P², ``eccentricity`` √(1 - (minor / major)²).
        Radians from the x axis towards the y axis, which points down, above -π/2 to π/2: ``orientation`` (of
        ``major``), ``rectangle_angle`` (of the long side), ``feret_angle`` (of ``feret_max``).
        Pixels, whatever the scale: ``centroid_x``, ``centroid_y`` (pixel (r, c) covers c to c + 1, so these are
        scikit-image's plus 0.5), and as int64 ``pixels`` (area), ``convex_pixels``, ``components`` (8-connected, of the
        whole mask), ``holes``, ``x0``, ``y0``, ``x1``, ``y1`` (box of what was measured, ends excluded).
        ``edges`` : uint8, which edges of the image are touched: 1 left, 2 top, 4 right, 8 bottom.

    Raises
    ------
    ValueError
        If a scale is not positive, runs do not sum to the pixels, or a box has a side above 2^25; names the mask.

    Notes
    -----
    An empty mask has integers 0 and the rest NaN, but area 0. A mask one pixel wide has ``minor`` 0, one of fewer than
    three pixels may have ``perimeter`` 0 and then NaN as ``circularity``: nothing divides by zero.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import Masks, measures
    >>> found = measures.measure(Masks.encode(np.ones((20, 20), bool)), scale=0.5)
    >>> {name: found[name].item() for name in ("area", "perimeter", "rectangle_long", "feret_min", "holes")}
    {'area': 100.0, 'perimeter': 38.0, 'rectangle_long': 10.0, 'feret_min': 10.0, 'holes': 0}
    >>> found["major"].round(6).item(), found["edges"].item()
    (11.532563, 15)
    """
    arrays = _arrays(masks)
    compute = kernels(backend, arrays[0]).measures_table
    counts, offsets, sizes = _check.masks(*arrays)
    pixel = _pixels(scale, max(len(offsets) - 1, 0))
    # Multiplied at the end where they are square: every length is then exactly its number of pixels times the scale.
    square = (pixel[:, 0] == pixel[:, 1]) | np.isnan(pixel).any(axis=1)
    shape = np.where(square[:, None], 1.0, pixel)
    count_table, length_table = compute(counts, offsets, sizes, bool(largest), shape)
    n = dict(zip(_COUNTS, count_table.T, strict=True))
    m = dict(zip(_LENGTHS, length_table.T, strict=True))
    unit = np.where(square, pixel[:, 0], 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _columns(n, m, sizes, pixel, unit)


def _arrays(masks: Masks | Sequence[ArrayLike]) -> Sequence[Any]:
    if isinstance(masks, Sequence):
        if len(masks) == 3:
            return masks
    elif hasattr(masks, "counts"):
        return masks.counts, masks.offsets, masks.sizes
    raise TypeError(f"masks must be Masks or (counts, offsets, sizes), not {type(masks).__name__}")


def _pixels(scale: ArrayLike, n: int) -> NDArray[np.float64]:
    """(N, 2) width and height of a pixel."""
    given = on_host(scale, "scale")
    if given.dtype.kind not in "buif":
        raise TypeError(f"scale must be numbers, not {given.dtype}")
    if given.shape == (n,) and not (isinstance(scale, tuple) and n == 2):
        given = given[:, None]
    if given.shape not in ((), (2,), (n, 1), (n, 2)):
        raise ValueError(
            f"scale must be one number, (sx, sy), or have shape ({n},) or ({n}, 2), not {given.shape}"
        )
    out = np.array(np.broadcast_to(given, (n, 2)), np.float64, order="C")
    bad = ~(np.isnan(out) | ((out > 0) & (out < np.inf))).all(axis=1)
    if bad.any():
        i = int(bad.argmax())
        raise ValueError(f"mask {i}: scale must be above 0 and finite, or NaN, not {out[i].tolist()}")
    return out


def _columns(
    n: Columns,
    m: Columns,
    sizes: NDArray[np.int64],
    pixel: NDArray[np.float64],
    unit: NDArray[np.float64],
) -> Columns:
    sx, sy = pixel.T
    area = n["pixels"] * sx * sy
    convex = n["convex"] * sx * sy
    perimeter = n["straight"] + math.sqrt(2) * n["diagonal"] + (1 + math.sqrt(2)) / 2 * n["mixed"]
    nearly_square = (np.abs(sx - sy) <= 0.01 * np.maximum(sx, sy)) & (n["pixels"] > 0)
    perimeter = np.where(nearly_square, (sx + sy) / 2 * perimeter, np.nan)
    longer, shorter, orientation = _axes(m["xx"] * sx * sx, m["yy"] * sy * sy, m["xy"] * sx * sy)
    edges = (n["x0"] == 0) + 2 * (n["y0"] == 0) + 4 * (n["x1"] == sizes[:, 1]) + 8 * (n["y1"] == sizes[:, 0])
    out = {
        "pixels": n["pixels"],
        "area": area,
        "convex_pixels": n["convex"],
        "convex_area": convex,
        "solidity": n["pixels"] / n["convex"],
        "equivalent_diameter": np.sqrt(4 * area / math.pi),
        "perimeter": perimeter,
        "perimeter_crofton": _crofton(n, sx, sy),
        "circularity": np.where(perimeter > 0, 4 * math.pi * area / perimeter**2, np.nan),
        "major": 4 * np.sqrt(longer),
        "minor": 4 * np.sqrt(shorter),
        "eccentricity": np.where(longer > 0, np.sqrt(1 - shorter / longer), 0.0),
        "orientation": orientation,
        **{name: unit * m[name] for name in ("rectangle_long", "rectangle_short")},
        "rectangle_angle": _angle(m["rectangle_dy"], m["rectangle_dx"]),
        **{name: unit * m[name] for name in ("feret_max", "feret_min", "feret_orthogonal")},
        "feret_angle": _angle(m["feret_dy"], m["feret_dx"]),
        "centroid_x": m["x"] + 0.5,
        "centroid_y": m["y"] + 0.5,
        **{name: n[name] for name in ("components", "holes", "x0", "y0", "x1", "y1")},
        "edges": np.where(n["pixels"] > 0, edges, 0).astype(np.uint8),
    }
    for name in ("equivalent_diameter", "perimeter_crofton", "eccentricity"):
        out[name] = np.where(n["pixels"] > 0, out[name], np.nan)
    return out


def _axes(
    xx: NDArray[np.float64], yy: NDArray[np.float64], xy: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues of the second moments, the larger one first, and the direction of that."""
    mean, half = (xx + yy) / 2, (xx - yy) / 2
    root = np.sqrt(half * half + xy * xy)
    return mean + root, np.maximum(mean - root, 0), 0.5 * np.arctan2(xy + 0.0, half)  # -0.0 would point up


def _angle(dy: NDArray[np.float64], dx: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a line, which has no forward: above -π/2 to π/2."""
    angle: NDArray[np.float64] = np.where(dx == 0, math.pi / 2, np.arctan(dy / dx) + 0.0)
    return angle


def _crofton(n: Columns, sx: NDArray[np.float64], sy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the steps across the border, weighted by the distance of the lines and by the directions they stand for."""
    diagonal = np.hypot(sx, sy)
    # Of the directions 0, slope, π/2 and π - slope each stands for all up to halfway to the next.
    slope = np.arctan2(sy, sx)
    straight = slope * sy * n["right"] + (math.pi / 2 - slope) * sx * n["down"]
    oblique = math.pi / 4 * (sx * sy / diagonal) * (n["falling"] + n["rising"])
    length: NDArray[np.float64] = (straight + oblique) / 2
    return length
