"""ImageJ's regions of interest: .roi, and RoiSet.zip for those of one image."""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.dataset import KINDS, Dataset, ShapesBuilder, objects
from maskmill.dataset.shapes import BOX, CIRCLE, ELLIPSE, LINE, POINT, POLYLINE, RECTANGLE, Shapes
from maskmill.io import _roi
from maskmill.io._parse import SUFFIXES, Images, side, stem, unique_stems
from maskmill.io._rings import Ring, outlines
from maskmill.io._roi import Roi
from maskmill.io._xml import from_text, to_text
from maskmill.io.formats import Format

FORMAT = Format(
    "imagej",
    "ImageJ ROIs (.roi, RoiSet.zip)",
    (".roi.zip", "RoiSet.zip"),
    frozenset(
        [
            *("boxes", "polygons", "subpixel", "curves", "masks", "holes", "parts", "overlap"),
            *("classes", "attributes", "empty"),
        ]
    ),
    single=True,
)

MAX_ENTRIES = 1_000_000
MAX_BYTES = 1 << 30
"""Of all regions of a zip, unpacked."""

CLASS, KIND = "maskmill_class", "maskmill_kind"
"""Properties of regions that ImageJ has no place for."""

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


def sniff(path: Path, head: bytes) -> bool:
    if path.is_dir():
        if next(path.glob("*.roi"), None):
            return True
        zips = islice(path.rglob("*.zip"), 100)  # those of images without regions are empty
        return any(b".roi" in file.open("rb").read(4096) for file in zips)
    return head.startswith(b"Iout") or (head.startswith(b"PK\3\4") and b".roi" in head)


def read(
    path: Path,
    *,
    images: Path | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    size: tuple[int, int] | None = None,
    offset: float = 0.0,
) -> Dataset:
    """Read regions. A file does not say of which image they are: a zip is of the image of its name.

    The class is the property "maskmill_class", which `write` gives, else the group's number. Names, positions
    (position, channel, slice, frame) and other properties are attributes. Composite regions are polygons with holes
    and parts. Vertices of areas are corners of pixels; those of lines and points, by which ImageJ means middles, get
    half a pixel. Ovals are filled where a pixel's middle is within. Texts and pictures upon an image are boxes.

    Parameters
    ----------
    path : Path
        A .roi, a zip of these, or a folder of zips (one for each image) or of .roi (of one image).
    images : Path, optional
        Folder of the pictures; that of the file by default.
    sizes : mapping of names to (height, width), optional
        Of images that are not there; a single one is that of a single file.
    size : (height, width), optional
        Of all images whose size nothing else says.
    offset : float
        Added to all vertices.
    """
    folder = path if path.is_dir() else path.parent
    found = _Found(Images(images, folder, sizes=sizes), size, offset)
    pictures = _pictures(images or folder, deep=images is not None or path.is_dir())
    if not path.is_dir():
        found.size = next(iter(sizes.values())) if sizes and len(sizes) == 1 and size is None else size
        found.add_image(_picture(path.stem, pictures))
        found.add_file(path)
        return found.build()
    for file in sorted(
        path.rglob("*.zip"), key=lambda file: file.relative_to(path).with_suffix("").as_posix()
    ):
        found.add_image(_picture(file.relative_to(path).with_suffix("").as_posix(), pictures))
        found.add_file(file)
    loose = sorted(path.glob("*.roi"))
    if loose:
        found.add_image(_picture(path.name, pictures))
        for file in loose:
            found.add_file(file)
    return found.build()


def _pictures(folder: Path, *, deep: bool) -> dict[str, str]:
    """Names of pictures by what they are without suffix."""
    files = (file for file in sorted(folder.glob("**/*" if deep else "*")) if file.suffix.lower() in SUFFIXES)
    return {stem(name): name for name in (file.relative_to(folder).as_posix() for file in files)}


def _picture(name: str, pictures: Mapping[str, str]) -> str:
    """The name of a zip's picture, the zip's own name where there is none; "a.tif.zip" and "a.roi.zip" are of "a"."""
    short = stem(name.removesuffix(".roi"))
    return pictures.get(short, name.removesuffix(".roi"))


