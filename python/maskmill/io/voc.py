"""Pascal VOC: boxes in XML, classes and objects of pixels in palette PNGs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import written_whole
from maskmill.dataset import Dataset, Reference, ShapesBuilder, objects
from maskmill.io._palette import read_indexed, write_indexed
from maskmill.io._parse import Images, integer, load_text, number, side, unique_stems, wrong
from maskmill.io._xml import child_text, from_text, load_xml, save_xml, to_text
from maskmill.io.formats import HEAD, Format
from maskmill.masks import Masks

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

FORMAT = Format(
    "voc",
    "Pascal VOC (Annotations/*.xml, SegmentationClass and SegmentationObject/*.png)",
    (".xml",),
    frozenset(["boxes", "masks", "holes", "parts", "classes", "attributes", "semantic", "empty"]),
    single=True,
)

CORNERS = {"voc": 1.0, "edges": 0.0}
VOID = 255
"""Of 8-bit PNGs: borders and what was too hard to tell; neither object nor background."""
FLAGS = ("difficult", "truncated", "occluded")
SPLITS = ("train", "val", "test")
CLASSES = (
    *(
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
    ),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def sniff(path: Path, head: bytes) -> bool:
    if not path.is_dir():
        return b"<annotation>" in head and re.search(rb"<(object|size|filename)\b", head) is not None
    folders = ("SegmentationObject", "SegmentationClass")
    return any((path / name).is_dir() for name in folders) or any(
        sniff(file, file.open("rb").read(HEAD))
        for folder in (path / "Annotations", path)
        for file in [next(folder.glob("*.xml"), None)]
        if file is not None
    )


def read(
    path: Path,
    *,
    images: Path | None = None,
    corners: str = "voc",
    names: Sequence[str] | None = None,
) -> Dataset:
    """Read boxes, and objects of pixels where there are PNGs of them.

    Object k of an XML has the pixels of number k in SegmentationObject, if SegmentationClass says the same class there;
    other numbers become objects of their own. Void pixels (255) are nobody's. SegmentationClass is images["semantic"].

    Parameters
    ----------
    path : Path
        A folder with Annotations/ or SegmentationObject/, a folder of XML files, or one of these.
    images : Path, optional
        Folder of the pictures; JPEGImages/ by default.
    corners : {"voc", "edges"}
        What xmin, ymin, xmax, ymax are: numbers of pixels counted from 1, the last one within the box (Pascal VOC), or
        coordinates from 0 (as labelme and others write).
    names : sequence of str, optional
        Classes of the PNGs from 1 on; by default those of class_names.txt or labelmap.txt, else Pascal VOC's twenty.
    """
    if corners not in CORNERS:
        raise ValueError(f"corners must be one of {', '.join(CORNERS)}, not {corners!r}")
    root = path if path.is_dir() else path.parent
    annotations = root / "Annotations" if (root / "Annotations").is_dir() else root
    root = root.parent if root.name == "Annotations" else root
    files = [path] if not path.is_dir() else sorted(annotations.rglob("*.xml"))
    xmls = {_stem(file, path.parent if not path.is_dir() else annotations): file for file in files}
    kinds = ("SegmentationObject", "SegmentationClass")
    pngs = {kind: {_stem(f, root / kind): f for f in sorted((root / kind).rglob("*.png"))} for kind in kinds}
    stems = set(xmls) if not path.is_dir() else set(xmls).union(*pngs.values())
    found = _Found(
        _names(root) if names is None else list(names),
        Images(images, root / "JPEGImages", root),
        CORNERS[corners],
        _splits(root),
    )
    for stem in sorted(stems):
        found.add(stem, xmls.get(stem), *(pngs[kind].get(stem) for kind in kinds))
    return found.build()


def _stem(file: Path, folder: Path) -> str:
    return str(PurePosixPath(file.relative_to(folder).as_posix()).with_suffix(""))


def _names(root: Path) -> list[str] | None:
    if (root / "class_names.txt").is_file():
        lines = load_text(root / "class_names.txt").splitlines()
        return lines[1:] if lines[:1] == ["_background_"] else lines
    if (root / "labelmap.txt").is_file():
        lines = [line for line in load_text(root / "labelmap.txt").splitlines() if not line.startswith("#")]
        names = [line.split(":")[0] for line in lines if line.strip()]
        return names[1:] if names[:1] == ["background"] else names
    return None


def _splits(root: Path) -> dict[str, str]:
    """The split of each image that ImageSets names."""
    made = {}
    for kind in ("Segmentation", "Main"):
        for split in SPLITS:
            file = root / "ImageSets" / kind / f"{split}.txt"
            if file.is_file():
                lines = (line.strip() for line in load_text(file).splitlines())
                made.update({re.sub(r"\s+-?[01]$", "", line): split for line in lines if line})
    return made


@dataclass
class _Found:
    """What was read until now."""

    told: list[str] | None
    known: Images
    first: float
    splits: Mapping[str, str]
    names: list[str] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)
    instances: list[dict[str, Any]] = field(default_factory=list)
    shapes: ShapesBuilder = field(default_factory=ShapesBuilder)

    def __post_init__(self) -> None:
        self.names += CLASSES if self.told is None else self.told
        self.rows = {name: i for i, name in reversed([*enumerate(self.names)])}

    def add(self, stem: str, xml: Path | None, png: Path | None, classes: Path | None) -> None:
        """One image."""
        root = load_xml(xml, "annotation") if xml else None
        name = (child_text(root, "filename") if root is not None else "") or stem
        size = _size(root, str(xml)) if root is not None else (0, 0)
        drawn = _pixels(png, classes) if png else _Pixels((0, 0), Masks.empty(), [], [])
        if 0 not in drawn.size:
            if 0 not in size and drawn.size != size:
                raise wrong(f"{png}", f"{size[0]} x {size[1]} pixels, as {xml} says", drawn.size)
            size = drawn.size
        if 0 in size:
            size = self.known.size(name)
        self.images.append({"name": name, "size": size, "classes": classes, "split": self.splits.get(stem)})
        left = {number: i for i, number in enumerate(drawn.numbers)}
        for k, made in enumerate(_objects(root, str(xml), self.first) if root is not None else (), 1):
            i = left.get(k)
            if i is not None and self._named(drawn.classes[i]) in (made["name"], ""):
                del left[k]
                self._append(made, drawn.masks[i])
            else:
                self._append(made, None)
        for i in left.values():
            self._append({"name": self._named(drawn.classes[i])}, drawn.masks[i])

    def _named(self, number: int) -> str:
        """The class of a number in SegmentationClass, "" for none."""
        for unnamed in range(len(self.names) + 1, number + 1):
            self.rows.setdefault(str(unnamed), len(self.names))
            self.names.append(str(unnamed))
        return self.names[number - 1] if number else ""

    def _category(self, name: str) -> int:
        if name and name not in self.rows:
            self.rows[name] = len(self.names)
            self.names.append(name)
        return self.rows[name] if name else -1

    def _append(self, made: dict[str, Any], mask: Masks | None) -> None:
        category = self._category(made["name"])
        self.instances.append({"image": len(self.images) - 1, "category": category, **made})
        if mask is None:
            self.shapes.box()
        else:
            self.shapes.mask(mask)

    def build(self) -> Dataset:
        kept = np.arange(len(self.names))
        category = np.array([instance["category"] for instance in self.instances], np.int64)
        if self.told is None and not any(image["classes"] for image in self.images):
            kept = np.unique(category[category >= 0])  # the twenty are but a guess
        new = np.full(len(self.names) + 1, -1)
        new[kept] = np.arange(len(kept))
        boxes = [instance.get("bbox") or [math.nan] * 4 for instance in self.instances]
        sizes = np.array([image["size"] for image in self.images], np.int64).reshape(-1, 2)
        return Dataset(
            {
                "file_name": objects([image["name"] for image in self.images]),
                "height": sizes[:, 0],
                "width": sizes[:, 1],
                "pixels": objects([self.known.reference(image["name"]) for image in self.images]),
                "semantic": objects(
                    [
                        Reference(str(i["classes"]), "", read_indexed) if i["classes"] else None
                        for i in self.images
                    ]
                ),
                "attributes": objects(
                    [{"split": image["split"]} if image["split"] else None for image in self.images]
                ),
            },
            {"id": kept + 1, "name": objects([self.names[i] for i in kept])},
            {
                "image": np.array([instance["image"] for instance in self.instances], np.int64),
                "category": new[category],
                "bbox": np.array(boxes, np.float64).reshape(-1, 4),
                "attributes": objects([instance.get("attributes") or None for instance in self.instances]),
            },
            self.shapes.build(),
        )


def _size(root: Element, where: str) -> tuple[int, int]:
    found = root.find("size")
    if found is None:
        return 0, 0
    height, width = (
        side(child_text(found, name) or 0, f"{where}: size/{name}") for name in ("height", "width")
    )
    return height, width


def _objects(root: Element, where: str, first: float) -> Iterator[dict[str, Any]]:
    for k, element in enumerate(root.iterfind("object")):
        place = f"{where}: object[{k}]"
        attributes: dict[str, Any] = {}
        for name in FLAGS:
            said = child_text(element, name).strip()
            if said:
                attributes[name] = integer(said, f"{place}/{name}", low=0, high=1)
        if child_text(element, "pose") not in ("", "Unspecified"):
            attributes["pose"] = child_text(element, "pose")
        for item in element.iterfind("attributes/attribute"):
            attributes[child_text(item, "name")] = from_text(child_text(item, "value"))
        parts = [
            {"name": child_text(part, "name"), "bbox": _box(part, f"{place}/part[{i}]", first)}
            for i, part in enumerate(element.iterfind("part"))
        ]
        if parts:
            attributes["parts"] = parts
        yield {
            "name": child_text(element, "name"),
            "bbox": _box(element, place, first),
            "attributes": attributes,
        }


def _box(element: Element, where: str, first: float) -> list[float] | None:
    """x, y, width, height; None where there is no box."""
    found = element.find("bndbox")
    if found is None:
        return None
    corners = [
        number(child_text(found, name).strip(), f"{where}/bndbox/{name}")
        for name in ("xmin", "ymin", "xmax", "ymax")
    ]
    x, y = corners[0] - first, corners[1] - first
    return [x, y, corners[2] - x, corners[3] - y]


@dataclass(frozen=True)
class _Pixels:
    """The objects of a PNG, their numbers, and the number of the class of each (0: none)."""

    size: tuple[int, int]
    masks: Masks
    numbers: list[int]
    classes: list[int]


def _pixels(png: Path, classes: Path | None) -> _Pixels:
    labels = read_indexed(png)
    masks, values = Masks.from_labels(labels)
    real = values != VOID if labels.dtype == np.uint8 else np.ones(len(values), bool)
    masks, values = masks[real], values[real]
    of_class = np.zeros(len(values), np.int64)
    if classes is not None and len(values):
        said = read_indexed(classes)
        if said.shape != labels.shape:
            raise wrong(f"{classes}", f"the shape {labels.shape}, as of {png}", said.shape)
        kinds, numbers = Masks.from_labels(said)
        sure = numbers != VOID if said.dtype == np.uint8 else np.ones(len(numbers), bool)
        if sure.any():
            shared = masks.intersection_area(kinds[sure])
            of_class = np.where(shared.any(1), numbers[sure][shared.argmax(1)], 0)
    height, width = labels.shape
    return _Pixels((height, width), masks, values.tolist(), of_class.tolist())


# Writing


def write(dataset: Dataset, path: Path, *, corners: str = "voc", masks: bool = True) -> NDArray[np.int64]:
    """Write Annotations/*.xml with a box for each instance, and PNGs of classes and objects where they have pixels.

    The PNGs hold one number a pixel: where instances overlap, the later one wins, and of an image the first 254 have
    pixels. class_names.txt has the classes, ImageSets/Main the images' attribute "split". Pictures are not copied.

    Parameters
    ----------
    path : Path
        The folder.
    corners : {"voc", "edges"}
        As of `read`.
    masks : bool
        Write PNGs.

    Raises
    ------
    ValueError
        If there are more than 254 classes for PNGs, or names that the files cannot hold.
    """
    if corners not in CORNERS:
        raise ValueError(f"corners must be one of {', '.join(CORNERS)}, not {corners!r}")
    names = dataset.categories["name"].tolist()
    if masks and len(names) >= VOID:
        raise ValueError(
            f"categories must be at most {VOID - 1} for 8-bit PNGs, not {len(names)}; see masks=False"
        )
    if any(len(name.splitlines()) > 1 for name in names):
        raise ValueError("names of categories must be of one line")
    if any((path / name).exists() for name in ("Annotations", "SegmentationClass", "SegmentationObject")):
        raise FileExistsError(17, "must be a folder without annotations: there are some", str(path))
    stems = unique_stems(dataset)
    (path / "Annotations").mkdir(parents=True)
    rows: list[int] = []
    for i in sorted(range(len(stems)), key=lambda i: str(stems[i])):
        mine = dataset.rows_of_image(i)
        rows += mine.tolist()
        save_xml(_file(path, "Annotations", stems[i], ".xml"), _annotation(dataset, i, CORNERS[corners]))
        if masks and bool((dataset.masks[mine].area > 0).any()):
            _write_pngs(dataset, mine, path, stems[i])
    with written_whole(path / "class_names.txt") as file:
        file.write("".join(f"{name}\n" for name in ["_background_", *names]).encode())
    _write_splits(dataset, path, stems)
    return np.array(rows, np.int64)


def _file(folder: Path, kind: str, stem: PurePosixPath, suffix: str) -> Path:
    file = folder / kind / f"{stem}{suffix}"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _write_pngs(dataset: Dataset, rows: NDArray[np.int64], path: Path, stem: PurePosixPath) -> None:
    drawn = rows[: VOID - 1]
    masks = dataset.masks[drawn]
    classes = dataset.instances["category"][drawn] + 1
    shape = tuple(masks.sizes[0].tolist())
    for kind, values in (
        ("SegmentationObject", np.arange(1, len(drawn) + 1)),
        ("SegmentationClass", np.where(classes > 0, classes, VOID)),
    ):
        with written_whole(_file(path, kind, stem, ".png")) as file:
            write_indexed(file, masks.labels(values, np.zeros(shape, np.uint8)))


def _write_splits(dataset: Dataset, path: Path, stems: Sequence[PurePosixPath]) -> None:
    splits = [(attributes or {}).get("split") for attributes in dataset.images["attributes"]]
    for split in SPLITS:
        chosen = [f"{stem}\n" for stem, own in zip(stems, splits, strict=True) if own == split]
        if chosen:
            with written_whole(_file(path, "ImageSets/Main", PurePosixPath(split), ".txt")) as file:
                file.write("".join(chosen).encode())


def _annotation(dataset: Dataset, i: int, first: float) -> Element:
    from xml.etree.ElementTree import Element, SubElement

    root = Element("annotation")

    def add(parent: Element, name: str, text: str) -> None:
        SubElement(parent, name).text = text

    def box(parent: Element, xywh: Sequence[float]) -> None:
        x, y, w, h = xywh
        if not math.isnan(x + y + w + h):
            made = SubElement(parent, "bndbox")
            for name, value in (("xmin", x + first), ("ymin", y + first), ("xmax", x + w), ("ymax", y + h)):
                add(made, name, str(int(value)) if value == int(value) else repr(value))

    add(root, "folder", "")
    add(root, "filename", dataset.images["file_name"][i])
    size = SubElement(root, "size")
    for name in ("width", "height"):
        add(size, name, str(dataset.images[name][i]))
    add(size, "depth", "3")
    rows = dataset.rows_of_image(i)
    add(root, "segmented", str(int(bool((dataset.masks[rows].area > 0).any()))))
    for row in rows.tolist():
        element = SubElement(root, "object")
        attributes = dict(dataset.instances["attributes"][row] or {})
        category = int(dataset.instances["category"][row])
        add(element, "name", dataset.categories["name"][category] if category >= 0 else "")
        add(element, "pose", str(attributes.pop("pose", "Unspecified")))
        for name in FLAGS:
            if attributes.get(name) in (0, 1, True, False):
                add(element, name, str(int(attributes.pop(name))))
        box(element, dataset.instances["bbox"][row].tolist())
        for part in _parts(attributes):
            made = SubElement(element, "part")
            add(made, "name", part["name"])
            box(made, part["bbox"] or [math.nan] * 4)
        if attributes:
            more = SubElement(element, "attributes")
            for name, value in attributes.items():
                item = SubElement(more, "attribute")
                add(item, "name", name)
                add(item, "value", to_text(value))
    return root


def _parts(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    """Parts as the reader gives them, taken out of the attributes."""
    found = attributes.get("parts")
    if isinstance(found, list) and all(
        isinstance(part, dict) and {"name", "bbox"} <= set(part) for part in found
    ):
        del attributes["parts"]
        return found
    return []
