"""CVAT's XML 1.1: for images, every shape; for video, the shapes of tracks on the frames that the file has."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.dataset import Dataset, ShapesBuilder, objects
from maskmill.dataset.shapes import BOX, CIRCLE, ELLIPSE, LINE, POINT, POLYLINE
from maskmill.io._parse import Images, integer, number, side, wrong
from maskmill.io._rings import outlines
from maskmill.io._xml import child_text, from_text, load_xml, save_xml, to_text
from maskmill.io.formats import Format
from maskmill.masks import Masks

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

FORMAT = Format(
    "cvat",
    "CVAT for images 1.1 and for video 1.1 (XML)",
    (".cvat.xml",),
    frozenset(
        [
            *("boxes", "polygons", "subpixel", "curves", "masks", "holes", "parts", "overlap"),
            *("classes", "attributes", "empty"),
        ]
    ),
)

FEWEST = {"polygon": 3, "polyline": 2, "points": 1}
SHAPES = (*FEWEST, "box", "ellipse", "mask", "cuboid", "skeleton")
MAX_VERTICES = 1 << 24


def sniff(path: Path, head: bytes) -> bool:
    return b"<annotations>" in head and re.search(rb"<(version|meta|image|track)\b", head) is not None


def read(path: Path, *, images: Path | None = None) -> Dataset:
    """Read annotations.xml.

    Within an image, instances are in the order of z_order: later ones lie above. Boxes are boxes, those that are turned
    become polygons; masks are pixels; cuboids become the box about them; skeletons become keypoints. Tags become
    the images' attribute "tags". What differs from CVAT's defaults is kept as attributes: occluded, source, z_order,
    group_id, and each one's own.

    Of video, each shape of a track that the file has becomes an instance of its frame ("frame_000000"), with the
    attributes track_id and keyframe; shapes outside are left out. What CVAT would interpolate between keyframes,
    and did not export, is not made up.

    Parameters
    ----------
    path : Path
    images : Path, optional
        Folder of the pictures; beside the file, or images/ there, by default.
    """
    root = load_xml(path, "annotations")
    found = _Found(str(path), Images(images, path.parent, path.parent / "images"))
    for element in root.iterfind("meta//labels/label"):
        if not child_text(element, "parent"):
            found.category(child_text(element, "name"), child_text(element, "color"))
    for k, element in enumerate(root.iterfind("image")):
        found.add_image(element, f"{path}: image[{k}]")
    _read_tracks(root, found)
    return found.build()


@dataclass
class _Found:
    """What was read until now."""

    path: str
    known: Images
    rows: dict[str, int] = field(default_factory=dict)
    colors: list[dict[str, Any] | None] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)
    instances: list[dict[str, Any]] = field(default_factory=list)
    shapes: ShapesBuilder = field(default_factory=lambda: ShapesBuilder(rule="even-odd"))

    def category(self, name: str, color: str = "") -> int:
        if not name:
            return -1
        if name not in self.rows:
            self.rows[name] = len(self.rows)
            self.colors.append({"color": color} if color else None)
        return self.rows[name]

    def add_image(self, element: Element, where: str) -> None:
        size = (
            side(element.get("height", 0), f"{where}.height"),
            side(element.get("width", 0), f"{where}.width"),
        )
        name = element.get("name", "")
        if 0 in size:
            size = self.known.size(name)
        tags = [tag.get("label", "") for tag in element.iterfind("tag")]
        attributes = {key: element.get(key) for key in ("subset", "task_id") if element.get(key)}
        if tags:
            attributes["tags"] = tags  # type: ignore[assignment]
        self.images.append({"name": name, "size": size, "attributes": attributes or None})
        self.add_shapes([shape for shape in element if shape.tag in SHAPES], where)

    def add_shapes(self, elements: Sequence[Element], where: str) -> None:
        """Those of the last image, from the lowest to the highest."""
        places = [f"{where}.{element.tag}[{k}]" for k, element in enumerate(elements)]
        z = [integer(e.get("z_order", 0), f"{w}.z_order") for e, w in zip(elements, places, strict=True)]
        for k in sorted(range(len(elements)), key=lambda k: z[k]):
            self.add_shape(elements[k], places[k], {"z_order": z[k]} if z[k] else {})

    def add_shape(
        self, element: Element, where: str, attributes: dict[str, Any], label: str | None = None
    ) -> None:
        row = len(self.images) - 1
        made: dict[str, Any] = {"image": row, "bbox": [math.nan] * 4, "keypoints": None}
        if element.get("occluded") == "1":
            attributes["occluded"] = True
        if element.get("source", "manual") not in ("", "manual"):
            attributes["source"] = element.get("source")
        if element.get("group_id"):
            attributes["group_id"] = integer(element.get("group_id"), f"{where}.group_id")
        _add_shape(self.shapes, element, where, self.images[row]["size"], made, attributes)
        for item in element.iterfind("attribute"):
            attributes[item.get("name", "")] = from_text(item.text or "")
        made["category"] = self.category(element.get("label", "") if label is None else label)
        self.instances.append({**made, "attributes": attributes or None})

    def build(self) -> Dataset:
        def column(name: str) -> list[Any]:
            return [instance[name] for instance in self.instances]

        sizes = np.array([image["size"] for image in self.images], np.int64).reshape(-1, 2)
        keypoints = column("keypoints")
        return Dataset(
            {
                "file_name": objects([image["name"] for image in self.images]),
                "height": sizes[:, 0],
                "width": sizes[:, 1],
                "pixels": objects([self.known.reference(image["name"]) for image in self.images]),
                "attributes": objects([image["attributes"] for image in self.images]),
            },
            {"name": objects(list(self.rows)), "attributes": objects(self.colors)},
            {
                "image": np.array(column("image"), np.int64),
                "category": np.array(column("category"), np.int64),
                "bbox": np.array(column("bbox"), np.float64).reshape(-1, 4),
                "attributes": objects(column("attributes")),
                **({"keypoints": objects(keypoints)} if any(k is not None for k in keypoints) else {}),
            },
            self.shapes.build(),
        )


def _add_shape(
    shapes: ShapesBuilder,
    element: Element,
    where: str,
    size: tuple[int, int],
    made: dict[str, Any],
    attributes: dict[str, Any],
) -> None:
    """The geometry of one element."""

    def numbers(*names: str) -> list[float]:
        return [number(element.get(name), f"{where}.{name}") for name in names]

    turned = number(element.get("rotation", 0), f"{where}.rotation")
    if element.tag == "box":
        x0, y0, x1, y1 = numbers("xtl", "ytl", "xbr", "ybr")
        if turned % 360 == 0:
            made["bbox"] = [x0, y0, x1 - x0, y1 - y0]
            shapes.box()
        else:
            attributes["rotation"] = turned
            shapes.polygon([_turned_box(x0, y0, x1, y1, math.radians(turned))])
    elif element.tag == "ellipse":
        cx, cy, rx, ry = numbers("cx", "cy", "rx", "ry")
        shapes.add("ellipse", [(cx, cy), (abs(rx), abs(ry)), (math.radians(turned), 0)])
    elif element.tag == "mask":
        shapes.mask(_mask(element, where, size))
    elif element.tag == "cuboid":
        names = [f"{kind}{k}" for kind in ("tl", "bl", "tr", "br") for k in (1, 2)]
        corners = np.array(numbers(*(f"{axis}{name}" for name in names for axis in "xy")))
        low, high = corners.reshape(-1, 2).min(0), corners.reshape(-1, 2).max(0)
        attributes["cuboid"] = corners.tolist()
        made["bbox"] = [*low.tolist(), *(high - low).tolist()]
        shapes.box()
    elif element.tag == "skeleton":
        made["keypoints"], made["bbox"] = _keypoints(element, where)
        attributes["keypoints"] = [child.get("label", "") for child in element.iterfind("points")]
        shapes.box()
    else:
        points = _points(element.get("points"), f"{where}.points", FEWEST[element.tag])
        kind = {"points": "point"}.get(element.tag, element.tag)
        shapes.polygon([points]) if kind == "polygon" else shapes.add(kind, list(points))


def _points(text: str | None, where: str, fewest: int) -> NDArray[np.float64]:
    """ "x,y;x,y" as (K, 2)."""
    pairs = (text or "").split(";")
    if len(pairs) > MAX_VERTICES:
        raise wrong(where, f"at most {MAX_VERTICES} vertices", len(pairs))
    try:
        points = np.array([pair.split(",") for pair in pairs], np.float64)
    except ValueError:
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 2 or not (np.abs(points) <= 1e9).all():
        for k, pair in enumerate(pairs):
            xy = pair.split(",")
            if len(xy) != 2:
                raise wrong(f"{where}[{k}]", "x,y", pair)
            number(xy[0], f"{where}[{k}]")
            number(xy[1], f"{where}[{k}]")
    if len(points) < fewest:
        raise wrong(where, f"at least {fewest} vertices", len(points))
    return points


def _turned_box(x0: float, y0: float, x1: float, y1: float, angle: float) -> NDArray[np.float64]:
    """Corners of a box turned about its middle, clockwise as seen."""
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]) - middle
    c, s = math.cos(angle), math.sin(angle)
    turned: NDArray[np.float64] = corners @ np.array([[c, s], [-s, c]]) + middle
    return turned


def _mask(element: Element, where: str, size: tuple[int, int]) -> Masks:
    """Runs go along the rows of the box that they are in: those of columns of the transposed."""
    left, top, width, height = (
        integer(_whole(element.get(name, "")), f"{where}.{name}", low=0, high=1 << 24)
        for name in ("left", "top", "width", "height")
    )
    if left + width > size[1] or top + height > size[0]:
        raise wrong(where, f"a mask within {size[0]} x {size[1]} pixels", (top + height, left + width))
    text = element.get("rle", "")
    words = [_whole(word) for word in text.split(",") if word.strip()]
    counts = [integer(word, f"{where}.rle", low=0, high=width * height) for word in words]
    total = sum(counts)
    if total > width * height:
        raise wrong(f"{where}.rle", f"runs of at most {width * height} pixels", total)
    rest = width * height - total
    if rest:  # background at the end may be missing
        counts += [rest] if len(counts) % 2 == 0 else [0, rest]
    try:
        mask = Masks.from_coco({"size": [width, height], "counts": counts}).transpose()
        return mask.crop([[-left, -top, size[1], size[0]]])
    except (TypeError, ValueError) as error:
        raise FormatError(f"{where}: {error}") from None


def _whole(text: str) -> str:
    """Of "12.0" (as CVAT writes masks' places) "12"."""
    return re.sub(r"\.0*\s*$", "", text)


def _keypoints(element: Element, where: str) -> tuple[NDArray[np.float64], list[float]]:
    """(K, 3): x, y and 0 (outside), 1 (occluded) or 2; and the box about those that are not outside."""
    rows = []
    for k, child in enumerate(element.iterfind("points")):
        x, y = _points(child.get("points"), f"{where}.points[{k}].points", 1)[0].tolist()
        seen = 0 if child.get("outside") == "1" else 1 if child.get("occluded") == "1" else 2
        rows.append((x, y, seen))
    made = np.array(rows, np.float64).reshape(-1, 3)
    inside = made[made[:, 2] > 0, :2]
    if not len(inside):
        return made, [math.nan] * 4
    low, high = inside.min(0), inside.max(0)
    return made, [*low.tolist(), *(high - low).tolist()]


def _read_tracks(root: Element, found: _Found) -> None:
    """Shapes of tracks, frame by frame."""
    size = (0, 0)
    said = root.find("meta//original_size")
    if said is not None:
        size = (
            side(child_text(said, "height"), f"{found.path}: original_size.height"),
            side(child_text(said, "width"), f"{found.path}: original_size.width"),
        )
    frames: dict[int, list[tuple[int, Element, str, dict[str, Any], str]]] = {}
    for k, track in enumerate(root.iterfind("track")):
        number_ = integer(track.get("id", k), f"{found.path}: track[{k}].id")
        for i, shape in enumerate(shape for shape in track if shape.tag in SHAPES):
            where = f"{found.path}: track[{k}].{shape.tag}[{i}]"
            frame = integer(shape.get("frame"), f"{where}.frame", low=0, high=10**9)
            if shape.get("outside") != "1":
                z = integer(shape.get("z_order", 0), f"{where}.z_order")
                attributes = {"track_id": number_, "keyframe": shape.get("keyframe", "1") == "1"}
                attributes |= {"z_order": z} if z else {}
                frames.setdefault(frame, []).append((z, shape, where, attributes, track.get("label", "")))
    for frame in sorted(frames):
        name = f"frame_{frame:06d}"
        found.images.append({"name": name, "size": size, "attributes": {"frame": frame}})
        for _, shape, where, attributes, label in sorted(frames[frame], key=lambda item: item[0]):
            found.add_shape(shape, where, attributes, label)


# Writing


def write(dataset: Dataset, path: Path) -> NDArray[np.int64]:
    """Write CVAT for images 1.1.

    Single rings become polygons, circles and ellipses ellipses, points points, lines polylines, bare boxes boxes; what
    has holes or parts becomes a mask. Of the attributes, occluded, source, z_order and group_id are CVAT's own. What
    has neither pixels nor a place is left out.

    Raises
    ------
    ValueError
        If a name has characters that XML cannot hold.
    """
    from xml.etree.ElementTree import Element, SubElement

    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    labels = SubElement(SubElement(SubElement(root, "meta"), "task"), "labels")
    for category in dataset.categories:
        label = SubElement(labels, "label")
        SubElement(label, "name").text = category["name"]
        color = (category["attributes"] or {}).get("color")
        if isinstance(color, str) and color:
            SubElement(label, "color").text = color
        SubElement(label, "type").text = "any"
        SubElement(label, "attributes")
    rings, rows = outlines(dataset), []
    for i, image in enumerate(dataset.images):
        element = SubElement(root, "image", {"id": str(i), "name": image["file_name"]})
        element.attrib |= {name: str(image[name]) for name in ("width", "height")}
        said = image["attributes"] or {}
        element.attrib |= {key: said[key] for key in ("subset", "task_id") if isinstance(said.get(key), str)}
        for tag in said.get("tags", ()):
            SubElement(element, "tag", {"label": str(tag), "source": "manual"})
        mine = dataset.rows_of_image(i).tolist()
        attributes = {row: dict(dataset.instances["attributes"][row] or {}) for row in mine}
        z = {row: _taken(own, "z_order", int, 0) for row, own in attributes.items()}
        for row in sorted(attributes, key=lambda row: z[row]):
            made = _element(dataset, row, rings[row])
            if made is not None:
                _describe(made, dataset, row, attributes[row], z[row])
                element.append(made)
                rows.append(row)
    save_xml(path, root)
    return np.array(rows, np.int64)


def _taken(attributes: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    """An attribute that CVAT has a place for, taken out of the others if it is of the kind that it takes."""
    found = attributes.get(name, default)
    if type(found) is not kind:
        return default
    attributes.pop(name, None)
    return found


def _describe(element: Element, dataset: Dataset, row: int, attributes: dict[str, Any], z: int) -> None:
    from xml.etree.ElementTree import SubElement

    category = int(dataset.instances["category"][row])
    element.set("label", dataset.categories["name"][category] if category >= 0 else "")
    element.set("source", _taken(attributes, "source", str, "manual"))
    element.set("occluded", str(int(_taken(attributes, "occluded", bool, False))))
    element.set("z_order", str(z))
    if "group_id" in attributes and type(attributes["group_id"]) is int:
        element.set("group_id", str(attributes.pop("group_id")))
    for name, value in attributes.items():
        SubElement(element, "attribute", {"name": name}).text = to_text(value)


def _element(dataset: Dataset, row: int, rings: list[NDArray[np.float64]]) -> Element | None:
    """One instance's shape, None if it has neither pixels nor a place."""
    from xml.etree.ElementTree import Element

    kind = dataset.shapes.kind[row]
    if kind == BOX:
        x, y, w, h = dataset.instances["bbox"][row].tolist()
        corners = {"xtl": x, "ytl": y, "xbr": x + w, "ybr": y + h}
        return None if math.isnan(sum(corners.values())) else Element("box", _texts(corners))
    if kind in (CIRCLE, ELLIPSE):
        (centre,), _, (axes,) = dataset.shapes.ellipses(np.array([row]))
        values = {
            "cx": centre[0],
            "cy": centre[1],
            "rx": axes[0],
            "ry": axes[1],
            "rotation": math.degrees(axes[2]),
        }
        return Element("ellipse", _texts(values))
    if kind in (POINT, LINE, POLYLINE):
        points = dataset.shapes.points[row]
        tag = "points" if kind == POINT else "polyline"
        return Element(tag, points=_joined(points[0])) if points and len(points[0]) >= FEWEST[tag] else None
    if len(rings) == 1 and len(rings[0]) >= 3:
        return Element("polygon", points=_joined(rings[0]))
    mask = dataset.masks[row]
    if not mask.area[0]:
        return None
    x, y, w, h = (int(v) for v in mask.bbox[0])
    runs = mask.crop([[x, y, w, h]]).transpose().counts.tolist()
    values = {"left": x, "top": y, "width": w, "height": h}
    return Element("mask", {"rle": ", ".join(map(str, runs)), **{key: str(v) for key, v in values.items()}})


def _texts(values: dict[str, float]) -> dict[str, str]:
    return {name: repr(float(value)) for name, value in values.items()}


def _joined(points: NDArray[np.float64]) -> str:
    return ";".join(f"{x!r},{y!r}" for x, y in points.tolist())
