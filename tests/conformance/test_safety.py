"""What is malformed, where pycocotools crashes, hangs, or returns whatever was in memory. Only ours is run.

Elsewhere malformed input does with ours what it does with pycocotools: see the other files.
"""

from __future__ import annotations

import contextlib
import copy
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.datasets import SOURCES, dataset, evaluated, found, given_as, mask_of, truth
from conformance.harness import OWN, Behaviours, describe, going, outcome, why_not
from conformance.masks import SQUARE, TRIANGLE, L, of, rle

mask, raw = OWN.mask, OWN._mask
nan, inf = float("nan"), float("inf")

# Calls and the words that say what is wrong, and with which item. Names of tests, as for `add`.
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    # division by a height of zero
    "toBbox without rows": (lambda: mask.toBbox(rle(0, 5, [3, 2])), ValueError, "RLE 0: .*height is 0"),
    "toBbox of a second mask without rows": (
        lambda: mask.toBbox([of(L), rle(0, 5, [3, 2])]),
        ValueError,
        "RLE 1: .*height is 0",
    ),
    "_mask.toBbox of a tuple without rows": (
        lambda: raw.toBbox((of(L), rle(0, 5, [3, 2]))),
        ValueError,
        "RLE 1: .*height is 0",
    ),
    "iou without rows": (
        lambda: mask.iou([rle(0, 5, [3, 2])], [rle(0, 5, [3, 2])], [0]),
        ValueError,
        "RLE 0: .*height is 0",
    ),
    # walks without end
    "merge of fewer pixels": (
        lambda: mask.merge([rle(3, 4, [2, 10]), rle(3, 4, [2, 9])]),
        ValueError,
        "RLE 1: .*different sums",
    ),
    "merge of more pixels": (
        lambda: mask.merge([rle(3, 4, [2, 10]), rle(3, 4, [2, 99])]),
        ValueError,
        "RLE 1: .*different sums",
    ),
    "merge of fewer pixels, third": (
        lambda: mask.merge([rle(3, 4, [2, 10]), rle(3, 4, [2, 10]), rle(3, 4, [2, 9])], 1),
        ValueError,
        "RLE 2: .*different sums",
    ),
    "merge of sums alike in 32 bits": (
        lambda: mask.merge([rle(3, 4, [12]), rle(3, 4, [12, 2**31, 2**31])]),
        ValueError,
        "RLE 1: .*different sums",
    ),
    "iou of fewer pixels": (
        lambda: mask.iou([rle(3, 4, [2, 10])], [rle(3, 4, [2, 10]), rle(3, 4, [2, 9])], [0, 0]),
        ValueError,
        "RLE 0: .*RLE 1 have different sums",
    ),
    "iou of more pixels": (
        lambda: mask.iou([rle(3, 4, [12]), rle(3, 4, [2, 10])], [rle(3, 4, [2, 10, 5])], [1]),
        ValueError,
        "RLE 1: .*RLE 0 have different sums",
    ),
    # null pointers
    "merge without counts": (
        lambda: mask.merge([rle(3, 4, []), rle(3, 4, [12])]),
        ValueError,
        "no counts to merge",
    ),
    "merge without counts, second": (
        lambda: mask.merge([rle(3, 4, [12]), rle(3, 4, [])]),
        ValueError,
        "RLE 1: has no counts to merge",
    ),
    "merge of what a merge of different sizes gave": (
        lambda: mask.merge([mask.merge([of(L), rle(3, 4, [12])])] * 2),
        ValueError,
        "no counts to merge",
    ),
    "_mask.encode of None": (lambda: raw.encode(None), TypeError, "'mask' .* got NoneType"),
    "frBbox of None": (lambda: raw.frBbox(None, 5, 5), TypeError, "'bb' .* got NoneType"),
    "_toString of None": (lambda: raw._toString(None), TypeError, "'Rs' .* got NoneType"),
    # no size to decode to
    "decode of nothing": (lambda: mask.decode([]), ValueError, "needs at least one RLE"),
    "_mask.decode of nothing": (lambda: raw.decode(()), ValueError, "needs at least one RLE"),
    # sizes that overflow
    "decode to exabytes": (lambda: mask.decode({"size": [2**31, 2**31], "counts": b"1"}), MemoryError, ""),
    "decode to more": (lambda: mask.decode({"size": [2**40, 2**40], "counts": b"1"}), MemoryError, ""),
    "decode to a size beyond int64": (
        lambda: mask.decode({"size": [2**63, 2], "counts": b"1"}),
        MemoryError,
        "",
    ),
    "decode of many to more": (
        lambda: mask.decode([{"size": [2**31, 2**31], "counts": b"1"}] * 3),
        MemoryError,
        "",
    ),
    "very many RLEs": (lambda: raw.RLEs(2**60), MemoryError, ""),
    "filling an image of 2**32 pixels": (
        lambda: mask.frPyObjects([TRIANGLE], 2**16, 2**16),
        ValueError,
        "65536 x 65536 pixels",
    ),
    "filling a high image": (
        lambda: mask.frPyObjects([TRIANGLE], 2**31, 1),
        ValueError,
        "2147483648 x 1 pixels",
    ),
    "filling a wide image": (
        lambda: mask.frPyObjects([TRIANGLE], 1, 2**40),
        ValueError,
        "1 x 1099511627776 pixels",
    ),
    "boxes in an image of 2**32 pixels": (
        lambda: mask.frPyObjects(np.ones((1, 4)), 2**16, 2**16),
        ValueError,
        "65536 x 65536 pixels",
    ),
    # boxes that are none
    "boxes of five columns": (
        lambda: mask.frPyObjects(np.zeros((2, 5)), 9, 9),
        ValueError,
        r"\(N, 4\), not \(2, 5\)",
    ),
    "boxes of three columns": (
        lambda: mask.frPyObjects(np.zeros((2, 3)), 9, 9),
        ValueError,
        r"\(N, 4\), not \(2, 3\)",
    ),
    "boxes of no columns": (
        lambda: mask.frPyObjects(np.zeros((2, 0)), 9, 9),
        ValueError,
        r"\(N, 4\), not \(2, 0\)",
    ),
    "None in a ring": (lambda: mask.frPyObjects([[None] * 6], 9, 9), ValueError, "polygon 0: point 0"),
}
for value in (nan, inf, -inf, 1e300, -1e300, 2.0**31, 1e10, -1e10):
    REFUSED[f"a ring with {value}"] = (
        lambda v=value: mask.frPyObjects([TRIANGLE, [1, 1, 5, v, 5, 5]], 9, 9),
        ValueError,
        "polygon 1: point 1 of a ring",
    )
    REFUSED[f"a ring with {value}, by frPoly"] = (
        lambda v=value: raw.frPoly([[1, 1, v, 3, 5, 5]], 9, 9),
        ValueError,
        "polygon 0: point 1 of a ring",
    )
    REFUSED[f"a ring with {value} in an image without columns"] = (
        lambda v=value: raw.frPoly([[1, 1, v, 3, 5, 5]], 9, 0),
        ValueError,
        "image without columns",
    )
    REFUSED[f"a box with {value}"] = (
        lambda v=value: mask.frPyObjects(np.array([[1.0, 1, 5, 5], [1, v, 5, 5]]), 9, 9),
        ValueError,
        "polygon 1: point 0",
    )


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, way):
    call, error, words = REFUSED[name]
    with pytest.raises(error, match=words or None):
        call()


