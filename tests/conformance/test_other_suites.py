"""What the suites of others ask of pycocotools, written anew with data of our own.

The regression tests of pycocotools' maintained fork; the table of experiments with which detectron2 compares its
evaluator (each step of COCOeval with empty lists, odd parameters, and every field left out); the metric tests of
faster-coco-eval.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from conformance.datasets import (
    dataset,
    evaluated,
    found,
    from_dicts,
    from_file,
    given_as,
    mask_of,
    truth,
)
from conformance.harness import OWN, Api, Behaviours
from conformance.masks import rle

behaviour = Behaviours()
add = behaviour.add


def encode(api: Api, rows: Any):
    return api.mask.encode(np.asfortranarray(rows, np.uint8))


# pycocotools' own: boxes of masks, malformed codes, leading zeros


def box_of(api: Api, rows: Any):
    return api.mask.toBbox(encode(api, rows))


def picture(h: int, w: int, *boxes: tuple[int, int, int, int]) -> list[list[int]]:
    made = np.zeros((h, w), int)
    for x, y, width, height in boxes:
        made[y : y + height, x : x + width] = 1
    return made.tolist()


for name, rows in {
    "all but one corner": [[0, 1], [1, 1]],
    "all but another corner": [[1, 1], [1, 0]],
    "a rectangle inside": picture(10, 10, (3, 2, 3, 2)),
    "a column": picture(10, 10, (4, 2, 1, 5)),
    "a full column": picture(10, 10, (4, 0, 1, 10)),
    "a row": picture(10, 10, (2, 4, 5, 1)),
    "two rectangles": picture(10, 12, (1, 1, 2, 2), (8, 6, 3, 3)),
    "two pixels in one column": picture(10, 12, (5, 1, 1, 1), (5, 8, 1, 1)),
    "the last pixel": picture(10, 12, (11, 9, 1, 1)),
    "the last column": picture(10, 12, (11, 0, 1, 10)),
}.items():
    add("3.4", f"box of {name}", box_of, rows)


def leading_zeros(zeros: int, *rest: int):
    return rle(40, 30, [*[0] * zeros, *rest, 1200 - sum(rest)])


def again(api: Api, mask):
    """Boxes of a mask, and of what it is encoded as after decoding."""
    pixels = api.mask.decode(mask)
    new = api.mask.encode(pixels)
    return api.mask.toBbox(mask), api.mask.toBbox(new), new, api.mask.area(mask), api.mask.area(new)


for zeros in range(7):
    add("3.4", f"{zeros} leading zeros", again, leading_zeros(zeros, 45, 20, 21, 18))
    add(
        "3.4",
        f"{zeros} leading zeros in a list",
        lambda api, m: api.mask.toBbox([m, m]),
        leading_zeros(zeros, 45, 20),
    )

VALID = mask_of([4, 5, 12, 9], 40, 30)["counts"]


def pixels(string: str) -> int:
    """The sum of a code's counts."""
    counts: list[int] = []
    value = place = 0
    for c in string:
        group = (ord(c) - 48) & 63
        value |= (group & 31) << 5 * place
        place += 1
        if not group & 32:
            value -= (group & 16) << (5 * place - 4)
            counts.append((value + (counts[-2] if len(counts) > 2 else 0)) % 2**32)
            value = place = 0
    return sum(counts)


for name, string in {
    "a digit more": VALID + "9",
    "many numbers more": VALID + "P91" * 30,
    "itself repeated": VALID * 3,
    "numbers too large": VALID + "ooo5ooo5",
    "a character beyond the alphabet": VALID[:2] + "z1" + VALID[2:],
    "backslashes": "\\1\\1" + VALID + "\\1",
}.items():
    # Of less than an image pycocotools makes whatever was in memory: see test_safety.py.
    assert pixels(string) > 1200, name
    add(
        "3.3",
        f"decode a code with {name}",
        lambda api, m: api.mask.decode(m),
        {"size": [40, 30], "counts": string},
    )

# detectron2's table

