"""What a record table may have wrong: rules that compare the columns of a row, and its row with the others."""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset import Table
from maskmill.studies.coast.records import EXTENT, NAMES
from maskmill.studies.coast.superclasses import PUBLISHED

SEVERITIES = ("error", "warning", "note")
"""An error makes the row say what is not so; a warning makes it useless for something; a note explains a column."""


@dataclass(frozen=True)
class Hits:
    """What a rule finds in the rows of one set.

    Attributes
    ----------
    rows : (N,) bool
        Which rows break the rule.
    say : callable
        Called with the number of such a row: what was found in it.
    checked : (N,) bool, optional
        Which rows can be checked, all by default.
    """

    rows: NDArray[np.bool_]
    say: Callable[[int], str]
    checked: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Rule:
    """A rule, with the sentence that explains a breach of it."""

    name: str
    severity: str
    text: str
    check: Callable[[Table], Hits] | None = None
    """Of the rows of one set. Rules without one are those that need the files of labels."""


_DATE = re.compile(r"(?<!\d)(20[012]\d)[-_]?(0[1-9]|1[0-2])[-_]?([0-3]\d)(?!\d)")
_STAMP = re.compile(r"(?<!\d)(\d{4})(\d\d)(\d\d)T")


def date_in_name(name: str) -> tuple[int, int, int] | None:
    """Year, month and day that the name of an image tells: the first date in it, else the first time stamp.

    >>> date_in_name("m_2808028_nw_17_1_20151017"), date_in_name("20181215T183751"), date_in_name("crms_2008")
    ((2015, 10, 17), (2018, 12, 15), None)
    """
    found = _DATE.search(name) or _STAMP.search(name)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _date(t: Table) -> Hits:
    named = [date_in_name(name) for name in t["image"]]
    written = [tuple(row) for row in np.stack([t["year"], t["month"], t["day"]], 1).tolist()]
    dated = np.array([date is not None for date in named], bool) & np.isfinite(written).all(1)
    wrong = dated & np.array([a != b for a, b in zip(named, written, strict=True)], bool)
    return Hits(
        wrong, lambda i: f"{iso_date(named[i] or ())} in the name, {iso_date(written[i])} in the row", dated
    )


def iso_date(date: Sequence[float]) -> str:
    """Year, month and day as text, ? for what is not known.

    >>> iso_date((2018, 6, math.nan))
    '2018-06-?'
    """
    return "-".join("?" if math.isnan(part) else f"{int(part):02d}" for part in date)


def _valid_date(t: Table) -> Hits:
    parts = np.stack([t[name] for name in ("year", "month", "day", "hour", "minute", "second")], 1)
    wrong = np.array([not _is_date(row) for row in parts.tolist()], bool)
    return Hits(wrong, lambda i: " ".join(f"{part:g}" for part in parts[i]))


def _is_date(parts: Sequence[float]) -> bool:
    if not all(map(math.isfinite, parts)):
        return False
    year, month, day, hour, minute, second = map(int, parts)
    if not (1 <= year <= 9999 and 1 <= month <= 12):
        return False
    time = 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60
    return time and 1 <= day <= calendar.monthrange(year, month)[1]


def _ratio(a: Any, b: Any) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray[np.float64] = np.asarray(a, float) / np.asarray(b, float)
    return found


