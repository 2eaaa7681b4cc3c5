"""Data sets to and from COCO's dicts, as json.load gives them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset.dataset import Dataset
from maskmill.dataset.shapes import BOX, MASK, NONE, POLYGON, Shapes, take_polygons
from maskmill.dataset.table import Table, objects
from maskmill.masks import Masks
from maskmill.polygons import Polygons

__all__ = ["annotation_dicts", "category_table", "from_coco", "head", "image_table", "to_coco"]

_IMAGE = ("id", "file_name", "height", "width")
_CATEGORY = ("id", "name", "supercategory")
_ANNOTATION = frozenset(
    ["id", "image_id", "category_id", "bbox", "area", "iscrowd", "score", "segmentation", "keypoints"]
)
_SECTIONS = ("images", "categories", "annotations")
_LARGEST = 4e8
"""Coordinates above are refused, as the rasteriser does."""
_MOST_SIDE = 1 << 24
_NONE = -(2**62)
"""Stands for an integer that is not there."""


def from_coco(
    content: Mapping[str, Any], pieces: Iterable[Sequence[Any]] | None = None, *, results: bool = False
) -> Dataset:
    """A data set from the dict of a COCO file; see `Dataset.from_coco`.

    Parameters
    ----------
    content : mapping
    pieces : iterable of lists, optional
        The annotations, if they are not in `content`: some at a time, so that never all are dicts at once.
    results : bool
        Errors name rows of an array, not "annotations"; images and categories that `content` lacks are made from the
        ids that are met.
    """
    images, categories = (_section(content, name) for name in ("images", "categories"))
    given = [_section(content, "annotations")] if pieces is None else pieces
    found = _Rows("" if results else "annotations", given)
    pictures = image_table(images) if images or not results else _met_images(found)
    if categories:
        classes = category_table(categories)
    else:
        ids = np.unique(found.category_id[found.category_id != _NONE])
        classes = Table({"id": ids, "name": objects([str(i) for i in ids.tolist()])}, len(ids))
    image = found.rows_of("image_id", found.image_id, pictures["id"])
    category = found.rows_of("category_id", found.category_id, classes["id"])
    pictures = found.check_sizes(pictures, image)
    info = {key: value for key, value in content.items() if key not in _SECTIONS}
    return Dataset(pictures, classes, found.table(image, category), found.shapes, info={"coco": info})


def _section(content: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = content.get(name)
    if found is None:
        return []
    if not isinstance(found, list | tuple):
        _fail(name, "an array of objects", found)
    return found


def _fail(where: str, expected: str, found: Any) -> NoReturn:
    shown = repr(found)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    raise ValueError(f"{where}: expected {expected}, found {shown}")


def _check_objects(rows: Sequence[Any], section: str, start: int = 0) -> None:
    for i, row in enumerate(rows, start):
        if not isinstance(row, dict):
            _fail(f"{section}[{i}]", "an object", row)


# Columns. What is well-formed is converted as a whole; only if that fails is each value looked at, to name it.


def _integer(value: Any, where: str) -> int:
    """A whole number; 3.0 and "3" are accepted, as some tools write them."""
    digits = isinstance(value, str) and len(value) < 20 and re.fullmatch(r"\s*[-+]?[0-9]+\s*", value)
    if digits or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        _fail(where, "a whole number", value)
    made = int(value)
    if abs(made) >= 2**62:
        _fail(where, "a whole number of at most 18 digits", value)
    return made


def _integers(
    rows: Sequence[Mapping[str, Any]], key: str, section: str, start: int, default: int | None
) -> NDArray[np.int64]:
    """A column; `default` for rows without it, None if all must have it."""
    values = [row.get(key) for row in rows]
    try:
        made = np.array(values)
    except ValueError:
        made = np.empty(0)
    if made.dtype.kind in "i" and made.shape == (len(rows),) and (np.abs(made) < 2**62).all():
        return made.astype(np.int64)
    out = np.empty(len(rows), np.int64)
    for i, value in enumerate(values):
        out[i] = (
            default
            if default is not None and value is None
            else _integer(value, f"{section}[{start + i}].{key}")
        )
    return out


def _number(value: Any, where: str) -> float:
    try:
        made = math.nan if isinstance(value, bool | np.bool_) else float(value)
    except (TypeError, ValueError, OverflowError):
        made = math.nan
    if not abs(made) <= 1e18:
        _fail(where, "a finite number", value)
    return made


def _numbers(rows: Sequence[Mapping[str, Any]], key: str, section: str, start: int) -> NDArray[np.float64]:
    """A column, NaN for rows without it."""
    values = [row.get(key) for row in rows]
    try:
        made = np.array(values, np.float64)
        if made.shape == (len(rows),) and (np.abs(made) <= 1e18).all():
            return made
    except (TypeError, ValueError, OverflowError):
        pass
    return np.array(
        [math.nan if v is None else _number(v, f"{section}[{start + i}].{key}") for i, v in enumerate(values)]
    )


def _boxes(rows: Sequence[Mapping[str, Any]], section: str, start: int) -> NDArray[np.float64]:
    values = [row.get("bbox") for row in rows]
    try:
        made = np.array(values, np.float64)
        if made.shape == (len(rows), 4) and (np.abs(made) <= _LARGEST).all():
            return made
    except (TypeError, ValueError, OverflowError):
        pass
    out = np.full((len(rows), 4), np.nan)
    for i, value in enumerate(values):
        where = f"{section}[{start + i}].bbox"
        if value is None or (isinstance(value, list) and not value):
            continue
        if not isinstance(value, list | tuple | np.ndarray) or len(value) != 4:
            _fail(where, "4 numbers: x, y, width, height", value)
        if not any(isinstance(number, int | float) and math.isfinite(number) for number in value):
            continue  # the least and greatest of nothing: inf, inf, -inf, -inf
        for k, number in enumerate(value):
            out[i, k] = _number(number, where)
            if abs(out[i, k]) > _LARGEST:
                _fail(where, f"numbers up to {_LARGEST:g}", number)
    return out


def _texts(rows: Sequence[Mapping[str, Any]], key: str, section: str, default: str = "") -> list[str]:
    values = [row.get(key) for row in rows]
    for i, value in enumerate(values):
        if value is None:
            values[i] = default
        elif not isinstance(value, str):
            _fail(f"{section}[{i}].{key}", "text", value)
    return values  # type: ignore[return-value]


def _rest(rows: Sequence[Mapping[str, Any]], known: Iterable[str]) -> NDArray[Any]:
    """What COCO does not know, as dicts or None."""
    names = frozenset(known)
    return objects(
        [
            None if row.keys() <= names else {key: value for key, value in row.items() if key not in names}
            for row in rows
        ]
    )


def _unique(ids: NDArray[np.int64], section: str) -> None:
    if len(np.unique(ids)) < len(ids):
        seen: set[int] = set()
        for i, value in enumerate(ids.tolist()):
            if value in seen:
                _fail(f"{section}[{i}].id", "an id that no other has", value)
            seen.add(value)


def image_table(images: Sequence[Any]) -> Table:
    """The images of a COCO file."""
    _check_objects(images, "images")
    ids = _integers(images, "id", "images", 0, None)
    _unique(ids, "images")
    sides = {}
    for key in ("height", "width"):
        sides[key] = _integers(images, key, "images", 0, 0)
        wrong = np.flatnonzero((sides[key] < 0) | (sides[key] > _MOST_SIDE))
        if len(wrong):
            _fail(f"images[{wrong[0]}].{key}", f"0 to {_MOST_SIDE} pixels", int(sides[key][wrong[0]]))
    names = _texts(images, "file_name", "images")
    for i, name in enumerate(names):
        if not name and isinstance(images[i].get("coco_url"), str):  # LVIS
            names[i] = PurePosixPath(images[i]["coco_url"]).name
    return Table({"id": ids, "file_name": objects(names), **sides, "attributes": _rest(images, _IMAGE)})


def _met_images(found: _Rows) -> Table:
    """Images of results, of which only the ids are known."""
    ids = np.unique(found.image_id)
    zeros = np.zeros(len(ids), np.int64)
    return Table(
        {"id": ids, "height": zeros, "width": zeros, "file_name": objects([str(i) for i in ids.tolist()])}
    )


def category_table(categories: Sequence[Any]) -> Table:
    """The categories of a COCO file."""
    _check_objects(categories, "categories")
    ids = _integers(categories, "id", "categories", 0, None)
    _unique(ids, "categories")
    names = _texts(categories, "name", "categories")
    return Table(
        {
            "id": ids,
            "name": objects([name or str(i) for name, i in zip(names, ids.tolist(), strict=True)]),
            "supercategory": objects(_texts(categories, "supercategory", "categories")),
            "attributes": _rest(categories, _CATEGORY),
        }
    )


class _Rows:
    """Columns of annotations, gathered piece by piece."""

    def __init__(self, section: str, pieces: Iterable[Sequence[Any]]) -> None:
        self.section = section
        columns: dict[str, list[NDArray[Any]]] = {}
        shapes: list[Shapes] = []
        start = 0
        for piece in pieces:
            for name, column in self._columns(piece, start).items():
                columns.setdefault(name, []).append(column)
            shapes.append(_Segmentations(piece, columns["bbox"][-1], section, start).shapes())
            start += len(piece)
        self.columns = {name: np.concatenate(parts) for name, parts in columns.items()}
        if not start:
            self.columns = self._columns([], 0)
        self.shapes = Shapes.concatenate(shapes)

    def _columns(self, rows: Sequence[Any], start: int) -> dict[str, NDArray[Any]]:
        _check_objects(rows, self.section, start)
        made: dict[str, NDArray[Any]] = {
            "id": _integers(rows, "id", self.section, start, _NONE),
            "image_id": _integers(rows, "image_id", self.section, start, None),
            "category_id": _integers(rows, "category_id", self.section, start, _NONE),
            "bbox": _boxes(rows, self.section, start),
            "area": _numbers(rows, "area", self.section, start),
            "iscrowd": self._flags(rows, start),
            "score": _numbers(rows, "score", self.section, start),
            "attributes": _rest(rows, _ANNOTATION),
            "keypoints": objects([self._keypoints(row, start + i) for i, row in enumerate(rows)]),
        }
        lacking = made["id"] == _NONE
        made["id"][lacking] = np.flatnonzero(lacking) + start + 1
        return made

    def _flags(self, rows: Sequence[Mapping[str, Any]], start: int) -> NDArray[np.bool_]:
        values = [row.get("iscrowd") or 0 for row in rows]
        for i, value in enumerate(values):
            if value not in (0, 1):
                _fail(f"{self.section}[{start + i}].iscrowd", "0 or 1", value)
        return np.array(values, bool)

    def _keypoints(self, row: Mapping[str, Any], i: int) -> NDArray[np.float64] | None:
        values = row.get("keypoints")
        if values is None:
            return None
        where = f"{self.section}[{i}].keypoints"
        try:
            made = np.array(values, np.float64)
            fine = made.ndim == 1 and made.size % 3 == 0 and bool((np.abs(made) <= _LARGEST).all())
        except (TypeError, ValueError, OverflowError):
            fine = False
        if not fine:
            _fail(where, "3 finite numbers for each point", values)
        return made.reshape(-1, 3)

    @property
    def image_id(self) -> NDArray[np.int64]:
        return self.columns["image_id"]

    @property
    def category_id(self) -> NDArray[np.int64]:
        return self.columns["category_id"]

    def rows_of(self, key: str, wanted: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of each id among `ids`, -1 for none."""
        order = np.argsort(ids, kind="stable")
        at = np.searchsorted(ids[order], wanted)
        at[at == len(ids)] = 0
        rows = order[at] if len(ids) else np.full(len(wanted), -1)
        unknown = np.flatnonzero((ids[rows] != wanted) & (wanted != _NONE) if len(ids) else wanted != _NONE)
        if len(unknown):
            i = int(unknown[0])
            _fail(f"{self.section}[{i}].{key}", "one of the file's", int(wanted[i]))
        return np.where(wanted == _NONE, -1, rows)

    def check_sizes(self, images: Table, image: NDArray[np.int64]) -> Table:
        """Sizes of masks must be those of their images; images without a size get that of their masks."""
        rows = np.flatnonzero(self.shapes.kind == MASK)
        sizes, of = self.shapes.rles.sizes, image[rows]
        known = np.stack([images["height"], images["width"]], 1)
        unknown = (known == 0).all(1)
        lacking = unknown[of]
        known[of[lacking][::-1]] = sizes[lacking][::-1]
        wrong = np.flatnonzero((known[of] != sizes).any(1))
        if len(wrong):
            k = int(wrong[0])
            h, w = known[of[k]].tolist()
            where = f"{self.section}[{rows[k]}].segmentation.size"
            _fail(where, f"the image's height and width [{h}, {w}]", sizes[k].tolist())
        return images.with_columns(height=known[:, 0], width=known[:, 1])

    def table(self, image: NDArray[np.int64], category: NDArray[np.int64]) -> Table:
        kept = {name: c for name, c in self.columns.items() if name not in ("image_id", "category_id")}
        if not any(points is not None for points in kept["keypoints"]):
            del kept["keypoints"]
        return Table({"id": kept.pop("id"), "image": image, "category": category, **kept})


