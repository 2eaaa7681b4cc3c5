"""COCO files <-> columns: the twin of cpp/kernels/coco_json.hpp.

What stands where is found by walking the text here, since the json module tells no positions; what a string, a list or
a number says is left to that module. The text is taken as Latin-1 meanwhile, so that positions are those of bytes: no
name or value that matters has other characters than ASCII's.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._json import Cursor, Malformed, Number, Slice
from maskmill._numba._runs import (
    Bytes,
    Counts,
    Float64s,
    Int64s,
    Offsets,
    Runs,
    Sizes,
    check_array,
    check_masks,
    check_offsets,
    check_sides,
    join,
    split,
)
from maskmill._numba.coco_rle import coco_rle_area, coco_rle_parse
from maskmill._numba.polygons import polygons_rasterize
from maskmill._numba.rle import rle_to_string

Positions: TypeAlias = NDArray[np.uint64]

EXACT = 2**53
"""Integers beyond are no exact doubles."""
MOST_COORDINATE = 4e8
SHORT_NUMBER = r"-?(?:0|[1-9][0-9]{0,7})(?:\.[0-9]+)?"
"""As coordinates are written."""
RING = re.compile(rf"\[[ \n\r\t]*{SHORT_NUMBER}(?:[ \n\r\t]*,[ \n\r\t]*{SHORT_NUMBER})*[ \n\r\t]*\]")
"""As nearly all are: this spares much time."""

# Bits of `fields` and `odd`.
FIELDS = {
    "id": 1 << 0,
    "image_id": 1 << 1,
    "category_id": 1 << 2,
    "area": 1 << 3,
    "bbox": 1 << 4,
    "score": 1 << 5,
    "iscrowd": 1 << 6,
    "segmentation": 1 << 7,
    "keypoints": 1 << 8,
    "num_keypoints": 1 << 9,
    "caption": 1 << 10,
    "height": 1 << 11,
    "width": 1 << 12,
    "ignore": 1 << 15,
}
SCORE_IS_INTEGER = 1 << 16
NOT_OBJECTS = 1 << 17
"""In `odd` only: the section is no array of objects; others are left out of the columns."""

NO_SEGMENTATION, POLYGONS, RLE, COUNTS, RLE_ESCAPED = range(5)

# Values of known fields: each is read, whatever it is, and given if it is of the kind expected; else None.


def _integer(c: Cursor) -> int | None:
    if not c.begins_number():
        c.skip()
        return None
    value = c.number().integer
    return value if value is not None and abs(value) <= EXACT else None


def _number(c: Cursor) -> Number | None:
    if not c.begins_number():
        c.skip()
        return None
    number = c.number()
    exact = number.integer is None or abs(number.integer) <= EXACT
    return number if exact and math.isfinite(number.value) else None


def _numbers(c: Cursor, count: int) -> list[float] | None:
    """Exactly `count` numbers."""
    if c.peek() != "[":
        c.skip()
        return None
    found = [_number(c) for _ in c.elements()]
    values = [number.value for number in found if number is not None]
    return values if len(values) == len(found) == count else None


def _flag(c: Cursor) -> int | None:
    """0, 1, false or true."""
    first = c.peek()
    if first in ("t", "f"):
        c.skip()
        return int(first == "t")
    value = _integer(c)
    return value if value in (0, 1) else None


class Segmentation(NamedTuple):
    kind: int = NO_SEGMENTATION
    place: Slice = Slice()
    size: tuple[int, int] = (0, 0)


def _segmentation(c: Cursor) -> Segmentation | None:
    first = c.peek()
    if first == "[":
        begin = c.at
        good = _skip_polygons(c)
        return Segmentation(POLYGONS, Slice(begin, c.at)) if good else None
    if first != "{":
        c.skip()
        return None
    good, kind, place, size = True, NO_SEGMENTATION, Slice(), None
    for _, key in c.members():
        if key == "size":
            size = _numbers(c, 2)
            if size is not None and not all(0 <= side <= 2**31 - 1 and side % 1 == 0 for side in size):
                size = None
        elif key != "counts":
            c.skip()
        elif c.peek() == '"':
            place = c.string()
            kind = RLE_ESCAPED if "\\" in c.text[place.begin : place.end] else RLE
        elif c.peek() == "[":
            begin = c.at
            counts = [_integer(c) for _ in c.elements()]
            good &= all(n is not None and 0 <= n <= 2**32 - 1 for n in counts)
            kind, place = COUNTS, Slice(begin, c.at)
        else:
            good = False
            c.skip()
    if not good or size is None or kind == NO_SEGMENTATION:
        return None
    return Segmentation(kind, place, (int(size[0]), int(size[1])))


def _skip_polygons(c: Cursor) -> bool:
    """Whether they are as pycocotools takes them: lists of numbers, none huge, more than four in the first."""
    good, rings = True, 0
    for _ in c.elements():
        if c.peek() != "[":
            good = False
            c.skip()
            continue
        ring = RING.match(c.text, c.at)
        if ring is not None:
            c.at = ring.end()
            good &= rings > 0 or ring[0].count(",") >= 4
            rings += 1
            continue
        numbers = 0
        for _ in c.elements():
            numbers += 1
            if c.begins_number():
                begin = c.at
                c.number()
                good &= re.fullmatch(SHORT_NUMBER, c.text[begin : c.at]) is not None
            else:
                good = False
                c.skip()
        good &= rings > 0 or numbers > 4
        rings += 1
    return good and rings > 0


def _list(c: Cursor) -> Slice | None:
    is_list = c.peek() == "["
    place = c.skip()
    return place if is_list else None


# Files

READ: dict[str, Callable[[Cursor], Any]] = {
    "id": _integer,
    "image_id": _integer,
    "category_id": _integer,
    "num_keypoints": _integer,
    "area": _number,
    "score": _number,
    "bbox": lambda c: _numbers(c, 4),
    "iscrowd": _flag,
    "segmentation": _segmentation,
    "keypoints": _list,
    "caption": Cursor.skip,
    "ignore": Cursor.skip,
}


def coco_json_read(text: Bytes) -> dict[str, Any] | tuple[str, int, int, int]:
    """A file's columns; or of malformed text, what is wrong, line, column and position.

    is_results, long_integers (whether an integer of more than 18 digits is anywhere), sections (key and value of the
    outermost object, as begin, end, begin, end); annotations, images and categories, each with n, odd, fields, begin,
    end and the columns that some row has.
    """
    check_array("text", text, np.uint8)
    data = text.tobytes()
    try:
        return _read_file(data)
    except Malformed as error:
        line_begin = data.rfind(b"\n", 0, error.at) + 1
        column = len(data[line_begin : error.at].decode()) + 1
        return str(error), data.count(b"\n", 0, error.at) + 1, column, error.at


def _read_file(data: bytes) -> dict[str, Any]:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise Malformed("expected UTF-8", error.start) from None
    c = Cursor(data.decode("latin-1"))
    annotations, images, categories = _Table(), _Table(), _Table()
    sections = []
    is_results = c.peek() == "["
    if is_results:
        annotations.read(c, READ)
    else:
        if c.peek() != "{":
            c.fail("an object or an array")
        for place, key in c.members():
            c.peek()
            begin = c.at
            # Of sections of one name the last counts, as everywhere in JSON.
            if key == "annotations":
                annotations = _Table().read(c, READ)
            elif key == "images":
                images = _Table().read(c, {"id": _integer, "height": _side, "width": _side})
            elif key == "categories":
                categories = _Table().read(c, {"id": _integer})
            else:
                c.skip()
            as_written = place if c.text[place.begin : place.end] == key else Slice()
            sections.append((*as_written, begin, c.at))
    if c.peek():
        c.fail("nothing behind the outermost value")
    return {
        "is_results": is_results,
        "long_integers": c.met_long_integer,
        "annotations": annotations.annotation_columns(),
        "images": images.columns("id", "height", "width"),
        "categories": categories.columns("id"),
        "sections": sections,
    }


def _side(c: Cursor) -> int | None:
    value = _integer(c)
    return value if value is not None and 0 <= value <= 2**31 - 1 else None


class _Table:
    """Rows of an array of objects, each with the known fields that it has."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.places: list[Slice] = []
        self.odd = 0

    def read(self, c: Cursor, known: dict[str, Callable[[Cursor], Any]]) -> _Table:
        if c.peek() != "[":
            c.skip()
            self.odd |= FIELDS["id"] | NOT_OBJECTS
            return self
        for _ in c.elements():
            if c.peek() != "{":
                c.skip()
                self.odd |= FIELDS["id"] | NOT_OBJECTS
                continue
            begin = c.at
            row: dict[str, Any] = {}
            for _, key in c.members():
                if key in known:
                    row[key] = known[key](c)  # of fields of one name the last counts
                else:
                    c.skip()
            self.rows.append({key: value for key, value in row.items() if value is not None})
            self.places.append(Slice(begin, c.at))
            self.odd |= sum(FIELDS[key] for key, value in row.items() if value is None)
        return self

    def column(self, name: str, dtype: Any, absent: Any, part: Callable[[Any], Any]) -> Any:
        values = [part(row[name]) if name in row else absent for row in self.rows]
        return np.array(values, dtype).reshape(-1, *np.shape(absent))

    def columns(self, *names: str) -> dict[str, Any]:
        """Columns of integers, and what every table has."""
        begin, end = np.array(self.places, np.uint64).reshape(-1, 2).T.copy()
        fields = [sum(FIELDS[key] for key in row) for row in self.rows]
        return {
            "n": len(self.rows),
            "odd": self.odd,
            "fields": np.array(fields, np.uint32),
            "begin": begin,
            "end": end,
            **{name: self.column(name, np.int64, 0, _itself) for name in names},
        }

    def annotation_columns(self) -> dict[str, Any]:
        out = self.columns()
        for i, row in enumerate(self.rows):
            if "score" in row and row["score"].integer is not None:
                out["fields"][i] |= SCORE_IS_INTEGER
        out["any"] = int(np.bitwise_or.reduce(out["fields"], initial=0))
        for name, field, dtype, absent, part in ANNOTATION_COLUMNS:
            if out["any"] & FIELDS[field]:
                out[name] = self.column(field, dtype, absent, part)
        return out


