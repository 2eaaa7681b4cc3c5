"""frPyObjects and what it leads to: which input is taken for what, and what comes of polygons and boxes."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

from conformance.harness import OWN, Api, Behaviours
from conformance.masks import BOWTIE, SQUARE, STAR, TRIANGLE, L, of, rle

behaviour = Behaviours()
add = behaviour.add


def convert(api: Api, what, h=12, w=10):
    return api.mask.frPyObjects(what, h, w)


def fill(api: Api, ring, h=12, w=10):
    """One ring, with what is derived of its mask."""
    masks = api._mask.frPoly([ring], h, w)
    return masks, api.mask.area(masks), api.mask.toBbox(masks)


def fill_box(api: Api, box, h=12, w=10):
    return api._mask.frBbox(np.array([box], float), h, w)


# 3.7: what is taken for what

TAKEN = {
    # boxes
    "an array of boxes": np.array([[1.0, 2, 3, 4], [0, 0, 5, 5]]),
    "an array of no boxes": np.zeros((0, 4)),
    "an array of integers": np.array([[1, 2, 3, 4]]),
    "an array of float32": np.array([[1, 2, 3, 4]], np.float32),
    "an array of bool": np.array([[True] * 4]),
    "an array of objects": np.array([[1.0, 2, 3, 4]], object),
    "an array of strings": np.array([["1", "2", "3", "4"]]),
    "an array in other byte order": np.array([[1, 2, 3, 4]], ">f8"),
    "an array of one dimension": np.array([1.0, 2, 3, 4]),
    "an array of three dimensions": np.zeros((2, 1, 4)),
    "an array of no dimension": np.array(1.0),
    "a list of lists of four": [[1, 2, 3, 4]],
    "a list of a polygon of four numbers": [[1.0, 2, 3, 4]],
    "a list of arrays of four": [np.array([1.0, 2, 3, 4])],
    "a list of tuples of four": [(1, 2, 3, 4)],
    "a list of strings of four": ["1234"],
    "a list of dicts of four keys": [{"size": [2, 2], "counts": [1, 3], "a": 0, "b": 0}],
    "a box, then polygons": [[1, 2, 3, 4], TRIANGLE],
    # polygons
    "a polygon": [TRIANGLE],
    "polygons": [TRIANGLE, SQUARE, STAR],
    "the same ring twice": [SQUARE, SQUARE],
    "a ring in a tuple": [tuple(TRIANGLE)],
    "a ring in an array": [np.array(TRIANGLE)],
    "a ring in a float32 array": [np.array(TRIANGLE, np.float32)],
    "a ring in an array of integers": [np.array(SQUARE)],
    "a strided ring": [np.array([SQUARE, SQUARE]).T[:, 0]],
    "a ring of strings": [[str(v) for v in TRIANGLE]],
    "a ring of bools": [[True, False, False, False, False, True]],
    "a ring of NumPy scalars": [[np.float64(v) for v in TRIANGLE]],
    "a ring in a range": [range(6)],
    "a ring of five": [[1, 1, 8, 1, 8]],
    "a ring of seven": [[*TRIANGLE, 3]],
    "a ring of words": [["a", "b", "c", "d", "e", "f"]],
    "a ring in a str": ["123456"],
    "a ring of dicts": [[{}, {}, {}, {}, {}]],
    "a ring of lists": [[[1], [2], [3], [4], [5], [6]]],
    "a ragged ring": [[[1], [2, 3], 3, 4, 5, 6]],
    "a ring of complex numbers": [[1j, 2, 3, 4, 5, 6]],
    "a later ring of four": [TRIANGLE, [1, 1, 8, 8]],
    "a later ring of two": [TRIANGLE, [1, 1]],
    "a later ring of one": [TRIANGLE, [1]],
    "a later ring of none": [TRIANGLE, []],
    "a later number": [TRIANGLE, 5],
    "a later dict": [TRIANGLE, rle(12, 10, [120])],
    "a later pair of points": [TRIANGLE, [[1, 1], [8, 8], [1, 8], [2, 2], [3, 3]]],
    "a first ring of none": [[]],
    "a first ring of two": [[1, 2]],
    "a first ring of three": [[1, 2, 3]],
    "rings of two, four of them": [[1, 2], [3, 4], [5, 6], [7, 8]],
    "rings of two, five of them": [[1, 2], [3, 4], [5, 6], [7, 8], [9, 9]],
    "points, five of them, in a ring": [[[1, 1], [8, 1], [8, 8], [4, 5], [1, 8]]],
    "points, five of them, in an array": [np.array([[1.0, 1], [8, 1], [8, 8], [4, 5], [1, 8]])],
    "points, four of them, in a ring": [[[1, 1], [8, 1], [8, 8], [1, 8]]],
    "points, three of them, in a ring": [[[1, 1], [8, 1], [8, 8]]],
    "a tuple of rings": (TRIANGLE,),
    "a subclass of list": type("MyList", (list,), {})([TRIANGLE]),
    # flat
    "flat numbers": TRIANGLE,
    "four flat numbers": [1, 2, 3, 4],
    "no list": [],
    # RLE
    "an RLE of counts": {"size": [3, 4], "counts": [2, 3, 7]},
    "an RLE of counts in a tuple": {"size": (3, 4), "counts": (2, 3, 7)},
    "an RLE of counts in an array": {"size": [3, 4], "counts": np.array([2, 3, 7])},
    "an RLE of counts in an array of uint8": {"size": [3, 4], "counts": np.array([2, 3, 7], np.uint8)},
    "an RLE of counts in a range": {"size": [3, 4], "counts": range(5)},
    "an RLE of floats": {"size": [3, 4], "counts": [2.9, 3.2, 7]},
    "an RLE of bools": {"size": [3, 4], "counts": [True, False]},
    "an RLE of strings": {"size": [3, 4], "counts": ["2", "3", "7"]},
    "an RLE of words": {"size": [3, 4], "counts": ["a"]},
    "an RLE of no counts": {"size": [3, 4], "counts": []},
    "an RLE of the wrong total": {"size": [3, 4], "counts": [100, 200]},
    "an RLE of negative counts": {"size": [3, 4], "counts": [2, -3, 7]},
    "an RLE of counts beyond 32 bits": {"size": [3, 4], "counts": [2, 2**32]},
    "an RLE of counts beyond 64 bits": {"size": [3, 4], "counts": [2, 2**64]},
    "an RLE of counts of 32 bits": {"size": [3, 4], "counts": [2**32 - 1, 2**31]},
    "an RLE of an array with negative counts": {"size": [3, 4], "counts": np.array([2, 3])[::-1]},
    "an RLE of nested counts": {"size": [3, 4], "counts": [[1, 2]]},
    "an RLE of None": {"size": [3, 4], "counts": None},
    "an RLE with None": {"size": [3, 4], "counts": [None]},
    "an RLE of bytes": {"size": [3, 4], "counts": b"237"},
    "an RLE of digits in str": {"size": [3, 4], "counts": "237"},
    "an RLE of letters in str": {"size": [3, 4], "counts": "abc"},
    "an RLE of a number": {"size": [3, 4], "counts": 12},
    "an RLE of a dict": {"size": [3, 4], "counts": {}},
    "an RLE with size of floats": {"size": [3.7, 4.1], "counts": [12]},
    "an RLE with a negative size": {"size": [-3, 4], "counts": [12]},
    "an RLE with size None": {"size": None, "counts": [12]},
    "an RLE with size empty": {"size": [], "counts": [12]},
    "an RLE with size in str": {"size": "34", "counts": [12]},
    "an RLE with more keys": {"size": [3, 4], "counts": [12], "a": 1, "b": 2, "c": 3},
    "RLEs": [{"size": [3, 4], "counts": [12]}, {"size": [5, 4], "counts": [0, 20]}],
    "RLEs, one of them without size": [{"size": [3, 4], "counts": [12]}, {"counts": [0, 20]}],
    "RLEs, the first without size": [{"counts": [0, 20]}, {"size": [3, 4], "counts": [12]}],
    "RLEs of three keys": [{"size": [3, 4], "counts": [12], "a": 1}],
    "RLEs of five keys": [{"size": [3, 4], "counts": [12], "a": 1, "b": 2, "c": 3}],
    "a subclass of dict": OrderedDict(size=[3, 4], counts=[12]),
    "a list of a subclass of dict": [OrderedDict(size=[3, 4], counts=[12])],
    "a compressed RLE": of(L),
    "compressed RLEs": [of(L)],
    # other
    "None": None,
    "a list with None": [None],
    "a number": 5,
    "a str": "abcdef",
    "bytes": b"abcdef",
    "a dict": {"a": 1},
    "an empty dict": {},
    "a set": {1, 2, 3},
    "a range": range(6),
}
for name, what in TAKEN.items():
    add("3.7", f"frPyObjects of {name}", convert, what)
    if not isinstance(what, np.ndarray):
        add("3.7", f"frPoly of {name}", lambda api, x: api._mask.frPoly(x, 12, 10), what)
        add(
            "3.7", f"frUncompressedRLE of {name}", lambda api, x: api._mask.frUncompressedRLE(x, 12, 10), what
        )
    if what is not None:  # there pycocotools crashes
        add("3.7", f"frBbox of {name}", lambda api, x: api._mask.frBbox(x, 12, 10), what)

KINDS = {
    "polygons": [TRIANGLE],
    "boxes": np.array([[1.0, 2, 3, 4]]),
    "an RLE": {"size": [3, 4], "counts": [12]},
    "RLEs": [{"size": [3, 4], "counts": [12]}],
}
for name, what in KINDS.items():
    for h, w in [
        (12.9, 10.1),
        (np.int64(12), np.uint8(10)),
        (np.float64(12.5), 10),
        (True, True),
        (None, 10),
        (12, None),
        ("12", 10),
        (12, "10"),
        ([12], 10),
        (-1, 10),
        (12, -1.5),
        (2**64, 10),
        (12, 2**70),
        (float("nan"), 10),
        (12, float("inf")),
        (np.array(12), 10),
        (1j, 10),
    ]:
        add("3.7", f"{name} in an image of {h!r} x {w!r}", convert, what, h, w)
add("3.7", "frPyObjects by name", lambda api: api.mask.frPyObjects(w=10, pyobj=[TRIANGLE], h=12))
add("3.7", "frPoly by name", lambda api: api._mask.frPoly(w=10, poly=[TRIANGLE], h=12))
add("3.7", "frBbox by name", lambda api: api._mask.frBbox(w=10, bb=np.ones((1, 4)), h=12))
add("3.7", "a wrong ring comes before a wrong size", convert, [["a"] * 6], None, 10)
add(
    "3.7",
    "frBbox of a read-only array",
    lambda api: convert(api, np.broadcast_to([[1.0, 1, 4, 4]], (1, 4)).copy()),
)

# 3.8: polygons

RINGS = {
    "a triangle": TRIANGLE,
    "a square": SQUARE,
    "a square, the other way round": [2, 2, 2, 6, 7, 6, 7, 2],
    "a square from another corner": [7, 6, 2, 6, 2, 2, 7, 2],
    "a closed square": [*SQUARE, 2, 2],
    "a square at .5": [2.5, 2.5, 7.5, 2.5, 7.5, 6.5, 2.5, 6.5],
    "a square at .1": [2.1, 2.1, 7.1, 2.1, 7.1, 6.1, 2.1, 6.1],
    "a square at .9": [2.9, 2.9, 7.9, 2.9, 7.9, 6.9, 2.9, 6.9],
    "a star": STAR,
    "a bowtie": BOWTIE,
    "a line": [1, 1, 8, 8, 1, 1],
    "a vertical line": [4, 1, 4, 8, 4, 1],
    "a horizontal line": [1, 4, 8, 4, 1, 4],
    "a point": [4, 4, 4, 4, 4, 4],
    "repeated points": [2, 2, 2, 2, 7, 2, 7, 2, 7, 6, 7, 6, 2, 6],
    "a thin strip": [2.0, 1, 2.3, 1, 2.3, 9, 2.0, 9],
    "a thin strip between columns": [2.6, 1, 2.8, 1, 2.8, 9, 2.6, 9],
    "the whole image": [0, 0, 10, 0, 10, 12, 0, 12],
    "more than the image": [-5, -5, 20, -5, 20, 20, -5, 20],
    "left of the image": [-9, 1, -2, 1, -2, 8],
    "right of the image": [11, 1, 19, 1, 15, 8],
    "above the image": [1, -9, 8, -9, 4, -1],
    "below the image": [1, 13, 8, 13, 4, 19],
    "over the left border": [-4, 2, 5, 3, -3, 9],
    "over the right border": [4, 2, 15, 3, 7, 9],
    "over the upper border": [2, -4, 8, -3, 5, 6],
    "over the lower border": [2, 8, 8, 9, 5, 20],
    "over a corner": [-3, -3, 6, -1, 5, 6, -1, 7],
    "around the image": [-5, 4, 5, -5, 15, 4, 5, 17],
    "negative fractions": [-0.3, -0.1, 5.5, -0.7, 3.3, 4.9],
    "at the ends of a fifth": [-1.1, -1.0, 4.1, 4.3, 2.3, 8.5],
    "nested squares": [0, 0, 9, 0, 9, 9, 0, 9, 0, 0, 3, 3, 6, 3, 6, 6, 3, 6, 3, 3],
    "a spiral": [5, 5, 6, 5, 6, 7, 3, 7, 3, 3, 8, 3, 8, 9, 1, 9, 1, 1],
    "tiny": [4.01, 4.02, 4.03, 4.01, 4.02, 4.04],
    "far outside": [1e5, 1e5, 2e5, 1e5, 1e5, 2e5],
    "wide": [-3000, 5, 3000, 5, 0, 9],
    "tall": [5, -3000, 6, 3000, 4, 0],
    "of denormals": [5e-324, 0, 5, 0, 5, 5, 0, 5e-324],
    "of minus zeros": [-0.0, -0.0, 5, -0.0, 5, 5, -0.0, 5],
    "a drawing": np.random.default_rng(1).uniform(-2, 14, 60).tolist(),
    "a drawing of integers": np.random.default_rng(2).integers(-2, 14, 60).tolist(),
    "a drawing of halves": (np.random.default_rng(3).integers(-2, 28, 60) / 2).tolist(),
    "a drawing of tenths": (np.random.default_rng(4).integers(-20, 140, 60) / 10).tolist(),
}
for name, ring in RINGS.items():
    add("3.8", f"fill {name}", fill, ring)
    add("3.8", f"fill {name} in one row", fill, ring, 1, 10)
    add("3.8", f"fill {name} in one column", fill, ring, 12, 1)
    add("3.8", f"fill {name} in one pixel", fill, ring, 1, 1)
    add("3.8", f"fill {name} in a large image", fill, ring, 1000, 1300)
    add("3.8", f"frPoly of {name} without rows", lambda api, r: api._mask.frPoly([r], 0, 10), ring)
    if max(map(abs, ring)) < 4000:
        add("3.8", f"frPoly of {name} without columns", lambda api, r: api._mask.frPoly([r], 12, 0), ring)
        add("3.8", f"frPyObjects of {name} without columns", convert, [ring], 12, 0)
        add("3.8", f"frPoly of {name} without pixels", lambda api, r: api._mask.frPoly([r], 0, 0), ring)

BOXES = {
    "a box": [2, 3, 4, 5],
    "at fractions": [2.3, 3.7, 4.1, 5.9],
    "at halves": [2.5, 3.5, 4.5, 5.5],
    "without width": [2, 3, 0, 5],
    "without height": [2, 3, 4, 0],
    "of negative width": [6, 3, -4, 5],
    "of negative height": [2, 8, 4, -5],
    "of negative sizes": [6, 8, -4, -5],
    "over the border": [-3, -2, 30, 40],
    "outside": [20, 20, 4, 4],
    "left outside": [-20, 2, 4, 4],
    "thin": [2, 3, 0.2, 5],
    "thin, at an edge": [1.9, 3, 0.3, 5],
    "flat": [2, 3, 4, 0.3],
    "of the image": [0, 0, 10, 12],
    "of one pixel": [3, 4, 1, 1],
    "far": [1e6, 1e6, 4, 4],
}
for name, box in BOXES.items():
    add("3.8", f"fill the box {name}", fill_box, box)
    add("3.8", f"fill the box {name} in a large image", fill_box, box, 700, 900)
    add("3.8", f"fill the box {name} in one pixel", fill_box, box, 1, 1)
add("3.8", "fill all boxes", lambda api, x: convert(api, np.array(x, float)), list(BOXES.values()))


@behaviour.each
def test_polygons_api(behaviour, way):
    behaviour.check()


def test_known_values():
    from maskmill.pycocotools import mask

    filled = mask.frPyObjects([SQUARE], 10, 10)
    assert mask.area(filled).tolist() == [20]
    assert filled == [rle(10, 10, [22, 4, 6, 4, 6, 4, 6, 4, 6, 4, 34])]
    assert mask.frPyObjects({"size": [3, 4], "counts": []}, 0, 0) == {"size": [3, 4], "counts": b""}
    with pytest.raises(Exception, match="^input type is not supported.$"):
        mask.frPyObjects([[1, 2]], 5, 5)


@pytest.mark.parametrize("name", ["a square", "a star", "a spiral", "over a corner"])
def test_backends_fill_alike(name):
    """The compiled call and the generic way are two ways to the same mask."""
    from conformance.harness import going

    compiled = fill(OWN, RINGS[name])[0]
    with going("generic"):
        assert fill(OWN, RINGS[name])[0] == compiled
