"""Label Studio's JSON: full exports of tasks and JSON-MIN; polygons, brushes, rectangles, ellipses, keypoints.

Its COCO export is read by the format "coco".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.dataset import Dataset, ShapesBuilder, objects
from maskmill.dataset.shapes import BOX, CIRCLE, ELLIPSE, LINE, MASK, NONE, POINT, POLYLINE
from maskmill.io._brush import decode_brush, encode_brush
from maskmill.io._parse import (
    SUFFIXES,
    Images,
    dump_json,
    load_json,
    mapping,
    number,
    sequence,
    side,
    snapped,
    text,
    vertices,
    wrong,
)
from maskmill.io._rings import Ring, outlines
from maskmill.io.formats import Format

FORMAT = Format(
    "label_studio",
    "Label Studio (JSON, JSON-MIN)",
    (".ls.json",),
    frozenset(
        [
            *("boxes", "polygons", "subpixel", "curves", "masks", "holes", "parts", "overlap"),
            *("classes", "scores", "attributes", "empty"),
        ]
    ),
)

SOURCES = ("annotations", "predictions", "both")
KINDS = {"rectangle": "height", "ellipse": "radiusX", "polygon": "points", "brush": "rle", "keypoint": "x"}
"""Of regions, and the field of a value that only this kind has (first come first served)."""

GEOMETRY = (
    "x",
    "y",
    "width",
    "height",
    "rotation",
    "radiusX",
    "radiusY",
    "points",
    "closed",
    "rle",
    "format",
)


def sniff(path: Path, head: bytes) -> bool:
    if re.match(rb"(\xef\xbb\xbf)?\s*[\[{]", head) is None:
        return False
    tasks = b'"data"' in head and re.search(rb'"(annotations|predictions|completions)"', head) is not None
    return (tasks and b'"result"' in head) or (b'"original_width"' in head and b'"original_height"' in head)


def read(
    path: Path,
    *,
    images: Path | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    source: str = "annotations",
    threshold: int = 1,
) -> Dataset:
    """Read an export of tasks.

    Results with one id are one region: its geometry, its labels (the first is the class; of several all are the
    attribute "labels"), choices and texts by the name of their control. Choices of a whole image are the image's
    attributes, and so is what else its task says. Rectangles are boxes, those that are turned become polygons. Of
    several annotations of a task all are read (attribute "annotation": its id), but those that were cancelled.
    Coordinates, which are per cent of the image, become pixels. That a picture was turned in the tool is noted as
    attribute "image_rotation"; nothing is turned.

    Parameters
    ----------
    path : Path
    images : Path, optional
        Folder of the pictures; beside the file by default.
    sizes : mapping of names to (height, width), optional
        Of images whose regions do not say it, as old exports don't.
    source : {"annotations", "predictions", "both"}
    threshold : int
        Opacity, 1 to 255, from which on a pixel belongs to a brush's mask.
    """
    if source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}, not {source!r}")
    content = load_json(path)
    tasks = sequence([content] if isinstance(content, dict) else content, str(path))
    found = _Found(Images(images, path.parent, sizes=sizes), threshold)
    for k, item in enumerate(tasks):
        task = mapping(item, f"{path}: [{k}]")
        where = f"{path}: [{k}]"
        if "data" in task or "annotations" in task or "predictions" in task:
            found.add_task(task, where, source)
        else:
            found.add_least(task, where)
    return found.build()


@dataclass
class _Region:
    """What the results of one id say."""

    where: str
    value: dict[str, Any]
    kind: str = ""
    labels: list[str] = field(default_factory=list)
    score: float = math.nan
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Found:
    """What was read until now."""

    known: Images
    threshold: int
    rows: dict[str, int] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)
    instances: list[dict[str, Any]] = field(default_factory=list)
    shapes: ShapesBuilder = field(default_factory=lambda: ShapesBuilder(rule="even-odd"))

    def add_task(self, task: dict[str, Any], where: str, source: str) -> None:
        """A task of a full export."""
        data = mapping(task.get("data") or {}, f"{where}.data")
        image = self.add_image(data, task)
        sets = [
            (key, made, f"{where}.{key}[{k}]")
            for key in ("annotations", "completions", "predictions")
            if source == "both" or (key == "predictions") == (source == "predictions")
            for k, made in enumerate(sequence(task.get(key) or [], f"{where}.{key}"))
        ]
        several = len(sets) > 1
        for key, item, place in sets:
            made = mapping(item, place)
            if made.get("was_cancelled"):
                continue
            regions = _merged(sequence(made.get("result") or [], f"{place}.result"), f"{place}.result", image)
            score = made.get("score") if key == "predictions" else None
            for region in regions:
                if score is not None and math.isnan(region.score):
                    region.score = number(score, f"{place}.score")
                if several and "id" in made:
                    region.attributes["annotation"] = made["id"]
            self.add_regions(regions, image, place)

    def add_least(self, task: dict[str, Any], where: str) -> None:
        """A task of JSON-MIN: what was drawn lies beside the data, by the names of controls."""
        drawn = {
            k: v for k, v in task.items() if isinstance(v, list) and v and all(isinstance(i, dict) for i in v)
        }
        image = self.add_image({k: v for k, v in task.items() if k not in drawn}, task)
        regions = []
        for name, values in drawn.items():
            for k, value in enumerate(values):
                region = _Region(f"{where}.{name}[{k}]", {})
                _take_value(region, value, name)
                if region.kind:
                    _take_size(image, value, region.where)
                    regions.append(region)
        self.add_regions(regions, image, where)

    def add_image(self, data: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
        name = _name_of(data)
        rest = {key: value for key, value in data.items() if key != "id" and (key, value) != ("image", name)}
        image = {"name": name, "id": task.get("id"), "size": (0, 0), "attributes": rest}
        self.images.append(image)
        return image

    def add_regions(self, regions: list[_Region], image: dict[str, Any], where: str) -> None:
        if 0 in image["size"]:
            image["size"] = self.known.size(image["name"])
        if regions and 0 in image["size"]:
            raise FormatError(
                f"{where}: per cent of an image whose size is not known; give its folder (images) or size (sizes)"
            )
        for region in regions:
            made = {"image": len(self.images) - 1, "bbox": [math.nan] * 4, "score": region.score}
            _add_shape(self.shapes, region, image["size"], made, self.threshold)
            if len(region.labels) > 1:
                region.attributes["labels"] = region.labels
            category = -1
            if region.labels:
                category = self.rows.setdefault(region.labels[0], len(self.rows))
            self.instances.append({**made, "category": category, "attributes": region.attributes or None})

    def build(self) -> Dataset:
        def column(name: str) -> list[Any]:
            return [instance[name] for instance in self.instances]

        ids = [image["id"] for image in self.images]
        fine = len(set(map(repr, ids))) == len(ids) and all(type(i) is int and abs(i) < 2**62 for i in ids)
        size = np.array([image["size"] for image in self.images], np.int64).reshape(-1, 2)
        return Dataset(
            {
                **({"id": np.array(ids, np.int64)} if fine else {}),
                "file_name": objects([image["name"] for image in self.images]),
                "height": size[:, 0],
                "width": size[:, 1],
                "pixels": objects([self.known.reference(image["name"]) for image in self.images]),
                "attributes": objects([image["attributes"] or None for image in self.images]),
            },
            {"name": objects(list(self.rows))},
            {
                "image": np.array(column("image"), np.int64),
                "category": np.array(column("category"), np.int64),
                "bbox": np.array(column("bbox"), np.float64).reshape(-1, 4),
                "score": np.array(column("score"), np.float64),
                "attributes": objects(column("attributes")),
            },
            self.shapes.build(),
        )


def _name_of(data: dict[str, Any]) -> str:
    """The picture's name: of links to files of Label Studio's own and of others their last part, or the path below the
    folder of local files."""
    links = [value for value in (data.get("image"), *data.values()) if isinstance(value, str)]
    pictures = (link for link in links if _path_of(link).lower().endswith(SUFFIXES))
    link = data["image"] if isinstance(data.get("image"), str) else next(pictures, links[0] if links else "")
    if link.startswith("/data/local-files/"):
        return next(iter(parse_qs(link.partition("?")[2]).get("d", [])), link)
    if re.match(r"[a-z][a-z0-9+]*://|/data/", link):
        return unquote(_path_of(link)).rstrip("/").rpartition("/")[2]
    return link


def _path_of(link: str) -> str:
    """The path of a link, all of it if it is none."""
    try:
        return urlsplit(link).path
    except ValueError:
        return link


def _merged(results: list[Any], where: str, image: dict[str, Any]) -> list[_Region]:
    """Regions, in the order in which they come first; what belongs to no region goes to the image."""
    regions: dict[str, _Region] = {}
    for k, item in enumerate(results):
        place = f"{where}[{k}]"
        result = mapping(item, place)
        if "value" not in result:  # relations
            continue
        value = mapping(result["value"], f"{place}.value")
        key = result.get("id")
        key = key if isinstance(key, str) else f"#{k}"
        name = result.get("from_name")
        region = regions.get(key) or _Region(f"{place}.value", {})
        named = name if isinstance(name, str) else ""
        if not _take_value(region, value, named) and key not in regions:  # of the image as a whole
            image["attributes"].update(region.attributes)
            continue
        regions[key] = region
        _take_size(image, result, place)
        if result.get("score") is not None:
            region.score = number(result["score"], f"{place}.score")
        if isinstance(result.get("meta"), dict):
            region.attributes.update(result["meta"])
        if result.get("image_rotation"):
            region.attributes["image_rotation"] = result["image_rotation"]
    return [region for region in regions.values() if region.kind]


def _take_value(region: _Region, value: dict[str, Any], name: str) -> bool:
    """What one value says of a region; whether it says where it is."""
    found = next((k for k, key in KINDS.items() if key in value), "")
    if found:
        region.kind, region.value = region.kind or found, region.value or value
    for key, said in value.items():
        if key == "labels" or key.endswith("labels"):
            region.labels += [
                text(label, f"{region.where}.{key}") for label in sequence(said, f"{region.where}.{key}")
            ]
        elif key not in GEOMETRY and not key.startswith("original_") and key != "image_rotation":
            region.attributes[name if key in ("choices", "text", "rating", "number") and name else key] = said
    if found == "keypoint" and "width" in value:
        region.attributes["width"] = value["width"]
    return bool(found)


def _take_size(image: dict[str, Any], item: dict[str, Any], where: str) -> None:
    if 0 in image["size"] and "original_width" in item and "original_height" in item:
        image["size"] = (
            side(item["original_height"], f"{where}.original_height"),
            side(item["original_width"], f"{where}.original_width"),
        )


def _add_shape(
    shapes: ShapesBuilder, region: _Region, size: tuple[int, int], made: dict[str, Any], threshold: int
) -> None:
    value, where = region.value, region.where
    height, width = size

    def per_cent(*names: str) -> list[float]:
        """In pixels."""
        found = [number(value.get(name), f"{where}.{name}", low=-1e5, high=1e5) for name in names]
        sides = [height if k % 2 else width for k in range(len(found))]
        return snapped(np.array(found) / 100 * sides).tolist()  # type: ignore[no-any-return]

    turned = number(value.get("rotation") or 0, f"{where}.rotation")
    if region.kind == "brush":
        shapes.mask(_brush(value, where, size, threshold))
    elif region.kind == "polygon":
        listed = sequence(value["points"], f"{where}.points")
        pairs = [sequence(pair, f"{where}.points[{k}]") for k, pair in enumerate(listed)]
        if any(len(pair) != 2 for pair in pairs):
            raise wrong(f"{where}.points", "pairs of x and y", next(pair for pair in pairs if len(pair) != 2))
        shares = vertices([p[0] for p in pairs], [p[1] for p in pairs], f"{where}.points")
        points = snapped(shares / 100 * (width, height))
        if value.get("closed", True):
            shapes.polygon([points])
        else:
            shapes.add("polyline", list(points))
    elif region.kind == "rectangle":
        x, y, w, h = per_cent("x", "y", "width", "height")
        if turned % 360 == 0:
            made["bbox"] = [x, y, w, h]
            shapes.box()
        else:  # about its first corner
            c, s = math.cos(math.radians(turned)), math.sin(math.radians(turned))
            region.attributes["rotation"] = turned
            corners = [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)]
            shapes.polygon([[(x + dx * c - dy * s, y + dx * s + dy * c) for dx, dy in corners]])
    elif region.kind == "ellipse":
        x, y, rx, ry = per_cent("x", "y", "radiusX", "radiusY")
        shapes.add("ellipse", [(x, y), (abs(rx), abs(ry)), (math.radians(turned), 0)])
    else:
        shapes.add("point", [per_cent("x", "y")])


def _brush(value: dict[str, Any], where: str, size: tuple[int, int], threshold: int) -> Any:
    numbers = sequence(value["rle"], f"{where}.rle")
    try:
        data = bytes(numbers)
    except (TypeError, ValueError):
        bad = next(v for v in numbers if type(v) is not int or not 0 <= v <= 255)
        raise wrong(f"{where}.rle", "numbers from 0 to 255", bad) from None
    try:
        return decode_brush(data, *size, threshold)
    except ValueError as error:
        raise FormatError(f"{where}.rle: {error}") from None


# Writing


def write(dataset: Dataset, path: Path) -> NDArray[np.int64]:
    """Write tasks with an annotation each, as Label Studio imports them.

    Single rings become polygons, circles and ellipses ellipses, points keypoints, lines open polygons, bare boxes
    rectangles; all else brushes. Attributes go to the regions' "meta", scores to their "score". Data of tasks that were
    read from Label Studio are written as they were; other images are named by their file names.
    """
    results, rows, tasks = _results(dataset), [], []
    for i, image in enumerate(dataset.images):
        mine = [row for row in dataset.rows_of_image(i).tolist() if results[row] is not None]
        rows += mine
        data = {**(image["attributes"] or {})}
        data = data if _name_of(data) == image["file_name"] else {**data, "image": image["file_name"]}
        annotation = {"id": image["id"], "result": [results[row] for row in mine]}
        tasks.append({"id": image["id"], "data": data, "annotations": [annotation]})
    with written_whole(path) as file:
        file.write(dump_json(tasks))
    return np.array(rows, np.int64)


def _results(dataset: Dataset) -> list[dict[str, Any] | None]:
    """Each instance as a result, None if it has neither pixels nor a place."""
    rings, sizes = outlines(dataset), [(h, w) for h, w in dataset.sizes.tolist()]
    values = [_value(dataset, row, rings[row], size) for row, size in enumerate(sizes)]
    # Where per cent, rounded, are read as other pixels, pixels are written.
    drawn = [row for row, (kind, _) in enumerate(values) if kind in ("polygon", "ellipse")]
    shapes = ShapesBuilder(rule="even-odd")
    for row in drawn:
        kind, value = values[row]
        _add_shape(shapes, _Region("", value, str(kind)), sizes[row], {}, 1)
    masks = dataset.masks[np.array(drawn, np.int64)]
    for i in np.flatnonzero((shapes.build().masks(masks.sizes) ^ masks).area > 0).tolist():
        values[drawn[i]] = "brush", _as_brush(dataset, drawn[i])
    return [_result(dataset, row, *values[row], sizes[row]) for row in range(len(values))]


def _as_brush(dataset: Dataset, row: int) -> dict[str, Any]:
    return {"format": "rle", "rle": list(encode_brush(dataset.masks[row]))}


def _result(
    dataset: Dataset, row: int, kind: str | None, value: dict[str, Any], size: tuple[int, int]
) -> dict[str, Any] | None:
    if kind is None:
        return None
    category = int(dataset.instances["category"][row])
    labels = [dataset.categories["name"][category]] if category >= 0 else []
    kind = f"{kind}labels" if labels else kind
    made = {
        "id": f"r{row}",
        "from_name": "label",
        "to_name": "image",
        "type": kind,
        "original_width": size[1],
        "original_height": size[0],
        "image_rotation": 0,
        "value": {**value, **({kind: labels} if labels else {})},
    }
    if not math.isnan(dataset.instances["score"][row]):
        made["score"] = float(dataset.instances["score"][row])
    if dataset.instances["attributes"][row]:
        made["meta"] = dataset.instances["attributes"][row]
    return made


def _value(
    dataset: Dataset, row: int, rings: list[Ring], size: tuple[int, int]
) -> tuple[str | None, dict[str, Any]]:
    """Kind and geometry of one instance; None if it has neither pixels nor a place."""
    height, width = size
    kind = dataset.shapes.kind[row]
    if kind == NONE:
        return None, {}
    if kind != MASK and 0 in size:
        raise ValueError(
            f"image {dataset.images['file_name'][dataset.instances['image'][row]]!r}: must have a size, "
            "as Label Studio writes per cent"
        )

    def per_cent(points: NDArray[np.float64]) -> list[list[float]]:
        return (points / (width, height) * 100).tolist()  # type: ignore[no-any-return]

    if kind == BOX:
        box = dataset.instances["bbox"][row].reshape(2, 2)
        if np.isnan(box).any():
            return None, {}
        (x, y), (w, h) = per_cent(box)
        return "rectangle", {"x": x, "y": y, "width": w, "height": h, "rotation": 0}
    if kind in (CIRCLE, ELLIPSE):
        (centre,), _, (axes,) = dataset.shapes.ellipses(np.array([row]))
        (x, y), (rx, ry) = per_cent(np.stack([centre, axes[:2]]))
        return "ellipse", {"x": x, "y": y, "radiusX": rx, "radiusY": ry, "rotation": math.degrees(axes[2])}
    if kind in (POINT, LINE, POLYLINE):
        points = dataset.shapes.points[row]
        if not points or not len(points[0]):
            return None, {}
        if kind == POINT:
            ((x, y),) = per_cent(points[0][:1])
            return "keypoint", {"x": x, "y": y, "width": 1}
        return "polygon", {"points": per_cent(points[0]), "closed": False}
    if len(rings) == 1 and len(rings[0]) >= 3:
        return "polygon", {"points": per_cent(rings[0]), "closed": True}
    if 0 in size:
        return None, {}
    return "brush", _as_brush(dataset, row)
