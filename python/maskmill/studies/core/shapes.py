"""`maskmill core shapes`: clasts of a class map, their areas, axes, angles and depths in mm and m."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import measures
from maskmill.dataset import Table, objects
from maskmill.densify.classmaps import class_map
from maskmill.densify.legend import Legend
from maskmill.masks import Masks
from maskmill.studies.core.scale import Scale
from maskmill.studies.core.separation import WAYS, by_erosion, by_watershed

LENGTHS = (
    *("area", "perimeter", "perimeter_crofton", "equivalent_diameter", "major", "minor"),
    *("rectangle_long", "rectangle_short", "feret_max", "feret_min"),
)
"""In mm, the area in mm²."""
PURE = ("eccentricity", "solidity", "circularity")


@dataclass(frozen=True)
class Shapes:
    """Attributes
    ----------
    table : Table
        A row for each clast, as `shapes` says.
    masks : Masks
        Its pixels.
    legend : Legend
    scale : Scale
    """

    table: Table
    masks: Masks
    legend: Legend
    scale: Scale

    def __len__(self) -> int:
        return len(self.table)


def shapes(
    classes: ArrayLike,
    scale: Scale,
    *,
    legend: Any = None,
    only: Sequence[int] | None = None,
    connectivity: int = 8,
    separate: str | None = None,
    steps: int = 4,
    regrow: bool = True,
    min_pixels: int = 1,
    min_area: float = 0.0,
) -> Shapes:
    """Measure the clasts of a class map: the connected parts of each class.

    Parameters
    ----------
    classes : (H, W) integers
        Ids of classes, 0 for none.
    scale : Scale
    legend : whatever `Legend.of` takes, optional
    only : ids, optional
        Of the classes whose parts count as clasts; all by default.
    connectivity : {8, 4}
    separate : {"erosion", "watershed"}, optional
        Part clasts that touch: `separation.by_erosion` with `steps` and `regrow`, `separation.by_watershed` with peaks
        `steps` apart.
    min_pixels, min_area : int, float
        Smaller clasts are left out; pixels, and mm².

    Returns
    -------
    Shapes
        By class, then by depth. Columns of its table: ``id`` (from 1), ``class``, ``name``, ``pixels``; in mm and mm²
        ``area``, ``perimeter``, ``perimeter_crofton``, ``equivalent_diameter``, ``major``, ``minor``,
        ``rectangle_long``, ``rectangle_short``, ``feret_max``, ``feret_min`` (as `maskmill.measures` has them);
        ``eccentricity``, ``solidity``, ``circularity`` 4 π A / P², ``roundness`` 4 A / (π feret_max²), ``aspect``
        major / minor (NaN where minor is 0); ``angle``, radians from the row axis to the long axis above -π/2 to π/2,
        which is scikit-image's orientation; ``dip``, degrees of the long axis below the horizontal, above -90 to 90,
        positive where it falls to the right; ``x``, ``y``, its centre in pixels of the picture, pixel (r, c) covering
        c to c + 1; ``depth_top``, ``depth``, ``depth_bottom`` in m; ``from_axis``, mm from the axis of the core to
        the centre; ``edges``, which edges of the picture it is cut by (1 left, 2 top, 4 right, 8 bottom), so that
        it may be larger.

    Raises
    ------
    ValueError, TypeError

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.studies.core import Scale, shapes
    >>> image = np.zeros((100, 60), np.uint8)
    >>> image[10:30, 5:45] = 3
    >>> found = shapes(image, Scale.of(50, image.shape, top=698.0), legend={3: "Clast"})
    >>> clast = found.table.row(0)
    >>> clast["name"], clast["area"], clast["feret_min"], clast["dip"], clast["depth"], clast["from_axis"]
    ('Clast', 200.0, 10.0, 0.0, 698.01, 2.5)
    """
    image = class_map(classes)
    if separate is not None and separate not in WAYS:
        raise ValueError(f"separate must be one of {', '.join(WAYS)}, not {separate!r}")
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity must be 4 or 8, not {connectivity}")
    if not (min_pixels >= 0 and min_area >= 0):
        raise ValueError(f"least areas must be 0 or more, not {min_pixels} pixels and {min_area} mm²")
    masks, values = Masks.from_labels(image)
    if only is not None:
        chosen = np.isin(values, np.asarray(only, np.int64))
        masks, values = masks[chosen], values[chosen]
    parts, of = masks.components(connectivity=connectivity)
    number = values[of]
    if separate == "erosion":
        parts, of = by_erosion(parts, steps, regrow=regrow)
        number = number[of]
    elif separate == "watershed":
        parts, of = by_watershed(parts, steps)
        number = number[of]
    area = parts.area.astype(np.int64)
    large = (area >= min_pixels) & (area * scale.mm**2 >= min_area)
    parts, number = parts[large], number[large]
    order = np.lexsort([parts.bbox[:, 0], parts.bbox[:, 1], number])
    parts, number = parts[order], number[order]
    named = Legend.of(legend).with_ids(np.unique(number).tolist())
    return Shapes(_table(parts, number, named, scale), parts, named, scale)


def _table(masks: Masks, number: NDArray[Any], legend: Legend, scale: Scale) -> Table:
    found = measures.measure(masks, scale=scale.mm)
    phi = found["orientation"]  # from the x axis, downwards
    with np.errstate(divide="ignore", invalid="ignore"):
        aspect = np.where(found["minor"] > 0, found["major"] / found["minor"], np.nan)
        roundness = 4 * found["area"] / (np.pi * found["feret_max"] ** 2)
    angle = np.pi / 2 - phi
    return Table(
        {
            "id": np.arange(1, len(masks) + 1),
            "class": number.astype(np.int64),
            "name": objects([legend.name(n) for n in number.tolist()]),
            "pixels": found["pixels"],
            **{name: found[name] for name in (*LENGTHS, *PURE)},
            "roundness": roundness,
            "aspect": aspect,
            "angle": np.where(angle > np.pi / 2, angle - np.pi, angle),
            "dip": np.degrees(phi),
            "x": found["centroid_x"],
            "y": found["centroid_y"],
            "depth_top": scale.depth(found["y0"]),
            "depth": scale.depth(found["centroid_y"]),
            "depth_bottom": scale.depth(found["y1"]),
            "from_axis": scale.from_axis(found["centroid_x"]),
            "edges": found["edges"],
        },
        len(masks),
    )