class _Segmentations:
    """Shapes of some annotations."""

    def __init__(self, rows: Sequence[Any], boxes: NDArray[np.float64], section: str, start: int) -> None:
        self.given = [row.get("segmentation") for row in rows]
        self.section, self.start = section, start
        bare = np.where(np.isnan(boxes).any(1), NONE, BOX).tolist()
        kinds = [
            (MASK if isinstance(value, dict) else POLYGON) if value else kind
            for value, kind in zip(self.given, bare, strict=True)
        ]
        self.kind = np.array(kinds, np.uint8)

    def shapes(self) -> Shapes:
        rule = np.zeros(len(self.kind), np.uint8)
        return Shapes(self.kind, rule, self._polygons(), self._masks())

    def _where(self, i: int) -> str:
        return f"{self.section}[{self.start + i}].segmentation"

    def _masks(self) -> Masks:
        rows = np.flatnonzero(self.kind == MASK).tolist()
        try:
            made = Masks.from_coco([self.given[i] for i in rows])
        except (TypeError, ValueError):
            for i in rows:
                try:
                    Masks.from_coco(self.given[i])
                except (TypeError, ValueError) as error:
                    raise ValueError(f"{self._where(i)}: {_of_one(error)}") from None
            raise
        large = np.flatnonzero((made.sizes > _MOST_SIDE).any(1))
        if len(large):
            _fail(
                f"{self._where(rows[large[0]])}.size",
                f"0 to {_MOST_SIDE} pixels",
                made.sizes[large[0]].tolist(),
            )
        return made

    def _polygons(self) -> Polygons:
        """All rings of all polygons at once."""
        is_polygon = self.kind == POLYGON
        polygons = [value if drawn else () for value, drawn in zip(self.given, is_polygon, strict=True)]
        try:
            rings = list(chain.from_iterable(polygons))
            lengths = np.fromiter(map(len, rings), np.int64, len(rings))
            flat = np.fromiter(chain.from_iterable(rings), np.float64, int(lengths.sum()))
            fine = all(type(ring) is list for ring in rings) and not (lengths % 2).any()
            fine = fine and all(type(value) is list for value in polygons if value)
            fine = fine and bool((np.abs(flat) <= _LARGEST).all())
        except (TypeError, ValueError, OverflowError):
            fine = False
        if not fine:
            return self._polygons_one_by_one(polygons)
        of_mask = np.fromiter(map(len, polygons), np.int64, len(polygons))
        ends, masks = (np.concatenate([[0], np.cumsum(n)]) for n in (lengths // 2, of_mask))
        return Polygons(flat.reshape(-1, 2), ends, masks, np.full(len(rings), -1))

    def _polygons_one_by_one(self, polygons: Sequence[Any]) -> Polygons:
        for i, value in enumerate(polygons):
            if not isinstance(value, list | tuple):
                _fail(self._where(i), "an array of polygons or an object with size and counts", value)
            try:
                made = Polygons.from_lists([value])
            except (TypeError, ValueError, OverflowError) as error:
                raise ValueError(f"{self._where(i)}: {_of_one(error)}") from None
            fine = np.abs(made.points) <= _LARGEST
            if not fine.all():
                found = float(made.points[~fine][0])
                _fail(self._where(i), f"finite coordinates up to {_LARGEST:g}", found)
        return Polygons.from_lists(polygons)


def _of_one(error: Exception) -> str:
    """What is wrong with the only mask."""
    return re.sub(r"^mask 0(: |, )", "", str(error))


# Writing


def to_coco(dataset: Dataset, *, polygons: bool = True) -> dict[str, Any]:
    """The dict of a COCO file; see `Dataset.to_coco`."""
    return {**head(dataset), "annotations": list(annotation_dicts(dataset, polygons=polygons))}


def head(dataset: Dataset) -> dict[str, Any]:
    """All of a COCO file but its annotations."""
    return {
        **dataset.info.get("coco", {}),
        "images": [
            {**(image["attributes"] or {}), **{key: image[key] for key in _IMAGE}} for image in dataset.images
        ],
        "categories": [
            {**(row["attributes"] or {}), **{key: row[key] for key in _CATEGORY if row[key] != ""}}
            for row in dataset.categories
        ],
    }


def annotation_dicts(
    dataset: Dataset, *, polygons: bool = True, piece: int = 8_000
) -> Iterator[dict[str, Any]]:
    """The annotations of a COCO file, one after the other, made `piece` at a time."""
    areas = dataset.areas
    for start in range(0, len(dataset.instances), piece):
        rows = slice(start, start + piece)
        yield from _annotations(dataset, rows, areas[rows], polygons)


def _annotations(
    dataset: Dataset, rows: slice, areas: NDArray[np.float64], polygons: bool
) -> Iterator[dict[str, Any]]:
    instances = {name: dataset.instances[name][rows] for name in dataset.instances.names}
    image_ids = dataset.images["id"][instances["image"]].tolist()
    has_category = (instances["category"] >= 0).tolist()
    category_ids = np.append(dataset.categories["id"], -1)[instances["category"]].tolist()
    boxes, scores = instances["bbox"], instances["score"].tolist()
    has_box = ~np.isnan(boxes).any(1)
    segments = segmentations(dataset, polygons, rows)
    keypoints = instances.get("keypoints")
    every = zip(instances["id"].tolist(), boxes.tolist(), areas.tolist(), strict=True)
    crowds, has_boxes = instances["iscrowd"].tolist(), has_box.tolist()
    for i, (number, box, area) in enumerate(every):
        row: dict[str, Any] = dict(instances["attributes"][i] or {})
        row["id"] = number
        row["image_id"] = image_ids[i]
        if has_category[i]:
            row["category_id"] = category_ids[i]
        if has_boxes[i]:
            row["bbox"] = box
        if area == area:  # not NaN, which JSON does not have
            row["area"] = area
        row["iscrowd"] = int(crowds[i])
        if scores[i] == scores[i]:
            row["score"] = scores[i]
        row["segmentation"] = segments[i]
        if keypoints is not None and keypoints[i] is not None:
            row["keypoints"] = np.asarray(keypoints[i]).ravel().tolist()
        yield row


def segmentations(dataset: Dataset, polygons: bool = True, rows: slice = slice(None)) -> list[Any]:
    """COCO's ``segmentation`` of each instance: polygons where COCO's own rule gives the same pixels from them, else
    RLEs; an empty list for bare boxes."""
    shapes = dataset.shapes
    first = rows.indices(len(shapes))[0]
    kind = shapes.kind[rows]
    made: list[Any] = [[] for _ in range(len(kind))]
    as_polygons = (kind == POLYGON) & (shapes.rule[rows] == 0) & ~dataset.instances["iscrowd"][rows]
    as_polygons &= polygons
    drawn = np.flatnonzero(as_polygons)
    taken = take_polygons(shapes.points, drawn + first)
    flat, ends = taken.points.ravel().tolist(), (2 * taken.rings).tolist()
    of_mask = taken.masks.tolist()
    for k, i in enumerate(drawn.tolist()):
        made[i] = [flat[ends[r] : ends[r + 1]] for r in range(of_mask[k], of_mask[k + 1])]
    rest = np.flatnonzero(~as_polygons & ~np.isin(kind, (BOX, NONE)))
    if len(rest) and (kind[rest] == MASK).all():  # no need to fill all others
        among = np.cumsum(shapes.kind == MASK) - 1
        masks = shapes.rles[among[rest + first]]
    else:
        masks = dataset.masks[rest + first] if len(rest) else Masks.empty()
    for i, rle in zip(rest.tolist(), masks.to_coco(text=True), strict=True):
        made[i] = rle
    return made
