"""Label images: one number per pixel, of an instance or of a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import written_whole
from maskmill.dataset import Dataset, Reference, objects
from maskmill.io._labels import LARGEST, Pictures, in_threads, no_others, paint, read_values, write_values
from maskmill.io._parse import integer, load_json, mapping, sequence, text, unique_stems, wrong
from maskmill.io._semantic import label_image
from maskmill.io.coco import dumps
from maskmill.io.formats import Format
from maskmill.masks import Masks

FORMAT = Format(
    "label_images",
    "Label images, of instances or classes (PNG or TIFF)",
    (".png", ".tif", ".tiff"),
    frozenset(["masks", "holes", "parts", "classes", "semantic", "empty"]),
    single=True,
)

SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
SIDE = "labels.json"
"""Beside the images of a folder: what their numbers mean. Of one image: the JSON of its name."""
VALUES = ("instances", "classes")


def sniff(path: Path, head: bytes) -> bool:
    if path.is_dir():
        if (path / SIDE).is_file():
            return True
        first = next((file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES), None)
        if first is None:
            return False
        with open(first, "rb") as file:
            head = file.read(33)
    is_gray_png = head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) > 25 and head[25] in (0, 3)
    return is_gray_png or head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read(
    path: Path,
    *,
    images: Path | None = None,
    values: str | None = None,
    components: bool = False,
    categories: Mapping[int, str] | None = None,
    category: str = "object",
) -> Dataset:
    """Read a label image, or a folder of them with all its folders; 0 is background.

    PNGs of 1 to 16 bits, palettes (their indices count), colours (red + 256 green + 65536 blue), TIFF and BMP of any
    integer type. Images are decoded by several threads, and never more of them are in memory than there are threads.

    Parameters
    ----------
    path : file or folder
        What `write` left beside the images (`labels.json`) says which class each number is of.
    images : Path, optional
        Folder of the pictures, which have the label images' names but for the suffix.
    values : {"instances", "classes"}, optional
        What the numbers are; as `labels.json` says, else instances. Classes become one instance each in an image, and
        the image's `semantic`.
    components : bool
        One instance for each connected part of a class.
    categories : mapping, optional
        Name of the class of each number, for classes; others are called by their number.
    category : str
        The class of instances where nothing says which it is.

    Raises
    ------
    FormatError
        If a file is no label image, or `labels.json` does not fit; names the file.
    """
    if values not in (None, *VALUES):
        raise ValueError(f"values must be one of {', '.join(VALUES)}, not {values!r}")
    files = _files(path)
    known = _Side.load(path / SIDE if path.is_dir() else path.with_suffix(".json"))
    root = path if path.is_dir() else path.parent
    place = {
        name: i for i, name in enumerate(known.images)
    }  # as written; others behind, in the folder's order
    files.sort(key=lambda file: place.get(file.relative_to(root).as_posix(), len(place)))
    classes = (values or known.values) == "classes"
    if components and not classes:
        raise ValueError("components are of classes: say values='classes'")
    names = [file.relative_to(root).as_posix() for file in files]
    found = list(in_threads(_read_components if components else _read_masks, files))
    numbers = np.concatenate([n for _, _, n in found]) if found else np.empty(0, np.int64)
    image = np.repeat(np.arange(len(files)), [len(n) for _, _, n in found])
    if classes:
        table, rows = _classes(known, numbers, categories)
    else:
        table, rows = _instances(known, names, found, category)
    pictures = Pictures(images)
    file_names = [known.images.get(name, {}).get("file_name") or pictures.name(name) for name in names]
    semantic = [Reference(str(file), "", read_values) if classes else None for file in files]
    return Dataset(
        {
            "file_name": objects(file_names),
            "height": [size[0] for size, _, _ in found],
            "width": [size[1] for size, _, _ in found],
            "pixels": objects([pictures.reference(name) for name in file_names]),
            "semantic": objects(semantic),
        },
        table,
        {"image": image, "category": rows, "label": numbers},
        Masks.concatenate([masks for _, masks, _ in found]),
    )


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = _found(path)
    if not found:
        raise wrong(str(path), f"label images ({', '.join(SUFFIXES)})", "none")
    return found


def _found(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )


_Found = tuple[tuple[int, int], Masks, NDArray[np.int64]]
"""Size, masks and number of each mask of one image."""


def _read_masks(file: Path) -> _Found:
    labels = read_values(file)
    masks, numbers = Masks.from_labels(labels)
    return (labels.shape[0], labels.shape[1]), masks, numbers


def _read_components(file: Path) -> _Found:
    size, masks, numbers = _read_masks(file)
    parts, of = masks.components()
    return size, parts, numbers[of]


def _classes(
    known: _Side, numbers: NDArray[np.int64], names: Mapping[int, str] | None
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """Categories, whose ids are the numbers, and the row of each instance's."""
    rows = {int(row["id"]): row for row in known.categories or ()}
    rows |= {int(number): {"id": int(number), "name": str(name)} for number, name in (names or {}).items()}
    for number in np.unique(numbers).tolist():
        rows.setdefault(number, {"id": number, "name": str(number)})
    ids = np.array(sorted(rows), np.int64)
    return _table([rows[i] for i in ids.tolist()]), np.searchsorted(ids, numbers)