def _itself(value: Any) -> Any:
    return value


ANNOTATION_COLUMNS: list[tuple[str, str, Any, Any, Callable[[Any], Any]]] = [
    ("id", "id", np.int64, 0, _itself),
    ("image_id", "image_id", np.int64, 0, _itself),
    ("category_id", "category_id", np.int64, 0, _itself),
    ("num_keypoints", "num_keypoints", np.int64, 0, _itself),
    ("area", "area", np.float64, 0, lambda number: number.value),
    ("score", "score", np.float64, 0, lambda number: number.value),
    ("bbox", "bbox", np.float64, (0, 0, 0, 0), _itself),
    ("iscrowd", "iscrowd", np.uint8, 0, _itself),
    ("segmentation_kind", "segmentation", np.uint8, 0, lambda found: found.kind),
    ("segmentation_begin", "segmentation", np.uint64, 0, lambda found: found.place.begin),
    ("segmentation_end", "segmentation", np.uint64, 0, lambda found: found.place.end),
    ("segmentation_size", "segmentation", np.int64, (0, 0), lambda found: found.size),
    ("keypoints_begin", "keypoints", np.uint64, 0, lambda place: place.begin),
    ("keypoints_end", "keypoints", np.uint64, 0, lambda place: place.end),
]
"""Column, field, dtype, what it holds for rows without the field, and what of the value it holds."""


