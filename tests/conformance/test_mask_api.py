"""area and toBbox, and what all functions do with RLE dicts that are not as usual."""

from __future__ import annotations

from collections import OrderedDict, UserDict

import numpy as np
import pytest

from conformance.harness import Api, Behaviours
from conformance.masks import L, box, noises, of, rle

behaviour = Behaviours()
add = behaviour.add


def area(api: Api, x):
    return api.mask.area(x)


def to_bbox(api: Api, x):
    return api.mask.toBbox(x)


def both(api: Api, x):
    return area(api, x), to_bbox(api, x)


# Usual masks

MASKS = {
    "an L": of(L),
    "counts as str": of(L, str),
    "a rectangle": box(10, 12, 3, 2, 4, 5),
    "a full image": of([[1, 1], [1, 1]]),
    "an empty image": of([[0, 0], [0, 0]]),
    "one pixel, first": of([[1, 0], [0, 0]]),
    "one pixel, last": of([[0, 0], [0, 1]]),
    "three of four pixels": of([[0, 1], [1, 1]]),
    "one row": of([[0, 1, 1, 0, 1]]),
    "one column": of([[0], [1], [1], [0], [1]]),
    "a run over two columns": rle(4, 4, [3, 2, 11]),
    "a run to the end of a column": rle(4, 4, [2, 2, 12]),
    "a column and one pixel more": rle(4, 4, [4, 5, 7]),
    "a large image": rle(30000, 40000, [10**9, 10**8, 10**8]),
}
for name, mask in MASKS.items():
    add("3.4", f"area of {name}", area, mask)
    add("3.4", f"toBbox of {name}", to_bbox, mask)
    add("3.4", f"area and toBbox of a list with {name}", both, [mask])
add("3.4", "area and toBbox of no masks", both, [])
add("3.4", "area and toBbox of many masks", both, noises(31, 33, 20))
add("3.4", "area and toBbox of masks of different sizes", both, [*noises(3, 4, 2), *noises(65, 2, 2), of(L)])

# Unusual runs: odd ones count, whatever they sum to

RUNS = {
    "no counts": [],
    "one count": [20],
    "a count too few": [3, 2],
    "an even number of counts": [3, 2, 4, 11],
    "too many pixels": [3, 2, 4, 30],
    "far too many pixels": [3, 2**31, 4, 2**31, 5, 2**31],
    "zero runs first": [0, 0, 0, 5, 15],
    "zero runs of foreground": [3, 0, 17],
    "only zero runs of foreground": [12, 0],
    "zero runs inside": [3, 2, 0, 4, 11],
    "zero runs last": [3, 2, 15, 0],
    "only zeros": [0, 0],
    "a single zero": [0],
    "areas beyond 32 bits": [0, 2**32 - 1, 0, 2**32 - 1, 0, 2**32 - 1],
}
for name, runs in RUNS.items():
    add("3.4", f"area and toBbox with {name}", both, rle(4, 5, runs))
    add("3.4", f"area and toBbox in a list with {name}", both, [of(L), rle(4, 5, runs)])
add("3.4", "area of an image without rows", area, rle(0, 5, [3, 2]))
add("3.4", "toBbox of an empty image without rows", to_bbox, rle(0, 5, [0]))
add("3.4", "toBbox of an image without columns", both, rle(5, 0, [0]))
add("3.4", "toBbox of foreground in an image without columns", both, rle(5, 0, [3, 2]))
add("3.4", "toBbox of zero runs in an image without rows", to_bbox, rle(0, 5, [3, 0]))

# What is taken for a list

add("3.4", "a tuple is one object to mask", lambda api, x: area(api, x), (of(L),))
add("3.4", "a tuple is one object to mask.toBbox", lambda api, x: to_bbox(api, x), (of(L),))
for kind, wrap in {
    "a tuple": tuple,
    "an object array": lambda x: np.array(x, dtype=object),
    "a dict of masks by number": lambda x: dict(enumerate(x)),
    "an iterator": iter,
    "a list": list,
    "a subclass of list": type("MyList", (list,), {}),
}.items():
    add("3.4", f"_mask.area of {kind}", lambda api, x, wrap=wrap: api._mask.area(wrap(x)), [of(L), of(L)])
    add("3.4", f"_mask.toBbox of {kind}", lambda api, x, wrap=wrap: api._mask.toBbox(wrap(x)), [of(L), of(L)])
    add("3.4", f"mask.area of {kind}", lambda api, x, wrap=wrap: api.mask.area(wrap(x)), [of(L), of(L)])
add("3.4", "_mask.area of a dict", lambda api, x: api._mask.area(x), of(L))
add("3.4", "mask.area of a dict of another type", lambda api, x: area(api, OrderedDict(x)), of(L))
add("3.4", "mask.toBbox of a UserDict", lambda api, x: to_bbox(api, UserDict(x)), of(L))
for nothing in (None, 5, "a", b"a", 1.5, {}, [None], [1], [[]], [()], ["a"]):
    add("3.4", f"area of {nothing!r}", area, nothing)
    add("3.4", f"toBbox of {nothing!r}", to_bbox, nothing)
    add("3.4", f"_mask.area of {nothing!r}", lambda api, x: api._mask.area(x), nothing)

