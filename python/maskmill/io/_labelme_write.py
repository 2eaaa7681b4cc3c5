"""Data sets to labelme: what was read from labelme and is unchanged is written as it was, the rest is made anew."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.dataset import Dataset, Shapes
from maskmill.dataset.shapes import (
    BOX,
    CIRCLE,
    LINE,
    MASK,
    NONE,
    POINT,
    POLYGON,
    POLYLINE,
    RECTANGLE,
)
from maskmill.io._labelme_shapes import NOTE, UNITED, drawn, note_of, shapes_of
from maskmill.io._parse import dump_json, load_json, unique_stems
from maskmill.masks import Masks
from maskmill.polygons import RULES, Polygons

__all__ = ["write"]

VERSION = "5.5.0"
_RULE_NAMES = tuple(sorted(RULES, key=lambda rule: RULES[rule]))
_TYPES = {
    RECTANGLE: "rectangle",
    CIRCLE: "circle",
    POINT: "point",
    LINE: "line",
    POLYLINE: "linestrip",
}
_RESERVED = ("label", "points", "group_id", "shape_type", "mask", NOTE)


def write(
    dataset: Dataset,
    path: Path,
    *,
    rule: str = "labelme",
    masks: str = "mask",
    embed: bool = False,
) -> NDArray[np.int64]:
    """Write a JSON for each image into a folder, under the image's name.

    What was read from labelme and has not changed is written as it was. Polygons keep their vertices. Masks become
    labelme's masks, as do polygons with holes and ellipses. Fields of the name "maskmill", which labelme keeps, say
    what labelme has no word for: how a polygon is filled, crowd regions, scores, boxes that are no areas. What has
    neither pixels nor a place is left out.

    Parameters
    ----------
    path : Path
        The folder; or a file, for a data set of one image.
    rule : str
        How the files will be read: where a shape is filled otherwise, that is noted with it.
    masks : {"mask", "polygons"}
        "polygons" for versions of labelme that know no masks: outlines along the pixels' edges, holes joined to them by
        a cut; they are the same pixels by the rule "coco", which is noted.
    embed : bool
        Put the pictures' files into the JSONs. By default only those are in them that were.
    """
    if masks not in ("mask", "polygons"):
        raise ValueError(f"masks must be 'mask' or 'polygons', not {masks!r}")
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(map(repr, RULES))}, not {rule!r}")
    single = path.suffix == ".json"
    if single and len(dataset) != 1:
        raise ValueError(f"path must be a folder, as there are {len(dataset)} images, not {path.name!r}")
    if not single:
        path.mkdir(parents=True, exist_ok=True)
        if next(path.rglob("*.json"), None) is not None:
            raise FileExistsError(17, "must be a folder without JSONs: there are some", str(path))
    stems = unique_stems(dataset)
    files = [path if single else path / f"{stem}.json" for stem in stems]
    maker = _Shapes(dataset, rule, masks)
    rows: list[int] = []
    for i in sorted(range(len(files)), key=lambda i: files[i]):
        shapes, kept = maker.of_image(i)
        _save(files[i], _content(dataset.images.row(i), shapes, files[i], embed))
        rows += kept
    return np.array(rows, np.int64)


def _save(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file) as opened:
        opened.write(dump_json(content, indent=True))


# Images


def _content(image: dict[str, Any], shapes: list[Any], file: Path, embed: bool) -> dict[str, Any]:
    """A file of labelme, in its order of keys."""
    attributes = dict(image["attributes"] or {})
    flags = attributes.pop("flags", {})
    raw = image.get("labelme")
    own = {"imagePath": _relative(image, file)}
    if raw is not None:  # a path that was wrong stays wrong only for the same name
        same = image["file_name"].rpartition("/")[2] == raw.get("imagePath", "")
        own = {} if same and "imagePath" in raw else own
    made = {
        "version": VERSION,
        **(raw or {}),
        "flags": flags if isinstance(flags, dict) else {},
        "shapes": shapes,
        **own,
        "imageData": _embedded(image, embed),
        **{
            key: image[name] or None
            for key, name in (("imageHeight", "height"), ("imageWidth", "width"))
            if raw is None or raw.get(key) is not None
        },
    }
    for key, value in attributes.items():
        made.setdefault(key, value)
        if key not in _OF_FILE:
            made[key] = value
    return made


_OF_FILE = ("version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth")


def _relative(image: dict[str, Any], file: Path) -> str:
    """Where the picture is, seen from the JSON."""
    pixels = image["pixels"]
    if pixels is not None and not pixels.field:
        try:
            return os.path.relpath(pixels.path, file.parent).replace("\\", "/")
        except ValueError:  # on another drive
            pass
    name: str = image["file_name"].replace("\\", "/").rpartition("/")[2]
    return name


def _embedded(image: dict[str, Any], embed: bool) -> str | None:
    """The picture's file as base64, where it was embedded or is to be."""
    pixels = image["pixels"]
    if pixels is None or not Path(pixels.path).is_file():
        return None
    if pixels.field == "imageData":
        found = load_json(Path(pixels.path)).get("imageData")
        return found if isinstance(found, str) else None
    if not embed or pixels.field:
        return None
    return base64.b64encode(Path(pixels.path).read_bytes()).decode()