@dataclass
class _Found:
    """What was read until now."""

    known: Images
    size: tuple[int, int] | None
    offset: float
    rows: dict[str, int] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)
    instances: list[dict[str, Any]] = field(default_factory=list)
    shapes: ShapesBuilder = field(default_factory=lambda: ShapesBuilder(rule="even-odd"))

    def add_image(self, name: str) -> None:
        height, width = self.known.size(name)
        if 0 in (height, width) and self.size is not None:
            height, width = (side(v, "size") for v in self.size)
        self.images.append({"name": name, "size": (height, width)})

    def add_file(self, file: Path) -> None:
        """The regions of a .roi or a zip, of the last image."""
        for name, data in _members(file):
            where = f"{file}: {name}" if name else str(file)
            roi = _roi.decode(data, where)
            said = roi.name or (name.rpartition("/")[2] if name else file.name).removesuffix(".roi")
            properties = {key: from_text(value) for key, value in roi.properties.items()}
            kind = properties.pop(KIND, roi.kind)
            label = properties.pop(CLASS, str(roi.group) if roi.group else "")
            category = self.rows.setdefault(str(label), len(self.rows)) if label != "" else -1
            self.instances.append(
                {
                    "image": len(self.images) - 1,
                    "category": category,
                    "bbox": _add_shape(self.shapes, roi, "box" if kind == "box" else roi.kind, self.offset),
                    "attributes": {"name": said, **roi.positions, **properties},
                }
            )

    def build(self) -> Dataset:
        def column(name: str) -> list[Any]:
            return [instance[name] for instance in self.instances]

        sizes = np.array([image["size"] for image in self.images], np.int64).reshape(-1, 2)
        return Dataset(
            {
                "file_name": objects([image["name"] for image in self.images]),
                "height": sizes[:, 0],
                "width": sizes[:, 1],
                "pixels": objects([self.known.reference(image["name"]) for image in self.images]),
            },
            {"name": objects(list(self.rows))},
            {
                "image": np.array(column("image"), np.int64),
                "category": np.array(column("category"), np.int64),
                "bbox": np.array(column("bbox"), np.float64).reshape(-1, 4),
                "attributes": objects(column("attributes")),
            },
            self.shapes.build(),
        )


def _members(file: Path) -> Iterator[tuple[str, bytes]]:
    """The regions of a file, and what they are called in a zip."""
    with open(file, "rb") as opened:
        if opened.read(4) == b"Iout":
            if file.stat().st_size > MAX_BYTES:
                raise FormatError(f"{file}: expected at most {MAX_BYTES} bytes, found {file.stat().st_size}")
            yield "", file.read_bytes()
            return
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGED as error:
        raise FormatError(f"{file}: expected a .roi, or a zip of these ({error})") from None
    with archive:
        entries = [info for info in archive.infolist() if info.filename.lower().endswith(".roi")]
        if len(entries) > MAX_ENTRIES:
            raise FormatError(f"{file}: expected at most {MAX_ENTRIES} regions, found {len(entries)}")
        left = MAX_BYTES
        for info in entries:
            try:
                with archive.open(info) as member:
                    data = member.read(left + 1)
            except DAMAGED as error:
                raise FormatError(f"{file}: {info.filename}: cannot be unpacked ({error})") from None
            left -= len(data)
            if left < 0:
                raise FormatError(f"{file}: expected at most {MAX_BYTES} bytes of regions, found more")
            yield info.filename, data


def _add_shape(shapes: ShapesBuilder, roi: Roi, kind: str, offset: float) -> list[float]:
    """Add a region; its box where that is all there is."""
    if kind == "box":
        low, high = roi.rings[0].min(0) + offset, roi.rings[0].max(0) + offset
        shapes.box()
        return [*low.tolist(), *(high - low).tolist()]
    if kind == "polygon":
        shapes.polygon([ring + offset for ring in roi.rings])
    elif kind == "ellipse":
        shapes.add(kind, [roi.rings[0][0] + offset, *roi.rings[0][1:]])
    else:
        shapes.add(kind, list(roi.rings[0] + offset))
    return [math.nan] * 4


# Writing


