"""accumulate and summarize: what is taken from where, by position or value, and what is printed."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from conformance.datasets import (
    dataset,
    evaluated,
    evaluation,
    found,
    given_as,
    only,
    scene,
    truth,
)
from conformance.harness import OWN, Api, Behaviours

behaviour = Behaviours()
add = behaviour.add

SCENE = scene(41, images=4, categories=3, most=4)
PEOPLE = scene(42, images=3, points=17)
POSES = PEOPLE[0], only(PEOPLE[1], "bbox", "segmentation")


def evaluate(api: Api, gt, results, iou_type="bbox", **params):
    ev = evaluation(api, gt, results, iou_type, **params)
    ev.evaluate()
    return ev


# 5.5: accumulate(p). Places in p's lists are taken for places in those that were evaluated.


def accumulate(
    api: Api, changes: dict[str, Any], base: dict[str, Any] | None = None, kind="bbox", data=SCENE
):
    """evaluate() with base, accumulate() with a copy of those parameters with changes."""
    ev = evaluate(api, *copy.deepcopy(data), kind, **(base or {}))
    p = copy.deepcopy(ev.params)
    for name, value in changes.items():
        setattr(p, name, value)
    ev.accumulate(p)
    return ev, p, ev.eval["params"] is p


CHANGES = {
    "nothing": {},
    "the first category": {"catIds": [1]},
    "the last category": {"catIds": [3]},
    "two categories": {"catIds": [1, 3]},
    "categories in another order": {"catIds": [3, 1, 2]},
    "an unknown category": {"catIds": [99]},
    "an unknown category and more": {"catIds": [99, 1, 2]},
    "too many categories": {"catIds": [1, 1, 2, 3, 3]},
    "a category twice": {"catIds": [1, 1]},
    "categories of floats": {"catIds": [1.0, 2.0]},
    "categories in an array": {"catIds": np.array([1, 2])},
    "categories in a tuple": {"catIds": (1, 2)},
    "no categories": {"catIds": []},
    "a category that is a number": {"catIds": 1},
    "categories of lists": {"catIds": [[1]]},
    "the first image": {"imgIds": [1]},
    "the last image": {"imgIds": [4]},
    "an unknown image": {"imgIds": [99]},
    "images in another order": {"imgIds": [4, 3, 2, 1]},
    "images in an array": {"imgIds": np.array([1, 2])},
    "no images": {"imgIds": []},
    "too many images": {"imgIds": [1, 2, 3, 4, 4, 4]},
    "the first area": {"areaRng": [[0, 1e5**2]], "areaRngLbl": ["all"]},
    "the last area": {"areaRng": [[96**2, 1e5**2]], "areaRngLbl": ["large"]},
    "an unknown area": {"areaRng": [[0, 5]], "areaRngLbl": ["all"]},
    "areas in tuples": {"areaRng": [(0, 1e5**2), (0, 32**2)]},
    "areas in arrays": {"areaRng": [np.array([0, 1e5**2])]},
    "areas in one array": {"areaRng": np.array([[0, 1e5**2], [0, 32**2]])},
    "no areas": {"areaRng": []},
    "one limit": {"maxDets": [10]},
    "another limit": {"maxDets": [5]},
    "limits in another order": {"maxDets": [100, 10, 1]},
    "a limit twice": {"maxDets": [1, 1, 100]},
    "limits of floats": {"maxDets": [1.0, 10.0]},
    "limits of NumPy": {"maxDets": [np.int64(1), np.int64(100)]},
    "no limits": {"maxDets": []},
    "fewer thresholds": {"iouThrs": np.array([0.5, 0.75])},
    "more thresholds": {"iouThrs": np.linspace(0.4, 0.95, 12)},
    "other thresholds": {"iouThrs": np.linspace(0, 0.9, 10)},
    "thresholds in a list": {"iouThrs": np.linspace(0.5, 0.95, 10).tolist()},
    "no thresholds": {"iouThrs": []},
    "two recalls": {"recThrs": np.array([0.25, 0.5])},
    "recalls in a list": {"recThrs": [0.25, 0.5]},
    "recalls falling": {"recThrs": np.array([1.0, 0.5, 0.0])},
    "recalls beyond 1, then lower": {"recThrs": np.array([1.5, 0.5])},
    "no recalls": {"recThrs": []},
    "recalls None": {"recThrs": None},
    "no use of categories": {"useCats": 0},
    "useCats 2": {"useCats": 2},
    "useCats True": {"useCats": True},
    "another type": {"iouType": "segm"},
    "an extra attribute": {"extra": 5},
}
for name, changes in CHANGES.items():
    add("5.5", f"accumulate with {name}", accumulate, changes)
    add("5.5", f"accumulate without categories with {name}", accumulate, changes, {"useCats": 0})
    add("5.5", f"accumulate poses with {name}", accumulate, changes, None, "keypoints", POSES)
for missing in ("recThrs", "useCats", "maxDets", "areaRngLbl", "iouType"):

    def lacking(api: Api, missing):
        ev = evaluate(api, *SCENE)
        p = copy.deepcopy(ev.params)
        delattr(p, missing)
        ev.accumulate(p)
        return ev

    add("5.5", f"accumulate without {missing}", lacking, missing)


@behaviour("5.5")
def categories_with_gaps_are_read_by_place(api):
    gt = dataset([truth(n, [10 * n, 5, 8, 8], 1, c) for n, c in enumerate((2, 4, 9), 1)], (1,), (2, 4, 9))
    results = [found([10 * n, 5, 8, 8 - n], 0.5, 1, c) for n, c in enumerate((2, 4, 9), 1)]
    ev = evaluate(api, gt, results)
    p = copy.deepcopy(ev.params)
    p.catIds = [9]
    ev.accumulate(p)
    return ev.eval  # of category 2


@behaviour("5.5", *SCENE)
def parameters_that_changed_between(api, gt, results):
    ev = evaluate(api, gt, results)
    ev.params.maxDets = [1, 2, 3]
    ev.params.iouThrs = ev.params.iouThrs[:3]
    ev.accumulate()
    return ev


@behaviour("5.5", *SCENE)
def limits_between(api, gt, results):
    ev = evaluate(api, gt, results, maxDets=[1, 2, 100])
    ev.params.maxDets = [2]
    ev.accumulate()
    return ev.eval


@behaviour("5.5", *SCENE)
def parameters_as_evaluated_that_changed(api, gt, results):
    ev = evaluate(api, gt, results)
    ev._paramsEval.imgIds = [1, 2]
    ev.params.imgIds = [1, 2]
    ev.accumulate()
    return ev


@behaviour("5.5", *SCENE)
def useCats_changed_between(api, gt, results):
    ev = evaluate(api, gt, results)
    ev.params.useCats = 0
    ev.accumulate()
    return ev


@behaviour("5.5", *SCENE)
def accumulating_twice(api, gt, results):
    ev = evaluate(api, gt, results)
    ev.accumulate()
    first = ev.eval
    ev.accumulate()
    return first, ev, first["precision"] is ev.eval["precision"]


@behaviour("5.5", *SCENE)
def accumulating_twice_without_categories(api, gt, results):
    ev = evaluate(api, gt, results, useCats=0)
    ev.accumulate()
    ev.accumulate()
    return ev, ev.params.catIds


# 5.5: evalImgs as they are now


def edited(api: Api, edit):
    ev = evaluate(api, *copy.deepcopy(SCENE))
    edit(ev)
    ev.accumulate()
    return ev


def first_cell(ev):
    return next(e for e in ev.evalImgs if e is not None and len(e["dtIds"]) and len(e["gtIds"]))


EDITS = {
    "nothing": lambda ev: None,
    "all None": lambda ev: setattr(ev, "evalImgs", [None] * len(ev.evalImgs)),
    "emptied": lambda ev: ev.evalImgs.clear(),
    "an empty list": lambda ev: setattr(ev, "evalImgs", []),
    "None": lambda ev: setattr(ev, "evalImgs", None),
    "an array": lambda ev: setattr(ev, "evalImgs", np.array(ev.evalImgs, object)),
    "a copy": lambda ev: setattr(ev, "evalImgs", list(ev.evalImgs)),
    "a tuple": lambda ev: setattr(ev, "evalImgs", tuple(ev.evalImgs)),
    "too short": lambda ev: setattr(ev, "evalImgs", ev.evalImgs[:3]),
    "reversed": lambda ev: ev.evalImgs.reverse(),
    "a score": lambda ev: first_cell(ev)["dtScores"].__setitem__(0, 0.99),
    "scores of integers": lambda ev: first_cell(ev).update(dtScores=[1] * len(first_cell(ev)["dtScores"])),
    "a score of NaN": lambda ev: first_cell(ev)["dtScores"].__setitem__(0, float("nan")),
    "matches": lambda ev: first_cell(ev)["dtMatches"].fill(0),
    "ignored": lambda ev: first_cell(ev)["dtIgnore"].fill(True),
    "ground truth ignored": lambda ev: first_cell(ev)["gtIgnore"].fill(1),
    "a key less": lambda ev: first_cell(ev).pop("dtIgnore"),
    "a key more": lambda ev: first_cell(ev).update(extra=1),
    "paramsEval a dict": lambda ev: setattr(ev, "_paramsEval", {}),
}
for name, edit in EDITS.items():
    add("5.5", f"evalImgs edited: {name}", edited, edit)


@behaviour("5.5", *SCENE)
def looking_changes_nothing(api, gt, results):
    ev = evaluate(api, gt, results)
    n = len(ev.evalImgs), len(ev.ious), bool(ev._gts)
    ev.accumulate()
    return ev.eval, n


add("5.5", "accumulate without evaluate", lambda api: evaluation(api, *copy.deepcopy(SCENE)).accumulate())
add("5.5", "accumulate of nothing", lambda api: api.COCOeval(iouType="bbox").accumulate())
add("5.5", "accumulate with a number", lambda api: evaluate(api, *copy.deepcopy(SCENE)).accumulate(5))

# 5.5: single curves


def curve(api: Api, truths, results):
    gt = dataset(truths, (1, 2), (1,))
    ev = evaluate(api, gt, results, maxDets=[1, 2, 100])
    ev.accumulate()
    return ev.eval


BOX, OTHER = [10, 10, 20, 20], [40, 10, 20, 20]
CURVES = {
    "a lone hit": ([truth(1, BOX)], [found(BOX, 0.5)]),
    "a lone miss": ([truth(1, BOX)], [found(OTHER, 0.5)]),
    "a miss, then a hit": ([truth(1, BOX)], [found(OTHER, 0.9), found(BOX, 0.5)]),
    "a hit, then a miss": ([truth(1, BOX)], [found(OTHER, 0.1), found(BOX, 0.5)]),
    "two hits": ([truth(1, BOX), truth(2, OTHER)], [found(OTHER, 0.1), found(BOX, 0.5)]),
    "hits and misses": (
        [truth(n, [5 * n, 10, 4, 4]) for n in range(1, 8)],
        [found([5 * n, 10 + n % 3 * 6, 4, 4], 1 - n / 20) for n in range(1, 14)],
    ),
    "ties over images": (
        [truth(1, BOX), truth(2, BOX, 2)],
        [found(OTHER, 0.5), found(BOX, 0.5, 2), found(BOX, 0.5)],
    ),
    "no results": ([truth(1, BOX)], [found(BOX, 0.5, 1, 9)]),
    "only ignored ground truth": ([truth(1, BOX, iscrowd=1)], [found(BOX, 0.5)]),
    "only ignored results": ([truth(1, BOX), truth(2, OTHER, iscrowd=1)], [found(OTHER, 0.5)]),
    "ground truth without a result in another image": ([truth(1, BOX), truth(2, BOX, 2)], [found(BOX, 0.5)]),
    "integer scores": ([truth(1, BOX), truth(2, OTHER)], [found(BOX, 1), found(OTHER, 0)]),
}
for name, (truths, results) in CURVES.items():
    add("5.5", f"curve of {name}", curve, truths, results)

# 5.6: summarize


def summarize(api: Api, params: dict[str, Any], after: dict[str, Any] | None = None, kind="bbox", data=SCENE):
    """All steps with params; `after` is changed between accumulate and summarize."""
    ev = evaluate(api, *copy.deepcopy(data), kind, **params)
    ev.accumulate()
    for name, value in (after or {}).items():
        setattr(ev.params, name, value)
    out = ev.summarize()
    return out, ev.stats, ev.eval


LIMITS = ([1], [1, 10], [1, 10, 100], [1, 10, 20], [5, 50, 500], [1, 2, 3, 100], [100, 1000, 3000], [20])
for limits in LIMITS:
    add("5.6", f"summarize with limits {limits}", summarize, {"maxDets": limits})
    add(
        "5.6",
        f"summarize poses with limits {limits}",
        summarize,
        {"maxDets": limits},
        None,
        "keypoints",
        POSES,
    )
for limits in ([1, 10, 50], [100, 10, 1], [1], [7, 8, 9], [1.0, 10.0, 100.0], [1, 10, "100"]):
    add("5.6", f"summarize with limits {limits} from then on", summarize, {}, {"maxDets": limits})
for name, params in {
    "no .5": {"iouThrs": np.array([0.6, 0.75])},
    "no .75": {"iouThrs": np.array([0.5, 0.6])},
    "one threshold": {"iouThrs": np.array([0.5])},
    "a threshold twice": {"iouThrs": np.array([0.5, 0.5, 0.75])},
    "a threshold nearly .5": {"iouThrs": np.array([0.5 + 1e-16, 0.75 + 2e-16])},
    "thresholds in a list": {"iouThrs": [0.5, 0.75]},
    "thresholds beyond": {"iouThrs": np.array([-1, 10.5])},
}.items():
    add("5.6", f"summarize with {name}", summarize, params)
    add("5.6", f"summarize poses with {name}", summarize, params, None, "keypoints", POSES)
for name, labels in {
    "other words": ["a", "b", "c", "d"],
    "a label less": ["all", "small", "medium"],
    "a label more": ["all", "small", "medium", "large", "huge"],
    "no labels": [],
    "labels twice": ["all", "all", "small", "medium"],
    "labels in another order": ["large", "medium", "small", "all"],
    "labels in a tuple": ("all", "small", "medium", "large"),
}.items():
    add("5.6", f"summarize with {name}", summarize, {"areaRngLbl": labels})
for kind in ("segm", "keypoints", "bbox", "other"):
    add("5.6", f"summarize as if it were {kind}", summarize, {}, {"iouType": kind})
    add(
        "5.6", f"summarize poses as if they were {kind}", summarize, {}, {"iouType": kind}, "keypoints", POSES
    )
add("5.6", "summarize without categories", summarize, {"useCats": 0})
add("5.6", "summarize poses", summarize, {}, None, "keypoints", POSES)
add("5.6", "summarize masks", summarize, {}, None, "segm")
add("5.6", "summarize of no categories", summarize, {"catIds": [99]})
add("5.6", "summarize of no images", summarize, {"imgIds": []})
add("5.6", "summarize without accumulate", lambda api: evaluate(api, *copy.deepcopy(SCENE)).summarize())
add("5.6", "summarize of nothing", lambda api: api.COCOeval(iouType="bbox").summarize())
add("5.6", "str", lambda api: str(evaluated(api, *copy.deepcopy(SCENE))))
add("5.6", "str of nothing", lambda api: str(api.COCOeval(iouType="bbox")))
add("5.6", "str by name", lambda api: evaluated(api, *copy.deepcopy(SCENE)).__str__())
add("5.6", "print", lambda api: print(evaluated(api, *copy.deepcopy(SCENE))))
add("5.6", "repr", lambda api: repr(api.COCOeval(iouType="bbox")).split(" at ")[0])


@behaviour("5.6", *SCENE)
def numbers_that_were_edited(api, gt, results):
    ev = evaluate(api, gt, results)
    ev.accumulate()
    ev.eval["precision"][:] = 0.25
    ev.eval["recall"][:, :, 1] = -1
    ev.summarize()
    return ev.stats


@behaviour("5.6", *SCENE)
def an_eval_of_somebody_else(api, gt, results):
    ev = evaluate(api, gt, results)
    ev.accumulate()
    other = api.COCOeval(iouType="bbox")
    other.eval = {"precision": ev.eval["precision"], "recall": ev.eval["recall"]}
    other.summarize()
    return other


@behaviour("5.6", *SCENE)
def evaluating_anew_forgets_what_was_accumulated(api, gt, results):
    ev = evaluate(api, gt, results)
    ev.accumulate()
    ev.evaluate()
    return ev.eval, ev.summarize()


@behaviour.each
@pytest.mark.parametrize("way", ["compiled", "generic"], indirect=True)  # Numba: in test_evaluation.py
def test_accumulate(behaviour, way):
    with given_as("file" if way == "compiled" else "dicts"):
        behaviour.check()


def test_known_lines(capsys):
    evaluated(OWN, dataset([truth(1, BOX)]), [found(BOX, 0.5)])
    lines = capsys.readouterr().out.splitlines()[-12:]
    assert lines[0] == " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 1.000"
    assert lines[1] == " Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 1.000"
    assert lines[3] == " Average Precision  (AP) @[ IoU=0.50:0.95 | area= small | maxDets=100 ] = 1.000"
    assert lines[4] == " Average Precision  (AP) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ] = -1.000"
    assert lines[6] == " Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=  1 ] = 1.000"


def test_a_lone_hit_is_not_quite_one():
    ev = evaluated(OWN, dataset([truth(1, BOX)]), [found(BOX, 0.5)])
    assert ev.stats[0] == 0.9999999999999998


def test_the_first_line_has_a_limit_of_100_whatever_the_limits_are():
    ev = evaluated(OWN, dataset([truth(1, BOX)]), [found(BOX, 0.5)], maxDets=[1, 10, 50])
    assert ev.stats[0] == -1
    assert ev.stats[1] > 0.99
