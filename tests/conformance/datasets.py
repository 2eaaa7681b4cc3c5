"""Data sets and results to try, and the ways in which they can be handed over."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.harness import REF, Api, Behaviour

Dataset = dict[str, Any]
Results = list[dict[str, Any]]

# "file": from files, into whose dicts nobody has looked when they are evaluated; "touched": somebody has; "dicts":
# without files. Ours goes by columns in the first.
SOURCES = ("file", "touched", "dicts")
_source = "dicts"


@contextlib.contextmanager
def given_as(source: str) -> Iterator[None]:
    """Let `load` and `load_results` hand data over like this."""
    global _source
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before


def check_from(source: str, way: str, behaviour: Behaviour) -> None:
    """Check a behaviour with data handed over like this."""
    if way != "compiled" and source != "dicts":
        pytest.skip("without compiled code a file's dicts are made at once")
    with given_as(source):
        behaviour.check()


@contextlib.contextmanager
def file_with(content: Any) -> Iterator[str]:
    """The path of a file with these bytes, or with this as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        yield str(path)


def from_file(api: Api, content: Any) -> Any:
    with file_with(content) as path:
        return api.COCO(path)


def from_dicts(api: Api, dataset: Dataset) -> Any:
    coco = api.COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco


def load(api: Api, dataset: Dataset) -> Any:
    if _source == "dicts":
        return from_dicts(api, dataset)
    coco = from_file(api, dataset)
    if _source == "touched":
        assert coco.dataset is not None
    return coco


def load_results(api: Api, gt: Any, results: Results) -> Any:
    if _source == "dicts":
        return gt.loadRes(results)
    with file_with(results) as path:
        coco = gt.loadRes(path)
    if _source == "touched":
        assert coco.anns is not None
    return coco


def evaluation(api: Api, dataset: Dataset, results: Results, iou_type: str = "bbox", **params: Any) -> Any:
    """A COCOeval with these parameters."""
    gt = load(api, dataset)
    ev = api.COCOeval(gt, load_results(api, gt, results), iou_type)
    for name, value in params.items():
        setattr(ev.params, name, value)
    return ev


def evaluated(api: Api, dataset: Dataset, results: Results, iou_type: str = "bbox", **params: Any) -> Any:
    """The same after all three steps."""
    ev = evaluation(api, dataset, results, iou_type, **params)
    ev.evaluate()
    ev.accumulate()
    ev.summarize()
    return ev


# Small ones, by hand


def image(number: Any, height: int = 60, width: int = 80) -> dict[str, Any]:
    return {"id": number, "height": height, "width": width, "file_name": f"{number}.jpg"}


def category(number: Any, name: str = "", above: str = "thing") -> dict[str, Any]:
    return {"id": number, "name": name or f"category {number}", "supercategory": above}


def truth(
    number: Any, box: list[float], image_id: Any = 1, category_id: Any = 1, **more: Any
) -> dict[str, Any]:
    x, y, w, h = box
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": box,
        "area": w * h,
        "iscrowd": 0,
        "segmentation": [[x, y, x, y + h, x + w, y + h, x + w, y]],
        **more,
    }


def found(
    box: list[float], score: Any, image_id: Any = 1, category_id: Any = 1, **more: Any
) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category_id, "bbox": box, "score": score, **more}


def dataset(
    annotations: list[dict[str, Any]], images: Any = (1,), categories: Any = (1,), **more: Any
) -> Dataset:
    return {
        "images": [image(i) for i in images],
        "categories": [category(c) for c in categories],
        "annotations": annotations,
        **more,
    }


# Random ones


def mask_of(box: list[float], height: int, width: int) -> dict[str, Any]:
    x, y, w, h = (round(v) for v in box)
    picture = np.zeros((height, width), np.uint8, order="F")
    picture[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = 1
    made = REF.mask.encode(picture)
    return {"size": made["size"], "counts": made["counts"].decode()}


def counts_of(box: list[float], height: int, width: int) -> dict[str, Any]:
    picture = REF.mask.decode(mask_of(box, height, width)).ravel(order="F")
    ends = np.flatnonzero(np.diff(picture, prepend=0))
    return {"size": [height, width], "counts": np.diff([0, *ends, picture.size]).tolist()}


def scene(
    seed: int = 0, images: int = 4, categories: int = 3, most: int = 5, crowd: float = 0.15, points: int = 0
) -> tuple[Dataset, Results]:
    """Ground truth and results with near and far misses, ties of scores, crowds, all three area ranges, empty cells."""
    rng = np.random.default_rng(seed)
    height, width = 130, 160
    annotations: Results = []
    results: Results = []
    for i in range(1, images + 1):
        for _ in range(rng.integers(0, most + 1)):
            side = rng.choice([8, 20, 32, 60, 100])
            box = [
                *(rng.integers(0, 4 * (np.array([width, height]) - side)) / 4).tolist(),
                *(rng.integers(side, 5 * side // 4 + 1, 2)).tolist(),
            ]
            is_crowd = bool(rng.random() < crowd)
            category_id = int(rng.integers(1, categories + 1))
            ann = truth(len(annotations) + 1, box, i, category_id, iscrowd=int(is_crowd))
            if is_crowd:
                ann["segmentation"] = counts_of(box, height, width)
            if points:
                _add_points(rng, ann, box, points)
            annotations.append(ann)
            for _ in range(rng.integers(0, 4)):
                moved = [
                    v + float(d) for v, d in zip(box, rng.choice([0, 0, 0.25, 1, -2, 5], 4), strict=True)
                ]
                moved[2:] = [max(1.0, v) for v in moved[2:]]
                right = rng.random() < 0.85
                result = found(
                    moved,
                    float(rng.choice([0.1, 0.25, 0.5, 0.5, 0.75, 0.9])),
                    i,
                    category_id if right else int(rng.integers(1, categories + 1)),
                    segmentation=mask_of(moved, height, width),
                )
                if points:
                    _add_points(rng, result, moved, points)
                results.append(result)
    if not results:
        results.append(found([1.0, 1.0, 5.0, 5.0], 0.5, segmentation=mask_of([1, 1, 5, 5], height, width)))
        if points:
            _add_points(rng, results[0], [1.0, 1.0, 5.0, 5.0], points)
    made = dataset(annotations, range(1, images + 1), range(1, categories + 1), info={"year": 2014})
    for item in made["images"]:
        item.update(height=height, width=width)
    return made, results


def _add_points(rng: np.random.Generator, ann: dict[str, Any], box: list[float], n: int) -> None:
    x, y, w, h = box
    seen = rng.choice([0, 1, 2], n) if rng.random() < 0.8 else np.zeros(n, int)
    where = np.stack(
        [(x + rng.random(n) * w).round(1), (y + rng.random(n) * h).round(1), seen.astype(float)], 1
    )
    ann["keypoints"] = [int(v) if v == int(v) else v for v in where.ravel().tolist()]
    if "area" in ann:
        ann["num_keypoints"] = int(np.count_nonzero(seen))


def only(results: Results, *keys: str) -> Results:
    """Results without the fields that decide otherwise what they are results of."""
    return [{k: v for k, v in r.items() if k not in keys} for r in results]
