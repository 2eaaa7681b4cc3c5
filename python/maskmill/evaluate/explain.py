"""Why two files cannot be evaluated, in a sentence: file, annotation, field."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskmill import coco_json
from maskmill._files import FormatError
from maskmill.coco_json import CocoFile

_GT_FIELDS = {
    "bbox": ("id", "image_id", "category_id", "area", "iscrowd", "bbox"),
    "segm": ("id", "image_id", "category_id", "area", "iscrowd", "segmentation"),
    "keypoints": ("id", "image_id", "category_id", "area", "iscrowd", "bbox", "keypoints", "num_keypoints"),
}
_DT_FIELDS = {
    "bbox": ("image_id", "category_id", "score", "bbox"),
    "segm": ("image_id", "category_id", "score", "segmentation"),
    "keypoints": ("image_id", "category_id", "score", "keypoints"),
}
_KINDS = {
    "bbox": "four numbers",
    "segmentation": "polygons (lists of 6 or more numbers) or an RLE",
    "keypoints": "a list of numbers",
    "iscrowd": "0 or 1",
}


def explain_failure(ground_truth: Path, results: Path, iou_type: str) -> str | None:
    """The first thing that is wrong with two files, or None if nothing is seen to be."""
    try:
        gt = coco_json.read(ground_truth)
        if gt.is_results:
            return f"{ground_truth}: must be an object with images, annotations and categories, not an array"
        found = _missing(gt, _GT_FIELDS[iou_type])
        if found:
            return found
        if len(gt) == 0 and "annotations" not in gt.dicts():
            return f"{ground_truth}: must be an object with images, annotations and categories; has no annotations"
        if len(gt.category_ids) == 0:
            return f"{ground_truth}: has no categories"
        dt = coco_json.read(results)
    except FormatError as error:
        return str(error)
    if not dt.is_results:
        return f"{results}: must be an array of results, not an object"
    if len(dt) == 0:
        return f"{results}: has no results"
    found = _missing(dt, _DT_FIELDS[iou_type])
    if found:
        return found
    unknown = np.flatnonzero(~np.isin(dt.columns["image_id"], gt.image_ids))
    if unknown.size:
        row = int(unknown[0])
        image = int(dt.columns["image_id"][row])
        return f"{results}: result {row} (and {unknown.size - 1} more) is of image {image}, which {ground_truth} lacks"
    if iou_type == "segm":
        try:
            gt.masks()
            dt.masks(sizes=gt.image_sizes(dt.columns["image_id"]))
        except ValueError as error:
            return str(error)
    return None


def _missing(file: CocoFile, fields: tuple[str, ...]) -> str | None:
    for field in fields:
        lacking = np.flatnonzero(~file.has(field))
        if lacking.size == 0:
            continue
        row = int(lacking[0])
        found = file.dict(row)
        what = "result" if file.is_results else "annotation"
        if field not in found:
            return f"{file.path}: {what} {row} (and {lacking.size - 1} more) has no '{field}'"
        text = repr(found[field])
        shown = text if len(text) <= 60 else text[:57] + "..."
        return f"{file.path}: {what} {row}: '{field}' must be {_KINDS.get(field, 'a number')}, not {shown}"
    return None