def write(dataset: Dataset, path: Path, *, offset: float = 0.0) -> NDArray[np.int64]:
    """Write a zip of regions for each image: a folder, or, for one image, a name that ends with .zip.

    Polygons keep their vertices, in 32 bits, where that does not change a pixel; what has holes or parts becomes a
    composite region. Classes are groups (up to 255, as ImageJ shows them) and properties, attributes properties. What
    has neither pixels nor a place is left out.

    Parameters
    ----------
    offset : float
        Subtracted from all vertices.
    """
    single = path.suffix.lower() == ".zip"
    if single and len(dataset) != 1:
        raise ValueError(f"path must be a folder, a zip for each of {len(dataset)} images, not {path.name!r}")
    if path.is_dir() and next(path.rglob("*.zip"), None):
        raise FileExistsError(17, "must be a folder without zips: there are some", str(path))
    regions = _regions(dataset, offset)
    stems = [] if single else unique_stems(dataset)
    rows: list[int] = []
    for i in [0] if single else sorted(range(len(dataset)), key=lambda i: str(stems[i])):
        mine = [(row, roi) for row in dataset.rows_of_image(i).tolist() if (roi := regions[row]) is not None]
        file = path if single else path / f"{stems[i]}.zip"
        file.parent.mkdir(parents=True, exist_ok=True)
        names: set[str] = set()
        with written_whole(file) as opened, zipfile.ZipFile(opened, "w", zipfile.ZIP_DEFLATED) as archive:
            for row, roi in mine:
                entry = zipfile.ZipInfo(f"{_entry(roi, row, names)}.roi")  # of 1980: the same bytes each time
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, _roi.encode(roi))
        rows += [row for row, _ in mine]
    if not single:
        path.mkdir(parents=True, exist_ok=True)
    return np.array(rows, np.int64)


def _entry(roi: Roi, row: int, taken: set[str]) -> str:
    """What a region is called in its zip, as ImageJ's manager shows it."""
    name = re.sub(r'[\x00-\x1f/\\:*?"<>|]', "_", roi.name)[:100] or f"{row:05d}"
    name = f"{name}-{row:05d}" if name in taken else name
    taken.add(name)
    return name


def _regions(dataset: Dataset, offset: float) -> list[Roi | None]:
    """Each instance as a region."""
    rings = outlines(dataset)
    made = [_region(dataset, row, rings[row], offset) for row in range(len(rings))]
    # What 32 bits change is drawn along the edges of pixels instead.
    areas = {
        row: roi for row, roi in enumerate(made) if roi and roi.kind in ("polygon", "rectangle", "ellipse")
    }
    builder = ShapesBuilder(rule="even-odd")
    for roi in areas.values():
        again = _roi.decode(_roi.encode(roi), roi.name)
        _add_shape(builder, again, again.kind, offset)
    rows = np.array(list(areas), np.int64)
    masks = dataset.masks[rows]
    for row in rows[(builder.build().masks(masks.sizes) ^ masks).area > 0].tolist():
        traced = dataset.masks[row].polygons()[0]
        made[row] = (
            _described(dataset, row, Roi("polygon", [ring - offset for ring in traced])) if traced else None
        )
    return made


def _region(dataset: Dataset, row: int, rings: list[Ring], offset: float) -> Roi | None:
    shapes: Shapes = dataset.shapes
    kind = int(shapes.kind[row])
    drawn = shapes.points[row]
    roi: Roi | None = None
    if kind in (CIRCLE, ELLIPSE):
        (centre,), _, ((rx, ry, theta),) = shapes.ellipses(np.array([row]))
        roi = Roi("ellipse", [np.array([centre - offset, (rx, ry), (theta, 0)])])
    elif kind in (POINT, LINE, POLYLINE, RECTANGLE):
        roi = Roi(KINDS[kind], [drawn[0] - offset]) if drawn and len(drawn[0]) else None
    elif rings:
        roi = Roi("polygon", [ring - offset for ring in rings if len(ring)])
    elif kind == BOX and not np.isnan(dataset.instances["bbox"][row]).any():
        x, y, w, h = dataset.instances["bbox"][row].tolist()
        roi = Roi("box", [np.array([(x, y), (x + w, y + h)]) - offset], properties={KIND: "box"})
    return _described(dataset, row, roi) if roi is not None and roi.rings else None


def _described(dataset: Dataset, row: int, roi: Roi) -> Roi:
    """With name, class, positions and attributes."""
    attributes = dict(dataset.instances["attributes"][row] or {})
    if isinstance(attributes.get("name"), str):
        roi.name = attributes.pop("name")
    for key in ("position", "channel", "slice", "frame"):
        if type(attributes.get(key)) is int and 0 < attributes[key] < 2**31:
            roi.positions[key] = attributes.pop(key)
    category = int(dataset.instances["category"][row])
    if category >= 0:
        roi.group = category + 1 if category < 255 else 0
        roi.properties[CLASS] = to_text(dataset.categories["name"][category])
    roi.properties |= {key: to_text(value) for key, value in attributes.items()}
    return roi
