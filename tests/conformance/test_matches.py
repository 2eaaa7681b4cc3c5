"""Which result matches which ground truth: cells by hand, with anything odd in ids, scores, areas, boxes, masks."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.datasets import (
    SOURCES,
    check_from,
    counts_of,
    dataset,
    evaluated,
    found,
    mask_of,
    scene,
    truth,
)
from conformance.harness import OWN, Api, Behaviours

behaviour = Behaviours()
add = behaviour.add

nan, inf = float("nan"), float("inf")


def all_steps(api: Api, gt, results, iou_type="bbox"):
    return evaluated(api, gt, results, iou_type)


# 5.2, 5.3: boxes


def cell(api: Api, truths, results, iou_type="bbox", params: Any = None):
    return evaluated(api, dataset(truths, (1, 2), (1, 2)), results, iou_type, **(params or {}))


BOX = [10, 10, 20, 20]
HALF = [10, 10, 20, 10]  # IoU 0.5 with the above
CASES = {
    "one of one": ([truth(1, BOX)], [found(BOX, 0.5)]),
    "IoU at a threshold": ([truth(1, BOX)], [found(HALF, 0.5)]),
    "two results for one": ([truth(1, BOX)], [found(BOX, 0.5), found(BOX, 0.9)]),
    "one result for two": ([truth(1, BOX), truth(2, BOX)], [found(BOX, 0.5)]),
    "the later of equals": ([truth(1, BOX), truth(2, BOX)], [found(BOX, 0.5), found(BOX, 0.5)]),
    "ties of scores": (
        [truth(1, BOX), truth(2, [50, 10, 20, 20])],
        [found([50, 10, 20, 20], 0.5), found(BOX, 0.5)],
    ),
    "the best IoU is taken": (
        [truth(1, HALF), truth(2, BOX)],
        [found([10, 10, 20, 15], 0.5), found(BOX, 0.9)],
    ),
    "a crowd": ([truth(1, BOX, iscrowd=1)], [found(HALF, 0.5), found(BOX, 0.5), found([10, 10, 2, 2], 0.5)]),
    "a crowd, then one": ([truth(1, BOX, iscrowd=1), truth(2, BOX)], [found(BOX, 0.5), found(HALF, 0.9)]),
    "one, then a crowd": ([truth(1, BOX), truth(2, BOX, iscrowd=1)], [found(BOX, 0.5), found(HALF, 0.9)]),
    "iscrowd true": ([truth(1, BOX, iscrowd=True)], [found(BOX, 0.5)]),
    "iscrowd 2": ([truth(1, BOX, iscrowd=2)], [found(BOX, 0.5)]),
    "iscrowd of a float": ([truth(1, BOX, iscrowd=0.5)], [found(HALF, 0.5)]),
    "iscrowd 1.0": ([truth(1, BOX, iscrowd=1.0)], [found(HALF, 0.5)]),
    "iscrowd in a str": ([truth(1, BOX, iscrowd="1")], [found(HALF, 0.5)]),
    "iscrowd empty": ([truth(1, BOX, iscrowd="")], [found(HALF, 0.5)]),
    "iscrowd None": ([truth(1, BOX, iscrowd=None)], [found(HALF, 0.5)]),
    "iscrowd -1": ([truth(1, BOX, iscrowd=-1)], [found(HALF, 0.5)]),
    "iscrowd 256": ([truth(1, BOX, iscrowd=256)], [found(HALF, 0.5)]),
    "ignore of the user": ([truth(1, BOX, ignore=1)], [found(BOX, 0.5)]),
    "ignore and crowd": ([truth(1, BOX, ignore=0, iscrowd=1)], [found(BOX, 0.5)]),
    "_ignore of the user": ([truth(1, BOX, _ignore=1)], [found(BOX, 0.5)]),
    "areas at the ends": (
        [truth(1, [0, 0, 32, 32]), truth(2, [40, 0, 40, 40], area=9216), truth(3, [0, 40, 9, 9], area=1e10)],
        [found([0, 0, 32, 32], 0.5), found([40, 0, 40, 40], 0.6), found([0, 40, 9, 9], 0.7)],
    ),
    "areas beyond": ([truth(1, BOX, area=1e11)], [found(BOX, 0.5), found([0, 0, 2e5, 2e5], 0.7)]),
    "an area below 0": ([truth(1, BOX, area=-5)], [found(BOX, 0.5), found([10, 10, -20, 20], 0.6)]),
    "an area of NaN": ([truth(1, BOX, area=nan)], [found(BOX, 0.5)]),
    "an area that is infinite": ([truth(1, BOX, area=inf)], [found(BOX, 0.5)]),
    "an area in a str": ([truth(1, BOX, area="5")], [found(BOX, 0.5)]),
    "an area None": ([truth(1, BOX, area=None)], [found(BOX, 0.5)]),
    "an area of a bool": ([truth(1, BOX, area=True)], [found(BOX, 0.5)]),
    "a long area": ([truth(1, BOX, area=2**60 + 1)], [found(BOX, 0.5)]),
    "a longer area": ([truth(1, BOX, area=2**70)], [found(BOX, 0.5)]),
    "outside the area, unmatched": ([truth(1, BOX)], [found([0, 0, 50, 50], 0.5)]),
    "outside the area, matched": ([truth(1, [0, 0, 32, 32])], [found([0, 0, 33, 33], 0.5)]),
    "ground truth only": ([truth(1, BOX)], [found(BOX, 0.5, 2)]),
    "results only": ([truth(1, BOX, 2)], [found(BOX, 0.5)]),
    "another category": ([truth(1, BOX)], [found(BOX, 0.5, 1, 2)]),
    "no ground truth": ([], [found(BOX, 0.5)]),
    "an unknown category of ground truth": ([truth(1, BOX, 1, 99)], [found(BOX, 0.5)]),
    "an unknown category of a result": ([truth(1, BOX)], [found(BOX, 0.5, 1, 99)]),
    "an unknown image of ground truth": ([truth(1, BOX, 99)], [found(BOX, 0.5)]),
    # ids
    "id 0": ([truth(0, BOX), truth(1, [50, 10, 20, 20])], [found(BOX, 0.5), found([50, 10, 20, 20], 0.6)]),
    "id 0 of a crowd": ([truth(0, BOX, iscrowd=1)], [found(BOX, 0.5)]),
    "ids below 0": ([truth(-1, BOX), truth(-2, BOX)], [found(BOX, 0.5), found(BOX, 0.6)]),
    "ids twice": (
        [truth(1, BOX), truth(1, [50, 10, 20, 20])],
        [found(BOX, 0.5), found([50, 10, 20, 20], 0.6)],
    ),
    "ids in strings of digits": ([truth("7", BOX)], [found(BOX, 0.5)]),
    "ids in strings of letters": ([truth("a", BOX)], [found(BOX, 0.5)]),
    "ids in letters, unmatched": ([truth("a", BOX)], [found([50, 10, 20, 20], 0.5)]),
    "ids of floats": ([truth(1.5, BOX), truth(0.0, HALF)], [found(BOX, 0.5), found(HALF, 0.6)]),
    "ids of bools": ([truth(True, BOX), truth(False, HALF)], [found(BOX, 0.5), found(HALF, 0.6)]),
    "ids None": ([truth(None, BOX)], [found(BOX, 0.5)]),
    "ids NaN": ([truth(nan, BOX)], [found(BOX, 0.5)]),
    "ids beyond 53 bits": (
        [truth(2**53 + 1, BOX), truth(2**53 + 3, HALF)],
        [found(BOX, 0.5), found(HALF, 0.6)],
    ),
    "ids of 63 bits": ([truth(2**63 - 1, BOX), truth(-(2**63), HALF)], [found(BOX, 0.5), found(HALF, 0.6)]),
    "ids beyond 64 bits": ([truth(2**70, BOX)], [found(BOX, 0.5)]),
    "ids beyond double": ([truth(10**400, BOX)], [found(BOX, 0.5)]),
    # scores
    "integer scores": ([truth(1, BOX)], [found(BOX, 1), found(HALF, 0)]),
    "scores of both kinds": ([truth(1, BOX)], [found(BOX, 1), found(HALF, 0.5)]),
    "scores below 0": ([truth(1, BOX)], [found(BOX, -0.5), found(HALF, -1)]),
    "scores of both zeros": ([truth(1, BOX)], [found(BOX, -0.0), found(HALF, 0.0)]),
    "scores NaN": ([truth(1, BOX)], [found(BOX, nan), found(HALF, 0.5), found(BOX, nan)]),
    "infinite scores": ([truth(1, BOX)], [found(BOX, inf), found(HALF, -inf), found(BOX, 0.5)]),
    "long integer scores": ([truth(1, BOX)], [found(BOX, 2**53 + 1), found(HALF, 2**53)]),
    "long integer scores, rising": ([truth(1, BOX)], [found(HALF, 2**53), found(BOX, 2**53 + 1)]),
    "longer integer scores": ([truth(1, BOX)], [found(BOX, 2**70), found(HALF, 2**70 + 1)]),
    "scores of bools": ([truth(1, BOX)], [found(BOX, True), found(HALF, False)]),
    "scores of bools and floats": ([truth(1, BOX)], [found(BOX, True), found(HALF, 0.5)]),
    "scores in strings": ([truth(1, BOX)], [found(BOX, "0.5")]),
    "scores None": ([truth(1, BOX)], [found(BOX, None)]),
    "scores of lists": ([truth(1, BOX)], [found(BOX, [0.5])]),
    # boxes
    "boxes of NaN": ([truth(1, BOX)], [found([nan, 10, 20, 20], 0.5), found([10, 10, nan, 20], 0.6)]),
    "ground truth of NaN": ([truth(1, [10, nan, 20, 20])], [found(BOX, 0.5)]),
    "boxes of no size": ([truth(1, [10, 10, 0, 0])], [found([10, 10, 0, 0], 0.5)]),
    "boxes of negative sizes": ([truth(1, [30, 30, -20, -20])], [found([30, 30, -20, -20], 0.5)]),
    "boxes of integers and floats": ([truth(1, [10, 10.0, 20, 20.5])], [found([10.0, 10, 20.5, 20], 0.5)]),
    "boxes of three numbers": ([truth(1, BOX, bbox=[1, 2, 3])], [found(BOX, 0.5)]),
    "boxes of five numbers": ([truth(1, BOX, bbox=[1, 2, 3, 4, 5])], [found(BOX, 0.5)]),
    "boxes in strings": ([truth(1, BOX, bbox=["10", "10", "20", "20"])], [found(BOX, 0.5)]),
    "boxes None": ([truth(1, BOX, bbox=None)], [found(BOX, 0.5)]),
    "a bad box where there are no results": ([truth(1, BOX, bbox=None)], [found(BOX, 0.5, 2)]),
    "boxes of long integers": ([truth(1, [2**60 + 1, 0, 2**61, 5])], [found([2**60, 0, 2**61, 5], 0.5)]),
}
for name, (truths, results) in CASES.items():
    add("5.3", f"boxes: {name}", cell, truths, results)
    add("5.3", f"boxes without categories: {name}", cell, truths, results, "bbox", {"useCats": 0})
for missing in ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation", "score"):
    part = [{k: v for k, v in truth(1, BOX).items() if k != missing}, truth(2, HALF)]
    add("5.2", f"boxes: ground truth without {missing}", cell, part, [found(BOX, 0.5)])
    add(
        "5.2",
        f"masks: ground truth without {missing}",
        cell,
        part,
        [found(BOX, 0.5, segmentation=mask_of(BOX, 60, 80))],
        "segm",
    )
    add("5.2", f"ground truth without {missing}, elsewhere", cell, part, [found(BOX, 0.5, 2)])
    lacking = [{k: v for k, v in found(BOX, 0.5).items() if k != missing}]
    add("5.2", f"boxes: results without {missing}", cell, [truth(1, BOX)], lacking)

# masks

MASKED = mask_of(BOX, 60, 80)


def mask_result(segmentation, score=0.5, image_id=1, **more):
    return {"image_id": image_id, "category_id": 1, "score": score, "segmentation": segmentation, **more}


SEGMENTATIONS = {
    "a polygon": [[10, 10, 30, 10, 30, 30, 10, 30]],
    "two polygons": [[10, 10, 20, 10, 20, 30, 10, 30], [20, 10, 30, 10, 30, 30, 20, 30]],
    "a polygon of fractions": [[10.3, 10.7, 30.2, 10.1, 30.9, 30.4, 10.6, 30.5]],
    "a polygon outside": [[100, 100, 130, 100, 130, 130]],
    "a polygon of integers and floats": [[10, 10.0, 30, 10.5, 30, 30, 1e1, 30]],
    "a polygon of odd length": [[10, 10, 30, 10, 30, 30, 10]],
    "a polygon of strings": [["10", "10", "30", "10", "30", "30"]],
    "a polygon of four numbers": [[10, 10, 30, 30]],
    "a polygon of two numbers": [[10, 10]],
    "a polygon, then one of four numbers": [[10, 10, 30, 10, 30, 30], [1, 1, 5, 5]],
    "a polygon, then an empty one": [[10, 10, 30, 10, 30, 30], []],
    "an empty polygon": [[]],
    "no polygons": [],
    "flat numbers": [10, 10, 30, 10, 30, 30],
    "nested polygons": [[[10, 10], [30, 10], [30, 30], [20, 20], [5, 5]]],
    "counts": counts_of(BOX, 60, 80),
    "counts of another size": counts_of(BOX, 60, 81),
    "counts of the wrong total, without overlap": {"size": [60, 80], "counts": [4790, 5]},
    "counts of floats": {"size": [60, 80], "counts": [610.0, 20.5, 4170]},
    "negative counts": {"size": [60, 80], "counts": [610, -20, 4170]},
    "no counts": {"size": [60, 80], "counts": []},
    "a string": MASKED,
    "a string of another size": mask_of(BOX, 70, 80),
    "an empty string": {"size": [60, 80], "counts": ""},
    "a string with more keys": {**MASKED, "extra": 1},
    "a string with size first and floats": {"counts": MASKED["counts"], "size": [60.0, 80.5]},
    "a size of strings": {"size": ["60", "80"], "counts": MASKED["counts"]},
    "no size": {"counts": MASKED["counts"]},
    "no key": {},
    "None": None,
    "a str": "abc",
    "a number": 5,
}
for name, segmentation in SEGMENTATIONS.items():
    add(
        "5.2",
        f"masks: ground truth is {name}",
        cell,
        [truth(1, BOX, segmentation=segmentation)],
        [mask_result(MASKED)],
        "segm",
    )
    add(
        "5.2",
        f"masks: ground truth elsewhere is {name}",
        cell,
        [truth(1, BOX), truth(2, BOX, 2, segmentation=segmentation)],
        [mask_result(MASKED)],
        "segm",
    )
    add(
        "5.2",
        f"masks: a result with a box is {name}",
        cell,
        [truth(1, BOX)],
        [found(BOX, 0.5, segmentation=segmentation)],
        "segm",
    )
    add(
        "5.2",
        f"boxes: a result's mask is {name}",
        cell,
        [truth(1, BOX)],
        [found(BOX, 0.5, segmentation=segmentation)],
    )
add("5.2", "masks: results of boxes only", cell, [truth(1, BOX)], [found(BOX, 0.5)], "segm")
add(
    "5.2",
    "masks: a crowd of counts",
    cell,
    [truth(1, BOX, iscrowd=1, segmentation=counts_of(BOX, 60, 80))],
    [mask_result(MASKED)],
    "segm",
)
for missing in ("height", "width", "id"):

    def unsized(api: Api, missing):
        gt = dataset([truth(1, BOX)])
        del gt["images"][0][missing]
        return evaluated(api, gt, [mask_result(MASKED)], "segm")

    add("5.2", f"masks: images without {missing}", unsized, missing)
for size in ((60.5, 80), ("60", 80), (None, 80), (-60, 80), (0, 80), (60, 2**40), (True, 80)):

    def sized(api: Api, h, w):
        gt = dataset([truth(1, BOX)])
        gt["images"][0].update(height=h, width=w)
        return evaluated(api, gt, [mask_result(MASKED)], "segm")

    if size != (60, 2**40):  # whose runs need more than 32 bits
        add("5.2", f"masks: an image of {size}", sized, *size)
add("5.2", "masks: images twice, of different sizes", lambda api: _twice(api))


def _twice(api: Api):
    gt = dataset([truth(1, BOX)], (1, 1))
    gt["images"][0].update(height=70)
    return evaluated(api, gt, [mask_result(MASKED)], "segm")


# ids of images and categories

for name, kind in {
    "strings": str,
    "letters": lambda i: chr(96 + i),
    "floats": float,
    "halves": lambda i: i + 0.5,
    "zero and up": lambda i: i - 1,
    "below zero": lambda i: -i,
    "beyond 53 bits": lambda i: 2**53 + i,
    "beyond 64 bits": lambda i: 2**70 + i,
    "long strings": lambda i: "image " * 5 + str(i),
    "bools": lambda i: bool(i % 2),
}.items():

    def renamed(kind):
        gt, results = scene(21, images=3, categories=2)
        for part in (gt["annotations"], results):
            for ann in part:
                ann.update(image_id=kind(ann["image_id"]), category_id=kind(ann["category_id"]))
        for item in gt["images"] + gt["categories"]:
            item["id"] = kind(item["id"])
        return gt, results

    add("5.2", f"ids of images and categories: {name}", all_steps, *renamed(kind))
    add("5.2", f"ids of images and categories of masks: {name}", all_steps, *renamed(kind), "segm")


@behaviour.each
@pytest.mark.parametrize("way", ["compiled", "generic"], indirect=True)  # Numba: in test_evaluation.py
@pytest.mark.parametrize("source", SOURCES[::2])
def test_matches(behaviour, way, source):
    check_from(source, way, behaviour)


def test_id_zero_is_not_matched(capsys):
    """A known fault, kept: its result counts as missed."""
    stats = [cell(OWN, [truth(n, BOX)], [found(BOX, 0.5)]).stats[0] for n in (0, 1)]
    assert stats == [0, 0.9999999999999998]
