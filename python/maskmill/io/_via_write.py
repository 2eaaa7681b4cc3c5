"""Data sets to VIA 2: what was read from VIA and is unchanged is written as it was, the rest is made anew."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import written_whole
from maskmill.dataset import Dataset
from maskmill.io._parse import Images, dump_json, keep_unknown
from maskmill.io._via_regions import (
    BOX,
    CIRCLE,
    CROWD,
    ELLIPSE,
    ID,
    LINE,
    MASK,
    NONE,
    POINT,
    POLYGON,
    POLYLINE,
    RECTANGLE,
    ROLE,
    RULE,
    SCORE,
    Instances,
    Reading,
    Region,
    class_attribute_of,
    instances_of,
    known_fields,
    value_of_class,
)
from maskmill.polygons import RULES, Polygons

__all__ = ["OF_FILE", "write"]

OF_FILE = ("height", "width", "maskmill_um_per_pixel")
"""File attributes that are columns of a data set's images."""

_Shape = tuple[dict[str, Any], dict[str, Any]]
"""Shape attributes, and those region attributes that are notes of maskmill."""

_RULE_NAMES = tuple(sorted(RULES, key=lambda rule: RULES[rule]))


def write(
    dataset: Dataset,
    path: Path,
    *,
    images: Path | None = None,
    layout: str | None = None,
    indent: bool = False,
    decimals: int | None = None,
    offset: float = 0.0,
    rule: str = "even-odd",
    polylines: str = "areas",
    class_attribute: str | None = None,
    default_class: str | None = None,
) -> NDArray[np.int64]:
    """Write a project or an export of VIA 2.

    What was read from VIA and has not changed is written as it was: unknown fields, the order of keys, integers. Masks
    are traced along their pixels' edges. VIA knows neither holes nor instances of several parts: each ring becomes a
    region, and the region attributes ``maskmill_id`` and ``maskmill_role`` (outer, hole) link them, so that `read`
    finds the instance again. Likewise ``maskmill_role`` tells boxes, lines and polylines from areas, ``maskmill_rule``
    how polygons are filled, ``maskmill_crowd`` and ``maskmill_score`` what they say.
    Masks without pixels become regions without a shape.

    Parameters
    ----------
    images : Path, optional
        Folder of the pictures, whose sizes in bytes are part of VIA's keys (-1 if there is none); beside the file, and
        where the data set has them, by default.
    layout : {"project", "annotations"}, optional
        As it was read; "project" for others.
    indent : bool
        Lines and blanks for people; compact, as VIA writes it, by default.
    decimals : int, optional
        Round vertices that are written anew; exact by default.
    offset : float
        Subtracted from all coordinates; see `read`.
    rule, polylines, class_attribute, default_class
        How the file will be read: what `read` with the same options would not find is said by attributes.
    """
    if layout not in (None, "project", "annotations"):
        raise ValueError(f"layout must be 'project' or 'annotations', not {layout!r}")
    reading = Reading(polylines, rule, float(offset), default_class)
    said = dataset.info.get("via", {})
    layout = layout or ("annotations" if said.get("layout") == "annotations" else "project")
    project = said.get("project") or {}
    definitions = said.get("definitions") or {}
    regions = _Regions(dataset, definitions, reading, class_attribute, decimals)
    entries, rows = _entries(dataset, regions, Images(images, path.parent))
    content = entries if layout == "annotations" else _project(project, entries, regions, path.stem)
    with written_whole(path) as file:
        file.write(dump_json(content, indent=indent))
    return rows


# Regions


