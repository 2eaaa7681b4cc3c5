"""Headings of measurement tables: what colab_zirc_dims calls its columns, and how to find them when µ was mangled."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from maskmill._files import FormatError
from maskmill.io._rows import Row, read_rows, read_text

ORIGINAL = {
    "analysis": "Analysis",
    "area": "Area (µm^2)",
    "convex_area": "Convex area (µm^2)",
    "eccentricity": "Eccentricity",
    "equivalent_diameter": "Equivalent diameter (µm)",
    "perimeter": "Perimeter (µm)",
    "major": "Major axis length (µm)",
    "minor": "Minor axis length (µm)",
    "circularity": "Circularity",
    "rectangle_long": "Long axis rectangular diameter (µm)",
    "rectangle_short": "Short axis rectangular diameter (µm)",
    "best_long": "Best long axis length (µm)",
    "best_short": "Best short axis length (µm)",
    "best_axes": "Best axes calculated from",
    "scale": "Scale factor (µm/pixel)",
}
"""The 15 columns of colab_zirc_dims, in its order."""

FURTHER = {
    "scale_from": "Scale factor from:",
    "image": "Image filename",
    "status": "Status",
    "best_long_uncertainty": "Best long axis uncertainty (µm)",
    "best_short_uncertainty": "Best short axis uncertainty (µm)",
    "edges": "Touches edge",
    "feret_max": "Feret maximum (µm)",
    "feret_min": "Feret minimum (µm)",
    "feret_orthogonal": "Feret across maximum (µm)",
    "perimeter_crofton": "Perimeter, Crofton (µm)",
    "solidity": "Solidity",
    "orientation": "Orientation (degrees)",
    "holes": "Holes",
    "components": "Parts",
    "pixels": "Area (pixels)",
    "centroid_x": "Centroid x (pixels)",
    "centroid_y": "Centroid y (pixels)",
    "distance": "Distance from shot (pixels)",
}
"""What maskmill adds behind them."""

HEADINGS = {**ORIGINAL, **FURTHER}

_MU = re.compile("Âµ|Î¼|\u00c2\u03bc|[\u00b5\u03bc]|Ž¼|æ")


def plain(heading: str) -> str:
    """A heading whatever its µ became: small letters, single blanks, "u" for the micro sign, the Greek letter and what
    is left of them when UTF-8 was read as cp1252.

    Examples
    --------
    >>> from maskmill.studies.zircon.headings import plain
    >>> plain("Perimeter (µm)") == plain("perimeter  (Âµm)") == plain("Perimeter (um)")
    True
    """
    return " ".join(_MU.sub("u", heading).lower().split())


def heading_of(path: Path) -> list[str]:
    """The names of the columns of a CSV file, as they are written."""
    try:
        return [name.strip() for name in next(csv.reader(io.StringIO(read_text(path), newline="")), [])]
    except csv.Error as error:
        raise FormatError(f"{path}: line 1: expected the names of columns, found none ({error})") from None


def read_named(
    path: Path, required: Mapping[str, Sequence[str]], optional: Mapping[str, Sequence[str]]
) -> list[Row]:
    """Rows whose cells are named by the keys of `required` and `optional`; the values are headings that are accepted,
    the likeliest first, compared by `plain`."""
    heading = heading_of(path)
    aliases: dict[str, str] = {}
    for name, accepted in (*required.items(), *optional.items()):
        found = find(heading, accepted)
        if found is not None:
            aliases[found] = name
        elif name in required:
            shown = ", ".join(map(repr, heading[:20])) or "an empty line"
            raise FormatError(f"{path}: line 1: expected a column {accepted[0]!r}, found {shown[:400]}")
    # A column that is not asked for may have the name that another one gets.
    clashes = {name: f"({name})" for name in heading if name in aliases.values() and name not in aliases}
    return list(read_rows(path, tuple(required), tuple(optional), aliases={**clashes, **aliases}))


def find(heading: Iterable[str], accepted: Sequence[str]) -> str | None:
    """The first of the accepted headings that is there, as it is written there."""
    known: dict[str, str] = {}
    for name in heading:
        known.setdefault(plain(name), name)
    return next((known[plain(name)] for name in accepted if plain(name) in known), None)


def number(row: Row, column: str) -> float:
    """The number in a cell; NaN where the cell is empty, is not there, or says so."""
    text = row.cells.get(column, "")
    if not text or text.lower() in ("nan", "na", "n/a", "-"):
        return math.nan
    return row.number(column)