TRUTHS = [
    truth(
        23,
        [41.25, 15.5, 5.25, 13.75],
        139,
        1,
        area=52.4,
        segmentation=[[42.8, 21.9, 43.1, 16, 44.6, 15.5, 45.9, 18.5, 46.5, 27, 45.3, 29.2, 41.3, 22.2]],
    ),
    truth(
        24,
        [38.4, 17.2, 1.5, 3.6],
        139,
        1,
        area=4.3,
        segmentation=[[38.5, 20.7, 38.4, 19.3, 38.8, 17.3, 39.9, 17.4, 39.9, 20.6]],
    ),
    truth(25, [3, 4, 40, 30], 285, 65, area=1100.5, segmentation=[[3, 4, 43, 4, 43, 34, 10, 34]]),
]
FOUND = [
    found([41.7, 15.9, 4.75, 14.25], 0.99, 139, 1, segmentation=mask_of([42, 16, 4, 13], 60, 80)),
    found([38.25, 17.25, 1.75, 3.5], 0.77, 139, 1, segmentation=mask_of([38, 17, 2, 4], 60, 80)),
    found([45.8, 15.9, 1.0, 0.75], 0.07, 139, 1, segmentation=mask_of([46, 16, 1, 1], 60, 80)),
    found([5, 5, 35, 28], 0.5, 285, 65, segmentation=mask_of([5, 5, 35, 28], 60, 80)),
]
TWO_IMAGES = dataset(TRUTHS, (285, 139), (1, 65))


def without(items: list[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in item.items() if k != field} for item in items]


EXPERIMENTS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "everything": (TRUTHS, FOUND, {}),
    "no results": (TRUTHS, [], {}),
    "no ground truth": ([], FOUND, {}),
    "no categories": (TRUTHS, FOUND, {"useCats": 0}),
    "no thresholds": (TRUTHS, FOUND, {"iouThrs": []}),
    "no recalls": (TRUTHS, FOUND, {"recThrs": []}),
    "no limits": (TRUTHS, FOUND, {"maxDets": []}),
    "one limit": (TRUTHS, FOUND, {"maxDets": [1]}),
    "no areas": (TRUTHS, FOUND, {"areaRng": [], "areaRngLbl": []}),
}
for field in ("id", "image_id", "category_id", "score", "area", "iscrowd", "ignore", "bbox", "segmentation"):
    EXPERIMENTS[f"ground truth without {field}"] = (without(TRUTHS, field), FOUND, {})
    EXPERIMENTS[f"results without {field}"] = (TRUTHS, without(FOUND, field), {})
for name, (truths, results, params) in EXPERIMENTS.items():
    for kind in ("bbox", "segm", "keypoints"):

        def experiment(api: Api, truths, results, kind, params):
            return evaluated(
                api, {**copy.deepcopy(TWO_IMAGES), "annotations": truths}, results, kind, **params
            )

        add("5.2", f"{kind}: {name}", experiment, truths, results, kind, params)


# faster-coco-eval's metrics

SAME_MASK = mask_of([0, 0, 5, 5], 10, 10)
FOUR = [
    ([50, 60, 20, 20], 0, 1.0),
    ([100, 120, 30, 30], 0, 0.98),
    ([150, 160, 40, 40], 1, 0.96),
    ([250, 260, 100, 100], 0, 0.95),
]


def perfect(api: Api, kind: str, **params):
    """Four objects of all areas in an image with id 0, each found; masks are all the same."""
    gt = dataset(
        [truth(n, box, 0, c, segmentation=SAME_MASK) for n, (box, c, _) in enumerate(FOUR, 1)],
        (0,),
        (0, 1),
        info="some text",
    )
    results = [found(box, score, 0, c, segmentation=SAME_MASK) for box, c, score in FOUR]
    return evaluated(api, gt, results, kind, **params)


for kind in ("bbox", "segm"):
    add("5.6", f"four of four, {kind}", perfect, kind)
    add("5.6", f"four of four, {kind}, without categories", lambda api, k=kind: perfect(api, k, useCats=0))
    add(
        "5.6",
        f"four of four, {kind}, other ranges of area",
        lambda api, k=kind: perfect(
            api,
            k,
            areaRng=[[0, 1e10], [0, 64], [64, 256], [256, 1024], [1024, 9216], [9216, 1e10]],
            areaRngLbl=["all", "nano", "micro", "small", "medium", "large"],
        ),
    )