class _Regions:
    """The regions of all instances.

    Attributes
    ----------
    of : list of lists of regions, one for each instance
    same : (N,) bool
        Whether they are those that were read.
    definitions : of region attributes, with new ones declared
    """

    def __init__(
        self,
        dataset: Dataset,
        definitions: dict[str, Any],
        reading: Reading,
        named: str | None,
        decimals: int | None,
    ) -> None:
        self._dataset, self._reading, self._decimals = dataset, reading, decimals
        raw = (
            dataset.instances["via"].tolist() if "via" in dataset.instances else [None] * len(dataset.shapes)
        )
        self._raw: list[list[Region] | None] = raw
        self._rows = np.array([i for i, group in enumerate(raw) if group], np.int64)
        self._names = dataset.category_names
        self._traced = _traced(dataset)
        used = [group[0]["region_attributes"] for group in raw if group]
        self._ids = {str(attributes[ID]) for attributes in used if ID in attributes}
        for attribute in self._attributes(class_attribute_of(definitions, used, named)):
            self.definitions = {name: dict(how) for name, how in definitions.items()}
            self._make(attribute)
            written = [group[0]["region_attributes"] for group in self.of if group]
            if class_attribute_of(self.definitions, written, named) == attribute:
                break

    def _attributes(self, read: str | None) -> list[str | None]:
        """Attributes that may hold the class, best first: the one that did; None if the classes need none."""
        default = self._reading.without_attribute
        there = {*self._names, *self._dataset.categories["name"].tolist()}
        if read is None and there <= {default}:
            return [None]
        free = {key for attributes in self._dataset.instances["attributes"] for key in attributes or ()}
        new = [name for name in ("class", "maskmill_class") if name not in free] or ["maskmill_class"]
        return list(dict.fromkeys(([read] if read is not None else []) + new))

    def _make(self, attribute: str | None) -> None:
        dataset, rows = self._dataset, self._rows
        self.same = np.zeros(len(dataset.shapes), bool)
        same_shape = self.same.copy()
        read = self._read_again(attribute)
        same_shape[rows] = self._same_shapes(read)
        self.same[rows] = same_shape[rows] & self._same_columns(read)
        options = self._options(attribute)
        self.of: list[list[Region]] = []
        for i, raw in enumerate(self._raw):
            if raw and self.same[i]:
                self.of.append(raw)
            else:
                self.of.append(self._region(i, raw if same_shape[i] else None, attribute, options))

    def _read_again(self, attribute: str | None) -> Instances:
        """The regions that were read, as they would be read now."""
        groups = [self._raw[i] or [] for i in self._rows.tolist()]
        return instances_of(
            groups,
            self.definitions,
            attribute,
            self._reading,
            lambda i: f"region {i} of instances['via']",
        )

    def _same_shapes(self, read: Instances) -> NDArray[np.bool_]:
        mine = self._dataset.shapes.take(self._rows)
        boxes = self._dataset.instances["bbox"][self._rows]
        same_box = (boxes == read.columns["bbox"]).all(1) | (mine.kind != BOX)
        same: NDArray[np.bool_] = mine.same_as(read.shapes) & same_box
        return same

    def _same_columns(self, read: Instances) -> NDArray[np.bool_]:
        instances = self._dataset.instances.take(self._rows)
        names = [*read.classes, ""]
        same = [
            names[category] == self._names[i] and (old or None) == (new or None)
            for category, i, old, new in zip(
                read.columns["category"].tolist(),
                self._rows.tolist(),
                read.columns["attributes"],
                instances["attributes"],
                strict=True,
            )
        ]
        scores = (read.columns["score"] == instances["score"]) | (
            np.isnan(read.columns["score"]) & np.isnan(instances["score"])
        )
        crowds: NDArray[np.bool_] = read.columns["iscrowd"] == instances["iscrowd"]
        kept: NDArray[np.bool_] = np.array(same, bool) & crowds & scores
        return kept

    def _options(self, attribute: str | None) -> dict[str, Any]:
        """Options of the class attribute, which new classes join."""
        if attribute is None:
            return {}
        how = self.definitions.setdefault(
            attribute, {"type": "dropdown", "description": "", "options": {}, "default_options": {}}
        )
        options = dict(how["options"]) if isinstance(how.get("options"), dict) else {}
        if how.get("type") in ("radio", "dropdown", "checkbox"):
            how["options"] = options
            for name in self._dataset.categories["name"].tolist():
                value_of_class(name, options)
        return options

    def _region(
        self, i: int, same: list[Region] | None, attribute: str | None, options: dict[str, Any]
    ) -> list[Region]:
        """Regions of an instance, made anew; with the shapes of `same` if there are any."""
        instances, name = self._dataset.instances, self._names[i]
        attributes: dict[str, Any] = {}
        if attribute is not None and name:
            value: Any = value_of_class(name, options)
            checkbox = self.definitions[attribute].get("type") == "checkbox"
            attributes[attribute] = {value: True} if checkbox else value
        attributes |= instances["attributes"][i] or {}
        if instances["iscrowd"][i]:
            attributes[CROWD] = "1"
        if not np.isnan(instances["score"][i]):
            attributes[SCORE] = float(instances["score"][i])
        made: list[Region] = []
        for shape, note in _kept(same) if same else self._shapes(i):
            made.append({"shape_attributes": shape, "region_attributes": {**attributes, **note}})
            for key in made[-1]["region_attributes"]:
                self.definitions.setdefault(key, _text())
        raw = self._raw[i]
        if raw and len(raw) == len(made) == 1:
            shape, old = made[0]["shape_attributes"], raw[0]["shape_attributes"]
            made[0]["shape_attributes"] = {**shape, **(keep_unknown(old, (*known_fields(old), *shape)) or {})}
            made[0] |= keep_unknown(raw[0], made[0]) or {}
        return made

    def _shapes(self, i: int) -> list[_Shape]:
        """Shape attributes of each ring, and what is to be noted of it."""
        shapes = self._dataset.shapes
        kind = int(shapes.kind[i])
        if kind == NONE:
            return [({}, {})]
        if kind == BOX:
            x, y, w, h = self._rounded(self._dataset.instances["bbox"][i]).tolist()
            if np.isnan([x, y, w, h]).any():
                return [({}, {})]
            o = self._reading.offset
            return [(_named("rect", x=x - o, y=y - o, width=w, height=h), {ROLE: "box"})]
        if kind in (MASK, POLYGON):
            return self._rings(i, kind) or [({}, {})]
        points = shapes.points[i][0]
        placed = self._rounded(points - self._reading.offset)
        x, y = placed[0].tolist()
        if kind == POINT:
            return [(_named("point", cx=x, cy=y), {})]
        if kind == RECTANGLE:
            (x, y), (w, h) = placed.min(0).tolist(), self._rounded(np.abs(points[1] - points[0])).tolist()
            return [(_named("rect", x=x, y=y, width=w, height=h), {})]
        if kind == CIRCLE:
            r = float(self._rounded(np.hypot(*(points[1] - points[0]))))
            return [(_named("circle", cx=x, cy=y, r=r), {})]
        if kind == ELLIPSE:
            rx, ry = self._rounded(points[1]).tolist()
            turned = {"theta": float(points[2, 0])} if points[2, 0] else {}
            return [(_named("ellipse", cx=x, cy=y, rx=rx, ry=ry, **turned), {})]
        return [(_path("polyline", placed), {ROLE: {LINE: "line", POLYLINE: "polyline"}[kind]})]

    def _rings(self, i: int, kind: int) -> list[_Shape]:
        """A polygon for each ring; holes behind their outer ring."""
        shapes = self._dataset.shapes
        rule = "even-odd" if kind == MASK else _RULE_NAMES[shapes.rule[i]]
        polygons, m = (self._traced[0], int(self._traced[1][i])) if kind == MASK else (shapes.points, i)
        rings = polygons[m]
        parent = polygons.parent[polygons.masks[m] : polygons.masks[m + 1]].tolist()
        order = sorted(range(len(rings)), key=lambda r: (parent[r] if parent[r] >= 0 else r, parent[r] >= 0))
        paths = [_path("polygon", self._rounded(rings[r] - self._reading.offset)) for r in order]
        note = {RULE: rule} if rule != self._reading.rule else {}
        if len(rings) == 1:
            raw = self._raw[i]
            if (
                raw
                and raw[0]["shape_attributes"].get("name") == "polyline"
                and self._reading.polylines == "areas"
            ):
                paths[0]["name"] = "polyline"
            return [(paths[0], note)]
        name = str(i)
        while name in self._ids:
            name += "-"
        roles = ("hole" if parent[r] >= 0 else "outer" for r in order)
        return [(path, {ID: name, ROLE: role, **note}) for path, role in zip(paths, roles, strict=True)]

    def _rounded(self, values: Any) -> Any:
        return values if self._decimals is None else np.round(values, self._decimals)