def coco_json_read_boxes(descriptor: int, size: int) -> None:
    """Columns of boxes or keypoints, read piece by piece: a matter of speed alone, and left out here."""


# Values of rows, from their text


def coco_json_masks(
    text: Bytes, rows: Int64s, kind: Bytes, begin: Positions, end: Positions, sizes: Sizes
) -> Runs:
    """Masks of the segmentations of rows, in images of sizes (len(rows), 2): polygons filled by COCO's rule."""
    _check_slices(text, rows, begin, end)
    check_array("kind", kind, np.uint8)
    check_array("sizes", sizes, np.int64)
    if kind.size != begin.size:
        raise ValueError("kind must have the length of begin")
    if sizes.shape != (rows.size, 2):
        raise ValueError("sizes must have shape (N, 2), N being the number of masks")
    check_sides("mask", sizes)
    masks = []
    for row, size in zip(rows.tolist(), sizes, strict=True):
        inside = text[int(begin[row]) : int(end[row])].tobytes()
        if kind[row] == POLYGONS:
            masks.append(_fill(row, inside, size))
        elif kind[row] == RLE:
            masks.append(_parse(inside))
        elif kind[row] == RLE_ESCAPED:
            masks.append(_parse(json.loads(b'"' + inside + b'"').encode("utf-8", "surrogatepass")))
        elif kind[row] == COUNTS:
            masks.append(np.array(json.loads(inside), np.uint32))
        else:
            _fail_row(row, "it has no segmentation")
    return join(masks, np.uint32)


