"""Data sets to and from COCO's dicts, as json.load gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from maskmill.dataset.dataset import Dataset
from maskmill.dataset.shapes import BOX, MASK, NONE, POLYGON, ShapesBuilder, take_polygons
from maskmill.dataset.table import objects
from maskmill.masks import Masks

__all__ = ["from_coco", "to_coco"]

_IMAGE = ("id", "file_name", "height", "width")
_CATEGORY = ("id", "name", "supercategory")
_ANNOTATION = (
    "id",
    "image_id",
    "category_id",
    "bbox",
    "area",
    "iscrowd",
    "score",
    "segmentation",
    "keypoints",
)


def from_coco(content: Mapping[str, Any]) -> Dataset:
    """A data set from the dict of a COCO file; see `Dataset.from_coco`."""
    images, categories, annotations = (
        content.get(key) or [] for key in ("images", "categories", "annotations")
    )
    rows = {image["id"]: i for i, image in enumerate(images)}
    classes = {category["id"]: i for i, category in enumerate(categories)}
    builder = ShapesBuilder(rule="coco")
    for i, annotation in enumerate(annotations):
        image = images[_row(rows, annotation, "image_id", i)]
        try:
            _add_shape(builder, annotation, (int(image.get("height", 0)), int(image.get("width", 0))))
        except (TypeError, ValueError) as error:
            raise ValueError(f"annotations[{i}]: {error}") from None
    instances: dict[str, Any] = {
        "id": [a.get("id", i + 1) for i, a in enumerate(annotations)],
        "image": [rows[a["image_id"]] for a in annotations],
        "category": [
            _row(classes, a, "category_id", i) if a.get("category_id") is not None else -1
            for i, a in enumerate(annotations)
        ],
        "bbox": np.array([a.get("bbox") or [np.nan] * 4 for a in annotations], np.float64).reshape(-1, 4),
        "area": np.array([np.nan if a.get("area") is None else a["area"] for a in annotations], np.float64),
        "iscrowd": np.array([bool(a.get("iscrowd", 0)) for a in annotations], bool),
        "score": np.array(
            [np.nan if a.get("score") is None else a["score"] for a in annotations], np.float64
        ),
        "attributes": objects([_rest(a, _ANNOTATION) for a in annotations]),
    }
    if any("keypoints" in a for a in annotations):
        instances["keypoints"] = objects(
            [None if "keypoints" not in a else np.reshape(a["keypoints"], (-1, 3)) for a in annotations]
        )
    return Dataset(
        {
            "id": np.array([image["id"] for image in images], np.int64),
            "file_name": objects([image.get("file_name", "") for image in images]),
            "height": np.array([image.get("height", 0) for image in images], np.int64),
            "width": np.array([image.get("width", 0) for image in images], np.int64),
            "attributes": objects([_rest(image, _IMAGE) for image in images]),
        },
        {
            "id": np.array([category["id"] for category in categories], np.int64),
            "name": objects([category.get("name", str(category["id"])) for category in categories]),
            "supercategory": objects([category.get("supercategory", "") for category in categories]),
            "attributes": objects([_rest(category, _CATEGORY) for category in categories]),
        },
        {
            name: np.asarray(column) if len(annotations) else _none(column)
            for name, column in instances.items()
        },
        builder.build(),
        info={
            "coco": {
                key: value
                for key, value in content.items()
                if key not in ("images", "categories", "annotations")
            }
        },
    )


def _none(column: Any) -> Any:
    array = np.asarray(column)
    return array.astype(np.int64) if array.dtype == np.float64 and array.ndim == 1 else array


def _row(rows: Mapping[Any, int], annotation: Mapping[str, Any], key: str, i: int) -> int:
    value = annotation.get(key)
    if value not in rows:
        raise ValueError(f"annotations[{i}]: {key} must be one of the file's, not {value!r}")
    return rows[value]


def _rest(item: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any] | None:
    return {key: value for key, value in item.items() if key not in known} or None


def _add_shape(builder: ShapesBuilder, annotation: Mapping[str, Any], size: tuple[int, int]) -> None:
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, Mapping):
        builder.mask(Masks.from_coco(segmentation))
    elif segmentation:
        builder.polygon(segmentation)
    else:
        builder.box()


def to_coco(dataset: Dataset, *, polygons: bool = True) -> dict[str, Any]:
    """The dict of a COCO file; see `Dataset.to_coco`."""
    categories = dataset.categories
    return {
        **dataset.info.get("coco", {}),
        "images": [
            {**(image["attributes"] or {}), **{key: image[key] for key in _IMAGE}} for image in dataset.images
        ],
        "categories": [
            {**(row["attributes"] or {}), **{key: row[key] for key in _CATEGORY if row[key] != ""}}
            for row in categories
        ],
        "annotations": _annotations(dataset, polygons),
    }


def _annotations(dataset: Dataset, polygons: bool) -> list[dict[str, Any]]:
    instances = dataset.instances
    image_ids = dataset.images["id"][instances["image"]].tolist()
    category_ids = np.append(dataset.categories["id"], -1)[instances["category"]].tolist()
    areas, boxes = dataset.areas.tolist(), _boxes(dataset)
    made = []
    for i, segmentation in enumerate(segmentations(dataset, polygons)):
        row: dict[str, Any] = {**(instances["attributes"][i] or {})}
        row |= {"id": int(instances["id"][i]), "image_id": image_ids[i]}
        if category_ids[i] != -1 or instances["category"][i] >= 0:
            row["category_id"] = category_ids[i]
        row |= {"bbox": boxes[i], "area": areas[i], "iscrowd": int(instances["iscrowd"][i])}
        if not np.isnan(instances["score"][i]):
            row["score"] = float(instances["score"][i])
        if segmentation is not None:
            row["segmentation"] = segmentation
        if "keypoints" in instances and instances["keypoints"][i] is not None:
            row["keypoints"] = instances["keypoints"][i].ravel().tolist()
        made.append(row)
    return made


def _boxes(dataset: Dataset) -> list[list[float]]:
    boxes = dataset.instances["bbox"]
    return np.where(np.isnan(boxes), 0.0, boxes).tolist()  # type: ignore[no-any-return]


def segmentations(dataset: Dataset, polygons: bool = True) -> list[Any]:
    """COCO's ``segmentation`` of each instance: polygons where COCO's own rule gives the same pixels from them, else
    RLEs; an empty list for bare boxes."""
    shapes = dataset.shapes
    made: list[Any] = [[] for _ in range(len(shapes))]
    as_polygons = (shapes.kind == POLYGON) & (shapes.rule == 0) if polygons else np.zeros(len(shapes), bool)
    as_polygons &= ~dataset.instances["iscrowd"]
    rows = np.flatnonzero(as_polygons)
    for i, rings in zip(rows.tolist(), take_polygons(shapes.points, rows).to_coco(), strict=True):
        made[i] = rings
    rest = np.flatnonzero(~as_polygons & ~np.isin(shapes.kind, (BOX, NONE)))
    masks = (
        shapes.rles
        if (shapes.kind[rest] == MASK).all() and len(rest) == len(shapes.rles)
        else dataset.masks[rest]
    )
    for i, rle in zip(rest.tolist(), masks.to_coco(text=True), strict=True):
        made[i] = rle
    return made
