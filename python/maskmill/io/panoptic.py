"""COCO panoptic: a JSON, and a folder of PNGs in which each pixel has the number of its segment."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.dataset import Dataset, Table, objects
from maskmill.dataset.coco import category_table, head, image_table
from maskmill.io._labels import LARGEST, colour_code, in_threads, paint, read_values, write_values
from maskmill.io._palette import palette
from maskmill.io._parse import (
    Images,
    integer,
    keep_unknown,
    load_json,
    mapping,
    number,
    safe_name,
    sequence,
    text,
    unique_stems,
    wrong,
)
from maskmill.io.coco import dumps, with_pictures
from maskmill.io.formats import Format
from maskmill.masks import Masks

FORMAT = Format(
    "panoptic",
    "COCO panoptic (JSON and a folder of PNGs)",
    (".panoptic.json",),
    frozenset(["masks", "holes", "parts", "classes", "crowd", "attributes", "empty"]),
)

_SEGMENT = ("id", "category_id", "iscrowd", "bbox", "area")
_STEP = 0x030507
"""Between the colours of two segments of a class. Odd, so that all colours come before one comes again."""


def sniff(path: Path, head: bytes) -> bool:
    if b'"segments_info"' in head:
        return True
    if not head.lstrip().startswith(b"{") or not path.with_suffix("").is_dir():
        return False
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        return whole.find(b'"segments_info"') >= 0


def read(path: Path, *, images: Path | None = None, segments: Path | None = None) -> Dataset:
    """Read COCO panoptic annotations.

    Every segment becomes an instance, in the order of the file; its id is that of its pixels.

    Parameters
    ----------
    path : Path
        The JSON.
    images : Path, optional
        Folder of the pictures.
    segments : Path, optional
        Folder of the PNGs; by default that of the JSON's name without suffix.

    Raises
    ------
    FormatError
        If a field is not what COCO says, or a PNG is missing, of another size than its image, or has pixels of a
        segment that the JSON does not know.
    """
    content = mapping(load_json(path), str(path))
    sections = {
        name: sequence(content.get(name, []), f"{path}: {name}")
        for name in ("images", "categories", "annotations")
    }
    try:
        pictures, classes = image_table(sections["images"]), category_table(sections["categories"])
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None
    reader = _Reader(path, segments or path.with_suffix(""), pictures, classes)
    found = list(in_threads(lambda job: reader.annotation(*job), enumerate(sections["annotations"])))
    columns: dict[str, list[Any]] = {
        name: [] for name in ("id", "category", "iscrowd", "bbox", "area", "attributes")
    }
    for _, rows, _ in found:
        for row in rows:
            for name, column in columns.items():
                column.append(row[name])
    made = Dataset(
        pictures.with_columns(**reader.sizes()),
        classes,
        {
            "id": np.array(columns["id"], np.int64),
            "image": np.array([image for image, rows, _ in found for _ in rows], np.int64),
            "category": np.array(columns["category"], np.int64),
            "bbox": np.array(columns["bbox"], np.float64).reshape(-1, 4),
            "area": np.array(columns["area"], np.float64),
            "iscrowd": np.array(columns["iscrowd"], bool),
            "attributes": objects(columns["attributes"]),
        },
        Masks.concatenate([masks for _, _, masks in found]),
        info={"coco": {key: value for key, value in content.items() if key not in sections}},
    )
    return with_pictures(made, Images(images))


class _Reader:
    def __init__(self, path: Path, folder: Path, images: Table, categories: Table) -> None:
        self.path, self.folder = path, folder
        self.images = {number: i for i, number in enumerate(images["id"].tolist())}
        self.categories = {number: i for i, number in enumerate(categories["id"].tolist())}
        self.size = np.stack([images["height"], images["width"]], 1)

    def sizes(self) -> dict[str, NDArray[np.int64]]:
        return {"height": self.size[:, 0], "width": self.size[:, 1]}

    def annotation(self, i: int, given: Any) -> tuple[int, list[dict[str, Any]], Masks]:
        """Segments of one image: its row, their fields, and masks in the same order."""
        where = f"{self.path}: annotations[{i}]"
        given = mapping(given, where)
        image = self._known(given.get("image_id"), self.images, f"{where}.image_id")
        infos = sequence(given.get("segments_info"), f"{where}.segments_info")
        rows = [self._segment(info, f"{where}.segments_info[{k}]") for k, info in enumerate(infos)]
        name = safe_name(text(given.get("file_name"), f"{where}.file_name"), f"{where}.file_name")
        file = self.folder / name
        if not file.is_file():
            raise wrong(f"{where}.file_name", f"a PNG in {self.folder}", str(name))
        labels = read_values(file)
        size = self.size[image]
        if not size.any():
            size[:] = labels.shape
        if labels.shape != tuple(size.tolist()):
            raise wrong(
                str(file), f"the image's size {size[0]} x {size[1]}", f"{labels.shape[0]} x {labels.shape[1]}"
            )
        masks, numbers = Masks.from_labels(labels)
        of = {row["id"]: k for k, row in enumerate(rows)}
        if len(of) < len(rows):
            raise wrong(f"{where}.segments_info", "ids that no other has", [row["id"] for row in rows])
        unknown = [n for n in numbers.tolist() if n not in of]
        if unknown:
            raise wrong(str(file), f"numbers that {where}.segments_info has", unknown[0])
        at = np.full(len(rows), len(masks))  # segments without pixels have the empty mask
        at[[of[n] for n in numbers.tolist()]] = np.arange(len(masks))
        return image, rows, Masks.concatenate([masks, Masks.empty([labels.shape])])[at]

    def _known(self, value: Any, rows: Mapping[int, int], where: str) -> int:
        found = integer(value, where)
        if found not in rows:
            raise wrong(where, "one of the file's", found)
        return rows[found]

    def _segment(self, info: Any, where: str) -> dict[str, Any]:
        info = mapping(info, where)
        box = info.get("bbox")
        if box is not None:
            sides = [number(value, f"{where}.bbox") for value in sequence(box, f"{where}.bbox")]
            if len(sides) != 4:
                raise wrong(f"{where}.bbox", "4 numbers: x, y, width, height", box)
            box = sides
        area = info.get("area")
        return {
            "id": integer(info.get("id"), f"{where}.id", low=1, high=LARGEST),
            "category": self._known(info.get("category_id"), self.categories, f"{where}.category_id"),
            "iscrowd": integer(info.get("iscrowd", 0), f"{where}.iscrowd", low=0, high=1) == 1,
            "bbox": [np.nan] * 4 if box is None else box,
            "area": np.nan if area is None else number(area, f"{where}.area"),
            "attributes": keep_unknown(info, _SEGMENT),
        }


# Writing


def write(
    dataset: Dataset, path: Path, *, overlap: str = "later", keep_ids: bool = False
) -> NDArray[np.int64]:
    """Write COCO panoptic annotations: the JSON, and PNGs in a folder of its name without suffix.

    A pixel belongs to one segment, so that instances which others cover wholly are left out, and those without a
    class. Areas and boxes are those of what is seen. Categories that say nothing of it are things, in Pascal VOC's
    colours.

    Parameters
    ----------
    overlap : {"later", "earlier"}
        Which of two instances a pixel is of that both have.
    keep_ids : bool
        Segments keep the ids of the instances, which must be 1 to 2**24 - 1 and unique in an image; otherwise they are
        colours: that of the class for the first of an image, others near it for further ones.

    Raises
    ------
    ValueError
        If the size of an image is not known, two images would get one name, or ids cannot be kept.

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
    >>> maskmill.io.write(dataset, folder / "a.json", "panoptic", overlap="earlier").pixels_lost
    1
    >>> maskmill.io.read(folder / "a.json").instances["area"].tolist()
    [2.0, 2.0]
    """
    folder = path.with_suffix("")
    if folder == path:
        raise ValueError(f"path must be a JSON, with a suffix, not {path.name!r}")
    names = [f"{name}.png" for name in unique_stems(dataset)]
    for needed in {(folder / name).parent for name in names} | {folder}:
        needed.mkdir(parents=True, exist_ok=True)
    content = head(dataset)
    colours = palette(256)
    for i, row in enumerate(content["categories"]):
        row.setdefault("isthing", 1)
        row.setdefault("color", colours[1 + i % 255].tolist())
    codes = [_code(row["color"], row.get("name", "")) for row in content["categories"]]
    _ = dataset.masks  # made once, before threads ask for them
    jobs = [(dataset, i, folder / name, overlap, None if keep_ids else codes) for i, name in enumerate(names)]
    made = list(in_threads(lambda job: _write_image(*job), jobs))
    content["annotations"] = [
        {"image_id": int(number), "file_name": name, "segments_info": segments}
        for number, name, (_, segments) in zip(dataset.images["id"], names, made, strict=True)
    ]
    with written_whole(path) as file:
        file.write(dumps(content, "the data set"))
    return np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in made)])


def _code(colour: Any, name: str) -> int:
    array = np.asarray(colour)
    if array.shape != (3,) or array.dtype.kind not in "ui" or array.min() < 0 or array.max() > 255:
        raise ValueError(f"category {name!r}: color must be 3 numbers from 0 to 255, not {colour!r}")
    return int(colour_code(array[None, None])[0, 0])


def _write_image(
    dataset: Dataset, i: int, file: Path, overlap: str, codes: list[int] | None
) -> tuple[NDArray[np.int64], list[dict[str, Any]]]:
    """Write a PNG; the instances that are seen in it, and what the JSON says of them."""
    rows = dataset.rows_of_image(i)
    category = dataset.instances["category"]
    rows = rows[category[rows] >= 0]
    seen = paint(dataset, i, rows, np.arange(1, len(rows) + 1), overlap)
    masks, numbers = Masks.from_labels(seen)
    rows = rows[numbers - 1]
    if codes is None:
        ids = _own_ids(dataset, i, rows)
    else:
        ids = _free_codes([codes[c] for c in category[rows].tolist()])
    lookup = np.zeros(int(numbers.max(initial=0)) + 1, np.uint32)
    lookup[numbers] = ids
    with written_whole(file) as opened:
        write_values(opened, lookup[seen], ".png")
    crowd, attributes = dataset.instances["iscrowd"], dataset.instances["attributes"]
    category_ids = dataset.categories["id"]
    return rows, [
        {
            **(attributes[row] or {}),
            "id": number,
            "category_id": int(category_ids[category[row]]),
            "iscrowd": int(crowd[row]),
            "bbox": [int(side) for side in box],
            "area": int(area),
        }
        for row, number, box, area in zip(
            rows.tolist(), ids, masks.bbox.tolist(), masks.area.tolist(), strict=True
        )
    ]


def _own_ids(dataset: Dataset, i: int, rows: NDArray[np.int64]) -> list[int]:
    ids = dataset.instances["id"][rows]
    if len(ids) and (len(np.unique(ids)) < len(ids) or ids.min() < 1 or ids.max() > LARGEST):
        name = dataset.images["file_name"][i]
        raise ValueError(f"image {name!r}: ids must be unique, from 1 to {LARGEST}, to be kept")
    return ids.tolist()  # type: ignore[no-any-return]


def _free_codes(wanted: list[int]) -> list[int]:
    """The colours that are wanted, or the next that nobody has; 0 is nobody's."""
    used = {0}
    last: dict[int, int] = {}
    found = []
    for first in wanted:
        code = last.get(first, first)
        while code in used:
            code = (code + _STEP) & LARGEST
        used.add(code)
        last[first] = code
        found.append(code)
    return found
