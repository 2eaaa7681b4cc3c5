"""encode and decode: which arrays are taken, and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.harness import OWN, Api, Behaviours
from conformance.masks import L, box, noise, noises, of, rle

behaviour = Behaviours()
add = behaviour.add


def encode(api: Api, x):
    return api.mask.encode(x)


def raw_encode(api: Api, x):
    return api._mask.encode(x)


def decode(api: Api, x):
    return api.mask.decode(x)


def raw_decode(api: Api, x):
    return api._mask.decode(x)


def fortran(rows, dtype=np.uint8) -> np.ndarray:
    return np.asfortranarray(rows, dtype)


# encode: shapes

SHAPES = [(1, 1), (1, 9), (9, 1), (5, 7), (7, 5), (32, 33), (65, 3), (0, 0), (0, 4), (4, 0)]
for shape in SHAPES:
    add("3.2", f"encode an image of {shape}", encode, noise(*shape, 1)[:, :, 0])
    add("3.2", f"encode a stack of three of {shape}", encode, noise(*shape, 3))
    add("3.2", f"encode ones of {shape}", encode, np.ones(shape, np.uint8, order="F"))
    add("3.2", f"encode zeros of {shape}", encode, np.zeros(shape, np.uint8, order="F"))
add("3.2", "encode a stack of none", encode, np.zeros((4, 5, 0), np.uint8, order="F"))
add("3.2", "encode a stack of none without rows", encode, np.zeros((0, 5, 0), np.uint8, order="F"))
for ndim in (0, 1, 4, 5):
    add("3.2", f"encode {ndim} dimensions", encode, np.zeros((2,) * ndim, np.uint8, order="F"))
    add("3.2", f"_mask.encode of {ndim} dimensions", raw_encode, np.zeros((2,) * ndim, np.uint8, order="F"))
add("3.2", "_mask.encode of an image", raw_encode, fortran(L))
add("3.2", "_mask.encode of a stack", raw_encode, noise(4, 5, 2))

# encode: memory

add("3.2", "encode in C order", encode, np.array(L, np.uint8))
add("3.2", "encode a stack in C order", encode, np.ones((3, 4, 2), np.uint8))
add("3.2", "encode one row in C order", encode, np.ones((1, 4), np.uint8))
add("3.2", "encode one column in C order", encode, np.ones((4, 1), np.uint8))
add("3.2", "encode a stack of one pixel in C order", encode, np.ones((1, 1, 3), np.uint8))
add("3.2", "encode a transposed image", lambda api, x: encode(api, x.T), np.array(L, np.uint8))
add("3.2", "encode a slice of columns", lambda api, x: encode(api, x[:, 1:4]), fortran(L))
add("3.2", "encode a slice of rows", lambda api, x: encode(api, x[1:4]), fortran(L))
add("3.2", "encode every second column", lambda api, x: encode(api, x[:, ::2]), fortran(L))
add("3.2", "encode a mirrored image", lambda api, x: encode(api, x[:, ::-1]), fortran(L))
add("3.2", "encode a slice of a stack", lambda api, x: encode(api, x[:, :, 1:]), noise(4, 5, 3))
add("3.2", "encode a broadcast image", lambda api: encode(api, np.broadcast_to(np.uint8(1), (3, 4))))
add("3.2", "encode a subclass of ndarray", lambda api, x: encode(api, x.view(np.ma.MaskedArray)), fortran(L))


@behaviour("3.2", fortran(L))
def encode_what_is_read_only(api, image):
    image.flags.writeable = False
    return encode(api, image), encode(api, image[:, :, None])


# encode: types

for kind in (*"?BbhHiIlLqQefdgFDGO", "S1", "U1", "M8[s]", "m8[s]"):
    add(
        "3.2",
        f"encode dtype {kind}",
        lambda api, kind=kind: encode(api, np.zeros((2, 3), np.dtype(kind), order="F")),
    )
    add(
        "3.2",
        f"encode a stack in C order of dtype {kind}",
        lambda api, kind=kind: encode(api, np.zeros((2, 3, 2), np.dtype(kind))),
    )
add("3.2", "encode swapped bytes", lambda api: encode(api, np.zeros((2, 3), ">i4", order="F")))
for kind, what in {"None": None, "a list": L, "a number": 5, "a str": "a", "bytes": b"ab"}.items():
    add("3.2", f"encode {kind}", encode, what)
    if what is not None:  # there pycocotools crashes
        add("3.2", f"_mask.encode of {kind}", raw_encode, what)


class Shaped:
    def __init__(self, *shape):
        self.shape = shape


add("3.2", "encode what only has a shape", encode, Shaped(2, 3))
add("3.2", "encode what only has a shape of a stack", encode, Shaped(2, 3, 1))
add("3.2", "encode what has a shape of one dimension", encode, Shaped(2))

# encode: values. Runs end where the byte changes, not where it becomes zero.

add("3.2", "encode 0 and 255", encode, fortran(L) * 255)
add("3.2", "encode labels", encode, fortran([[0, 1, 2], [0, 2, 2], [1, 1, 0]]))
add("3.2", "encode labels that start with foreground", encode, fortran([[3, 3], [3, 1]]))
add("3.2", "encode labels 1 to 6", encode, fortran([[1, 2, 3], [4, 5, 6]]))
add(
    "3.2",
    "encode random labels",
    encode,
    np.asfortranarray(noise(9, 8, 4) * noise(9, 8, 4, 1) + noise(9, 8, 4, 2)),
)
add("3.2", "encode bools", encode, fortran(L, bool))
add("3.2", "encode bools of other bytes", lambda api, x: encode(api, x.view(bool)), fortran([[0, 2], [3, 3]]))
add("3.2", "encode a checkerboard", encode, fortran(np.indices((8, 9)).sum(0) % 2))
add("3.2", "encode a large image", encode, fortran(np.indices((300, 400)).sum(0) % 7 < 3))
add("3.2", "encode runs of more than five characters", encode, np.zeros((6000, 6000), np.uint8, order="F"))

# decode: what comes out

for name, mask in {
    "an L": of(L),
    "an L in str": of(L, str),
    "a rectangle": box(10, 12, 3, 2, 4, 5),
    "one row": of([[0, 1, 1, 0]]),
    "one column": of([[0], [1], [1]]),
    "no rows": rle(0, 5, [0]),
    "no columns": rle(5, 0, [0]),
    "zero runs": rle(2, 3, [0, 0, 2, 0, 0, 3, 1]),
    "foreground first": rle(2, 3, [0, 4, 2]),
    "one run of foreground": rle(2, 3, [0, 6]),
}.items():
    add("3.3", f"decode {name}", decode, mask)
    add("3.3", f"decode a list of {name}", decode, [mask])
    add("3.3", f"decode a list of {name}, twice", decode, [mask, mask])
    add("3.3", f"decode and encode {name}", lambda api, x: encode(api, decode(api, x)), mask)
add("3.3", "decode many masks", decode, noises(17, 19, 30))
add("3.3", "decode many masks of few runs", decode, noises(64, 70, 8, density=0.01))
add("3.3", "the size of the first mask counts", decode, [rle(2, 3, [1, 5]), rle(3, 2, [2, 4])])
add("3.3", "a smaller size later", decode, [rle(2, 3, [1, 5]), rle(1, 1, [2, 4])])
add("3.3", "a mask too long spills into the next", decode, [rle(2, 3, [1, 9]), rle(2, 3, [2])])
add("3.3", "a mask too long shifts the next", decode, [rle(2, 2, [3, 3, 1]), rle(2, 2, [1])])
add("3.3", "a mask too long", decode, rle(2, 3, [1, 9]))
add("3.3", "a stack too long", decode, [rle(2, 3, [1, 5]), rle(2, 3, [1, 6])])
add("3.3", "a stack far too long", decode, [rle(2, 3, [2**31, 2**31]), rle(2, 3, [1, 5])])
add("3.3", "a run of 32 bits", decode, rle(2, 3, [0, 2**32 - 1]))
add("3.3", "a mask of zeros too long by zero runs", decode, rle(2, 3, [6, 0, 0, 0]))

# decode: what is taken

for kind, what in {
    "a tuple": (of(L),),
    "None": None,
    "a str": "a",
    "a number": 1,
    "an empty dict": {},
    "a dict without size": {"counts": b"1"},
    "a list of None": [None],
    "a list with counts of the wrong type": [of(L), {"size": [5, 5], "counts": [1]}],
}.items():
    add("3.3", f"decode {kind}", decode, what)
add("3.3", "_mask.decode of a dict", raw_decode, of(L))
add("3.3", "_mask.decode of a list", raw_decode, [of(L), of(L)])
add("3.3", "_mask.decode of a tuple", raw_decode, (of(L), of(L)))
add("3.3", "_mask.decode of an object array", lambda api, x: raw_decode(api, np.array(x, object)), [of(L)])
add("3.3", "decode a subclass of list", lambda api, x: decode(api, type("MyList", (list,), {})(x)), [of(L)])


@behaviour("3.3", of(L))
def a_decoded_mask_is_a_view_and_a_stack_is_not(api, mask):
    image, stack = decode(api, mask), decode(api, [mask])
    return image.base is None, image.base.shape, stack.flags.owndata, image.strides, stack.strides


@behaviour("3.3", of(L))
def decoded_masks_can_be_written(api, mask):
    image, stack = decode(api, mask), decode(api, [mask, mask])
    image[0, 0] = 7
    stack[:, :, 1] = 9
    return image, stack, decode(api, mask)


@behaviour.each
def test_encode_decode(behaviour, way):
    behaviour.check()


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 3), (33, 31, 2), (100, 1, 4)])
def test_round_trip(shape, way):
    images = noise(*shape)
    assert np.array_equal(OWN.mask.decode(OWN.mask.encode(images)), images)


def test_known_values():
    encode, decode = OWN.mask.encode, OWN.mask.decode
    assert encode(fortran([[0, 1], [1, 1]])) == {"size": [2, 2], "counts": b"13"}
    assert encode(np.zeros((0, 3), np.uint8, order="F")) == {"size": [0, 3], "counts": b"0"}
    assert encode(fortran([[1, 2, 2]])) == {"size": [1, 3], "counts": b"012"}
    assert encode(np.zeros(3, np.uint8)) is None
    assert decode({"size": [2, 2], "counts": b"13"}).tolist() == [[0, 1], [1, 1]]
    with pytest.raises(ValueError, match="^ndarray is not Fortran contiguous$"):
        encode(np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="^Invalid RLE mask representation$"):
        decode(rle(2, 2, [5]))
