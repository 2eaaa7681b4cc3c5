"""Annotation files of a layout: COCO with run-length masks, read and written as columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import coco_json
from maskmill._files import FormatError
from maskmill.dataset import Dataset, objects
from maskmill.io._parse import safe_name, text
from maskmill.masks import Masks

if TYPE_CHECKING:
    import os

MAX_PIXELS = 1 << 31
"""Of an image: what claims to have more is a mistake, or meant to fill the memory."""
_PLAIN = re.compile(r"[\w-][\w .-]*")


def read_annotations(path: str | os.PathLike[str]) -> Dataset:
    """Read an annotation file whose masks are run-lengths (strings or lists) or polygons.

    `maskmill.io.read` reads the same and more; this keeps to columns, and takes 40,000 images in a second.

    Raises
    ------
    FormatError
        If it is no ground truth of COCO's kind; names the annotation or image, and what is wrong.
    """
    file = coco_json.read(path)
    if file.is_results:
        raise FormatError(f"{path}: expected an object with images and annotations, found a list of results")
    return dataset_of_file(file)


def annotations_of(source: Dataset | str | os.PathLike[str]) -> Dataset:
    """A data set as it is, or what `read_annotations` reads."""
    return source if isinstance(source, Dataset) else read_annotations(source)


def dataset_of_file(file: coco_json.CocoFile) -> Dataset:
    """`read_annotations`, of a file that has been read."""
    for name in ("id", "image_id", "category_id", "segmentation"):
        lacking = np.flatnonzero(~file.has(name))
        if lacking.size:
            raise FormatError(
                f"{file.path}: annotation {lacking[0]}: expected {name!r}, found none that is valid"
            )
    content = file.head()
    names = [
        _name(image.get("file_name"), f"{file.path}: image {i}: file_name")
        for i, image in enumerate(content.get("images", []))
    ]
    none = np.zeros(0, np.int64)
    image = _rows_of(file.columns.get("image_id", none), file.image_ids, file.path, "image")
    category = _rows_of(file.columns.get("category_id", none), file.category_ids, file.path, "category")
    unknown = np.flatnonzero((file.heights <= 0) | (file.widths <= 0))
    if unknown.size:
        raise FormatError(f"{file.path}: image {unknown[0]}: expected height and width, found none")
    check_sizes(np.stack([file.heights, file.widths], 1), f"{file.path}: image")
    categories = content.get("categories", [])
    instances = {
        "id": file.columns.get("id", none),
        "image": image,
        "category": category,
        "iscrowd": file.columns.get("iscrowd", np.zeros(file.n, np.uint8)).astype(bool),
    }
    if "area" in file.columns:
        instances["area"] = np.where(file.has("area"), file.columns["area"], np.nan)
    if "bbox" in file.columns:
        instances["bbox"] = np.where(file.has("bbox")[:, None], file.columns["bbox"], np.nan)
    try:
        return Dataset(
            {"id": file.image_ids, "file_name": objects(names), "height": file.heights, "width": file.widths},
            {
                "id": file.category_ids,
                "name": objects([str(c.get("name", c.get("id"))) for c in categories]),
                "supercategory": objects([str(c.get("supercategory", "")) for c in categories]),
            },
            instances,
            file.masks(),
            info={"coco": {"info": content.get("info", {})}},
        )
    except ValueError as error:
        raise FormatError(str(error) if str(file.path) in str(error) else f"{file.path}: {error}") from None


def _name(value: Any, where: str) -> str:
    # Most names are plain, and there may be many.
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return str(safe_name(text(value, where), where))


def check_sizes(sizes: NDArray[np.int64], where: str) -> None:
    """Refuse images that nobody has."""
    large = np.flatnonzero(sizes[:, 0].astype(float) * sizes[:, 1] > MAX_PIXELS)
    if len(large):
        height, width = sizes[large[0]].tolist()
        raise FormatError(
            f"{where} {large[0]}: expected at most {MAX_PIXELS:,} pixels, found {height} x {width}"
        )


def _rows_of(wanted: NDArray[np.int64], ids: NDArray[np.int64], path: Path, what: str) -> NDArray[np.int64]:
    """The row of each id, or an error that names the first annotation without one."""
    order = np.argsort(ids, kind="stable")
    ranked = ids[order]
    twice = np.flatnonzero(ranked[1:] == ranked[:-1])
    if twice.size:
        raise FormatError(f"{path}: expected unique ids, found {what} {ranked[twice[0]]} twice")
    at = np.searchsorted(ranked, wanted)
    known = at < len(ranked)
    known[known] = ranked[at[known]] == wanted[known]
    lacking = np.flatnonzero(~known)
    if lacking.size:
        row = int(lacking[0])
        raise FormatError(f"{path}: annotation {row}: expected a known {what}, found {what}_id {wanted[row]}")
    rows: NDArray[np.int64] = order[at]
    return rows


def write_annotations(
    dataset: Dataset, path: str | os.PathLike[str], info: Mapping[str, Any] | None = None
) -> None:
    """Write an annotation file: run-length masks, their areas in pixels and their tight boxes.

    Folders are made. `info` is the file's; that of the data set by default.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    images = [
        {"id": number, "file_name": name, "width": width, "height": height}
        for number, name, width, height in zip(
            *(dataset.images[column].tolist() for column in ("id", "file_name", "width", "height")),
            strict=True,
        )
    ]
    categories = [
        {"id": number, "name": name, "supercategory": above or name}
        for number, name, above in zip(
            *(dataset.categories[column].tolist() for column in ("id", "name", "supercategory")), strict=True
        )
    ]
    columns = {
        "id": dataset.instances["id"],
        "image_id": dataset.images["id"][dataset.instances["image"]],
        "category_id": class_ids(dataset),
        "area": dataset.masks.area,
        "bbox": dataset.masks.bbox,
        "iscrowd": dataset.instances["iscrowd"],
    }
    said = info_of(dataset) if info is None else info
    coco_json.write(path, columns, dataset.masks, images=images, categories=categories, info=said)


