"""labelme 4 and 5: one JSON for each picture.

labelme.py          files to a data set
_labelme_shapes.py  shapes and groups of them, as instances
_labelme_raster.py  shapes as labelme paints them
_labelme_write.py   a data set to files
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.dataset import Dataset, Reference, Shapes, objects
from maskmill.dataset.shapes import BOX
from maskmill.dataset.sizes import image_size_of
from maskmill.io._labelme_shapes import NOTE, drawn, note_of, shapes_of
from maskmill.io._labelme_write import write
from maskmill.io._parse import (
    SUFFIXES,
    Images,
    keep_unknown,
    load_json,
    load_text,
    mapping,
    number,
    sequence,
    side,
    stem,
    text,
)
from maskmill.io.formats import HEAD, Format
from maskmill.io.images import decode_image
from maskmill.polygons import RULES

__all__ = ["FORMAT", "read", "sniff", "write"]

FORMAT = Format(
    "labelme",
    "labelme 4 and 5 (a JSON for each picture)",
    (),
    frozenset(
        [
            "boxes",
            "polygons",
            "subpixel",
            "masks",
            "holes",
            "parts",
            "overlap",
            "classes",
            "crowd",
            "scores",
            "attributes",
            "empty",
        ]
    ),
)

IGNORE, BACKGROUND = "__ignore__", "_background_"
_OF_IMAGE = ("version", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth")
_OF_SHAPE = ("label", "points", "group_id", "shape_type", "mask", NOTE)


def sniff(path: Path, head: bytes) -> bool:
    if path.is_dir():
        first = next(iter(sorted(path.glob("*.json"))), None)
        return first is not None and sniff(first, first.open("rb").read(HEAD))
    return re.search(rb'"shapes"\s*:\s*\[', head) is not None and head.lstrip()[:1] in (b"{", b"\xef")


def read(
    path: Path,
    *,
    images: Path | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    rule: str = "labelme",
    labels: Path | Sequence[str] | None = None,
) -> Dataset:
    """Read one JSON of labelme, or all in a folder and the folders in it.

    Shapes with the same label and the same ``group_id`` are one instance, their union. The label ``__ignore__`` becomes
    a crowd region without class. Flags, descriptions and unknown fields become attributes.

    Parameters
    ----------
    path : Path
    images : Path, optional
        Folder of the pictures; beside each JSON by default. A picture is what ``imagePath`` names, else what is called
        as the JSON is; one that is embedded comes first.
    sizes : mapping of file names to (height, width), optional
        For files that do not say them and pictures that are not there.
    rule : {"labelme", "coco", "even-odd", ...}
        How polygons are filled. "labelme": all shapes as labelme itself paints them for VOC and COCO, outlines
        included: lines 10 pixels wide, points as discs of radius 5. With the others, lines and points have no pixels.
    labels : Path of a labels.txt, or sequence of str, optional
        Classes in order; those of labelme's examples begin with ``__ignore__`` and ``_background_``, the ids -1 and 0.
        By default the labels that occur, in order.

    Raises
    ------
    FormatError
        On files that are not labelme's, or have shapes that cannot be; names the file, the shape and the field.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> import maskmill.io
    >>> shape = {"label": "grain", "points": [[1, 1], [4, 1], [4, 3]], "group_id": None, "shape_type": "polygon"}
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "a.json"
    >>> _ = file.write_text(json.dumps({"version": "5.0.1", "flags": {}, "shapes": [shape], "imagePath": "a.png",
    ...                                 "imageData": None, "imageHeight": 8, "imageWidth": 9}))
    >>> maskmill.io.read(file).masks.area.tolist()
    [7]
    >>> maskmill.io.read(file, rule="even-odd").masks.area.tolist()
    [3]
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(map(repr, RULES))}, not {rule!r}")
    files = sorted(f for f in path.rglob("*.json") if f.is_file()) if path.is_dir() else [path]
    read = (_picture(file, path, images, sizes, rule) for file in files)
    pictures = [picture for picture in read if picture is not None]
    if not pictures:
        raise FormatError(f"{path}: expected JSONs of labelme, found none")
    names = _labels(labels)
    return _dataset(pictures, names)


