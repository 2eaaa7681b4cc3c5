"""Who steps into an evaluation: subclasses, instances, and whoever replaces functions of the module."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from conformance.datasets import (
    SOURCES,
    check_from,
    evaluation,
    load,
    load_results,
    only,
    scene,
)
from conformance.harness import OWN, Api, Behaviours
from conformance.masks import rle

behaviour = Behaviours()
add = behaviour.add

nan, inf = float("nan"), float("inf")

SCENE = scene(11, images=3, categories=3, most=6)


def hooked(api: Api, gt, results, kind: str, iou_type="bbox"):
    """A COCOeval of which one step also writes down how it was called."""
    calls: list[Any] = []
    name, where = kind.split(" of ")

    def wrap(original):
        def step(self, *args):
            calls.append((name, args))
            return original(self, *args)

        return step

    if where == "a subclass":
        cls = type("Mine", (api.COCOeval,), {name: wrap(getattr(api.COCOeval, name))})
    else:
        cls = api.COCOeval
    coco = load(api, gt)
    ev = cls(coco, load_results(api, coco, results), iou_type)
    if where == "an instance":
        original = getattr(api.COCOeval, name)
        setattr(ev, name, lambda *args: wrap(original)(ev, *args))
    ev.evaluate()
    ev.accumulate()
    ev.summarize()
    return calls, {k: v for k, v in vars(ev).items() if k != name}


for step in ("_prepare", "computeIoU", "evaluateImg", "accumulate", "summarize"):
    for where in ("a subclass", "an instance"):
        add("5.2", f"hook: {step} of {where}", hooked, *SCENE, f"{step} of {where}")
        add("5.2", f"hook of masks: {step} of {where}", hooked, *SCENE, f"{step} of {where}", "segm")
PEOPLE = scene(5, images=2, points=17)
add(
    "5.4",
    "hook: computeOks",
    hooked,
    PEOPLE[0],
    only(PEOPLE[1], "bbox", "segmentation"),
    "computeOks of a subclass",
    "keypoints",
)


@behaviour("5.2", *SCENE)
def a_subclass_with_another_iou(api, gt, results):
    class Mine(api.COCOeval):
        def computeIoU(self, imgId, catId):
            made = super().computeIoU(imgId, catId)
            return made if len(made) == 0 else np.minimum(made, 0.7)

    coco = load(api, gt)
    ev = Mine(coco, load_results(api, coco, results), "bbox")
    ev.evaluate()
    ev.accumulate()
    ev.summarize()
    return vars(ev)


@behaviour("5.2", *SCENE)
def a_subclass_that_keeps_the_ignore_of_users(api, gt, results):
    class Mine(api.COCOeval):
        def _prepare(self):
            super()._prepare()
            for anns in self._gts.values():
                for ann in anns:
                    ann["ignore"] = ann["id"] % 2

    coco = load(api, gt)
    ev = Mine(coco, load_results(api, coco, results), "bbox")
    ev.evaluate()
    return vars(ev)


@behaviour("5.2", *SCENE)
def a_subclass_that_drops_results(api, gt, results):
    class Mine(api.COCOeval):
        def _prepare(self):
            super()._prepare()
            self._dts = {key: anns[:1] for key, anns in self._dts.items()}
            self._gts.clear()

    coco = load(api, gt)
    ev = Mine(coco, load_results(api, coco, results), "bbox")
    ev.evaluate()
    return vars(ev)


@behaviour("5.2", *SCENE)
def a_subclass_with_its_own_evaluate(api, gt, results):
    class Mine(api.COCOeval):
        def evaluate(self):
            super().evaluate()
            self.evalImgs = [e for e in self.evalImgs if e is not None]
            self.seen = len(self.evalImgs)

    coco = load(api, gt)
    ev = Mine(coco, load_results(api, coco, results), "bbox")
    ev.evaluate()
    return vars(ev)


@behaviour("5.2", *SCENE)
def a_data_set_of_a_subclass(api, gt, results):
    class Mine(api.COCO):
        def getAnnIds(self, *args, **kwargs):
            return super().getAnnIds(*args, **kwargs)[::2]

    coco = Mine()
    coco.dataset = gt
    coco.createIndex()
    ev = api.COCOeval(coco, coco.loadRes(results), "bbox")
    ev.evaluate()
    return ev.evalImgs


@behaviour("5.2", *SCENE)
def a_data_set_with_its_own_annToRLE(api, gt, results):
    coco = load(api, gt)
    coco.annToRLE = lambda ann: rle(130, 160, [0, 130 * 160])
    ev = api.COCOeval(coco, load_results(api, coco, results), "segm")
    ev.evaluate()
    return ev.evalImgs, ev.ious


@behaviour("5.2", *SCENE)
def another_iou_in_the_module(api, gt, results):
    ev = evaluation(api, gt, results)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.mask, "iou", lambda d, g, c: np.full((len(d), len(g)), 0.6))
        ev.evaluate()
    return ev.ious, ev.evalImgs


@behaviour("5.2", *SCENE)
def another_step_in_the_class(api, gt, results):
    ev = evaluation(api, gt, results)
    original = api.COCOeval.evaluateImg
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.COCOeval, "evaluateImg", lambda self, i, c, a, m: original(self, i, c, [0, 700], 1))
        ev.evaluate()
    return ev.evalImgs


@behaviour("5.2", *SCENE)
def another_getAnnIds_in_the_class(api, gt, results):
    ev = evaluation(api, gt, results)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.COCO, "getAnnIds", lambda self, **kwargs: list(self.anns)[:4])
        ev.evaluate()
    return ev.evalImgs


@behaviour.each
@pytest.mark.parametrize("source", SOURCES[::2])
def test_hooks(behaviour, way, source):
    check_from(source, way, behaviour)


def test_without_hooks_all_is_done_at_once():
    """Or these tests would not show that hooks are heeded."""
    calls = hooked(OWN, *copy.deepcopy(SCENE), "evaluateImg of a subclass")[0]
    assert len(calls) == 3 * 3 * 4
    assert calls[0] == ("evaluateImg", (1, 1, [0, 1e10], 100))
