"""Tables of clasts and logs as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskmill._files import written_whole
from maskmill.dataset import Table
from maskmill.studies.core.logs import sorting_curve

HEADINGS: Mapping[str, str] = {
    "area": "area (mm²)",
    **{
        name: f"{name.replace('_', ' ')} (mm)"
        for name in (
            *("perimeter", "perimeter_crofton", "equivalent_diameter", "major", "minor", "rectangle_long"),
            *("rectangle_short", "feret_max", "feret_min", "from_axis", "mean", "d10", "d50", "d90"),
        )
    },
    **{name: f"{name.replace('_', ' ')} (m)" for name in ("depth_top", "depth", "depth_bottom")},
    "angle": "angle (rad)",
    "dip": "dip (°)",
    "x": "x (px)",
    "y": "y (px)",
}
"""Of columns with a unit; others have their names."""


def write_table(table: Table, path: Path) -> None:
    """A row for each row, units in the headings, empty where NaN."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(HEADINGS.get(name, name) for name in table.names)
    for row in table:
        out.writerow(_cell(value) for value in row.values())
    with written_whole(path) as file:
        file.write(text.getvalue().encode("utf-8-sig"))


def _cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else f"{value:.9g}"


def sorting(clasts: Table) -> Table:
    """Sorting curves of all classes: ``class``, ``name``, ``id`` of the clast, ``area_share``, ``perimeter_share``."""
    parts: dict[str, list[Any]] = {
        name: [] for name in ("class", "name", "id", "area_share", "perimeter_share")
    }
    for number in np.unique(clasts["class"]):
        rows = clasts.take(clasts["class"] == number)
        area, perimeter = sorting_curve(rows["area"], rows["perimeter"])
        parts["class"] += rows["class"].tolist()
        parts["name"] += rows["name"].tolist()
        parts["id"] += rows["id"][np.argsort(-rows["area"], kind="stable")].tolist()
        parts["area_share"] += area.tolist()
        parts["perimeter_share"] += perimeter.tolist()
    return Table({name: np.asarray(values) for name, values in parts.items()}, len(parts["id"]))