def _kept(regions: list[Region]) -> list[_Shape]:
    """Shapes that stay, and what is noted of them."""
    return [
        (r["shape_attributes"], {k: v for k, v in r["region_attributes"].items() if k in (ID, ROLE, RULE)})
        for r in regions
    ]


def _traced(dataset: Dataset) -> tuple[Polygons, NDArray[np.int64]]:
    """Rings of all masks, and which of them is each instance's."""
    return dataset.shapes.rles.polygons(), np.cumsum(dataset.shapes.kind == MASK) - 1


def _text() -> dict[str, Any]:
    return {"type": "text", "description": "", "default_value": ""}


def _plain(value: float) -> int | float:
    """Whole numbers are written as such."""
    return int(value) if value == int(value) else value


def _named(name: str, **fields: float) -> dict[str, Any]:
    return {"name": name, **{key: _plain(value) for key, value in fields.items()}}


def _path(name: str, points: NDArray[np.float64]) -> dict[str, Any]:
    whole = points.astype(np.int64) if bool((points == np.round(points)).all()) else points
    return {"name": name, "all_points_x": whole[:, 0].tolist(), "all_points_y": whole[:, 1].tolist()}


# Images


def _entries(dataset: Dataset, regions: _Regions, folder: Images) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """Entries by key, and the rows of their instances."""
    entries: dict[str, Any] = {}
    rows: list[NDArray[np.int64]] = []
    for i, image in enumerate(dataset.images):
        mine = dataset.rows_of_image(i)
        raw = image.get("via") or {}
        if raw and raw["entry"]["filename"] == image["file_name"]:
            key, entry = raw["key"], {**raw["entry"]}
        else:
            size = _bytes(image, folder)
            key = f"{image['file_name']}{size}"
            entry = {"filename": image["file_name"], "size": size, "regions": [], "file_attributes": {}}
            raw = {}
        entry["regions"] = _in_order(mine, regions, raw.get("entry", {}).get("regions"))
        entry["file_attributes"] = _file_attributes(image, entry.get("file_attributes") or {}, bool(raw))
        plain, n = key, 1
        while key in entries:  # keys are of no meaning
            n += 1
            key = f"{plain}-{n}"
        entries[key] = entry
        rows.append(mine)
    return entries, np.concatenate([np.empty(0, np.int64), *rows])


