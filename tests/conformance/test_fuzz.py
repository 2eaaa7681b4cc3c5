"""Random input, valid and mildly invalid: the same as pycocotools, bit for bit, on every way."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from conformance.datasets import SOURCES, dataset, evaluated, found, given_as, mask_of, truth
from conformance.harness import OWN, REF, assert_same, going, outcome, why_not
from conformance.masks import rle

WAYS = [way for way in ("compiled", "generic", "numba") if why_not(way) is None]


def settled(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, database=None)


def same(function, *inputs) -> None:
    ref = outcome(REF, function, inputs)
    for way in WAYS:
        with going(way):
            assert_same(ref, outcome(OWN, function, inputs))


# Masks


@st.composite
def stacks(draw, most: int = 1):
    values = st.integers(0, most)
    h, w, n = draw(st.integers(0, 9)), draw(st.integers(0, 9)), draw(st.integers(0, 3))
    pixels = draw(st.lists(values, min_size=h * w * n, max_size=h * w * n))
    return np.array(pixels, np.uint8).reshape((h, w, n), order="F")


@st.composite
def sizes(draw):
    return draw(st.integers(1, 8)), draw(st.integers(1, 8))


@st.composite
def runs(draw, total: int, zeros: bool = False):
    """Counts with this sum."""
    ends = sorted(draw(st.lists(st.integers(0, total), max_size=min(total, 8), unique=not zeros)))
    return [int(c) for c in np.diff([0, *ends, total])]


@st.composite
def masks(draw, most: int = 4, zeros: bool = False, least: int = 0):
    h, w = draw(sizes())
    made = []
    for _ in range(draw(st.integers(least, most))):
        counts = draw(runs(h * w, zeros))
        made.append(rle(h, w, counts, draw(st.sampled_from([bytes, str]))))
    return made, h * w


@settled(100)
@given(stacks(), st.booleans())
def test_encode_and_decode(stack, as_list):
    def there_and_back(api, stack):
        made = api.mask.encode(stack)
        return made, api.mask.decode(made) if made else None, [api.mask.decode(m) for m in made]

    same(there_and_back, stack)


@settled(60)
@given(stacks(3))
def test_encode_labels(stack):
    same(lambda api, x: api.mask.encode(x), stack)


ARRAYS = st.sampled_from(["B", "?", "b", "H", "i", "l", "f", "d", "O"])


@settled(60)
@given(st.lists(st.integers(0, 3), max_size=4), ARRAYS, st.sampled_from(["C", "F"]))
def test_encode_any_array(shape, kind, order):
    same(lambda api: api.mask.encode(np.ones(shape, kind, order=order)))
    same(lambda api: api._mask.encode(np.ones(shape, kind, order=order)))


@settled(100)
@given(masks(zeros=True))
def test_area_and_box(given):
    same(lambda api, m: (api.mask.area(m), api.mask.toBbox(m)), given[0])


@settled(70)
@given(sizes(), st.lists(st.integers(0, 30), max_size=9))
def test_area_and_box_of_any_counts(size, counts):
    made = rle(*size, counts)
    same(lambda api, m: (api.mask.area(m), api.mask.toBbox(m), api.mask.toBbox([m])), made)


@settled(100)
@given(masks(), st.booleans())
def test_merge(given, intersect):
    same(lambda api, m: api.mask.merge(m, intersect), given[0])


@settled(70)
@given(masks(zeros=True, most=2), st.booleans())
def test_merge_with_zero_runs(given, intersect):
    made, pixels = given
    lengths = [len(REF._mask._toString(REF._mask._frString([m]))[0]["counts"]) for m in made]
    assume(sum(lengths) <= pixels + 1)  # of which there is room for in pycocotools
    same(lambda api, m: api.mask.merge(m, intersect), made)


@settled(70)
@given(masks(), masks())
def test_merge_of_different_sizes(first, second):
    # No size appears twice with another between, or the second of them would meet one without counts.
    same(lambda api, m: api.mask.merge(m), first[0][:1] + second[0][:1])


@settled(100)
@given(masks(most=6, zeros=True), st.integers(0, 6), st.lists(st.booleans(), min_size=6, max_size=6))
def test_iou_of_masks(given, at, crowd):
    dt, gt = given[0][:at], given[0][at:]
    same(lambda api, d, g: api.mask.iou(d, g, crowd[: len(g)]), dt, gt)


@settled(70)
@given(masks(least=1), masks(least=1))
def test_iou_of_masks_of_different_sizes(first, second):
    assume(first[0][0]["size"] != second[0][0]["size"])
    same(lambda api, d, g: api.mask.iou(d, g, [0] * len(g)), first[0], second[0])


# Boxes

GRID = st.integers(-8, 48).map(lambda v: v / 4)
ANY = st.floats(allow_nan=True, allow_infinity=True)
PLAIN = st.floats(-1e6, 1e6)


def boxes(numbers, most=4):
    return st.lists(st.lists(numbers, min_size=4, max_size=4), max_size=most)


@settled(120)
@given(st.sampled_from([GRID, PLAIN, ANY]).flatmap(lambda n: st.tuples(boxes(n), boxes(n))), st.data())
def test_iou_of_boxes(given, data):
    dt, gt = given
    crowd = data.draw(st.lists(st.booleans(), min_size=len(gt), max_size=len(gt)))
    same(lambda api, d, g: api.mask.iou(d, g, crowd), dt, gt)
    if dt and gt:
        same(lambda api, d, g: api.mask.iou(np.array(d), g, crowd), dt, gt)


MIXED = st.one_of(
    st.none(),
    st.integers(-3, 9),
    st.lists(st.integers(0, 9), max_size=6),
    st.just(rle(2, 3, [2, 4])),
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
)


@settled(100)
@given(st.lists(MIXED, max_size=3), st.lists(MIXED, max_size=3), st.lists(st.integers(-1, 2), max_size=3))
def test_iou_of_anything(dt, gt, crowd):
    same(lambda api, d, g, c: api.mask.iou(d, g, c), dt, gt, crowd)


# Polygons

POINT = st.integers(-8, 80).map(lambda v: v / 4)
FREE = st.floats(-30, 50)


@st.composite
def rings(draw, least=6, most=24):
    numbers = draw(st.sampled_from([POINT, FREE, st.integers(-3, 20)]))
    return draw(st.lists(numbers, min_size=least, max_size=most))


@settled(150)
@given(rings(), st.integers(0, 20), st.integers(1, 20))
def test_polygons(ring, h, w):
    same(lambda api, r: api._mask.frPoly([r], h, w), ring)


@settled(70)
@given(st.lists(rings(), min_size=1, max_size=3), st.integers(1, 20), st.integers(1, 20))
def test_polygons_and_their_union(given, h, w):
    def fill(api, given):
        made = api.mask.frPyObjects(given, h, w)
        return made, api.mask.merge(made), api.mask.area(made), api.mask.toBbox(made), api.mask.decode(made)

    same(fill, given)


@settled(50)
@given(rings(), st.integers(0, 20))
def test_polygons_without_columns(ring, h):
    same(lambda api, r: api._mask.frPoly([r], h, 0), ring)


@settled(100)
@given(st.sampled_from([POINT, FREE]).flatmap(boxes), st.integers(0, 20), st.integers(1, 20))
def test_boxes_become_masks(given, h, w):
    array = np.array(given, float).reshape(-1, 4)
    same(lambda api, b: (api.mask.frPyObjects(b, h, w), api._mask.frBbox(b, h, w)), array)


LARGE = st.sampled_from([2**32 - 1, 2**31, 2**32])
# Three at most: pycocotools has room for six characters of each, and large ones take seven.
COUNTS = st.lists(st.one_of(st.integers(-2, 20), st.floats(0, 20), LARGE), max_size=3)
OBJECT = st.one_of(
    rings(0, 8),
    rings(3, 4).map(tuple),
    rings().map(np.array),
    st.fixed_dictionaries({"size": st.lists(st.integers(-1, 9), max_size=3), "counts": COUNTS}),
    st.fixed_dictionaries({"counts": COUNTS}),
    st.none(),
    st.integers(0, 9),
    st.text("012 ab", max_size=6),
)


def clean(objs: Any) -> bool:
    """Whether no number may become NaN, with which pycocotools hangs."""
    if isinstance(objs, str):
        return True
    if isinstance(objs, list | tuple):
        return all(o is not None for o in objs) and all(map(clean, objs))
    return not isinstance(objs, dict) or clean(objs["counts"])


@settled(150)
@given(
    st.one_of(OBJECT, st.lists(OBJECT, max_size=3)),
    st.integers(-1, 12),
    st.one_of(st.integers(1, 12), st.floats(1, 12)),
)
def test_objects(objs, h, w):
    assume(clean(objs))
    same(lambda api, o: api.mask.frPyObjects(o, h, w), objs)


# The string code


@settled(100)
@given(st.lists(st.integers(0, 2**24 - 1), max_size=12))
def test_counts_as_strings(counts):
    def there_and_back(api, counts):
        made = api.mask.frPyObjects({"size": [3, 4], "counts": counts}, 3, 4)
        return made, api._mask._toString(api._mask._frString([made])), api.mask.area(made)

    same(there_and_back, counts)


@settled(100)
@given(st.lists(st.tuples(st.binary(max_size=4), st.integers(0, 127)), max_size=5))
def test_any_string(parts):
    # Every number ends, and none is longer than pycocotools' integers.
    string = b"".join(
        bytes(c | 0x40 if not (c - 48) & 32 else c for c in head) + bytes([tail]) for head, tail in parts
    )
    groups = [(c - 48) & 32 for c in string.split(b"\0")[0]]
    assume(not groups or not groups[-1])
    longest = max((len(run) for run in "".join("x" if g else " " for g in groups).split()), default=0)
    assume(longest < 5)
    mask = {"size": [3, 4], "counts": string}
    written = OWN._mask._toString(OWN._mask._frString([mask]))[0]["counts"]
    assume(len(written) < max(24, 6 * groups.count(0)))  # for which there is room in pycocotools
    same(lambda api, m: api._mask._toString(api._mask._frString([m])), mask)


# Evaluations

PLACES = [
    [4, 4, 8, 8],
    [4, 4, 8, 6],
    [5, 4, 8, 8],
    [4, 4, 40, 40],
    [4, 4, 40, 50],
    [20, 20, 100, 100],
    [0, 0, 4, 4],
]
SCORES = st.sampled_from([0.1, 0.5, 0.5, 0.75, 0.9, 1, 0, -0.5])
WHERE = st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(0, len(PLACES) - 1))


@st.composite
def problems(draw, kind: str):
    truths = []
    for number, (image, category, place) in enumerate(draw(st.lists(WHERE, max_size=7))):
        ann = truth(number + draw(st.sampled_from([1, 1, 1, 0])), PLACES[place], image, category)
        ann["iscrowd"] = int(draw(st.integers(0, 5)) == 0)
        if draw(st.integers(0, 7)) == 0:
            ann["area"] = draw(st.sampled_from([0, 1024, 9216, 1e11]))
        truths.append(ann)
    results = []
    for image, category, place in draw(st.lists(WHERE, min_size=1, max_size=9)):
        result = found(PLACES[place], draw(SCORES), image, category)
        if kind == "segm":
            result["segmentation"] = mask_of(PLACES[place], 130, 130)
        results.append(result)
    if kind == "keypoints":
        points = st.lists(st.integers(0, 40), min_size=4, max_size=4)
        for ann in truths:
            x, y, u, v = draw(points)
            ann["keypoints"] = [x, y, draw(st.integers(0, 2)), u, v, draw(st.integers(0, 2))]
            ann["num_keypoints"] = sum(s > 0 for s in ann["keypoints"][2::3])
        for result in results:
            x, y, u, v = draw(points)
            result["keypoints"] = [x, y + 0.5 * draw(st.integers(0, 1)), 1, u, v, 1]
            del result["bbox"]
    gt = dataset(truths, (1, 2), (1, 2))
    for img in gt["images"]:
        img.update(height=130, width=130)
    params: dict[str, Any] = {}
    if kind == "keypoints":
        params["kpt_oks_sigmas"] = np.array([0.05, 0.1])
    elif draw(st.booleans()):
        params["useCats"] = 0
    if draw(st.booleans()):
        params["maxDets"] = draw(st.lists(st.integers(1, 5), min_size=3, max_size=3))
    if draw(st.booleans()):
        params["iouThrs"] = np.array(
            draw(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=3))
        )
    return gt, results, params


def evaluate_alike(kind: str, problem) -> None:
    gt, results, params = problem
    for source in SOURCES[::2]:
        with given_as(source):
            same(lambda api, g, d: evaluated(api, g, d, kind, **params), gt, results)


@settled(25)
@given(problems("bbox"))
def test_evaluations_of_boxes(problem):
    evaluate_alike("bbox", problem)


@settled(25)
@given(problems("segm"))
def test_evaluations_of_masks(problem):
    evaluate_alike("segm", problem)


@settled(25)
@given(problems("keypoints"))
def test_evaluations_of_poses(problem):
    evaluate_alike("keypoints", problem)


def test_the_strategies_reach_what_they_are_for():
    """Crowds, ties, matches and misses occur, or these tests would show little."""
    seen: set[str] = set()

    @settings(max_examples=60, deadline=None, database=None)
    @given(problems("bbox"))
    def look(problem):
        gt, results, params = problem
        scores = [r["score"] for r in results]
        seen.update(
            name
            for name, there in {
                "crowd": any(a["iscrowd"] for a in gt["annotations"]),
                "ties": len(set(scores)) < len(scores),
                "no ground truth": not gt["annotations"],
                "id 0": any(a["id"] == 0 for a in gt["annotations"]),
                "no categories": "useCats" in params,
            }.items()
            if there
        )

    look()
    assert len(seen) == 5, seen
