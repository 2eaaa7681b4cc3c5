"""COCOeval from its constructor to evaluate(): parameters, prints, IoUs, matches, and who may interfere."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from conformance.datasets import (
    SOURCES,
    check_from,
    dataset,
    evaluated,
    evaluation,
    found,
    from_dicts,
    given_as,
    load,
    load_results,
    mask_of,
    only,
    scene,
    truth,
)
from conformance.harness import OWN, Api, Behaviours, going, why_not

behaviour = Behaviours()  # run with data given in every way of SOURCES
add = behaviour.add
once = Behaviours()  # with what cannot be written as JSON, or without data

nan, inf = float("nan"), float("inf")


def evaluate(api: Api, gt, results, iou_type="bbox", **params):
    ev = evaluation(api, gt, results, iou_type, **params)
    ev.evaluate()
    return ev


def all_steps(api: Api, gt, results, iou_type="bbox", params: Any = None):
    return evaluated(api, gt, results, iou_type, **(params or {}))


# 5.1: construction

for kind in ("bbox", "segm", "keypoints", "", None, "boxes", "BBOX", 0, 1, "boundary"):
    once.add("5.1", f"Params of {kind!r}", lambda api, k: vars(api.Params(k)), kind)
    once.add("5.1", f"COCOeval of {kind!r}", lambda api, k: api.COCOeval(iouType=k), kind)
once.add("5.1", "Params of nothing", lambda api: api.Params())
once.add("5.1", "Params by name", lambda api: api.Params(iouType="keypoints"))
once.add("5.1", "COCOeval of nothing", lambda api: api.COCOeval())
once.add("5.1", "COCOeval of nothing, its attributes in order", lambda api: list(vars(api.COCOeval())))
once.add(
    "5.1", "order of Params", lambda api: (list(vars(api.Params())), list(vars(api.Params("keypoints"))))
)
once.add("5.1", "thresholds", lambda api: [float(v).hex() for v in api.Params().iouThrs])
once.add("5.1", "recalls", lambda api: [float(v).hex() for v in api.Params().recThrs])
once.add("5.1", "sigmas", lambda api: [float(v).hex() for v in api.Params("keypoints").kpt_oks_sigmas])
once.add(
    "5.1", "Params are open", lambda api: vars(copy.deepcopy(_with(api.Params(), extra=[1], iouThrs=None)))
)
once.add("5.1", "Params pickle", lambda api: pickle.loads(pickle.dumps(_with(api.Params(), extra=5))))
once.add("5.1", "setKpParams of det Params", lambda api: _after(api.Params("bbox"), "setKpParams"))
once.add(
    "5.1", "setDetParams of keypoint Params", lambda api: _after(api.Params("keypoints"), "setDetParams")
)


def _with(obj, **attributes):
    vars(obj).update(attributes)
    return obj


def _after(obj, method):
    getattr(obj, method)()
    return obj


GT = dataset([truth(1, [1, 2, 10, 12]), truth(2, [30, 5, 8, 9], 2, 7)], (5, 1, 2), (7, 1))
DT = [found([1, 2, 10, 11], 0.5), found([30, 5, 8, 9], 0.75, 2, 7), found([31, 5, 8, 9], 0.25, 2, 7)]
add("5.1", "ids of the ground truth are sorted", lambda api: evaluation(api, GT, DT).params)
add("5.1", "what is made of ground truth only", lambda api: api.COCOeval(load(api, GT)))
add(
    "5.1",
    "ground truth by position",
    lambda api: api.COCOeval(g := load(api, GT), load_results(api, g, DT), "segm"),
)
once.add("5.1", "ids in strings", lambda api: api.COCOeval(from_dicts(api, _strings(GT))).params)
once.add("5.1", "ids of mixed kinds", lambda api: api.COCOeval(from_dicts(api, dataset([], (1, "a")))).params)
once.add("5.1", "evaluate without data", lambda api: api.COCOeval(iouType="bbox").evaluate())
once.add("5.1", "ground truth that is none", lambda api: api.COCOeval(5, 5, "bbox"))


def _strings(gt):
    gt = copy.deepcopy(gt)
    for part, keys in (
        ("images", ["id"]),
        ("categories", ["id"]),
        ("annotations", ["image_id", "category_id"]),
    ):
        for item in gt[part]:
            item.update({key: str(item[key]) for key in keys})
    return gt


# 5.2 to 5.4: scenes

for seed in range(6):
    gt, results = scene(seed)
    crowded = scene(seed + 100, images=2, categories=2, most=8, crowd=0.5)
    add("5.2", f"boxes, scene {seed}", all_steps, gt, results)
    add("5.2", f"boxes without masks, scene {seed}", all_steps, gt, only(results, "segmentation"))
    add("5.2", f"masks, scene {seed}", all_steps, gt, only(results, "bbox"), "segm")
    add("5.2", f"masks with boxes, scene {seed}", all_steps, gt, results, "segm")
    add("5.2", f"boxes of crowds, scene {seed}", all_steps, *crowded)
    add("5.2", f"masks of crowds, scene {seed}", all_steps, crowded[0], only(crowded[1], "bbox"), "segm")
    add("5.2", f"boxes without categories, scene {seed}", all_steps, gt, results, "bbox", {"useCats": 0})
    add("5.2", f"masks without categories, scene {seed}", all_steps, gt, results, "segm", {"useCats": 0})

# 5.2: parameters

SCENE = scene(11, images=3, categories=3, most=6)
PARAMS = {
    "useCats False": {"useCats": False},
    "useCats True": {"useCats": True},
    "useCats 2": {"useCats": 2},
    "useSegm 0": {"useSegm": 0},
    "useSegm 1": {"useSegm": 1},
    "useSegm True": {"useSegm": True},
    "useSegm None": {"useSegm": None},
    "useSegm 2": {"useSegm": 2},
    "iouType segm": {"iouType": "segm"},
    "iouType unknown": {"iouType": "masks"},
    "iouType keypoints of boxes": {"iouType": "keypoints"},
    "one image": {"imgIds": [2]},
    "an image that is a number": {"imgIds": 2},
    "images in another order": {"imgIds": [3, 1]},
    "an image twice": {"imgIds": [1, 1, 2]},
    "images in an array": {"imgIds": np.array([2, 1])},
    "images in a set": {"imgIds": {1, 2}},
    "images in a tuple": {"imgIds": (1, 2)},
    "an unknown image": {"imgIds": [1, 99]},
    "only unknown images": {"imgIds": [98, 99]},
    "no images": {"imgIds": []},
    "images of floats": {"imgIds": [1.0, 2.0]},
    "images in strings": {"imgIds": ["1", "2"]},
    "images of both kinds": {"imgIds": [1, "2"]},
    "one category": {"catIds": [2]},
    "a category that is a number": {"catIds": 2},
    "categories in another order": {"catIds": [3, 1]},
    "a category twice": {"catIds": [2, 2, 1]},
    "an unknown category": {"catIds": [1, 99]},
    "no categories": {"catIds": []},
    "categories without categories": {"catIds": [3, 1], "useCats": 0},
    "a category twice, without categories": {"catIds": [2, 2, 1], "useCats": 0},
    "no categories, without categories": {"catIds": [], "useCats": 0},
    "an unknown category, without categories": {"catIds": [99], "useCats": 0},
    "a category that is a number, without categories": {"catIds": 1, "useCats": 0},
    "one threshold": {"iouThrs": np.array([0.5])},
    "thresholds in a list": {"iouThrs": [0.5, 0.75]},
    "thresholds in a tuple": {"iouThrs": (0.5, 0.75)},
    "thresholds of 0, 1 and beyond": {"iouThrs": np.array([0.0, 1.0, 1.5, -1.0])},
    "thresholds falling": {"iouThrs": np.array([0.9, 0.5])},
    "a threshold twice": {"iouThrs": np.array([0.5, 0.5])},
    "seventeen thresholds": {"iouThrs": np.linspace(0.1, 0.9, 17)},
    "forty thresholds": {"iouThrs": np.linspace(0.1, 0.9, 40)},
    "thresholds of float32": {"iouThrs": np.array([0.5, 0.75], np.float32)},
    "a threshold of NaN": {"iouThrs": np.array([0.5, nan])},
    "an infinite threshold": {"iouThrs": np.array([0.5, inf])},
    "no thresholds": {"iouThrs": []},
    "thresholds None": {"iouThrs": None},
    "two recalls": {"recThrs": np.array([0.0, 0.5])},
    "recalls in a list": {"recThrs": [0.0, 0.5, 1.0]},
    "recalls falling": {"recThrs": np.array([1.0, 0.5, 0.0])},
    "recalls beyond 1": {"recThrs": np.array([0.5, 1.5, -1])},
    "recalls of NaN": {"recThrs": np.array([0.5, nan])},
    "no recalls": {"recThrs": []},
    "two limits": {"maxDets": [1, 2]},
    "one limit": {"maxDets": [100]},
    "limits in another order": {"maxDets": [100, 1, 10]},
    "limits in a tuple": {"maxDets": (1, 10, 100)},
    "limits in an array": {"maxDets": np.array([1, 10, 100])},
    "a limit twice": {"maxDets": [1, 1, 100]},
    "four limits": {"maxDets": [1, 2, 3, 100]},
    "small limits": {"maxDets": [1, 2, 3]},
    "a limit of 0": {"maxDets": [0, 1, 2]},
    "only a limit of 0": {"maxDets": [0]},
    "a limit below 0": {"maxDets": [-1, 1, 2]},
    "limits of floats": {"maxDets": [1.0, 10.0, 100.0]},
    "no limits": {"maxDets": []},
    "limits None": {"maxDets": None},
    "one area": {"areaRng": [[0, 1e10]], "areaRngLbl": ["all"]},
    "areas without labels": {"areaRng": [[0, 1e10], [0, 500]]},
    "labels without areas": {"areaRng": [[0, 1e10]]},
    "areas in tuples": {"areaRng": [(0, 1e10), (0, 1024), (1024, 9216), (9216, 1e10)]},
    "areas in arrays": {"areaRng": [np.array([0, 1e10]), np.array([0, 1024])]},
    "areas in one array": {"areaRng": np.array([[0, 1e10], [0, 1024]])},
    "areas in a tuple": {"areaRng": ([0, 1e10], [0, 1024])},
    "an area twice": {"areaRng": [[0, 1e10], [0, 1e10]], "areaRngLbl": ["all", "small"]},
    "an infinite area": {"areaRng": [[0, inf]], "areaRngLbl": ["all"]},
    "an area of three": {"areaRng": [[0, 1e10, 5]], "areaRngLbl": ["all"]},
    "an area upside down": {"areaRng": [[1e10, 0]], "areaRngLbl": ["all"]},
    "no areas": {"areaRng": [], "areaRngLbl": []},
    "other labels": {"areaRngLbl": ["a", "b", "c", "d"]},
    "labels twice": {"areaRngLbl": ["all", "all", "small", "medium"]},
    "more parameters": {"extra": [1], "name": "a"},
}
for name, params in PARAMS.items():
    add("5.2", f"parameters: {name}", all_steps, *SCENE, "bbox", params)
    if "limit" in name or "image" in name or "categor" in name:
        add("5.2", f"parameters of masks: {name}", all_steps, *SCENE, "segm", params)


@behaviour("5.2", *SCENE)
def parameters_are_replaced(api, gt, results):
    ev = evaluation(api, gt, results)
    p = api.Params("bbox")
    p.imgIds, p.catIds, p.maxDets = [3, 1], [1, 2], [5, 1, 3]
    ev.params = p
    ev.evaluate()
    return ev, ev.params is p


@behaviour("5.2", *SCENE)
def a_parameter_is_deleted(api, gt, results):
    ev = evaluation(api, gt, results)
    del ev.params.areaRngLbl
    ev.evaluate()
    return ev


@behaviour("5.2", *SCENE)
def parameters_as_they_were_are_a_copy(api, gt, results):
    ev = evaluate(api, gt, results)
    ev.params.imgIds.append(5)
    return ev._paramsEval, ev._paramsEval is ev.params, ev.params


# 5.2: what is done to the dicts, and what can be seen of it


@behaviour("5.2", *SCENE)
def the_dicts_after_masks(api, gt, results):
    ev = evaluate(api, gt, results, "segm")
    return ev.cocoGt.dataset, ev.cocoDt.dataset, ev._gts, ev._dts


@behaviour("5.2", *SCENE)
def cells_hold_the_same_dicts(api, gt, results):
    ev = evaluate(api, gt, results)
    return [
        [ann is coco.anns[ann["id"]] for anns in cells.values() for ann in anns]
        for coco, cells in ((ev.cocoGt, ev._gts), (ev.cocoDt, ev._dts))
    ]


@behaviour("5.2", *SCENE)
def ious_alone(api, gt, results):
    return evaluate(api, gt, results).ious


@behaviour("5.2", *SCENE)
def ious_of_masks_alone(api, gt, results):
    return evaluate(api, gt, results, "segm").ious


@behaviour("5.2", *SCENE)
def cells_alone(api, gt, results):
    return evaluate(api, gt, results)._dts


@behaviour("5.2", *SCENE)
def evaluating_twice(api, gt, results):
    ev = evaluate(api, gt, results)
    first = ev.evalImgs
    ev.evaluate()
    return ev, first, first is ev.evalImgs


@behaviour("5.2", *SCENE)
def boxes_then_masks_of_the_same_data(api, gt, results):
    coco = load(api, gt)
    dt = load_results(api, coco, results)
    made = []
    for kind in ("bbox", "segm", "bbox"):
        ev = api.COCOeval(coco, dt, kind)
        ev.evaluate()
        ev.accumulate()
        made.append(ev)
    return made


@behaviour("5.2", *SCENE)
def the_ground_truth_is_its_own_result(api, gt, results):
    coco = load(api, gt)
    for ann in coco.dataset["annotations"]:
        ann["score"] = 0.5
    ev = api.COCOeval(coco, coco, "bbox")
    ev.evaluate()
    return ev


@behaviour("5.2", *SCENE)
def edits_before_evaluating_count(api, gt, results):
    ev = evaluation(api, gt, results)
    ev.cocoGt.anns[1]["bbox"] = [0, 0, 500, 500]
    ev.cocoDt.anns[1]["score"] = 0.99
    ev.cocoDt.anns[2]["area"] = 5.0
    ev.evaluate()
    return ev


@behaviour("5.2", *SCENE)
def edits_after_evaluating_do_not_count(api, gt, results):
    ev = evaluate(api, gt, results)
    ev.cocoGt.anns[1]["id"] = 77
    ev.cocoGt.dataset["annotations"].clear()
    ev.accumulate()
    return ev.eval


@behaviour("5.2", *SCENE)
def an_index_made_anew_without_some(api, gt, results):
    ev = evaluation(api, gt, results)
    ev.cocoDt.dataset["annotations"] = ev.cocoDt.dataset["annotations"][:3]
    ev.cocoDt.createIndex()
    ev.evaluate()
    return ev


@behaviour("5.2", *SCENE)
def results_replaced(api, gt, results):
    ev = evaluation(api, gt, results)
    ev.cocoDt = ev.cocoGt.loadRes([copy.deepcopy(r) for r in results[:2]])
    ev.evaluate()
    return ev


@behaviour("5.2", *SCENE)
def computing_one_cell_again(api, gt, results):
    ev = evaluate(api, gt, results)
    return (
        ev.computeIoU(1, 1),
        ev.evaluateImg(1, 1, [0, 500], 2),
        ev.evaluateImg(2, 3, ev.params.areaRng[0], 100),
    )


@behaviour("5.2", *SCENE)
def computing_an_unknown_cell(api, gt, results):
    ev = evaluate(api, gt, results)
    return ev.computeIoU(77, 1), ev.evaluateImg(77, 1, [0, 500], 2), len(ev._gts)


@behaviour("5.2", *SCENE)
def steps_by_hand(api, gt, results):
    ev = evaluation(api, gt, results)
    ev._prepare()
    p = ev.params
    ev.ious = {(i, c): ev.computeIoU(i, c) for i in p.imgIds for c in p.catIds}
    ev.evalImgs = [
        ev.evaluateImg(i, c, a, p.maxDets[-1]) for c in p.catIds for a in p.areaRng for i in p.imgIds
    ]
    ev._paramsEval = copy.deepcopy(p)
    ev.accumulate()
    ev.summarize()
    return ev


for name, go in {"deepcopy": copy.deepcopy, "pickle": lambda ev: pickle.loads(pickle.dumps(ev))}.items():
    for after in (0, 1, 2, 3):

        def copied(api: Api, gt, results, go=go, after=after):
            ev = evaluation(api, gt, results)
            for step in ("evaluate", "accumulate", "summarize")[:after]:
                getattr(ev, step)()
            ev = go(ev)
            for step in ("evaluate", "accumulate", "summarize")[after:]:
                getattr(ev, step)()
            return ev

        add("5.2", f"{name} after {after} steps", copied, *SCENE)

BOX = [10, 10, 20, 20]
HALF = [10, 10, 20, 10]  # IoU 0.5 with the above
MASKED = mask_of(BOX, 60, 80)

# What cannot be a file


def with_dicts(api: Api, gt, results, iou_type="bbox"):
    coco = from_dicts(api, gt)
    ev = api.COCOeval(coco, coco.loadRes(results), iou_type)
    ev.evaluate()
    ev.accumulate()
    ev.summarize()
    return ev


ODD = {
    "boxes in arrays": ([truth(1, BOX, bbox=np.array(BOX))], [found(BOX, 0.5)]),
    "boxes in tuples": ([truth(1, BOX, bbox=tuple(BOX))], [found(BOX, 0.5)]),
    "boxes of results in tuples": ([truth(1, BOX)], [found(tuple(BOX), 0.5)]),
    "NumPy scores": ([truth(1, BOX)], [found(BOX, np.float32(0.3)), found(HALF, np.float64(0.7))]),
    "integer NumPy scores": ([truth(1, BOX)], [found(BOX, np.int64(1)), found(HALF, np.uint8(2))]),
    "scores in arrays": ([truth(1, BOX)], [found(BOX, np.array(0.5))]),
    "scores in arrays of one": ([truth(1, BOX)], [found(BOX, np.array([0.5]))]),
    "half scores": ([truth(1, BOX)], [found(BOX, np.float16(0.3)), found(HALF, 0.3)]),
    "NumPy ids": ([truth(np.int64(5), BOX)], [found(BOX, 0.5)]),
    "NumPy ids of images": (
        [truth(1, BOX, np.int64(1), np.int32(1))],
        [found(BOX, 0.5, np.int64(1), np.uint8(1))],
    ),
    "NumPy areas": ([truth(1, BOX, area=np.float32(400))], [found(BOX, 0.5)]),
    "NumPy flags": ([truth(1, BOX, iscrowd=np.bool_(True))], [found(BOX, 0.5)]),
    "the same dict twice": ([truth(1, BOX)] * 2, [found(BOX, 0.5)]),
    "masks in bytes": (
        [truth(1, BOX, segmentation={**MASKED, "counts": MASKED["counts"].encode()})],
        [found(BOX, 0.5)],
    ),
    "polygons in tuples": ([truth(1, BOX, segmentation=[(10, 10, 30, 10, 30, 30)])], [found(BOX, 0.5)]),
    "polygons in arrays": (
        [truth(1, BOX, segmentation=[np.array([10.0, 10, 30, 10, 30, 30])])],
        [found(BOX, 0.5)],
    ),
}
for name, (truths, results) in ODD.items():
    once.add("5.2", f"boxes: {name}", lambda api, g, d: with_dicts(api, dataset(g), d), truths, results)
    masked = [{**r, "segmentation": {**MASKED, "counts": MASKED["counts"].encode()}} for r in results]
    once.add(
        "5.2", f"masks: {name}", lambda api, g, d: with_dicts(api, dataset(g), d, "segm"), truths, masked
    )


@once("5.2", *SCENE)
def results_without_loadRes(api, gt, results):
    coco, dt = from_dicts(api, gt), api.COCO()
    for number, result in enumerate(results):
        result.update(id=number, area=result["bbox"][2] * result["bbox"][3])  # from 0: one is lost
    dt.dataset = {"images": gt["images"], "categories": gt["categories"], "annotations": results}
    dt.createIndex()
    ev = api.COCOeval(coco, dt, "bbox")
    ev.evaluate()
    return ev


@once("5.2", *SCENE)
def ids_of_results_below_zero(api, gt, results):
    ev = evaluation(api, gt, results)
    for ann in ev.cocoDt.anns.values():
        ann["id"] = -ann["id"]
    ev.evaluate()
    return ev.evalImgs


@once("5.2", *SCENE)
def ids_of_results_in_strings(api, gt, results):
    ev = evaluation(api, gt, results)
    for ann in ev.cocoDt.anns.values():
        ann["id"] = f"{ann['id']}"
    ev.evaluate()
    return ev.evalImgs


@once("5.2", *SCENE)
def what_torchvision_does(api, gt, results):
    """It evaluates batch by batch with one COCOeval, and puts the images together itself."""
    ev = api.COCOeval(iouType="bbox")
    ev.cocoGt = from_dicts(api, gt)
    ev.params = api.Params("bbox")
    ev.params.catIds = sorted(ev.cocoGt.getCatIds())
    parts, ids = [], []
    for image_id in (1, 2, 3):
        batch = [r for r in results if r["image_id"] == image_id]
        ev.cocoDt = ev.cocoGt.loadRes(batch) if batch else api.COCO()
        ev.params.imgIds = [image_id]
        ev.evaluate()
        p = ev.params
        parts.append(np.asarray(ev.evalImgs).reshape(-1, len(p.areaRng), len(p.imgIds)))
        ids.append(image_id)
    ev.evalImgs = list(np.concatenate(parts, 2).flatten())
    ev.params.imgIds = ids
    ev._paramsEval = copy.deepcopy(ev.params)
    ev.accumulate()
    ev.summarize()
    return ev


@behaviour.each
@pytest.mark.parametrize("source", SOURCES)
def test_evaluation(behaviour, way, source):
    check_from(source, way, behaviour)


@once.each
def test_evaluation_once(behaviour, way):
    behaviour.check()


# Ours alone


def numbers(ev):
    return [ev.eval[name].tobytes() for name in ("precision", "recall", "scores")] + [ev.stats.tobytes()]


@pytest.mark.parametrize("iou_type", ["bbox", "segm", "keypoints"])
def test_all_sources_and_ways_give_the_same_bits(iou_type, way):
    gt, results = scene(31, points=17)
    results = only(results, "bbox", "segmentation") if iou_type == "keypoints" else results
    made = []
    for source in SOURCES:
        with given_as(source):
            made.append(numbers(evaluated(OWN, copy.deepcopy(gt), copy.deepcopy(results), iou_type)))
    with going("compiled"), given_as("dicts"):
        made.append(numbers(evaluated(OWN, gt, results, iou_type)))
    assert made[0] == made[1] == made[2] == made[3]


@pytest.mark.skipif(why_not("compiled") is not None, reason="only the compiled core reads files in columns")
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_files_are_evaluated_in_columns(iou_type):
    """Or the tests with files would say nothing about them."""
    from maskmill.pycocotools._lazy import Pending, raw_attributes_of

    gt, results = scene(32)
    with given_as("file"):
        ev = evaluated(OWN, gt, results, iou_type)
    for obj, name in ((ev, "evalImgs"), (ev, "ious"), (ev.cocoGt, "dataset"), (ev.cocoDt, "anns")):
        assert type(raw_attributes_of(obj)[name]) is Pending, name