def orphans(api: Api, kind: str):
    """Annotations of images and categories that the file does not have."""
    gt = dataset([truth(1, [5, 5, 9, 9]), truth(2, [5, 5, 9, 9], 77), truth(3, [5, 5, 9, 9], 1, 88)])
    return evaluated(
        api, gt, [{**found([5, 5, 9, 9], 0.5), "segmentation": mask_of([5, 5, 9, 9], 60, 80)}], kind
    )


def first_id(api: Api, start: int):
    gt = dataset([truth(start + n, [10 * n, 5, 9, 9], 1 + n % 2) for n in range(4)], (1, 2))
    return evaluated(api, gt, [found([10 * n, 5, 9, 9], 0.9 - n / 10, 1 + n % 2) for n in range(4)])


def tied(api: Api, scores: list[float]):
    gt = dataset([truth(n + 1, [12 * n, 5, 9, 9], 1 + n % 3) for n in range(6)], (1, 2, 3))
    return evaluated(
        api, gt, [found([12 * n, 5 + n % 2 * 5, 9, 9], s, 1 + n % 3) for n, s in enumerate(scores)]
    )


def twice(api: Api):
    """With stricter thresholds the second time."""
    ev = evaluated(
        api, dataset([truth(1, [0, 0, 10, 10])]), [found([0, 0, 8, 8], 1.0)], iouThrs=np.array([0.5])
    )
    first = copy.deepcopy(ev.evalImgs)
    ev.params.iouThrs = np.array([0.75])
    ev.evaluate()
    ev.accumulate()
    return first, ev


add("5.2", "orphans, boxes", orphans, "bbox")
add("5.2", "orphans, masks", orphans, "segm")
for start in (-2, 0, 1, 10**6):
    add("5.2", f"ids from {start} on", first_id, start)
add("5.5", "ties throughout", tied, [0.5] * 6)
add("5.5", "ties in pairs", tied, [0.5, 0.9, 0.5, 0.9, 0.1, 0.1])
add("5.2", "evaluating twice", twice)


def annotations_of_all_kinds(api: Api):
    counts = {"size": [60, 80], "counts": [0, 5, 5, 5, 5, 2, 3, 5, 2, 3, 5, 2, 3, 4755]}
    code = api.mask.frPyObjects(counts, 60, 80)
    ring = [7.0, 8, 9, 3, 7, 1, 5, 1, 5, 8, 3, 4, 4, 7, 7, 8]
    gt = dataset([truth(n, [1, 2, 3, 4], segmentation=s) for n, s in enumerate((counts, code, [ring]), 1)])
    coco = from_dicts(api, gt)
    return [(coco.annToRLE(ann), coco.annToMask(ann)) for ann in coco.anns.values()]


add("4", "annotations of all kinds", annotations_of_all_kinds)
add("4", "info of a text", lambda api: from_file(api, {"info": "some text"}).info())


@behaviour.each
def test_other_suites(behaviour, way):
    with given_as("file" if way == "compiled" else "dicts"):
        behaviour.check()


def test_the_table_is_complete():
    assert len(EXPERIMENTS) == 27


def test_some_experiments_succeed_and_some_fail():
    """Or the table would prove little."""
    errors = []
    for truths, results, params in EXPERIMENTS.values():
        try:
            evaluated(
                OWN, {**TWO_IMAGES, "annotations": copy.deepcopy(truths)}, copy.deepcopy(results), **params
            )
        except Exception as error:
            errors.append(type(error).__name__)
    assert 10 < len(errors) < 20
    assert {"KeyError", "IndexError"} <= set(errors)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_four_of_four(kind, way):
    stats = perfect(OWN, kind).stats
    assert np.allclose(stats[[0, 1, 2, 3, 4, 5, 8]], 1)


def test_known_boxes():
    assert box_of(OWN, [[0, 1], [1, 1]]).tolist() == [0, 0, 2, 2]
    assert box_of(OWN, picture(10, 10, (3, 2, 3, 2))).tolist() == [3, 2, 3, 2]