def _fill(row: int, inside: bytes, size: Sizes) -> Counts:
    rings = [np.array(ring, np.float64) for ring in json.loads(inside)]
    if not rings:
        _fail_row(row, "its segmentation is an empty list")
    if len(rings[0]) <= 4:
        _fail_row(row, f"its first polygon has {len(rings[0])} numbers, not 6 or more")
    # An odd number at the end is left out.
    points, offsets = join([ring[: len(ring) // 2 * 2] for ring in rings], np.float64)
    if not (np.abs(points) <= MOST_COORDINATE).all():
        _fail_row(row, "a polygon has a coordinate that is not finite and at most 4e8")
    every_ring = np.array([0, len(rings)])
    counts, _ = polygons_rasterize(points.reshape(-1, 2), offsets // 2, every_ring, size.reshape(1, 2), 0)
    return counts


def _parse(code: bytes) -> Counts:
    return coco_rle_parse(np.frombuffer(code, np.uint8), np.array([0, len(code)]))[0]


def coco_json_areas(text: Bytes, rows: Int64s, kind: Bytes, begin: Positions, end: Positions) -> Float64s:
    """(len(rows),) pixels of foreground, modulo 2^32, of rows that hold RLEs."""
    check_array("rows", rows, np.int64)
    sizes = np.zeros((rows.size, 2), np.int64)
    return coco_rle_area(*coco_json_masks(text, rows, kind, begin, end, sizes)).astype(np.float64)


def coco_json_keypoints(text: Bytes, rows: Int64s, begin: Positions, end: Positions, k: int) -> Float64s:
    """(len(rows), k, 3)"""
    _check_slices(text, rows, begin, end)
    if k < 0:
        raise ValueError("k must be 0 or more")
    out = np.empty((rows.size, k, 3))
    for i, row in enumerate(rows.tolist()):
        values = json.loads(text[int(begin[row]) : int(end[row])].tobytes())
        if not all(type(value) in (int, float) for value in values):
            _fail_row(row, "keypoints must be numbers")
        if len(values) != 3 * k:
            _fail_row(row, f"{len(values)} numbers in keypoints, not {3 * k}")
        out[i] = np.array(values, np.float64).reshape(k, 3)
    return out


def _check_slices(text: Bytes, rows: Int64s, begin: Positions, end: Positions) -> None:
    check_array("text", text, np.uint8)
    check_array("rows", rows, np.int64)
    check_array("begin", begin, np.uint64)
    check_array("end", end, np.uint64)
    if begin.size != end.size:
        raise ValueError("begin and end must have one length")
    if ((rows < 0) | (rows >= begin.size)).any():
        raise ValueError("a row does not exist")
    if (begin[rows] > end[rows]).any() or (end[rows] > text.size).any():
        raise ValueError("a slice lies outside of the text")


def _fail_row(row: int, what: str) -> NoReturn:
    raise ValueError(f"annotation {row}: {what}")


# Writing


def coco_json_write(columns: dict[str, Any], n: int) -> bytes:
    """A JSON array of objects, one a line.

    columns: any of id, image_id, category_id (int64), bbox (n, 4), area, score (float64), iscrowd (uint8); and masks as
    counts, offsets, sizes, or polygons as points, rings, masks.
    """
    fields: dict[str, list[Any]] = {}
    for name, dtype, width in WRITTEN:
        if name == "segmentation" and "counts" in columns:
            fields[name] = _masks_to_write(columns["counts"], columns["offsets"], columns["sizes"], n)
        elif name == "segmentation" and "points" in columns:
            fields[name] = _polygons_to_write(columns["points"], columns["rings"], columns["masks"], n)
        elif name in columns:
            column = columns[name]
            check_array(name, column, dtype)
            if column.size != n * width:
                raise ValueError(f"column '{name}' must have {n * width} elements, not {column.size}")
            fields[name] = column.reshape((n, width) if width > 1 else n).tolist()
    if "iscrowd" in fields:
        fields["iscrowd"] = [int(flag != 0) for flag in fields["iscrowd"]]
    rows = [_write_row(i, {name: values[i] for name, values in fields.items()}) for i in range(n)]
    return b"[%s]" % ",\n".join(rows).encode()


WRITTEN: list[tuple[str, Any, int]] = [
    ("id", np.int64, 1),
    ("image_id", np.int64, 1),
    ("category_id", np.int64, 1),
    ("bbox", np.float64, 4),
    ("area", np.float64, 1),
    ("segmentation", None, 1),
    ("iscrowd", np.uint8, 1),
    ("score", np.float64, 1),
]
"""Fields in the order in which they are written, dtype, and numbers a row."""


def _write_row(i: int, row: dict[str, Any]) -> str:
    for name, value in row.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            _fail_row(i, f"its {name} is not finite")
    return json.dumps(row)


def _masks_to_write(counts: Counts, offsets: Offsets, sizes: Sizes, n: int) -> list[dict[str, Any]]:
    check_masks(counts, offsets, sizes)
    if len(sizes) != n:
        raise ValueError("there must be one mask per row")
    strings = split(*rle_to_string(counts, offsets))
    return [
        {"size": size, "counts": string.tobytes().decode("ascii")}
        for size, string in zip(sizes.tolist(), strings, strict=True)
    ]


def _polygons_to_write(points: Float64s, rings: Offsets, masks: Offsets, n: int) -> list[list[list[float]]]:
    check_array("points", points, np.float64)
    check_array("rings", rings, np.int64)
    check_array("masks", masks, np.int64)
    check_offsets(rings, points.size // 2)
    check_offsets(masks, len(rings) - 1)
    if len(masks) - 1 != n:
        raise ValueError("there must be one polygon list per row")
    every = [ring.tolist() for ring in split(points.ravel(), 2 * rings)]
    return [every[first:last] for first, last in zip(masks, masks[1:], strict=False)]