# Shapes


class _Shapes:
    """Shapes of labelme of each image."""

    def __init__(self, dataset: Dataset, rule: str, masks: str) -> None:
        self._dataset, self._rule, self._masks = dataset, rule, masks
        raw = dataset.instances["labelme"] if "labelme" in dataset.instances else [None] * len(dataset.shapes)
        self._raw: list[list[dict[str, Any]] | None] = list(raw)
        self._names = dataset.category_names
        self._painted = self._as_masks()

    def _as_masks(self) -> dict[int, Masks]:
        """Instances that labelme has no other shape for, as masks."""
        shapes = self._dataset.shapes
        several = np.diff(shapes.points.masks) > 1
        united = np.isin(shapes.rule, [RULES[rule] for rule in UNITED])
        drawn_ = np.isin(shapes.kind, [BOX, NONE, *_TYPES])
        rows = np.flatnonzero(~drawn_ & ~((shapes.kind == POLYGON) & (united | ~several)))
        masks = shapes.rles if (shapes.kind[rows] == MASK).all() else self._dataset.masks[rows]
        return {int(row): masks[[k]] for k, row in enumerate(rows)}

    def of_image(self, i: int) -> tuple[list[dict[str, Any]], list[int]]:
        """The shapes, and the rows of their instances."""
        rows = self._dataset.rows_of_image(i)
        same = self._same(i, rows)
        used = [s.get("group_id") for row in rows.tolist() for s in self._raw[row] or ()]
        group = max((g for g in used if isinstance(g, int)), default=-1)
        groups: list[list[dict[str, Any]]] = []
        kept: list[int] = []
        for row in rows.tolist():
            raw = self._raw[row]
            made = raw if raw and same.get(row) else self._made(row)
            if made and made is not raw and len(made) > 1:
                group += 1
                made = [{**shape, "group_id": group} for shape in made]
            if made:
                groups.append(made)
                kept.append(row)
        return [shape for shapes in groups for shape in shapes], kept

    def _same(self, i: int, rows: NDArray[np.int64]) -> dict[int, bool]:
        """Whether instances that were read would be read as they are now."""
        instances, size = self._dataset.instances, self._dataset.images.row(i)
        known = [row for row in rows.tolist() if self._raw[row]]
        where = ["instances['labelme']"] * max((len(self._raw[row] or ()) for row in known), default=0)
        hw = (size["height"], size["width"])
        try:
            parts = [drawn(g, hw, self._rule, where[: len(g)]) for row in known if (g := self._raw[row])]
        except FormatError:  # the image has another size now
            return {}
        if not known:
            return {}
        mine: Shapes = self._dataset.shapes.take(known)
        shapes = mine.same_as(shapes_of(parts, hw)).tolist()
        return {
            row: shape and self._same_columns(row, instances.row(row))
            for row, shape in zip(known, shapes, strict=True)
        }

    def _same_columns(self, row: int, instance: dict[str, Any]) -> bool:
        from maskmill.io.labelme import IGNORE, _attributes, _label

        shape = (self._raw[row] or [{}])[0]
        note = note_of(shape, "")
        label, name = _label(shape, ""), self._names[row]
        score = note.get("score")
        return (
            (label == name or (label == IGNORE and name == ""))
            and bool(instance["iscrowd"]) == (label == IGNORE or note.get("crowd") is True)
            and (np.isnan(instance["score"]) if score is None else instance["score"] == score)
            and (_attributes(shape, note, "") or {}) == (instance["attributes"] or {})
        )

    def _made(self, row: int) -> list[dict[str, Any]]:
        """Shapes made anew."""
        instances = self._dataset.instances
        shapes = self._shapes(row)
        crowd = bool(instances["iscrowd"][row])
        ignored = crowd and not self._names[row]
        note: dict[str, Any] = {"crowd": True} if crowd and not ignored else {}
        if not np.isnan(instances["score"][row]):
            note["score"] = float(instances["score"][row])
        attributes = dict(instances["attributes"][row] or {})
        flags, description = attributes.get("flags"), attributes.get("description")
        fields: dict[str, Any] = {
            "flags": attributes.pop("flags") if flags and isinstance(flags, dict) else {},
            "description": attributes.pop("description")
            if description and isinstance(description, str)
            else "",
        }
        reserved = {key: value for key, value in attributes.items() if key in (*_RESERVED, *fields)}
        if reserved:
            note["attributes"] = reserved
        made = []
        for kind, points, mask, own in shapes:
            noted = {**own, **note}
            made.append(
                {
                    "label": "__ignore__" if ignored else self._names[row],
                    "points": points,
                    "group_id": None,
                    "description": fields["description"],
                    "shape_type": kind,
                    "flags": fields["flags"],
                    "mask": mask,
                    **{key: value for key, value in attributes.items() if key not in reserved},
                    **({NOTE: noted} if noted else {}),
                }
            )
        return made

    def _shapes(self, row: int) -> list[tuple[str, list[Any], str | None, dict[str, Any]]]:
        """Kind, points, mask and note of each shape of an instance."""
        shapes = self._dataset.shapes
        kind = int(shapes.kind[row])
        if kind == NONE:
            return []
        if kind == BOX:
            x, y, w, h = self._dataset.instances["bbox"][row].tolist()
            if np.isnan([x, y, w, h]).any():
                return []
            return [("rectangle", [[x, y], [x + w, y + h]], None, {"role": "box"})]
        if row in self._painted:
            return self._of_mask(self._painted[row])
        rings = [ring.tolist() for ring in shapes.points[row]]
        name = _RULE_NAMES[shapes.rule[row]] if kind == POLYGON else "even-odd"
        note = {"rule": name} if name != self._rule and (kind == POLYGON or self._rule == "labelme") else {}
        return [(_TYPES.get(kind, "polygon"), ring, None, note) for ring in rings]

    def _of_mask(self, mask: Masks) -> list[tuple[str, list[Any], str | None, dict[str, Any]]]:
        if not mask.area[0]:
            return []
        if self._masks == "polygons":
            traced: Polygons = mask.polygons("coco")
            note = {"rule": "coco"} if self._rule != "coco" else {}
            return [("polygon", ring.tolist(), None, note) for ring in traced[0]]
        x, y, w, h = mask.bbox[0].astype(int).tolist()
        patch = mask.crop((x, y, w, h)).decode()[0]
        return [("mask", [[x, y], [x + w - 1, y + h - 1]], _png(patch), {})]


def _png(patch: NDArray[Any]) -> str:
    import cv2

    done, data = cv2.imencode(".png", patch.astype(np.uint8))
    assert done
    return base64.b64encode(data.tobytes()).decode()
