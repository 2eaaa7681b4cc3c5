"""Keypoints: similarity of poses, and their evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conformance.datasets import (
    SOURCES,
    check_from,
    dataset,
    evaluated,
    given_as,
    only,
    scene,
    truth,
)
from conformance.harness import OWN, Api, Behaviours
from maskmill.pycocotools.coco import are_columns

behaviour = Behaviours()
add = behaviour.add

nan, inf = float("nan"), float("inf")


def all_steps(api: Api, gt, results):
    return evaluated(api, gt, results, "keypoints")


for seed in range(6):
    people = scene(seed, points=17, crowd=0.2)
    add("5.4", f"poses, scene {seed}", all_steps, people[0], only(people[1], "bbox", "segmentation"))

# By hand

BOX = [10, 10, 20, 20]
POSED = truth(1, BOX, keypoints=[12, 12, 2, 25, 14, 1, 20, 28, 0], num_keypoints=2)
POSE = {"image_id": 1, "category_id": 1, "score": 0.5, "keypoints": [12, 13, 2, 25.5, 14, 2, 90, 28, 1]}
SIGMAS = np.array([0.025, 0.05, 0.1])


def pose(api: Api, truths, results, params: Any = None, sigmas: Any = SIGMAS):
    params = {"kpt_oks_sigmas": sigmas, **(params or {})}
    return evaluated(api, dataset(truths, (1, 2), (1, 2)), results, "keypoints", **params)


POSES_ALONE = dataset([POSED], (1, 2), (1, 2)), [POSE]
UNSEEN = {**POSED, "keypoints": [0] * 9, "num_keypoints": 0}
POSES = {
    "one of one": ([POSED], [POSE]),
    "the same": ([POSED], [{**POSE, "keypoints": POSED["keypoints"]}]),
    "two results for one": ([POSED], [POSE, {**POSE, "keypoints": POSED["keypoints"], "score": 0.25}]),
    "ties of scores": ([POSED, {**POSED, "id": 2}], [POSE, POSE | {"keypoints": POSED["keypoints"]}]),
    "nothing seen": ([UNSEEN], [POSE]),
    "nothing seen, points inside": ([UNSEEN], [{**POSE, "keypoints": [12, 13, 2, 25, 14, 2, 20, 20, 1]}]),
    "nothing seen, but counted": ([{**UNSEEN, "num_keypoints": 3}], [POSE]),
    "seen, but not counted": ([{**POSED, "num_keypoints": 0}], [POSE]),
    "a crowd": ([{**POSED, "iscrowd": 1}], [POSE, POSE]),
    "floats": ([{**POSED, "keypoints": [12.5, 12.25, 2, 25, 14, 1, 20, 28, 0]}], [POSE]),
    "large integers": ([{**POSED, "keypoints": [2**24, 12, 2, 25, 2**25, 1, 20, 28, 0]}], [POSE]),
    "visibility below 0": ([{**POSED, "keypoints": [12, 12, -1, 25, 14, 1, 20, 28, 0.5]}], [POSE]),
    "NaN": ([{**POSED, "keypoints": [nan, 12, 2, 25, 14, 1, 20, 28, 0]}], [POSE]),
    "NaN in a result": ([POSED], [{**POSE, "keypoints": [nan, 12, 2, 25, 14, 1, 20, 28, 0]}]),
    "infinities": ([{**POSED, "keypoints": [inf, 12, 2, 25, 14, 1, 20, 28, 0]}], [POSE]),
    "an area of 0": ([{**POSED, "area": 0}], [POSE]),
    "an area below 0": ([{**POSED, "area": -5}], [POSE]),
    "no box": ([{k: v for k, v in POSED.items() if k != "bbox"}], [POSE]),
    "no keypoints": ([{k: v for k, v in POSED.items() if k != "keypoints"}], [POSE]),
    "no num_keypoints": ([{k: v for k, v in POSED.items() if k != "num_keypoints"}], [POSE]),
    "no iscrowd": ([{k: v for k, v in POSED.items() if k != "iscrowd"}], [POSE]),
    "no area": ([{k: v for k, v in POSED.items() if k != "area"}], [POSE]),
    "no score": ([POSED], [{k: v for k, v in POSE.items() if k != "score"}]),
    "too few points": ([{**POSED, "keypoints": [12, 12, 2]}], [POSE]),
    "too few points in a result": ([POSED], [{**POSE, "keypoints": [12, 12, 2]}]),
    "two points in a result": ([POSED], [{**POSE, "keypoints": [12, 12, 2, 14, 14, 2]}]),
    "too many points": (
        [{**POSED, "keypoints": POSED["keypoints"] * 2}],
        [{**POSE, "keypoints": POSE["keypoints"] * 2}],
    ),
    "empty points": ([{**POSED, "keypoints": []}], [POSE]),
    "strings": ([{**POSED, "keypoints": ["1", "2", "2"] * 3}], [POSE]),
    "None": ([{**POSED, "keypoints": None}], [POSE]),
    "a bad box": ([{**POSED, "bbox": [1, 2]}], [POSE]),
    "a box of NaN, nothing seen": ([{**UNSEEN, "bbox": [nan, 2, 5, 5]}], [POSE]),
    "a large and a small one": (
        [POSED, {**POSED, "id": 2, "area": 20000}, {**POSED, "id": 3, "area": 2000}],
        [POSE, {**POSE, "score": 0.9}, {**POSE, "score": 0.7}],
    ),
    "twenty-five results": ([POSED], [{**POSE, "score": s / 100} for s in range(25)]),
    "another image": ([POSED], [{**POSE, "image_id": 2}]),
    "results with boxes": ([POSED], [{**POSE, "bbox": BOX}]),
    "results with masks": (
        [POSED],
        [{**POSE, "segmentation": {"size": [60, 80], "counts": "0<"}, "score": 1}],
    ),
    "results with other fields": ([POSED], [{**POSE, "center": [5, 5], "scale": 1.5}] * 2),
    "results with other fields and boxes": ([POSED], [{**POSE, "bbox": BOX, "scale": 1.5}] * 2),
    "results of integers": ([POSED], [{**POSE, "keypoints": [12, 13, 2, 25, 14, 2, 90, 28, 1]}, POSE]),
    "results in another order": ([POSED], [dict(reversed(POSE.items()))]),
    "results of another image first": ([POSED], [{**POSE, "image_id": 2}, POSE, {**POSE, "category_id": 2}]),
    "one of two results too short": ([POSED], [POSE, {**POSE, "keypoints": [12, 12, 2]}]),
    "one too short, cut off": (
        [POSED],
        [
            *[{**POSE, "score": 1 - s / 100} for s in range(20)],
            {**POSE, "keypoints": [12, 12, 2], "score": 0},
        ],
    ),
    "points far away": ([{**POSED, "keypoints": [2**26 + 1, 12, 2, 25, 14, 1, 20, 28, 0]}], [POSE]),
    "a result far away": ([POSED], [{**POSE, "keypoints": [2**26 + 1, 12, 2, 25, 14, 1, 20, 28, 0]}]),
    "a huge area": ([{**POSED, "area": 1e200}], [POSE]),
    "true and false": ([{**POSED, "keypoints": [True, 12, 2, 25, 14, 1, 20, 28, False]}], [POSE]),
    "iscrowd true": ([{**POSED, "iscrowd": True}, {**POSED, "id": 2}], [POSE, POSE]),
    "num_keypoints 0.0": ([{**POSED, "num_keypoints": 0.0}, {**POSED, "id": 2}], [POSE]),
    "an ignore of its own": ([{"ignore": 1, **POSED}, {**POSED, "id": 2, "ignore": 0}], [POSE]),
    "keypoints missing in another category": (
        [POSED, {"id": 2, "image_id": 1, "category_id": 2, "bbox": BOX, "area": 5, "iscrowd": 0}],
        [POSE],
    ),
    "id 0": ([{**POSED, "id": 0}], [POSE]),
}
for name, (truths, results) in POSES.items():
    add("5.4", f"poses: {name}", pose, truths, results)
add("5.4", "poses without categories", pose, [POSED], [POSE], {"useCats": 0})
for name, sigmas in {
    "in a list": [0.1, 0.1, 0.1],
    "too few": np.array([0.1, 0.2]),
    "one": np.array([0.1]),
    "none": np.array([]),
    "of zero": np.zeros(3),
    "of integers": np.array([1, 2, 3]),
    "of float32": np.array([0.025, 0.05, 0.1], np.float32),
    "a number": 0.1,
    "None": None,
    "of two dimensions": np.full((1, 3), 0.1),
    "below 0": np.array([-0.1, 0.1, 0.1]),
    "NaN": np.array([nan, 0.1, 0.1]),
}.items():
    add("5.4", f"sigmas {name}", pose, [POSED, {**UNSEEN, "id": 5}], [POSE], None, sigmas)
add(
    "5.4",
    "poses with the usual sigmas",
    lambda api: pose(api, [POSED], [POSE], {}, api.Params("keypoints").kpt_oks_sigmas),
)
for name, params in {"one image": {"imgIds": [2]}, "one category": {"catIds": [1]}}.items():
    truths = [POSED, {**POSED, "id": 2, "image_id": 2}, {**POSED, "id": 3, "category_id": 2}]
    results = [POSE, {**POSE, "image_id": 2, "score": 0.25}, {**POSE, "category_id": 2}, POSE]
    add("5.4", f"poses of {name}", pose, truths, results, params)
for kind in ("bbox", "segm"):
    add("5.4", f"poses, evaluated as {kind}", lambda api, kind: evaluated(api, *POSES_ALONE, kind), kind)
add("5.4", "poses by limits", pose, [POSED], [POSE] * 5, {"maxDets": [1, 2]})


@behaviour("5.4")
def many_poses(api: Api):
    """More than are compared at a time."""
    rng = np.random.default_rng(0)
    gts, results = [], []
    for i in range(1, 41):
        for _ in range(24):
            points = [float(v) for v in rng.integers(0, 60, 51)]
            gts.append(truth(len(gts) + 1, BOX, i, keypoints=points, num_keypoints=17))
            moved = [v + float(d) for v, d in zip(points, rng.normal(0, 1, 51), strict=True)]
            results.append({**POSE, "image_id": i, "keypoints": moved, "score": float(rng.random())})
    return evaluated(api, dataset(gts, range(1, 41)), results, "keypoints")


def test_files_of_poses_stay_files(way):
    """Nobody needs the dicts for the numbers."""
    if way != "compiled":
        pytest.skip("without compiled code a file's dicts are made at once")
    for more in ({}, {"bbox": BOX}, {"scale": 1.5}):
        with given_as("file"):
            ev = pose(OWN, [POSED], [POSE | more])
        assert are_columns(ev.cocoGt)
        assert are_columns(ev.cocoDt)


@behaviour.each
@pytest.mark.parametrize("source", SOURCES[::2])
def test_poses(behaviour, way, source):
    check_from(source, way, behaviour)
