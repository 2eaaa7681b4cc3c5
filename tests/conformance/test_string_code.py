"""The string code of counts: written, read, and its traps."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.harness import OWN, REF, Api, Behaviours

behaviour = Behaviours()
add = behaviour.add


def write(api: Api, counts):
    return api.mask.frPyObjects({"size": [4, 5], "counts": counts}, 4, 5)


def read(api: Api, counts):
    """What shows how a string is read, without looking at pixels: what it is written as again, and its area."""
    mask = {"size": [4, 5], "counts": counts}
    return api._mask._toString(api._mask._frString([mask])), api.mask.area(mask), api.mask.merge([mask])


ORACLES = {
    b"`01": [16, 1],
    b"o01": [31, 1],
    b"P11": [32, 1],
    b"?1": [15, 1],
    b"o?1": [511, 1],
    b"P`01": [512, 1],
    b":53M": [10, 5, 3, 2],
    b"T3b1d0R>_O": [100, 50, 20, 500, 3],
    b"PXjYjj0": [900000000],
    b"PPPPPP21oooooo1": [2**31, 1, 2**31 - 1],
    b"3PPPPP`01PPPPP@": [3, 2**29, 1, 0],
}


@pytest.mark.parametrize(("string", "counts"), ORACLES.items())
def test_known_strings(string, counts, way):
    assert write(OWN, counts)["counts"] == write(REF, counts)["counts"] == string
    assert read(OWN, string)[0][0]["counts"] == string
    assert read(OWN, string.decode())[0][0]["counts"] == string


EDGES = [0, 1, 2, 15, 16, 17, 31, 32, 33, 511, 512, 513, 2**14 - 1, 2**14, 2**19, 2**24 - 1, 2**24, 2**29 - 1]
for value in EDGES:
    add("3.1", f"write {value}", write, [value])
    add("3.1", f"write {value} behind others", write, [7, 9, 5, value, 3, value])
    add("3.1", f"write differences of {value}", write, [0, value, 0, 0, 0, value, 0, 0])
    add(
        "3.1",
        f"write and read {value}",
        lambda api, c: read(api, write(api, c)["counts"]),
        [5, value, 5, value, 5],
    )
for value in (2**29, 2**30, 2**31 - 1, 2**31, 2**32 - 1):  # only positive differences
    add("3.1", f"write {value}", write, [value, 0, value])
    add("3.1", f"write and read {value}", lambda api, c: read(api, write(api, c)["counts"]), [0, value])
for n in range(9):
    add("3.1", f"write {n} counts", write, list(range(3, 3 + n)))
    add("3.1", f"read {n} counts", read, write(REF, list(range(3, 3 + n)))["counts"])
add("3.1", "write many counts", write, np.random.default_rng(0).integers(0, 2000, 500).tolist())
add("3.1", "write many small counts", write, np.random.default_rng(1).integers(0, 3, 500).tolist())
add("3.1", "write many large counts", write, np.random.default_rng(2).integers(0, 2**28, 100).tolist())

# Any character is taken: its lower six bits, less 48. None of these ends within a number.
for name, string in {
    "a newline at the end": b"12\n",
    "a blank": b"1 2",
    "a NUL": b"12\x0034",
    "a NUL first": b"\x0012",
    "lower than the alphabet": b"!#%1&/1",
    "higher than the alphabet": b"pqrstu1",
    "bytes beyond ASCII": b"\xb5\x931",
    "a backslash": b"\\11",
    "a backquote": b"`11",
    "all one-character numbers": b"0123456789:;<=>?@ABCDEFGHIJKLMNO",
    "all two-character numbers": b"".join(bytes([c, 48]) for c in range(80, 112)),
    "padded numbers": b"QP01PP0",
    "padded negative numbers": b"11oO1ooO",
    "differences below zero": b"1111N",
    "differences far below zero": b"1111PPPPP@11",
}.items():
    add("3.1", f"read {name}", read, string)
    if b"\xb5" not in string:
        add("3.1", f"read {name} in str", read, string.decode())
add("3.1", "read letters beyond ASCII", read, "é1")
add("3.1", "read a lone surrogate", read, "\ud800")


@behaviour("3.1")
def strings_are_written_as_bytes_with_size_first(api):
    made = write(api, [1, 2])
    return list(made), type(made["counts"]), type(made["size"]), [type(v) for v in made["size"]]


@behaviour.each
def test_string_code(behaviour, way):
    behaviour.check()


@pytest.mark.parametrize(
    "counts",
    [
        [0, 2**32 - 1, 0, 2**32 - 1, 0, 3],
        [5, 2**31, 7, 1],
        [0, 2**29 + 1, 0, 0, 9],
        [2**32 - 1, 2**32 - 1, 0, 0, 2**32 - 1, 0],
    ],
)
def test_large_differences_below_zero_are_read_right(counts, way):
    """These take seven characters, of which pycocotools, shifting in 32 bits, drops bits of the last one."""
    mask = write(REF, counts)
    assert mask["counts"] == write(OWN, counts)["counts"]
    assert OWN._mask._toString(OWN._mask._frString([mask]))[0]["counts"] == mask["counts"]
    assert int(OWN.mask.area(mask)) == sum(counts[1::2]) % 2**32


@pytest.mark.parametrize("string", [b"P", b"1P", b"12o", b"PPPP", b"11\xff"])
def test_a_truncated_number_ends_with_the_string(string, way):
    """pycocotools reads on, into whatever lies behind."""
    mask = {"size": [4, 5], "counts": string}
    again = OWN._mask._toString(OWN._mask._frString([mask]))
    assert OWN._mask._toString(OWN._mask._frString(again)) == again
    assert OWN.mask.area(mask) >= 0


def test_a_truncated_number_ends_with_the_end_of_the_string(way):
    """As if its NUL belonged to it, which is what pycocotools reads first."""
    masks = OWN._mask._frString([{"size": [4, 5], "counts": b"13P"}])
    assert OWN._mask._toString(masks)[0]["counts"] == write(OWN, [1, 3, 2**32 - 512])["counts"]