def _labels(labels: Path | Sequence[str] | None) -> list[str] | None:
    if isinstance(labels, str | Path):
        return [line.strip() for line in load_text(Path(labels)).splitlines() if line.strip()]
    return None if labels is None else list(labels)


@dataclass
class _Picture:
    """What one file says: a row of the images' table, and columns of instances."""

    row: dict[str, Any]
    shapes: Shapes
    label: list[str] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    bbox: list[Any] = field(default_factory=list)
    attributes: list[dict[str, Any] | None] = field(default_factory=list)
    raw: list[list[dict[str, Any]]] = field(default_factory=list)


def _dataset(pictures: list[_Picture], labels: list[str] | None) -> Dataset:
    found = [name for picture in pictures for name in picture.label if name not in (IGNORE, "")]
    names = list(dict.fromkeys([name for name in labels or () if name not in (IGNORE, BACKGROUND)] + found))
    ids = {name: i for i, name in enumerate(names, 1)}
    if labels is not None:  # the order says the ids, and __ignore__ is -1
        first = 1 if labels[:1] == [IGNORE] else 0
        ids |= {name: i - first for i, name in enumerate(labels)}
        ids |= {name: len(labels) - first + k for k, name in enumerate(n for n in names if n not in labels)}
    rows = {name: i for i, name in enumerate(names)}
    columns = {name: [picture.row[name] for picture in pictures] for name in pictures[0].row}
    counts = [len(picture.label) for picture in pictures]
    return Dataset(
        {name: objects(c) if name in _OBJECTS else np.array(c) for name, c in columns.items()},
        {"id": np.array([ids[name] for name in names], np.int64), "name": objects(names)},
        {
            "image": np.repeat(np.arange(len(pictures)), counts),
            "category": np.array([rows.get(name, -1) for p in pictures for name in p.label], np.int64),
            "bbox": np.array([box for p in pictures for box in p.bbox], np.float64).reshape(-1, 4),
            "iscrowd": np.array([crowd for p in pictures for crowd in p.crowd], bool),
            "score": np.array([score for p in pictures for score in p.score], np.float64),
            "attributes": objects([a for p in pictures for a in p.attributes]),
            "labelme": objects([raw for p in pictures for raw in p.raw]),
        },
        Shapes.concatenate([picture.shapes for picture in pictures]),
    )


_OBJECTS = ("file_name", "pixels", "attributes", "labelme")


# Files


def _picture(
    file: Path, root: Path, images: Path | None, sizes: Mapping[str, tuple[int, int]] | None, rule: str
) -> _Picture | None:
    """What a file says; None of JSONs in a folder that are something else."""
    content = load_json(file)
    if root.is_dir() and not (isinstance(content, dict) and "shapes" in content):
        return None
    content = mapping(content, str(file))
    shapes = sequence(content.get("shapes"), f"{file}: shapes")
    folder = file.parent.relative_to(root) if root.is_dir() else Path()
    finder = Images(
        *([Path(images) / folder, images] if images is not None else []), file.parent, sizes=sizes
    )
    row = _row(content, file, finder)
    row["file_name"] = str(PurePosixPath(*folder.parts) / row["file_name"])
    return _instances(row, shapes, str(file), rule)