# RLE dicts

DICTS = {
    "no keys": {},
    "no counts": {"size": [4, 4]},
    "no size": {"counts": b"1"},
    "more keys": {"counts": b"323", "size": [4, 4], "other": 1},
    "size in a tuple": {"size": (4, 4), "counts": b"323"},
    "size in an array": {"size": np.array([4, 4]), "counts": b"323"},
    "size in a dict": {"size": {0: 4, 1: 4}, "counts": b"323"},
    "size with three items": {"size": [4, 4, 9], "counts": b"323"},
    "size of floats": {"size": [4.7, 4.2], "counts": b"323"},
    "size of NumPy integers": {"size": [np.int64(4), np.uint8(4)], "counts": b"323"},
    "size of a NumPy float": {"size": [np.float64(4.5), 4], "counts": b"323"},
    "size of bools": {"size": [True, True], "counts": b"1"},
    "size with one item": {"size": [4], "counts": b"1"},
    "size empty": {"size": [], "counts": b"1"},
    "size a number": {"size": 4, "counts": b"1"},
    "size None": {"size": None, "counts": b"1"},
    "size with None": {"size": [None, 4], "counts": b"1"},
    "size with a str": {"size": [4, "4"], "counts": b"1"},
    "size a str": {"size": "44", "counts": b"1"},
    "size with a list": {"size": [4, [4]], "counts": b"1"},
    "size negative": {"size": [4, -4], "counts": b"1"},
    "size a negative float": {"size": [-4.5, 4], "counts": b"1"},
    "size between -1 and 0": {"size": [-0.5, 4], "counts": b"1"},
    "size beyond 64 bits": {"size": [2**64, 4], "counts": b"1"},
    "size NaN": {"size": [float("nan"), 4], "counts": b"1"},
    "size infinite": {"size": [4, float("inf")], "counts": b"1"},
    "counts None": {"size": [4, 4], "counts": None},
    "counts a bytearray": {"size": [4, 4], "counts": bytearray(b"1")},
    "counts a list": {"size": [4, 4], "counts": [1, 2]},
    "counts a number": {"size": [4, 4], "counts": 5},
    "counts an array": {"size": [4, 4], "counts": np.array([1, 2])},
    "counts a NumPy str": {"size": [4, 4], "counts": np.str_("1")},
    "counts NumPy bytes": {"size": [4, 4], "counts": np.bytes_(b"1")},
    "counts a subclass of bytes": {"size": [4, 4], "counts": type("MyBytes", (bytes,), {})(b"1")},
    "counts a subclass of str": {"size": [4, 4], "counts": type("MyStr", (str,), {})("1")},
    "counts not ASCII": {"size": [4, 4], "counts": "é1"},
    "counts beyond the basic plane": {"size": [4, 4], "counts": "\U0001f6001"},
    "counts a lone surrogate": {"size": [4, 4], "counts": "\ud8001"},
    "counts an empty str": {"size": [4, 4], "counts": ""},
    "counts empty": {"size": [4, 4], "counts": b""},
    "both wrong": {"size": None, "counts": None},
}
for name, odd in DICTS.items():
    add("3.1", f"area with {name}", area, odd)
    add("3.1", f"area in a list with {name}", area, [of(L), odd])
    add("3.1", f"_mask.area with {name}", lambda api, x: api._mask.area([x]), odd)
    if "between" in name or "not ASCII" in name or "plane" in name:
        continue  # boxes of these would be of an image without rows, or of runs beyond it
    add("3.1", f"toBbox with {name}", to_bbox, odd)
    add("3.1", f"merge with {name}", lambda api, x: api.mask.merge([x]), odd)
    add("3.1", f"iou with {name}", lambda api, x: api.mask.iou([x], [], []), odd)
add(
    "3.1",
    "area with counts a memoryview",
    lambda api: area(api, {"size": [4, 4], "counts": memoryview(b"1")}),
)


@behaviour("3.4", of(L))
def area_cannot_be_written_as_json(api, mask):
    import json

    return json.dumps(area(api, mask))


@behaviour("3.4", noises(5, 7, 3))
def results_are_writeable_and_own_their_data(api, masks):
    areas, boxes = both(api, masks)
    areas[0], boxes[0] = 7, 8
    return areas, boxes, area(api, masks)


@behaviour.each
def test_mask_api(behaviour, way):
    behaviour.check()


def test_known_values():
    from maskmill.pycocotools import mask

    shape = of(L)
    assert mask.area(shape) == 5
    assert mask.toBbox(shape).tolist() == [1, 1, 3, 3]
    assert mask.toBbox(rle(3, 4, [12, 0])).tolist() == [4, 3, 4294967293, 4294967294]
    with pytest.raises(TypeError, match="Expected bytes, got bytearray"):
        mask.area({"size": [4, 4], "counts": bytearray(b"1")})
