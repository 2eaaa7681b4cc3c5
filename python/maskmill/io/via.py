"""VGG Image Annotator: projects and exports of VIA 1, 2 and 3.

via.py            what is common: entries of images with regions, to a data set
_via_regions.py   regions: shapes, classes, notes
_via_csv.py       CSV exports to entries
_via3.py          projects of VIA 3 to entries
_via_write.py     a data set to VIA 2
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.dataset import Dataset, Reference, objects
from maskmill.dataset.sizes import image_size_of
from maskmill.io._parse import Images, keep_unknown, load_json, mapping, number, sequence, side, text
from maskmill.io._via_regions import ID, Reading, Region, class_attribute_of, instances_of
from maskmill.io._via_write import OF_FILE, write
from maskmill.io.formats import Format
from maskmill.io.images import decode_image

__all__ = ["FORMAT", "read", "sniff", "write"]

FORMAT = Format(
    "via",
    "VGG Image Annotator 1, 2 and 3 (JSON, CSV)",
    ("via_region_data.json", ".via.json"),
    frozenset(
        [
            "boxes",
            "polygons",
            "subpixel",
            "curves",
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


@dataclass
class Entries:
    """A file of VIA, whichever version it is of.

    Attributes
    ----------
    layout : "project", "annotations" (VIA 2), "1", "csv" or "3"
    entries : of images, by key
    project : what else the file says, in its order; the entries' place is None
    definitions : of region attributes
    """

    layout: str
    entries: dict[str, Any]
    project: dict[str, Any] = field(default_factory=dict)
    definitions: dict[str, Any] = field(default_factory=dict)


def sniff(path: Path, head: bytes) -> bool:
    if re.match(rb'(\xef\xbb\xbf)?#?"?filename"?,"?file_size"?,', head):
        return True
    if not re.match(rb"(\xef\xbb\xbf)?\s*\{", head):
        return False
    return (
        b'"_via_' in head
        or (b'"filename"' in head and b'"regions"' in head)
        or (b'"fileref"' in head and b'"size"' in head)
        or (b'"project"' in head and b'"pid"' in head and b'"config"' in head)
    )


def read(
    path: Path,
    *,
    images: Path | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    offset: float = 0.0,
    scale: float | Mapping[str, float] | None = None,
    rule: str = "even-odd",
    polylines: str = "areas",
    class_attribute: str | None = None,
    default_class: str | None = None,
) -> Dataset:
    """Read a project or an export of VIA 1, 2 or 3.

    Parameters
    ----------
    path : Path
    images : Path, optional
        Folder of the pictures; beside the file by default. VIA does not know how large images are: their headers say
        it, else the file attributes ``height`` and ``width``.
    sizes : mapping of file names to (height, width), optional
        Where there are no pictures.
    offset : float
        Added to all coordinates: 0 for VIA's canvas, whose pixel (r, c) covers c to c + 1 and r to r + 1; 0.5 for files
        whose coordinates are pixel centres, as Detectron2 and colab_zirc_dims take them.
    scale : float, or a mapping of file names to factors, optional
        Multiplied with the coordinates before the offset: for images that were resized after they were annotated.
    rule : {"even-odd", "non-zero", "coco", ...}
        How polygons are filled; see `maskmill.polygons.rasterize`.
    polylines : {"areas", "lines"}
        Many people draw areas as polylines; as "lines" they have no pixels.
    class_attribute : str, optional
        The region attribute that is the class. By default the only radio or dropdown attribute; else the first of
        ``class``, ``label``, ``category``, ``type``, ``name`` that there is. Ids of options become their texts.
    default_class : str, optional
        Class of regions that name none. By default "object" if the file has no class attribute, else none.

    Raises
    ------
    FormatError
        On files that are not VIA's, or have shapes that cannot be; names the entry, the region and the field.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> import maskmill.io
    >>> circle = {"name": "circle", "cx": 5, "cy": 5, "r": 3}
    >>> entry = {"filename": "a.png", "size": -1, "file_attributes": {},
    ...          "regions": [{"shape_attributes": circle, "region_attributes": {"class": "grain"}}]}
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "a.json"
    >>> _ = file.write_text(json.dumps({"a.png-1": entry}))
    >>> found = maskmill.io.read(file, sizes={"a.png": (10, 10)})
    >>> found.category_names, found.shapes, found.masks.area.tolist()
    (['grain'], Shapes(1 circle), [32])
    """
    reading = Reading(polylines, rule, float(offset), default_class)
    file = _load(path)
    table = _images(file.entries, path, Images(images, path.parent, sizes=sizes))
    groups, owner = _regions(file.entries, path)

    def where(i: int) -> str:
        region = list(chain.from_iterable(groups))[i]
        for key, entry in file.entries.items():
            for k, other in enumerate(_listed(entry, "")):
                if other is region:
                    return f"{path}: {key!r}, region {k}"
        return str(path)

    factors = _scales(scale, table["file_name"].tolist())
    of_first = [group[0]["region_attributes"] for group in groups]
    attribute = class_attribute_of(file.definitions, of_first, class_attribute)
    factor = None if factors is None else factors[owner]
    made = instances_of(groups, file.definitions, attribute, reading, where, factor)
    info = {"layout": file.layout, "project": file.project, "definitions": file.definitions}
    return Dataset(
        table,
        {"name": objects(made.classes)},
        {**made.columns, "image": owner, "via": objects(groups)},
        made.shapes,
        info={"via": info},
    )


def _load(path: Path) -> Entries:
    with open(path, "rb") as opened:
        start = opened.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] not in (b"{", b"[") and start.lstrip(b'#"').startswith(b"filename"):
        from maskmill.io._via_csv import entries_of_csv

        return Entries("csv", entries_of_csv(path))
    content = mapping(load_json(path), str(path))
    if "_via_img_metadata" in content:
        attributes = mapping(content.get("_via_attributes", {}), f"{path}: _via_attributes")
        _definitions(attributes.get("file", {}), f"{path}: _via_attributes.file")
        return Entries(
            "project",
            mapping(content["_via_img_metadata"], f"{path}: _via_img_metadata"),
            {**content, "_via_img_metadata": None},
            _definitions(attributes.get("region", {}), f"{path}: _via_attributes.region"),
        )
    if "project" in content and "view" in content and "metadata" in content:
        from maskmill.io._via3 import entries_of_via3

        entries, project, definitions = entries_of_via3(content, str(path))
        return Entries("3", entries, project, definitions)
    first = next(iter(content.values()), None)
    old = isinstance(first, dict) and isinstance(first.get("regions"), dict)
    return Entries("1" if old else "annotations", content)


def _definitions(value: Any, where: str) -> dict[str, Any]:
    return {name: mapping(how, f"{where}.{name}") for name, how in mapping(value, where).items()}


# Images


def _images(entries: dict[str, Any], path: Path, folder: Images) -> dict[str, Any]:
    """Columns of the images."""
    names, sizes, scales, pixels, attributes = [], [], [], [], []
    for key, value in entries.items():
        where = f"{path}: {key!r}"
        entry = mapping(value, where)
        name = text(entry.get("filename"), f"{where}: filename")
        said = mapping(entry.get("file_attributes") or {}, f"{where}: file_attributes")
        embedded = entry.get("base64_img_data") or None
        found = folder.reference(name)
        if found is None and embedded is not None:
            found = Reference(str(path), key, read_embedded)
        size = folder.size(name)
        if 0 in size and embedded is not None:
            size = image_size_of(_embedded(entry, where), f"{where}: base64_img_data")
        if 0 in size and said.get("height") and said.get("width"):
            size = (
                side(said["height"], f"{where}: file_attributes.height"),
                side(said["width"], f"{where}: file_attributes.width"),
            )
        micrometres = said.get("maskmill_um_per_pixel")
        names.append(name)
        sizes.append(size)
        scales.append(
            np.nan if micrometres is None else number(micrometres, f"{where}: maskmill_um_per_pixel", low=0)
        )
        pixels.append(found)
        attributes.append(keep_unknown(said, OF_FILE))
    height, width = np.array(sizes, np.int64).reshape(-1, 2).T
    return {
        "file_name": objects(names),
        "height": height,
        "width": width,
        "scale": np.array(scales, np.float64),
        "pixels": objects(pixels),
        "attributes": objects(attributes),
        "via": objects([{"key": key, "entry": entry} for key, entry in entries.items()]),
    }


def _embedded(entry: dict[str, Any], where: str) -> bytes:
    """The picture that VIA 1 keeps within an entry."""
    import base64
    import binascii

    data = text(entry.get("base64_img_data"), f"{where}: base64_img_data")
    try:
        return base64.b64decode(data.partition("base64,")[2] or data)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"{where}: base64_img_data: expected base64 ({error})") from None


def read_embedded(path: str, field: str) -> NDArray[Any]:
    """`Reference` reader of pictures within a project of VIA 1; `field` is the entry's key."""
    entry = mapping(mapping(load_json(Path(path)), path).get(field), f"{path}: {field!r}")
    return decode_image(_embedded(entry, f"{path}: {field!r}"), f"{path}: {field!r}")


