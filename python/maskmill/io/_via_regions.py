"""Regions of VIA: their shapes as columns, their classes, and what maskmill notes in their attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset import KINDS, Shapes, objects
from maskmill.io._parse import keep_unknown, number, vertices, wrong
from maskmill.masks import Masks
from maskmill.polygons import RULES, Polygons

__all__ = [
    "NOTES",
    "Instances",
    "Reading",
    "class_attribute_of",
    "instances_of",
    "known_fields",
    "value_of_class",
]

Region = dict[str, Any]
Where = Callable[[int], str]

ID, ROLE, RULE, CROWD, SCORE = (f"maskmill_{name}" for name in ("id", "role", "rule", "crowd", "score"))
NOTES = (ID, ROLE, RULE, CROWD, SCORE)
"""Region attributes for what VIA has no word for. Rings of one instance have one maskmill_id."""
ROLES = ("outer", "hole", "box", "line", "polyline")

NONE, BOX, MASK, POLYGON, RECTANGLE, CIRCLE, ELLIPSE, POINT, LINE, POLYLINE = range(len(KINDS))
KIND = {
    "polygon": POLYGON,
    "polyline": POLYLINE,
    "line": LINE,
    "rect": RECTANGLE,
    "circle": CIRCLE,
    "ellipse": ELLIPSE,
    "point": POINT,
}
PATHS = (POLYGON, POLYLINE, LINE)
FIELDS = {
    RECTANGLE: ("x", "y", "width", "height"),
    CIRCLE: ("cx", "cy", "r"),
    ELLIPSE: ("cx", "cy", "rx", "ry"),
    POINT: ("cx", "cy"),
}
_CONTROL_POINTS = {NONE: 0, RECTANGLE: 2, CIRCLE: 2, ELLIPSE: 3, POINT: 1}


@dataclass(frozen=True)
class Reading:
    """How regions are understood: by a reader, and by a writer that wants to be understood."""

    polylines: str = "areas"
    rule: str = "even-odd"
    offset: float = 0.0
    default_class: str | None = None

    def __post_init__(self) -> None:
        if self.polylines not in ("areas", "lines"):
            raise ValueError(f"polylines must be 'areas' or 'lines', not {self.polylines!r}")
        if self.rule not in RULES:
            raise ValueError(f"rule must be one of {', '.join(map(repr, RULES))}, not {self.rule!r}")

    @property
    def without_attribute(self) -> str:
        """The class of everything in a file that has no class attribute."""
        return "object" if self.default_class is None else self.default_class


@dataclass(frozen=True)
class Noted:
    """What maskmill noted in the attributes of an instance's first region."""

    role: str | None = None
    rule: str | None = None
    crowd: bool = False
    score: float = np.nan


_NOTHING_NOTED = Noted()
_NOTES = frozenset(NOTES)


def noted(attributes: dict[str, Any], where: Callable[[], str]) -> Noted:
    """The notes among a region's attributes."""
    if _NOTES.isdisjoint(attributes):
        return _NOTHING_NOTED
    role, rule, score = attributes.get(ROLE), attributes.get(RULE), attributes.get(SCORE)
    if role is not None and role not in ROLES:
        raise wrong(f"{where()}: {ROLE}", f"one of {', '.join(ROLES)}", role)
    if rule is not None and (not isinstance(rule, str) or rule not in RULES):
        raise wrong(f"{where()}: {RULE}", f"one of {', '.join(RULES)}", rule)
    return Noted(
        role,
        rule,
        attributes.get(CROWD) in (True, 1, "1", "true"),
        np.nan if score is None else number(score, f"{where()}: {SCORE}"),
    )


# Shapes


def known_fields(shape: dict[str, Any]) -> tuple[str, ...]:
    """What a shape is made of; other fields are unknown ones."""
    kind = KIND.get(shape.get("name", ""), NONE)
    fields = ("all_points_x", "all_points_y") if kind in PATHS else FIELDS.get(kind, ())
    return ("name", *fields, *(("theta",) if kind == ELLIPSE else ()))