# Values where there is a right one

FORTRAN = np.asfortranarray(np.array([[1.0, 2, 3, 4], [0, 1, 5, 5], [2, 2, 2, 9]]))
BOXES = np.ascontiguousarray(FORTRAN)
STRIDED = np.repeat(np.repeat(BOXES, 2, 0), 3, 1)[::2, ::3]
ZEROS = rle(1, 2, [1, *[0] * 40, 1])

ANSWERED: dict[str, tuple[Any, Any]] = {
    "decode of short counts": (lambda: mask.decode(rle(2, 3, [1, 2])), [[0, 1, 0], [1, 0, 0]]),
    "decode of a short second mask": (
        lambda: mask.decode([rle(2, 2, [1, 3]), rle(2, 2, [0, 1])])[:, :, 1],
        [[1, 0], [0, 0]],
    ),
    # Masks are written one behind the other, so that after a short one all are early.
    "decode of a short first mask": (
        lambda: mask.decode([rle(2, 2, [1, 1]), rle(2, 2, [0, 4])])[:, :, 1],
        [[1, 0], [1, 0]],
    ),
    "decode without counts": (lambda: mask.decode(rle(2, 2, [])), [[0, 0], [0, 0]]),
    "decode of many short masks": (lambda: mask.decode([rle(2, 2, [])] * 9).sum(), 0),
    "merge of more counts than pixels": (lambda: mask.area(mask.merge([ZEROS, rle(1, 2, [2])])), 1),
    "merge of more counts than pixels, three": (
        lambda: mask.area(mask.merge([rle(1, 2, [0, 0, 0, 0, 2]), ZEROS, rle(1, 2, [2])])),
        1,
    ),
    "boxes in Fortran order": (
        lambda: mask.frPyObjects(FORTRAN, 9, 9) == mask.frPyObjects(BOXES, 9, 9),
        True,
    ),
    "strided boxes": (lambda: mask.frPyObjects(STRIDED, 9, 9) == mask.frPyObjects(BOXES, 9, 9), True),
    "iou of boxes in Fortran order": (
        lambda: mask.iou(FORTRAN, FORTRAN, [0, 1, 0]),
        mask.iou(BOXES, BOXES, [0, 1, 0]).tolist(),
    ),
    "iou of strided boxes": (
        lambda: mask.iou(STRIDED, FORTRAN, [0, 1, 0]),
        mask.iou(BOXES, BOXES, [0, 1, 0]).tolist(),
    ),
    "iou of boxes in Fortran order with a list": (
        lambda: mask.iou(FORTRAN, BOXES.tolist(), [0, 1, 0]),
        mask.iou(BOXES, BOXES, [0, 1, 0]).tolist(),
    ),
    "area of a huge size": (lambda: mask.area({"size": [2**63, 2], "counts": b"11"}), 1),
    "toBbox of a huge size": (lambda: mask.toBbox({"size": [2**63, 2], "counts": b"11"}), [0, 1, 1, 1]),
    "a polygon that is only just not too large": (
        lambda: mask.area(mask.frPyObjects([[0, 0, 4e8, 0, 4e8, 5, 0, 5]], 9, 7)),
        [35],
    ),
    "an image of nearly 2**32 pixels": (lambda: mask.area(mask.frPyObjects([SQUARE], 65535, 65536)), [20]),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_answered(name, way):
    call, expected = ANSWERED[name]
    assert np.array_equal(call(), expected)


def test_columns_beyond_31_bits_are_filled_where_they_are(way):
    """pycocotools computes places of pixels in 32 bits, with a sign."""
    masks = mask.frPyObjects([[60000, 10, 60010, 10, 60010, 20, 60000, 20]], 60000, 65000)
    assert mask.toBbox(masks).tolist() == [[60000, 10, 10, 10]]


# Within an evaluation

BOX = [10, 10, 20, 20]
GOOD = mask_of(BOX, 60, 80)


def text(made: dict[str, Any]) -> dict[str, Any]:
    return {"size": made["size"], "counts": made["counts"].decode()}


EVALUATED = {
    "ground truth of fewer pixels": ({"size": [60, 80], "counts": [700, 4000]}, GOOD, "different sums"),
    "results of fewer pixels": (GOOD, text(rle(60, 80, [700, 4000])), "different sums"),
    "a ring with NaN": ([[1, 1, 5, nan, 5, 5]], GOOD, "point 1 of a ring"),
    "a ring with a huge number": ([[1, 1, 5, 1e300, 5, 5]], GOOD, "point 1 of a ring"),
    "no rows": ({"size": [0, 80], "counts": [700, 4000]}, text(rle(0, 80, [700, 4000])), "height is 0"),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", EVALUATED)
def test_masks_in_an_evaluation(name, source, way):
    in_truth, in_result, words = EVALUATED[name]
    gt = dataset([truth(1, BOX, segmentation=copy.deepcopy(in_truth))])
    results = [{"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": copy.deepcopy(in_result)}]
    with given_as(source), pytest.raises(ValueError, match=words):
        evaluated(OWN, gt, results, "segm")


def test_an_image_too_large_in_an_evaluation(way):
    gt = dataset([truth(1, BOX)])
    gt["images"][0]["height"] = 2**40
    with pytest.raises(ValueError, match="1099511627776 x 80 pixels"):
        evaluated(OWN, gt, [{**found(BOX, 0.5), "segmentation": GOOD}], "segm")


def test_very_many_results_in_one_cell():
    """Limits and thresholds of any number do not overrun anything."""
    gt = dataset([truth(1, BOX)])
    ev = evaluated(OWN, gt, [found(BOX, 0.5)] * 3000, maxDets=[1, 10, 10**9], iouThrs=np.linspace(0, 1, 300))
    assert ev.eval["precision"].shape == (300, 101, 1, 4, 3)


# The ways agree on anything whatever

JUNK = st.fixed_dictionaries(
    {
        "size": st.lists(st.integers(0, 9), min_size=2, max_size=2),
        "counts": st.one_of(
            st.binary(max_size=12), st.text(max_size=8), st.text("0123456789:;<=PQRNO`o", max_size=12)
        ),
    }
)


def same_on_all_ways(function, *inputs):
    outcomes = []
    for way in ("compiled", "generic", "numba"):
        if why_not(way) is None:
            with going(way):
                outcomes.append(outcome(OWN, function, inputs))
    for other in outcomes[1:]:
        assert describe(other.error) == describe(outcomes[0].error)
        assert repr(other.value) == repr(outcomes[0].value)


few = settings(max_examples=60, deadline=None)


@few
@given(st.lists(JUNK, max_size=3))
def test_junk_is_measured(masks):
    same_on_all_ways(lambda api, m: api.mask.area(m), masks)
    same_on_all_ways(lambda api, m: api.mask.toBbox(m), masks)


@few
@given(st.lists(JUNK, max_size=3))
def test_junk_is_decoded(masks):
    same_on_all_ways(lambda api, m: api.mask.decode(m), masks)


@few
@given(st.lists(JUNK, max_size=3), st.booleans())
def test_junk_is_merged(masks, intersect):
    for m in masks:
        m["size"] = masks[0]["size"]
    same_on_all_ways(lambda api, m, i: api.mask.merge(m, i), masks, intersect)


@few
@given(st.lists(JUNK, min_size=1, max_size=3), st.lists(JUNK, min_size=1, max_size=3))
def test_junk_is_compared(dt, gt):
    for m in dt + gt:
        m["size"] = dt[0]["size"]
    same_on_all_ways(lambda api, d, g: api.mask.iou(d, g, [0] * len(g)), dt, gt)


@few
@given(st.lists(st.lists(st.floats(width=32), max_size=9), max_size=3), st.integers(0, 9), st.integers(0, 9))
def test_junk_is_filled(rings, h, w):
    same_on_all_ways(lambda api, r: api.mask.frPyObjects(r, h, w), rings)
    same_on_all_ways(lambda api, r: api._mask.frPoly(r, h, w), rings)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "score", "segmentation", "extra")


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(KEYS), JSON, st.sampled_from(KEYS), JSON, st.sampled_from(["bbox", "segm"]))
def test_junk_is_evaluated(in_truth, value, in_result, other, kind):
    """From files and from dicts the same comes out, be it numbers or an error."""
    gt = dataset([{**truth(1, BOX), in_truth: value}, truth(2, [40, 10, 9, 9])])
    results = [
        {**found(BOX, 0.5), "segmentation": GOOD, in_result: other},
        {**found(BOX, 0.25), "segmentation": GOOD},
    ]
    made = []
    for source in SOURCES:
        with given_as(source), contextlib.redirect_stdout(io.StringIO()):
            made.append(
                outcome(OWN, lambda api, g, r: evaluated(api, g, r, kind).stats.tolist(), (gt, results))
            )
    errors = [describe(o.error) for o in made]
    assert errors[0] == errors[1] == errors[2]
    assert repr(made[0].value) == repr(made[1].value) == repr(made[2].value)


def test_nothing_here_is_compared():
    """REF must not be run with what is in this file."""
    assert not [v for v in globals().values() if isinstance(v, Behaviours)]