def _instances(
    known: _Side, names: list[str], found: list[_Found], category: str
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    if known.categories is None:
        return _table([{"id": 1, "name": category}]), np.zeros(sum(len(n) for _, _, n in found), np.int64)
    row_of = {row["id"]: i for i, row in enumerate(known.categories)}
    rows = [
        row_of.get(known.images.get(name, {}).get("classes", {}).get(number), -1)
        for name, (_, _, numbers) in zip(names, found, strict=True)
        for number in numbers.tolist()
    ]
    return _table(known.categories), np.asarray(rows, np.int64)


def _table(categories: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": np.array([row["id"] for row in categories], np.int64),
        "name": objects([row["name"] for row in categories]),
        "supercategory": objects([row.get("supercategory", "") for row in categories]),
        "attributes": objects([row.get("attributes") for row in categories]),
    }


@dataclass
class _Side:
    """What `labels.json` says."""

    values: str
    categories: list[dict[str, Any]] | None
    """None where nothing is said."""
    images: dict[str, dict[str, Any]]
    """By name of the label image: file_name, and for instances the id of each number's class."""

    @classmethod
    def load(cls, path: Path) -> _Side:
        if not path.is_file():
            return cls("instances", None, {})
        content = load_json(path)
        if not isinstance(content, dict) or "label_images" not in content:  # the JSON of something else
            return cls("instances", None, {})
        values = content["label_images"]
        if values not in VALUES:
            raise wrong(f"{path}: label_images", f"one of {', '.join(VALUES)}", values)
        categories: list[dict[str, Any]] = []
        for i, row in enumerate(sequence(content.get("categories", []), f"{path}: categories")):
            where = f"{path}: categories[{i}]"
            row = mapping(row, where)
            made = {key: text(row.get(key, ""), f"{where}.{key}") for key in ("name", "supercategory")}
            rest = {key: value for key, value in row.items() if key not in ("id", *made)}
            number = integer(row.get("id"), f"{where}.id")
            if any(number == other["id"] for other in categories):
                raise wrong(f"{where}.id", "an id that no other has", number)
            categories.append({"id": number, **made, "attributes": rest or None})
        images = {}
        for name, row in mapping(content.get("images", {}), f"{path}: images").items():
            where = f"{path}: images[{name!r}]"
            row = mapping(row, where)
            classes = mapping(row.get("classes", {}), f"{where}.classes").items()
            images[name] = {
                "file_name": text(row.get("file_name", ""), f"{where}.file_name"),
                "classes": {
                    integer(key, f"{where}.classes"): integer(value, f"{where}.classes[{key!r}]")
                    for key, value in classes
                },
            }
        return cls(values, categories, images)


# Writing


def write(
    dataset: Dataset, path: Path, *, values: str = "instances", suffix: str = ".png", overlap: str = "later"
) -> NDArray[np.int64]:
    """Write a label image for each image, and beside them what the numbers mean.

    Numbers take as many bits as the largest of all images needs: 8, 16, or 32 (in PNGs as colours). Instances that
    others cover wholly are left out.

    Parameters
    ----------
    path : folder, or a file if there is one image
    values : {"instances", "classes"}
        Numbers count the instances of each image from 1, or are the ids of categories (counted from 1 if an id is below
        1 or above 2**24 - 1). Instances without a class have none of these; an image without instances that has a
        `semantic` label image gets that one.
    suffix : {".png", ".tif"}
    overlap : {"later", "earlier"}
        Which of two instances a pixel is of that both have.

    Raises
    ------
    ValueError
        If the size of an image is not known, or two images would get one name.
    FileExistsError
        If the folder has others already.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import maskmill.io
    >>> from maskmill import Dataset, Masks
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> masks = Masks.encode(np.array([[[1, 1, 0], [0, 0, 0]], [[0, 1, 1], [0, 0, 1]]]))
    >>> image = {"file_name": ["a.png"], "height": [2], "width": [3]}
    >>> dataset = Dataset(image, {"name": ["grain"]}, {"category": [0, 0]}, masks)
    >>> print(maskmill.io.write(dataset, folder / "labels", "label_images"))
    label_images: 2 instances in 1 image; the format does not hold:
      masks changed: 1
      pixels lost: 1
      worst IoU: 0.5000
    >>> maskmill.io.read(folder / "labels").masks.area.tolist()
    [1, 3]
    """
    if values not in VALUES:
        raise ValueError(f"values must be one of {', '.join(VALUES)}, not {values!r}")
    single = path.suffix.lower() in SUFFIXES
    suffix = path.suffix.lower() if single else suffix
    if suffix not in SUFFIXES[:3]:
        raise ValueError(f"suffix must be one of {', '.join(SUFFIXES[:3])}, not {suffix!r}")
    if single and len(dataset) != 1:
        raise ValueError(f"path must be a folder for {len(dataset)} images, not {path.name!r}")
    stems = unique_stems(dataset)
    files = [path] if single else [path / f"{name}{suffix}" for name in stems]
    if path.is_dir():
        no_others(_found(path), files)
    for folder in {file.parent for file in files} | {path.parent if single else path}:
        folder.mkdir(parents=True, exist_ok=True)
    writer = _Writer(dataset, values == "classes", suffix, overlap)
    rows = list(in_threads(lambda job: writer.image(*job), enumerate(files)))
    names = [path.name] if single else [f"{name}{suffix}" for name in stems]
    with written_whole(path.with_suffix(".json") if single else path / SIDE) as opened:
        opened.write(dumps(writer.side(names, rows), "the meaning of the numbers"))
    return np.concatenate([np.empty(0, np.int64), *rows])


def _type(largest: int) -> np.dtype[Any]:
    return np.dtype(np.uint8 if largest < 256 else np.uint16 if largest < 65536 else np.uint32)


class _Writer:
    def __init__(self, dataset: Dataset, classes: bool, suffix: str, overlap: str) -> None:
        self.dataset, self.classes, self.suffix, self.overlap = dataset, classes, suffix, overlap
        ids = dataset.categories["id"]
        self.fits = len(ids) == 0 or (ids.min() >= 1 and ids.max() <= LARGEST)
        self.ids = ids if self.fits else np.arange(1, len(ids) + 1)
        per_image = np.bincount(dataset.instances["image"], minlength=1)
        self.dtype = _type(int((self.ids if classes else per_image).max(initial=0)))
        _ = dataset.masks  # made once, before threads ask for them

    def image(self, i: int, file: Path) -> NDArray[np.int64]:
        """Write one, and give the instances that are found again in it, in that order."""
        rows = self.dataset.rows_of_image(i)
        category = self.dataset.instances["category"]
        if self.classes:
            rows = rows[category[rows] >= 0]
        seen = paint(self.dataset, i, rows, np.arange(1, len(rows) + 1), self.overlap)
        shown = np.unique(seen)
        shown = shown[shown > 0] - 1
        found = rows[shown]
        if self.classes and not len(rows) and self.dataset.images["semantic"][i] is not None:
            numbers = np.append(0, self.ids)[label_image(self.dataset, i)]
            found = np.full(len(np.setdiff1d(numbers, 0)), -1)
        elif self.classes:
            numbers = np.append(0, self.ids[category[rows]])[seen]
            _, first = np.unique(self.ids[category[found]], return_index=True)
            found = found[first]
        else:
            numbers = seen
        with written_whole(file) as opened:
            write_values(opened, numbers.astype(max(self.dtype, _type(int(numbers.max())))), self.suffix)
        return found

    def side(self, names: list[str], found: list[NDArray[np.int64]]) -> dict[str, Any]:
        table = self.dataset.categories
        images = {}
        for i, name in enumerate(names):
            images[name] = {"file_name": self.dataset.images["file_name"][i]}
            if not self.classes:
                first = self.dataset.rows_of_image(i)
                numbers = np.searchsorted(first, found[i]) + 1
                category = self.dataset.instances["category"][found[i]]
                images[name]["classes"] = {
                    str(number): int(self.ids[row])
                    for number, row in zip(numbers.tolist(), category.tolist(), strict=True)
                    if row >= 0
                }
        return {
            "label_images": "classes" if self.classes else "instances",
            "categories": [
                {**(row["attributes"] or {}), "id": int(number)}
                | {key: row[key] for key in ("name", "supercategory") if row[key]}
                for row, number in zip(table, self.ids.tolist(), strict=True)
            ],
            "images": images,
        }