def info_of(dataset: Dataset) -> dict[str, Any]:
    """What the annotation file said of itself."""
    info = dataset.info.get("coco", {}).get("info")
    return dict(info) if isinstance(info, dict) else {}


def of_masks(
    file_names: Sequence[str], masks: Sequence[Masks], sizes: ArrayLike, **images: ArrayLike
) -> Dataset:
    """Images numbered from 1, with the masks of each; flakes numbered from 1 on, all of one class."""
    counts = [len(part) for part in masks]
    size = np.asarray(sizes, np.int64).reshape(-1, 2)
    return Dataset(
        {"file_name": objects(file_names), "height": size[:, 0], "width": size[:, 1], **images},
        {"id": [1], "name": ["flake"]},
        {"image": np.repeat(np.arange(len(counts)), counts), "category": np.zeros(sum(counts), np.int64)},
        Masks.concatenate(masks),
    )


# Classes


def class_ids(dataset: Dataset) -> NDArray[np.int64]:
    """(N,) the number of each flake's class, -1 for none."""
    numbers: NDArray[np.int64] = np.append(dataset.categories["id"], -1)[dataset.instances["category"]]
    return numbers


def class_counts(dataset: Dataset) -> dict[str, int]:
    """Flakes of each class, by its name."""
    counts = np.bincount(dataset.instances["category"] + 1, minlength=len(dataset.categories) + 1)[1:]
    return dict(zip(dataset.categories["name"].tolist(), counts.tolist(), strict=True))


def with_classes(dataset: Dataset, numbers: ArrayLike, names: Mapping[int, str]) -> Dataset:
    """The same flakes with other classes: the number of each one's, and the name of each number."""
    ids = np.array(list(names), np.int64)
    order = np.argsort(ids)
    rows = order[np.searchsorted(ids, np.asarray(numbers, np.int64), sorter=order)]
    categories = {"id": ids, "name": objects(list(names.values()))}
    return dataset.replace(
        categories=Dataset({}, categories, {}, Masks.empty()).categories,
        instances=dataset.instances.with_columns(category=rows),
    )


def without_classes(dataset: Dataset) -> Dataset:
    """The class-agnostic twin: the same flakes, of one class."""
    return with_classes(dataset, np.ones(len(dataset.instances)), {1: "flake"})