def shapes_of(
    groups: Sequence[Sequence[Region]],
    notes: Sequence[Noted],
    where: Where,
    reading: Reading,
    scale: NDArray[np.float64] | None = None,
) -> tuple[Shapes, NDArray[np.float64]]:
    """The geometry of instances, and the bounding boxes of those that are nothing else (NaN for the others).

    Parameters
    ----------
    groups : sequences of regions, one for each instance; several regions are rings of one polygon
    notes : what maskmill noted of each instance
    where : names a region, counted through all groups, in errors
    reading : Reading
    scale : (N,) float64, optional
        A factor for the coordinates of each instance.

    Raises
    ------
    FormatError
        On shapes without a known name, fields that are missing or no numbers, unequal numbers of x and y.
    """
    per_group = np.fromiter(map(len, groups), np.int64, len(groups))
    regions = list(chain.from_iterable(groups))
    kinds = _kinds([region["shape_attributes"] for region in regions], where)
    points, lengths = _points([region["shape_attributes"] for region in regions], kinds, where)
    group = np.repeat(np.arange(len(groups)), per_group)
    kind = _understood(kinds, per_group, notes, reading, where)
    of_region = kind[group]
    points, lengths = _unclosed(points, lengths, of_region == POLYGON)
    _place(points, np.repeat(of_region, lengths), lengths, of_region, reading.offset, scale, group)

    boxes = np.full((len(groups), 4), np.nan)
    ends = np.cumsum(lengths)
    for i in np.flatnonzero(of_region == BOX).tolist():
        a, b = points[ends[i] - 2 : ends[i]]
        boxes[group[i]] = [*np.minimum(a, b), *np.abs(b - a)]
    kept = ~np.isin(of_region, (NONE, BOX))
    polygons = Polygons(
        points[np.repeat(kept, lengths)],
        _offsets(lengths[kept]),
        _offsets(np.where(np.isin(kind, (NONE, BOX)), 0, per_group)),
        _parents(regions, group, per_group)[kept],
    )
    rule = np.array([RULES[note.rule or reading.rule] for note in notes], np.uint8)
    return Shapes(kind, rule, polygons, Masks.empty()), boxes


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    out = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=out[1:])
    return out


def _kinds(shapes: Sequence[dict[str, Any]], where: Where) -> NDArray[np.uint8]:
    names = [shape.get("name") for shape in shapes]
    try:
        return np.array([NONE if name is None else KIND[name] for name in names], np.uint8)
    except (KeyError, TypeError):
        i = next(i for i, name in enumerate(names) if not (name is None or _known(name)))
        raise wrong(f"{where(i)}: name", f"one of {', '.join(KIND)}", names[i]) from None


def _known(name: Any) -> bool:
    return isinstance(name, str) and name in KIND


def _understood(
    kinds: NDArray[np.uint8],
    per_group: NDArray[np.int64],
    notes: Sequence[Noted],
    reading: Reading,
    where: Where,
) -> NDArray[np.uint8]:
    """The kind of each instance."""
    first = np.cumsum(per_group) - per_group
    kind: NDArray[np.uint8] = kinds[first].copy()
    for g, note in enumerate(notes):
        if note is _NOTHING_NOTED:
            continue
        if note.role == "box" and kind[g] == RECTANGLE:
            kind[g] = BOX
        elif note.role in ("line", "polyline") and kind[g] in PATHS:
            kind[g] = LINE if note.role == "line" else POLYLINE
        elif note.role in ("outer", "hole") and kind[g] in PATHS:
            kind[g] = POLYGON
    for i in np.flatnonzero(np.repeat(per_group > 1, per_group) & ~np.isin(kinds, PATHS)).tolist():
        raise wrong(f"{where(i)}: name", "polygon or polyline, as it is a ring of an instance", "another")
    unsaid = np.array([note.role is None for note in notes], bool)
    if reading.polylines == "areas":
        kind[unsaid & (kind == POLYLINE)] = POLYGON
    kind[per_group > 1] = POLYGON
    return kind


