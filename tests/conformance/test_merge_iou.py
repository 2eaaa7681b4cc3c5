"""merge and iou."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

from conformance.harness import OWN, Api, Behaviours
from conformance.masks import L, box, noises, of, rle

behaviour = Behaviours()
add = behaviour.add

A, B, C = box(10, 12, 1, 1, 5, 5), box(10, 12, 4, 3, 6, 4), box(10, 12, 9, 8, 3, 2)
EMPTY, FULL = rle(10, 12, [120]), rle(10, 12, [0, 120])


def merge(api: Api, rles, *intersect):
    return api.mask.merge(rles, *intersect)


def both(api: Api, rles):
    return merge(api, rles), merge(api, rles, 1)


def iou(api: Api, dt, gt, crowd):
    return api.mask.iou(dt, gt, crowd)


def all_crowds(api: Api, dt, gt):
    """With all, some and no ground truth being crowds."""
    n = len(gt)
    return [iou(api, dt, gt, crowd) for crowd in ([0] * n, [1] * n, [i % 2 for i in range(n)])]


# merge

MERGED = {
    "no masks": [],
    "one mask": [A],
    "one mask in str": [of(L, str)],
    "one mask of the wrong total": [rle(3, 4, [1, 99])],
    "one mask without counts": [rle(3, 4, [])],
    "two that overlap": [A, B],
    "two that do not": [A, C],
    "the same twice": [A, A],
    "three": [A, B, C],
    "an empty one": [A, EMPTY],
    "two empty ones": [EMPTY, EMPTY],
    "an empty one first": [EMPTY, A, B],
    "a full one": [A, FULL],
    "two full ones": [FULL, FULL],
    "full, then empty": [FULL, EMPTY],
    "noise": noises(31, 33, 2),
    "much noise": noises(31, 33, 9, density=0.2),
    "dense noise": noises(31, 33, 9, 1, density=0.9),
    "str and bytes": [of(L), of(L[::-1], str)],
    "other sizes": [A, of(L)],
    "other sizes at the end": [A, B, of(L)],
    "other sizes of as many pixels": [rle(3, 4, [2, 10]), rle(4, 3, [2, 10])],
    "no pixels": [rle(0, 5, [0]), rle(0, 5, [0])],
    # Both at a zero run at the same place: what follows is lost.
    "zero runs in both": [rle(2, 2, [1, 0, 2, 1]), rle(2, 2, [1, 0, 2, 1])],
    "zero runs first in both": [rle(2, 3, [0, 0, 2, 4]), rle(2, 3, [0, 0, 3, 3])],
    "zero runs last in both": [rle(2, 3, [2, 4, 0]), rle(2, 3, [3, 3, 0])],
    "zero runs in one": [rle(2, 3, [1, 0, 2, 3]), rle(2, 3, [3, 3])],
    "zero runs in the other": [rle(2, 3, [3, 3]), rle(2, 3, [1, 0, 2, 3])],
    "zero runs at different places": [rle(2, 3, [1, 0, 2, 3]), rle(2, 3, [2, 0, 1, 3])],
    "three zero runs in one": [rle(2, 3, [1, 0, 0, 0, 2, 3]), rle(2, 3, [3, 3])],
    "foreground first in both": [rle(2, 3, [0, 2, 4]), rle(2, 3, [0, 3, 3])],
}
for name, rles in MERGED.items():
    add("3.5", f"merge {name}", both, rles)
    add("3.5", f"merge {name}, reversed", both, rles[::-1])

for flag in (0, 1, 2, -1, True, False, 1.5, 0.5, np.bool_(True), np.int64(3), np.uint8(0), np.float32(2)):
    add("3.5", f"intersect={flag!r}", lambda api, x, f: merge(api, x, f), [A, B], flag)
for flag in (None, "1", b"1", [], (1,), 2**40, -(2**40), 2**70, float("nan"), float("inf"), 1j):
    add("3.5", f"intersect={flag!r} is refused", lambda api, x, f: merge(api, x, f), [A, B], flag)
add("3.5", "intersect by name", lambda api, x: api.mask.merge(x, intersect=True), [A, B])
add("3.5", "all by name", lambda api, x: api.mask.merge(intersect=1, rleObjs=x), [A, B])
for kind, wrap in {
    "a tuple": tuple,
    "an object array": lambda x: np.array(x, object),
    "a dict by number": lambda x: dict(enumerate(x)),
    "a generator": iter,
    "None": lambda x: None,
    "a dict": lambda x: x[0],
    "a number": lambda x: 5,
    "a str": lambda x: "ab",
    "ordered dicts": lambda x: [OrderedDict(m) for m in x],
    "nothing but None": lambda x: [None],
    "a list of lists": lambda x: [x],
}.items():
    add("3.5", f"merge {kind}", lambda api, x, wrap=wrap: both(api, wrap(x)), [A, B])
add("3.5", "merge a bad one behind one of another size", both, [A, of(L), {"size": [5, 5], "counts": 1}])

# iou of masks

MASKS = {
    "one and one": ([A], [B]),
    "some and some": ([A, B, C], [B, C]),
    "noise": (noises(20, 21, 5, density=0.1), noises(20, 21, 7, 1, density=0.1)),
    "dense noise": (noises(20, 21, 5), noises(20, 21, 7, 1)),
    "the same": (noises(9, 9, 3), noises(9, 9, 3)),
    "empty and full": ([EMPTY, FULL, A], [EMPTY, FULL, A]),
    "boxes that only touch": ([box(8, 8, 0, 0, 4, 4)], [box(8, 8, 4, 0, 4, 4), box(8, 8, 4, 4, 4, 4)]),
    "boxes that overlap, masks that do not": ([of([[1, 0], [0, 1]])], [of([[0, 1], [1, 0]])]),
    "other sizes": ([A], [of(L)]),
    "some of other sizes": ([A, of(L)], [of(L), B]),
    "other sizes without overlap of boxes": ([C], [of(L)]),
    "no counts": ([rle(10, 12, [])], [A]),
    "zero runs in both": ([rle(2, 2, [1, 0, 2, 1])], [rle(2, 2, [1, 0, 2, 1])]),
    "zero runs in one": ([rle(2, 3, [1, 0, 2, 3])], [rle(2, 3, [3, 3])]),
    "only zero runs of foreground": ([rle(3, 4, [12, 0])], [rle(3, 4, [12, 0]), rle(3, 4, [0, 12])]),
    "str and bytes": ([of(L, str)], [of(L)]),
    "no pixels": ([rle(0, 5, [0])], [rle(0, 5, [0])]),
}
for name, (dt, gt) in MASKS.items():
    add("3.6", f"iou of masks: {name}", all_crowds, dt, gt)
    add("3.6", f"iou of masks: {name}, exchanged", all_crowds, gt, dt)

# iou of boxes

nan, inf = float("nan"), float("inf")
BOXES = {
    "usual": ([[0, 0, 4, 4], [2, 2, 4, 4]], [[1, 1, 3, 3], [10, 10, 1, 1], [0.5, 0.25, 3.75, 4.125]]),
    "integers": ([[0, 0, 4, 4]], [[1, 1, 3, 3]]),
    "that touch": ([[0, 0, 4, 4]], [[4, 0, 4, 4], [0, 4, 4, 4]]),
    "inside": ([[0, 0, 10, 10]], [[2, 3, 1, 2]]),
    "without area": ([[0, 0, 0, 4], [1, 1, 0, 0]], [[0, 0, 4, 4], [1, 1, 0, 0]]),
    "of negative sizes": ([[4, 4, -2, -2], [4, 4, -2, 3]], [[0, 0, 4, 4], [4, 4, -2, -2]]),
    "that are large": ([[1e8, 1e8, 1e9, 1e9]], [[1e8, 1e8, 5e8, 7e8]]),
    "that are tiny": ([[0, 0, 1e-300, 1e-300]], [[0, 0, 1e-300, 1e-300], [0, 0, 1, 1]]),
    "of thirds": ([[1 / 3, 2 / 3, 1 / 7, 1 / 9]], [[0.3, 0.6, 0.2, 0.3]]),
    "with a NaN corner": ([[nan, 0, 4, 4]], [[1, 1, 3, 3], [9, 9, 1, 1]]),
    "with a NaN size": ([[0, 0, nan, 4]], [[1, 1, 3, 3], [9, 9, 1, 1]]),
    "with NaN on both sides": ([[nan, nan, nan, nan]], [[nan, 0, 1, 1], [0, 0, nan, nan]]),
    "that are infinite": ([[0, 0, inf, inf], [-inf, 0, inf, 4]], [[1, 1, 3, 3], [0, 0, inf, inf]]),
    "as tuples within": ([(0, 0, 4, 4)], [(1, 1, 3, 3)]),
    "of bools": ([[True, False, True, True]], [[0, 0, 1, 1]]),
    "in strings": ([["0", "0", "4", "4"]], [["1", "1", "3", "3"]]),
    "in other strings": ([["a", "0", "4", "4"]], [["1", "1", "3", "3"]]),
    "of five numbers": ([[0, 0, 4, 4, 1]], [[1, 1, 3, 3, 1]]),
    "of three numbers": ([[0, 0, 4]], [[1, 1, 3]]),
    "of different lengths": ([[0, 0, 4, 4], [0, 0, 4]], [[1, 1, 3, 3]]),
    "with None": ([[0, None, 4, 4]], [[1, 1, 3, 3]]),
    "nested": ([[[0], [0], [4], [4]]], [[[1], [1], [3], [3]]]),
    "flat": ([0, 0, 4, 4], [1, 1, 3, 3]),
    "as arrays within": ([np.array([0, 0, 4, 4])], [np.array([1.5, 1, 3, 3])]),
    "as long arrays within": ([np.zeros((4, 4))], [np.zeros((4, 4))]),
    "with integers beyond double": ([[2**60 + 1, 0, 2**60, 1]], [[2**60, 0, 2**60 + 3, 1]]),
    "with integers beyond 64 bits": ([[0, 0, 2**70, 1]], [[0, 0, 1, 1]]),
    "as ranges within": ([range(4)], [range(4)]),
}
for name, (dt, gt) in BOXES.items():
    add("3.6", f"iou of boxes {name}", all_crowds, dt, gt)
    if not isinstance(dt[0], np.ndarray) and "beyond" not in name and "lengths" not in name:
        add(
            "3.6",
            f"iou of arrays of boxes {name}",
            lambda api, d, g: all_crowds(api, np.array(d), np.array(g)),
            dt,
            gt,
        )
BOX = [[0, 0, 4, 4], [2, 2, 4, 4]]
for kind in "?bBhHiIlLefdgFDOU":
    if kind in "?FD":
        continue  # casts with warnings, or with loss of shape, are below
    add(
        "3.6",
        f"iou of boxes of dtype {kind}",
        lambda api, x, kind=kind: iou(api, x.astype(kind), x.astype(kind), [0, 1]),
        np.array(BOX),
    )
add("3.6", "iou of complex boxes", lambda api, x: iou(api, x.astype(complex), x, [0, 1]), np.array(BOX))
for name, array in {
    "one dimension of floats": np.array([0.0, 0, 4, 4]),
    "one dimension of integers": np.array([1, 0, 4, 4]),
    "one dimension that can be reshaped": np.array([4, 0, 4, 4]),
    "one dimension of length 1": np.array([1]),
    "three dimensions": np.zeros((1, 1, 4)),
    "no dimension": np.array(1.0),
    "five columns": np.zeros((2, 5)),
    "three columns": np.zeros((4, 3)),
    "no rows": np.zeros((0, 4)),
    "no rows of five columns": np.zeros((0, 5)),
    "no columns": np.zeros((3, 0)),
    "masks in it": np.array([A, B], object),
}.items():
    add("3.6", f"iou of an array with {name}", lambda api, x: iou(api, x, np.zeros((1, 4)), [0]), array)
    add(
        "3.6",
        f"iou with an array with {name}",
        lambda api, x: iou(api, np.zeros((1, 4)), x, [0] * x.size),
        array,
    )

# iou: what goes together

SIDES = {
    "boxes in a list": BOX,
    "boxes in an array": np.array(BOX, float),
    "masks": [A, B],
    "no list": [],
    "no array": np.zeros((0, 4)),
    "no tuple": (),
    "a tuple of boxes": ((0, 0, 4, 4), (2, 2, 4, 4)),
    "a tuple of masks": (A, B),
    "a mixture": [A, [0, 0, 4, 4]],
    "a dict": {"a": 1, "b": 2},
    "a str": "ab",
    "a subclass of list": type("MyList", (list,), {})(BOX),
    "a subclass of ndarray": np.ma.MaskedArray(BOX),
    "ordered dicts": [OrderedDict(A), OrderedDict(B)],
    "dicts of four keys": [{"size": 1, "counts": 2, "a": 3, "b": 4}] * 2,
    "strings of four letters": ["abcd", "0123"],
    "a generator": (i for i in ()),
    "None": None,
    "a number": 4,
}
for a, dt in SIDES.items():
    for b, gt in SIDES.items():
        if "a generator" in (a, b):
            continue
        add("3.6", f"iou of {a} and {b}", lambda api, d, g: iou(api, d, g, [0, 1]), dt, gt)
    if a != "a generator":
        add(
            "3.6",
            f"iou of {a} and RLEs",
            lambda api, d, r: iou(api, d, api._mask._frString(r), [0, 1]),
            dt,
            [A, B],
        )
add("3.6", "iou of a generator", lambda api, gt: iou(api, (b for b in gt), gt, [0, 1]), BOX)

# iou: the flags

CROWDS = {
    "bools": [True, False],
    "floats": [0.7, 1.2],
    "an array of int64": np.array([1, 0]),
    "an array of uint8": np.array([1, 0], np.uint8),
    "an array of bool": np.array([True, False]),
    "an array of floats": np.array([0.5, 1.5]),
    "strided": np.array([1, 9, 0, 9], np.uint8)[::2],
    "a tuple": (0, 1),
    "a range": range(2),
    "strings": ["0", "1"],
    "2 and 255": [2, 255],
    "300": [300, 0],
    "-1": [-1, 0],
    "None within": [None, 0],
    "None": None,
    "a number": 0,
    "nested": [[0, 1]],
    "nested deeper": [[[0], [1]]],
    "ragged": [[0], [0, 1]],
    "a str": "01",
    "bytes": b"01",
    "too few": [0],
    "too many": [0, 0, 0],
    "none": [],
    "a set": {0, 1},
    "a dict": {0: 0, 1: 1},
    "NumPy scalars": [np.int8(1), np.bool_(False)],
    "an array of int64 with 300": np.array([300, 0]),
    "an array of int64 with -1": np.array([-1, 0]),
}
for name, crowd in CROWDS.items():
    add("3.6", f"iou with flags {name}", iou, BOX, BOX, crowd)
    add("3.6", f"iou of masks with flags {name}", iou, [A, B], [B, C], crowd)
    add("3.6", f"iou without results with flags {name}", iou, [], BOX, crowd)
add("3.6", "iou by name", lambda api, x: api.mask.iou(pyiscrowd=[0, 1], gt=x, dt=x), BOX)


@behaviour("3.6", BOX)
def ious_can_be_written(api, boxes):
    made = iou(api, boxes, boxes, [0, 0])
    made[0, 1] = 5
    return made, made.strides


@behaviour.each
def test_merge_iou(behaviour, way):
    behaviour.check()


def test_known_values():
    from maskmill.pycocotools import mask

    assert mask.merge([rle(2, 2, [1, 0, 2, 1])] * 2)["counts"] == b"1"  # the early end
    assert mask.merge([A, of(L)]) == {"size": [0, 0], "counts": b""}
    assert mask.iou([[0, 0, 4, 4]], [[2, 0, 4, 4]], [0]).tolist() == [[8 / 24]]
    assert mask.iou([[0, 0, 4, 4]], [[2, 0, 4, 4]], [1]).tolist() == [[8 / 16]]
    assert mask.iou([[nan, 0, 4, 4]], [[1, 1, 3, 3]], [0])[0, 0] > 0
    assert mask.iou([], [[0, 0, 1, 1]], [0]) == []
    with pytest.raises(AssertionError, match=r"^iou\(iscrowd=\) must have the same length as gt$"):
        mask.iou([[0, 0, 1, 1]], [[0, 0, 1, 1]], [])


@pytest.mark.parametrize("intersect", [False, True])
def test_merge_is_set_operation(intersect, way):
    masks = noises(13, 17, 4, 5, density=0.6)
    images = OWN.mask.decode(masks)
    expected = images.all(2) if intersect else images.any(2)
    merged = OWN.mask.decode(OWN.mask.merge(masks, intersect))
    assert np.array_equal(merged, expected)