def _scales(scale: float | Mapping[str, float] | None, names: list[str]) -> NDArray[np.float64] | None:
    """The factor of each image; 1 for those that a table does not name."""
    if scale is None:
        return None
    if isinstance(scale, Mapping):
        return np.array([float(scale.get(name, 1.0)) for name in names])
    return np.full(len(names), float(scale))


# Regions


def _regions(entries: dict[str, Any], path: Path) -> tuple[list[list[Region]], NDArray[np.int64]]:
    """Regions of each instance (several are the rings of one), and the row of its image."""
    groups: list[list[Region]] = []
    owners: list[int] = []
    for row, (key, entry) in enumerate(entries.items()):
        linked: dict[str, list[Region]] = {}
        for i, region in enumerate(_listed(entry, f"{path}: {key!r}")):
            attributes = region.get("region_attributes") if isinstance(region, dict) else None
            if not isinstance(attributes, dict) or not isinstance(region.get("shape_attributes"), dict):
                where = f"{path}: {key!r}, region {i}"
                region = mapping(region, where)
                mapping(region.setdefault("shape_attributes", {}), f"{where}: shape_attributes")
                attributes = mapping(
                    region.setdefault("region_attributes", {}), f"{where}: region_attributes"
                )
            group = [region]
            if ID in attributes and linked.setdefault(str(attributes[ID]), group) is not group:
                linked[str(attributes[ID])].append(region)
                continue
            groups.append(group)
            owners.append(row)
    return groups, np.array(owners, np.int64)


def _listed(entry: dict[str, Any], where: str) -> list[Any]:
    """The regions of an entry; those of VIA 1 have numbers as keys."""
    regions = entry.get("regions") or []
    return list(regions.values()) if isinstance(regions, dict) else sequence(regions, f"{where}: regions")