def _in_order(mine: NDArray[np.int64], regions: _Regions, raw: Any) -> list[Region]:
    """The regions of an image; rings of different instances stay mixed as they were if nothing has changed."""
    made = [region for row in mine.tolist() for region in regions.of[row]]
    if isinstance(raw, list) and len(made) == len(raw) > len(mine) and regions.same[mine].all():
        place = {id(region): k for k, region in enumerate(raw)}
        first = [place.get(id(regions.of[row][0]), -1) for row in mine.tolist()]
        if first == sorted(first) and all(id(region) in place for region in made):
            return raw
    return made


def _file_attributes(image: dict[str, Any], said: dict[str, Any], was_read: bool) -> dict[str, Any]:
    scale = None if np.isnan(image["scale"]) else image["scale"]
    columns = dict(zip(OF_FILE, (image["height"] or None, image["width"] or None, scale), strict=True))
    same = (keep_unknown(said, OF_FILE) or {}) == (image["attributes"] or {})
    told = OF_FILE if not was_read else [name for name in OF_FILE if name in said or name == OF_FILE[2]]
    if was_read and same and all(str(said.get(name)) == str(columns[name]) for name in told):
        return said
    return {
        **(image["attributes"] or {}),
        **{name: columns[name] for name in told if columns[name] is not None},
    }


def _bytes(image: dict[str, Any], folder: Images) -> int:
    """The size of a picture's file, -1 if there is none."""
    found = folder.find(image["file_name"])
    if found is None and image["pixels"] is not None and not image["pixels"].field:
        found = Path(image["pixels"].path)
    try:
        return -1 if found is None else os.stat(found).st_size
    except OSError:
        return -1


# Projects


def _project(said: dict[str, Any], entries: dict[str, Any], regions: _Regions, name: str) -> dict[str, Any]:
    """The project around entries, in VIA's order of keys."""
    keys = list(entries)
    new: dict[str, Any] = {
        "_via_settings": {
            "core": {"buffer_size": 18, "filepath": {}, "default_filepath": ""},
            "project": {"name": name},
        },
        "_via_img_metadata": entries,
        "_via_attributes": {"region": {}, "file": {}},
        "_via_data_format_version": "2.0.10",
        "_via_image_id_list": keys,
    }
    made = {**said, "_via_img_metadata": entries} if "_via_img_metadata" in said else {**new, **said}
    lacks = [key for key in ("_via_settings", "_via_attributes") if key not in made]  # VIA loads none without
    made = {**made, **{key: new[key] for key in lacks}}
    attributes = made["_via_attributes"]
    of_file = dict(attributes.get("file", {}))
    for entry in entries.values():
        for key in entry["file_attributes"]:
            if not said or key in OF_FILE:
                of_file.setdefault(key, _text())
    if regions.definitions != attributes.get("region", {}) or of_file != attributes.get("file", {}):
        made["_via_attributes"] = {**attributes, "region": regions.definitions, "file": of_file}
    order = made.get("_via_image_id_list")
    if isinstance(order, list) and order != keys:
        there = {key for key in order if isinstance(key, str)}
        kept = [key for key in order if isinstance(key, str) and key in entries]
        made["_via_image_id_list"] = kept + [key for key in keys if key not in there]
    return made