def _row(content: dict[str, Any], file: Path, finder: Images) -> dict[str, Any]:
    """The row of the images' table; the name without folders."""
    said = content.get("imagePath")
    named = "" if said is None else PurePosixPath(text(said, f"{file}: imagePath").replace("\\", "/")).name
    embedded = content.get("imageData") or None
    if embedded is not None:
        text(embedded, f"{file}: imageData")
    tries = [named] if _is_picture(named) else []
    tries += [file.stem + suffix for suffix in SUFFIXES]
    found = next((name for name in tries if finder.find(name) is not None), None)
    if found is None:
        found = named if _is_picture(named) else file.stem + _suffix(embedded)
    h, w = (content.get(key) for key in ("imageHeight", "imageWidth"))
    size = (
        (side(h, f"{file}: imageHeight"), side(w, f"{file}: imageWidth"))
        if h is not None and w is not None
        else (0, 0)
    )
    if 0 in size:
        size = finder.size(found)
    if 0 in size and embedded is not None:
        size = image_size_of(_decoded(embedded, str(file)), f"{file}: imageData")
    flags = {"flags": content["flags"]} if content.get("flags") else {}
    attributes = {**flags, **(keep_unknown(content, (*_OF_IMAGE, "flags")) or {})}
    return {
        "file_name": found,
        "height": size[0],
        "width": size[1],
        "pixels": Reference(str(file), "imageData", read_embedded) if embedded else finder.reference(found),
        "attributes": attributes or None,
        "labelme": {**content, "shapes": None, "imageData": None},
    }


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES and stem(name) != ""


def _suffix(embedded: str | None) -> str:
    """By the first bytes of a picture as base64."""
    begins = {"iVBOR": ".png", "R0lGO": ".gif", "Qk": ".bmp", "SUkq": ".tif", "TU0A": ".tif"}
    return next((s for start, s in begins.items() if (embedded or "").startswith(start)), ".jpg")


def _decoded(embedded: Any, where: str) -> bytes:
    try:
        return base64.b64decode(text(embedded, f"{where}: imageData"))
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"{where}: imageData: expected base64 ({error})") from None


def read_embedded(path: str, field: str) -> NDArray[Any]:
    """`Reference` reader of pictures within JSONs."""
    content = mapping(load_json(Path(path)), path)
    return decode_image(_decoded(content.get(field), path), f"{path}: {field}")


# Instances


def _instances(row: dict[str, Any], shapes: list[Any], file: str, rule: str) -> _Picture:
    groups: dict[Any, list[int]] = {}
    for i, value in enumerate(shapes):
        where = f"{file}: shapes[{i}]"
        shape = mapping(value, where)
        group = shape.get("group_id")
        if group is not None and not isinstance(group, str | int | float):
            text(group, f"{where}.group_id")
        groups.setdefault(i if group is None else (_label(shape, where), str(group)), []).append(i)
    size = (row["height"], row["width"])
    made = []
    picture = _Picture(row, Shapes.of_boxes(0))
    for members in groups.values():
        group = [shapes[i] for i in members]
        names = [f"{file}: shapes[{i}]" for i in members]
        where = names[0]
        label, note = _label(group[0], where), note_of(group[0], where)
        made.append(drawn(group, size, rule, names))
        score = note.get("score")
        picture.label.append(label)
        picture.crowd.append(label == IGNORE or note.get("crowd") is True)
        picture.score.append(np.nan if score is None else number(score, f"{where}.{NOTE}.score"))
        picture.bbox.append(_box(made[-1].rings) if made[-1].kind == BOX else [np.nan] * 4)
        picture.attributes.append(_attributes(group[0], note, where))
        picture.raw.append(group)
    picture.shapes = shapes_of(made, size)
    return picture


def _label(shape: dict[str, Any], where: str) -> str:
    label = shape.get("label")
    return str(label) if isinstance(label, int | float) else text(label, f"{where}.label")


def _box(rings: list[NDArray[np.float64]]) -> list[float]:
    low, high = rings[0].min(0), rings[0].max(0)
    return [*low.tolist(), *(high - low).tolist()]


def _attributes(shape: dict[str, Any], note: dict[str, Any], where: str) -> dict[str, Any] | None:
    """Flags and descriptions if there are any, and what labelme does not know."""
    empty = [key for key in ("flags", "description") if not shape.get(key)]
    own = keep_unknown(shape, (*_OF_SHAPE, *empty)) or {}
    return {**own, **mapping(note.get("attributes") or {}, f"{where}.{NOTE}.attributes")} or None