def _points(
    shapes: Sequence[dict[str, Any]], kinds: NDArray[np.uint8], where: Where
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Control points of all regions as `Shapes` has them, and how many each has."""
    paths = np.flatnonzero(np.isin(kinds, PATHS))
    xy, path_lengths = _path_points([shapes[i] for i in paths.tolist()], lambda i: where(int(paths[i])))
    lengths = np.zeros(len(shapes), np.int64)
    lengths[paths] = path_lengths
    if len(paths) == len(shapes):
        return xy, lengths
    for kind, n in _CONTROL_POINTS.items():
        lengths[kinds == kind] = n
    start = np.cumsum(lengths) - lengths
    points = np.empty((int(lengths.sum()), 2))
    points[np.repeat(np.isin(kinds, PATHS), lengths)] = xy
    for kind, fields in FIELDS.items():
        rows = np.flatnonzero(kinds == kind)
        if len(rows):
            values = _numbers([shapes[i] for i in rows.tolist()], fields, rows, where)
            at, second = start[rows], values[:, :2].copy()
            points[at] = values[:, :2]
            if kind == RECTANGLE:
                points[at + 1] = second + values[:, 2:]
            elif kind == CIRCLE:
                second[:, 0] += values[:, 2]
                points[at + 1] = second
            elif kind == ELLIPSE:
                points[at + 1] = values[:, 2:]
                angles = [
                    number(shapes[i].get("theta", 0), f"{where(i)}: theta", low=-1e6, high=1e6)
                    for i in rows.tolist()
                ]
                points[at + 2] = np.stack([angles, np.zeros(len(rows))], 1)
    return points, lengths


def _path_points(
    paths: Sequence[dict[str, Any]], where: Where
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices of all paths at once; one by one only to tell which is wrong."""
    xs: list[Any] = [path.get("all_points_x") for path in paths]
    ys: list[Any] = [path.get("all_points_y") for path in paths]
    if all(type(values) is list for values in chain(xs, ys)):
        lengths = np.fromiter(map(len, xs), np.int64, len(xs))
        if lengths.tolist() == list(map(len, ys)):
            try:
                x, y = (_flat(values, int(lengths.sum())) for values in (xs, ys))
            except (TypeError, ValueError, OverflowError):
                pass
            else:
                points = np.stack([x, y], 1)
                if bool((np.abs(points) <= 1e9).all()):
                    return points, lengths
    made = [vertices(x, y, f"{where(i)}: all_points") for i, (x, y) in enumerate(zip(xs, ys, strict=True))]
    return np.concatenate(made), np.array(list(map(len, made)), np.int64)


def _flat(values: Iterable[list[Any]], n: int) -> NDArray[np.float64]:
    return np.fromiter(chain.from_iterable(values), np.float64, n)


def _numbers(
    shapes: Sequence[dict[str, Any]], fields: Sequence[str], rows: NDArray[np.int64], where: Where
) -> NDArray[np.float64]:
    try:
        values = np.array([[shape[field] for field in fields] for shape in shapes], np.float64)
        if values.shape == (len(shapes), len(fields)) and bool((np.abs(values) <= 1e9).all()):
            return values
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    return np.array(
        [
            [number(shape.get(field), f"{where(i)}: {field}") for field in fields]
            for shape, i in zip(shapes, rows.tolist(), strict=True)
        ]
    )


def _unclosed(
    points: NDArray[np.float64], lengths: NDArray[np.int64], rings: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Without the vertex that repeats the first one, as VIA 1 writes it."""
    ends = np.cumsum(lengths)
    closed = np.flatnonzero(rings & (lengths > 3))
    closed = closed[(points[ends[closed] - 1] == points[ends[closed] - lengths[closed]]).all(1)]
    if not len(closed):
        return points, lengths
    shorter = lengths.copy()
    shorter[closed] -= 1
    return np.delete(points, ends[closed] - 1, 0), shorter


def _place(
    points: NDArray[np.float64],
    kinds: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    of_region: NDArray[np.uint8],
    offset: float,
    scale: NDArray[np.float64] | None,
    group: NDArray[np.int64],
) -> None:
    """Scale and shift the points, in place. The second row of an ellipse are lengths, the third is an angle."""
    if scale is None and offset == 0:
        return
    ends = np.cumsum(lengths)
    ellipses = np.flatnonzero(of_region == ELLIPSE)
    kept = points[ends[ellipses] - 1].copy()
    if scale is not None:
        points *= np.repeat(scale[group], lengths)[:, None]
    axes = points[ends[ellipses] - 2].copy()
    points += offset
    points[ends[ellipses] - 1], points[ends[ellipses] - 2] = kept, axes


def _parents(
    regions: Sequence[Region], group: NDArray[np.int64], per_group: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each ring the outer one that it is a hole of: the last before it, counted within its instance."""
    parents = np.full(len(regions), -1)
    if len(regions) == len(per_group):
        return parents
    first = np.cumsum(per_group) - per_group
    hole = np.array([region["region_attributes"].get(ROLE) == "hole" for region in regions], bool)
    outer = np.maximum.accumulate(np.where(hole, -1, np.arange(len(regions))))
    inside = hole & (outer >= first[group])
    parents[inside] = (outer - first[group])[inside]
    return parents


# Classes


_NAMES = ("maskmill_class", "class", "label", "category", "type", "name")


def class_attribute_of(
    definitions: dict[str, Any], used: Iterable[dict[str, Any]], named: str | None = None
) -> str | None:
    """The region attribute that is the class: the one that is named; else the only radio or dropdown; else the first of
    maskmill_class, class, label, category, type, name (in any case) that is declared or used."""
    if named is not None:
        return named
    choices = [name for name, how in definitions.items() if how.get("type") in ("radio", "dropdown")]
    if len(choices) == 1:
        return choices[0]
    there = {name.lower(): name for name in reversed([*definitions, *{k: 0 for a in used for k in a}])}
    return next((there[name] for name in _NAMES if name in there), None)


def class_of(value: Any, options: dict[str, Any]) -> str | None:
    """The class that a value of the class attribute means; None for none, or for several ticks of a checkbox."""
    if isinstance(value, dict):
        ticked = [option for option, on in value.items() if on is True]
        if len(ticked) != 1:
            return None
        value = ticked[0]
    if isinstance(value, list) or value is None or value == "":
        return None
    text = value if isinstance(value, str) else str(value)
    meant = options.get(text)
    return meant if isinstance(meant, str) and meant else text


def value_of_class(name: str, options: dict[str, Any]) -> str:
    """The value that means a class; it becomes an option if there is none."""
    for option, meant in options.items():
        if meant == name or (option == name and not (isinstance(meant, str) and meant)):
            return option
    value = name
    while value in options:  # the id of another class
        value += "_"
    options[value] = name
    return value


# Instances


@dataclass
class Instances:
    """What regions say: shapes, classes (names, in order), and columns."""

    shapes: Shapes
    classes: list[str]
    columns: dict[str, Any]


def instances_of(
    groups: list[list[Region]],
    definitions: dict[str, Any],
    attribute: str | None,
    reading: Reading,
    where: Where,
    scale: NDArray[np.float64] | None = None,
) -> Instances:
    """Regions as instances, `attribute` being the class: for a reader, and a writer that asks how they will be read."""
    starts = np.cumsum([0, *map(len, groups)]).tolist()
    of_first = [group[0]["region_attributes"] for group in groups]
    notes = [noted(a, lambda i=i: where(starts[i])) for i, a in enumerate(of_first)]  # type: ignore[misc]
    shapes, boxes = shapes_of(groups, notes, where, reading, scale)
    names = _classes(of_first, definitions, attribute, reading)
    options = definitions.get(attribute, {}).get("options") if attribute else None
    classes = [class_of(option, options) for option in options] if isinstance(options, dict) else []
    rows = {
        name: i
        for i, name in enumerate(dict.fromkeys(name for name in [*classes, *names] if name is not None))
    }
    kept = (*NOTES, attribute) if attribute else NOTES
    # Several ticks of a checkbox are no class: they stay an attribute.
    free = [
        keep_unknown(a, kept if name is not None else NOTES) if a else None
        for a, name in zip(of_first, names, strict=True)
    ]
    columns = {
        "category": np.array([-1 if name is None else rows[name] for name in names], np.int64),
        "bbox": boxes,
        "iscrowd": np.array([note.crowd for note in notes], bool),
        "score": np.array([note.score for note in notes], np.float64),
        "attributes": objects(free),
    }
    return Instances(shapes, list(rows), columns)


def _classes(
    attributes: list[dict[str, Any]], definitions: dict[str, Any], attribute: str | None, reading: Reading
) -> list[str | None]:
    """The class of each instance."""
    if attribute is None:
        return [reading.without_attribute] * len(attributes)
    options = definitions.get(attribute, {}).get("options")
    options = options if isinstance(options, dict) else {}
    names = [class_of(a.get(attribute), options) for a in attributes]
    return [reading.default_class if name is None else name for name in names]