def sides(t: Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Width and height of a pixel by the extent, in metres."""
    width = _ratio(t["XMax"] - t["XMin"], t["ImageWidthPx"])
    return width, _ratio(t["YMax"] - t["YMin"], t["ImageHeightPx"])


def _pixel_size(t: Table) -> Hits:
    width, _ = sides(t)
    ratio = _ratio(width, t["px_size_m"])
    return Hits(
        np.abs(ratio - 1) >= 0.05,
        lambda i: f"{width[i]:.4g} m by the extent, px_size_m {t['px_size_m'][i]:g}, ratio {ratio[i]:.3f}",
        np.isfinite(ratio),
    )


def _square(t: Table) -> Hits:
    width, height = sides(t)
    ratio = _ratio(width, height)
    return Hits(np.abs(ratio - 1) > 0.05, lambda i: f"{width[i]:.4g} x {height[i]:.4g} m", np.isfinite(ratio))


def _extent(t: Table) -> Hits:
    low, high = (np.stack([t[name] for name in EXTENT[k::2]], 1) for k in (0, 1))
    wrong = ~np.less(low, high)

    def say(i: int) -> str:
        k = int(wrong[i].argmax())
        return f"{EXTENT[2 * k]} {low[i, k]:g}, {EXTENT[2 * k + 1]} {high[i, k]:g}"

    return Hits(wrong.any(1), say)


def _zone(t: Table) -> Hits:
    """UTM zones are 6 degrees wide, and the last two digits of the codes of NAD83 and WGS 84."""
    zone, own = t["epsg"] % 100, np.floor((t["LonMin"] + 180) / 6) + 1
    return Hits(
        zone != own,
        lambda i: f"epsg {t['epsg'][i]:g} at longitude {t['LonMin'][i]:.4f}, which is in zone {own[i]:g}",
        np.isfinite(zone + own),
    )


def _crs_zone(t: Table) -> Hits:
    said = [re.search(r"zone (\d{1,2})", text) for text in t["CRS"]]
    zones = np.array([float(m[1]) if m else math.nan for m in said])
    checked = np.isfinite(zones + t["epsg"])
    return Hits(
        checked & (zones != t["epsg"] % 100),
        lambda i: f"CRS {t['CRS'][i]}, epsg {t['epsg'][i]:g}",
        checked,
    )


def _crs(t: Table) -> Hits:
    absent = np.array([text.lower() in ("", "na", "n/a", "nan", "none") for text in t["CRS"]], bool)
    return Hits(absent, lambda i: f"CRS {t['CRS'][i]!r}")


def _probability(t: Table) -> Hits:
    p = t["prob_of_unary_potential"]
    return Hits(p >= 1, lambda i: f"prob_of_unary_potential {p[i]:g}", np.isfinite(p))


def _scales(t: Table) -> Hits:
    n = t["num_of_scales"]
    return Hits(
        np.full(len(t), len(t) > 1 and bool(np.all(n == n[0])), bool), lambda i: f"num_of_scales {n[i]:g}"
    )


def _present(t: Table) -> Hits:
    rows = [*zip(t["classes_array"], t["classes_present_integer"], t["classes_present_array"], strict=True)]
    named = [tuple(names[i] for i in indices if i < len(names)) for names, indices, _ in rows]
    wrong = np.array([mine != row[2] for mine, row in zip(named, rows, strict=True)], bool)
    return Hits(wrong, lambda i: f"{len(named[i])} by classes_present_integer, {len(rows[i][2])} by _array")


def _index(t: Table) -> Hits:
    most = [max(indices, default=-1) for indices in t["classes_present_integer"]]
    n = [len(names) for names in t["classes_array"]]
    return Hits(np.array(most) >= np.array(n), lambda i: f"index {most[i]} of {n[i]} classes")


def _count(t: Table) -> Hits:
    n = np.array([len(names) for names in t["classes_array"]])
    return Hits(
        t["num_classes"] != n, lambda i: f"num_classes {t['num_classes'][i]:g}, {n[i]} in classes_array"
    )


def _short(t: Table) -> Hits:
    n = np.array([len(indices) for indices in t["classes_integer"]])
    return Hits(
        t["num_classes"] != n, lambda i: f"num_classes {t['num_classes'][i]:g}, {n[i]} in classes_integer"
    )


def _lists(t: Table) -> Hits:
    first = t["classes_array"][0] if len(t) else ()
    other = np.array([names != first for names in t["classes_array"]], bool)
    return Hits(other, lambda i: ", ".join(t["classes_array"][i]))


def _superclass(t: Table) -> Hits:
    lacking = [[name for name in names if name not in PUBLISHED] for names in t["classes_array"]]
    return Hits(np.array([bool(names) for names in lacking], bool), lambda i: ", ".join(lacking[i]))


def _density(t: Table) -> Hits:
    return Hits(np.isnan(t["doodle_spatial_density"]), lambda i: "no number")


def _share(t: Table) -> Hits:
    d = t["doodle_spatial_density"]
    return Hits((d < 0) | (d > 1), lambda i: f"{d[i]:g}", np.isfinite(d))


def _size(t: Table) -> Hits:
    height, width = t["ImageHeightPx"], t["ImageWidthPx"]
    return Hits(~((height >= 1) & (width >= 1)), lambda i: f"{height[i]:g} x {width[i]:g} pixels")


def stem(name: str) -> str:
    """The name of a file without its folder, suffix and role.

    >>> stem("labels/dune_ID3_label.jpg"), stem("dune_ID3_image.jpg"), stem("npz/dune_ID3.npz")
    ('dune_ID3', 'dune_ID3', 'dune_ID3')
    """
    return re.sub(r"(_image|_label)?\.\w+$", "", name.rpartition("/")[2])


def _stems(t: Table) -> Hits:
    stems = [tuple(map(stem, names)) for names in zip(*(t[name] for name in NAMES), strict=True)]
    return Hits(np.array([len(set(row)) > 1 for row in stems], bool), lambda i: ", ".join(stems[i]))


def _repeated(t: Table) -> Hits:
    first: dict[str, int] = {}
    lines = [first.setdefault(name, line) for name, line in zip(t[NAMES[0]], t["line"].tolist(), strict=True)]
    return Hits(np.array(lines, np.int64) != t["line"], lambda i: f"also in line {lines[i]}")


def _labeler(t: Table) -> Hits:
    return Hits(t["labeler"] == 0, lambda i: t[NAMES[0]][i])


RULES: tuple[Rule, ...] = (
    Rule("date", "error", "the date in the file's name is not that of the row", _date),
    Rule("date-invalid", "error", "year to second are no date and time", _valid_date),
    Rule("pixel-size", "error", "extent / width is not px_size_m, by 5 % or more", _pixel_size),
    Rule(
        "pixel-square", "warning", "by the extent, pixels are not square: sides differ by over 5 %", _square
    ),
    Rule("extent", "error", "a minimum is not below its maximum", _extent),
    Rule("utm-zone", "error", "the longitude is not in the UTM zone of epsg", _zone),
    Rule("crs-zone", "error", "the UTM zones of CRS and epsg differ", _crs_zone),
    Rule("crs-missing", "warning", "there is no CRS", _crs),
    Rule(
        "probability",
        "error",
        "prob_of_unary_potential is 1 or more: it is n_estimators, of a time when settings had that in this place; "
        "such labels are by a random forest and cannot be made again",
        _probability,
    ),
    Rule(
        "scales",
        "note",
        "num_of_scales is the same in all rows of the file: a default, not what was used",
        _scales,
    ),
    Rule("present", "error", "classes_present_integer and classes_present_array disagree", _present),
    Rule("index", "error", "an index is beyond the row's list of classes", _index),
    Rule("class-count", "error", "num_classes is not the length of classes_array", _count),
    Rule(
        "class-integers",
        "note",
        "classes_integer has not num_classes numbers: it is one short, and of no use",
        _short,
    ),
    Rule(
        "class-lists",
        "warning",
        "the row has another list of classes than the first row: an index means another class",
        _lists,
    ),
    Rule(
        "superclass",
        "warning",
        "a class that has no superclass in the published configurations",
        _superclass,
    ),
    Rule("density-missing", "warning", "there is no doodle_spatial_density", _density),
    Rule("density-range", "error", "doodle_spatial_density is not between 0 and 1", _share),
    Rule("size", "error", "the image has no size", _size),
    Rule("stems", "error", "the names of result, image and label are not of one image", _stems),
    Rule("repeated", "error", "another row has the same annotation_image_filename", _repeated),
    Rule("labeler", "warning", "the name does not tell the labeler (_ID<k>)", _labeler),
)
"""Of tables alone. Those that need the files of labels are in `file_rules`."""
