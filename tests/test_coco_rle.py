"""Kernel coco_rle: pycocotools' arithmetic on runs of any kind, well-formed or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import ODD_SIZES, random_masks
from reference import images_of_one_size, masks_of, masks_of_runs, properties, with_zero_runs

WORD = 2**32


def strings_of(*strings: bytes) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, strings)], dtype=np.int64)
    return np.frombuffer(b"".join(strings), np.uint8), offsets


def lists_of(counts: np.ndarray, offsets: np.ndarray) -> list[list[int]]:
    return [counts[begin:end].tolist() for begin, end in pairwise(offsets.tolist())]


# Strings

CODES = {
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
    b"": [],
    b"5\x0053": [5],  # a NUL is the end
    b"\n": [2**32 - 6],  # any character counts
    b"P": [2**32 - 512],  # cut short: a NUL ends the number
}


def test_codes(kernels: Any) -> None:
    counts, offsets = kernels.coco_rle_parse(*strings_of(*CODES))
    assert counts.dtype == np.uint32
    assert lists_of(counts, offsets) == list(CODES.values())


def code_of(counts: Sequence[int]) -> bytes:
    """A string as COCO defines it."""
    out = []
    for i, count in enumerate(counts):
        x = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            group, x = x & 31, x >> 5
            more = x != -1 if group & 16 else x != 0
            out.append(48 + group + 32 * more)
    return bytes(out)


some_counts = st.lists(st.one_of(st.integers(0, 40), st.integers(0, WORD - 1)), max_size=12)


@properties
@given(st.lists(some_counts, max_size=4))
def test_parse_inverts_the_code(kernels: Any, masks: list[list[int]]) -> None:
    assert lists_of(*kernels.coco_rle_parse(*strings_of(*map(code_of, masks)))) == masks


@properties
@given(st.lists(st.binary(max_size=20), max_size=3))
def test_parse_takes_anything(strings: list[bytes]) -> None:
    """And both backends make the same of it."""
    from maskmill import _backend

    if any(_backend.why_missing(name) for name in ("cpp", "numba")):
        pytest.skip("there is one backend only")
    cpp, numba = (_backend.kernels(name).coco_rle_parse(*strings_of(*strings)) for name in ("cpp", "numba"))
    assert lists_of(*cpp) == lists_of(*numba)


# Decoding, area, box


def decoded(masks: Sequence[Sequence[int]], room: int) -> bytes | None:
    pixels = b"".join(bytes([j & 1]) * run for runs in masks for j, run in enumerate(runs))
    return None if len(pixels) > room else pixels.ljust(room, b"\0")


@properties
@given(st.lists(st.lists(st.integers(0, 6), max_size=6), max_size=4), st.integers(0, 40))
def test_decode(kernels: Any, masks: list[list[int]], room: int) -> None:
    """Masks that are too long run on into the next one; what is too short leaves zeros."""
    counts, offsets, _ = masks_of_runs(masks, [(1, 1)] * len(masks))
    out = np.full(room, 7, np.uint8)
    expected = decoded(masks, room)
    assert kernels.coco_rle_decode(counts, offsets, out) is (expected is not None)
    if expected is not None:
        assert out.tobytes() == expected


def test_decode_refuses_what_it_cannot_write(kernels: Any) -> None:
    counts, offsets, _ = masks_of_runs([[1, 1]], [(1, 2)])
    out = np.zeros(2, np.uint8)
    out.flags.writeable = False
    with pytest.raises(ValueError):
        kernels.coco_rle_decode(counts, offsets, out)


def box_of(runs: Sequence[int], height: int, width: int) -> list[int]:
    if len(runs) < 2:
        return [0, 0, 0, 0]
    xs, ys, xe, ye, at = width, height, 0, 0, 0
    for j, run in enumerate(runs):
        if j & 1 and run > 0:
            (x0, y0), (x1, y1) = divmod(at % WORD, height), divmod((at + run - 1) % WORD, height)
            if x0 < x1:
                y0, y1 = 0, height - 1
            xs, ys, xe, ye = min(xs, x0), min(ys, y0), max(xe, x1), max(ye, y1)
        at += run
    return [xs, ys, (xe - xs + 1) % WORD, (ye - ys + 1) % WORD]


@properties
@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 9), max_size=9), st.tuples(st.integers(1, 9), st.integers(0, 9))),
        max_size=5,
    )
)
def test_area_and_bbox(kernels: Any, masks: list[tuple[list[int], tuple[int, int]]]) -> None:
    arrays = masks_of_runs([runs for runs, _ in masks], [size for _, size in masks])
    area = kernels.coco_rle_area(*arrays[:2])
    assert area.dtype == np.uint32
    assert area.tolist() == [sum(runs[1::2]) % WORD for runs, _ in masks]
    assert kernels.coco_rle_bbox(*arrays).tolist() == [box_of(runs, *size) for runs, size in masks]


def test_area_is_cut_off_at_32_bits(kernels: Any) -> None:
    arrays = masks_of_runs([[0, WORD - 1, 0, 6]], [(1, 1)])
    assert kernels.coco_rle_area(*arrays[:2]).tolist() == [5]


def test_bbox_of_nothing_but_zero_runs_wraps(kernels: Any) -> None:
    assert kernels.coco_rle_bbox(*masks_of_runs([[12, 0]], [(3, 4)])).tolist() == [[4, 3, WORD - 3, WORD - 2]]


def test_bbox_without_height(kernels: Any) -> None:
    good = masks_of_runs([[3], [3, 0]], [(0, 3), (0, 3)])
    assert kernels.coco_rle_bbox(*good)[0].tolist() == [0, 0, 0, 0]
    with pytest.raises(ValueError, match="RLE 1: has foreground, but its height is 0"):
        kernels.coco_rle_bbox(*masks_of_runs([[3], [0, 3]], [(0, 3), (0, 3)]))


# Merging and IoU


def walk(a: Sequence[int], b: Sequence[int]) -> list[tuple[int, int, int]] | None:
    """Length, in a, in b of stretches as pycocotools meets them; None if it walks for ever."""
    i = j = 0
    a_left, b_left = a[0], b[0]
    found = []
    for _ in range(2 * (len(a) + len(b)) + 4):
        length = min(a_left, b_left)
        found.append((length, i & 1, j & 1))
        a_left, b_left = a_left - length, b_left - length
        if a_left == 0 and i + 1 < len(a):
            i += 1
            a_left = a[i]
        if b_left == 0 and j + 1 < len(b):
            j += 1
            b_left = b[j]
        if (a_left + b_left) % WORD == 0:
            return found
    return None


def merged(masks: Sequence[Sequence[int]], intersect: bool) -> list[int] | None:
    out = list(masks[0])
    for mask in masks[1:]:
        stretches = walk(out, mask) if out and mask else None
        if stretches is None:
            return None
        out, value = [0], 0
        for length, in_a, in_b in stretches:
            here = in_a & in_b if intersect else in_a | in_b
            if here != value:
                out.append(0)
                value = here
            out[-1] = (out[-1] + length) % WORD
    return out


def of_one_sum(rng: np.random.Generator, n: int, total: int) -> list[list[int]]:
    """Runs that sum to total, some of them zero."""
    return [
        np.diff([0, *np.sort(rng.integers(0, total + 1, rng.integers(0, 7))), total]).tolist()
        for _ in range(n)
    ]


@pytest.mark.parametrize("intersect", [False, True])
def test_merge(kernels: Any, rng: np.random.Generator, intersect: bool) -> None:
    for _ in range(300):
        masks = of_one_sum(rng, int(rng.integers(1, 5)), 12)
        arrays = masks_of_runs(masks, [(3, 4)] * len(masks))
        expected = merged(masks, intersect)
        if expected is None:  # two zero runs met, and what remained was too short for the next mask
            with pytest.raises(ValueError, match="different sums"):
                kernels.coco_rle_merge(*arrays, intersect)
            continue
        counts, height, width = kernels.coco_rle_merge(*arrays, intersect)
        assert counts.dtype == np.uint32
        assert (counts.tolist(), height, width) == (expected, 3, 4), masks


def test_two_zero_runs_that_meet_end_a_merge(kernels: Any) -> None:
    loose = masks_of_runs([[1, 0, 2, 1]] * 2, [(2, 2)] * 2)
    assert kernels.coco_rle_merge(*loose, False)[0].tolist() == [1]


def test_two_runs_whose_sum_is_cut_off_end_a_merge(kernels: Any) -> None:
    long = masks_of_runs([[1, 2**31, 5], [1, 2**31, 7]], [(2, 2)] * 2)
    assert kernels.coco_rle_merge(*long, False)[0].tolist() == [1]


def test_merge_of_nothing_and_of_different_sizes(kernels: Any) -> None:
    for masks in (masks_of_runs([], []), masks_of_runs([[4], [6]], [(2, 2), (2, 3)])):
        counts, height, width = kernels.coco_rle_merge(*masks, False)
        assert (counts.tolist(), height, width) == ([], 0, 0)
    alone = kernels.coco_rle_merge(*masks_of_runs([[0, 0, 9]], [(2, 2)]), True)
    assert (alone[0].tolist(), *alone[1:]) == ([0, 0, 9], 2, 2)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([[4], [3]], "RLE 1: its counts and those before it have different sums"),
        ([[4], [4], [2, 1]], "RLE 2: its counts and those before it have different sums"),
        ([[4], []], "RLE 1: has no counts to merge"),
        ([[], [4]], "RLE 1: has no counts to merge"),
    ],
)
def test_merge_refuses(kernels: Any, runs: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.coco_rle_merge(*masks_of_runs(runs, [(2, 2)] * len(runs)), False)


def box_iou(a: Sequence[float], b: Sequence[float], crowd: bool) -> float:
    w = c_min(a[2] + a[0], b[2] + b[0]) - c_max(a[0], b[0])
    h = c_min(a[3] + a[1], b[3] + b[1]) - c_max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    common, own = np.float64(w) * h, np.float64(a[2]) * a[3]
    with np.errstate(all="ignore"):
        return float(common / (own if crowd else own + np.float64(b[2]) * b[3] - common))


def c_min(a: float, b: float) -> float:
    return b if np.isnan(a) else a if np.isnan(b) else min(a, b)


def c_max(a: float, b: float) -> float:
    return b if np.isnan(a) else a if np.isnan(b) else max(a, b)


def mask_iou(
    a: Sequence[int], a_size: tuple[int, int], b: Sequence[int], b_size: tuple[int, int], crowd: bool
) -> float:
    iou = box_iou(box_of(a, *a_size), box_of(b, *b_size), crowd)
    if not iou > 0:
        return iou
    if a_size != b_size:
        return -1.0
    stretches = walk(a, b)
    assert stretches is not None
    common = sum(length for length, in_a, in_b in stretches if in_a and in_b) % WORD
    whole = sum(a[1::2]) if crowd else sum(length for length, in_a, in_b in stretches if in_a or in_b)
    return common / (whole % WORD) if common else 0.0


def matrix(
    function: Callable[..., float], a: Sequence[Any], b: Sequence[Any], crowd: np.ndarray
) -> np.ndarray:
    cells = [[function(x, y, bool(c)) for y, c in zip(b, crowd, strict=True)] for x in a]
    return np.array(cells, np.float64).reshape(len(a), len(b))


@pytest.mark.parametrize(("m", "n"), [(0, 0), (0, 3), (3, 0), (1, 1), (7, 5), (33, 31)])
def test_iou(kernels: Any, rng: np.random.Generator, m: int, n: int) -> None:
    sizes = [(3, 4), (4, 3), (3, 4), (12, 1)]
    a = [(runs, sizes[rng.integers(4)]) for runs in of_one_sum(rng, m, 12)]
    b = [(runs, sizes[rng.integers(4)]) for runs in of_one_sum(rng, n, 12)]
    crowd = rng.integers(0, 2, n, dtype=np.uint8)
    sides = [masks_of_runs([runs for runs, _ in side], [size for _, size in side]) for side in (a, b)]
    iou = kernels.coco_rle_iou(*sides[0], *sides[1], crowd)
    assert iou.flags.f_contiguous
    expected = matrix(lambda x, y, c: mask_iou(*x, *y, c), a, b, crowd)
    np.testing.assert_array_equal(iou, expected)


def test_iou_refuses_different_sums(kernels: Any) -> None:
    a, b = masks_of_runs([[0, 4], [0, 4]], [(2, 2)] * 2), masks_of_runs([[0, 3]], [(2, 2)])
    with pytest.raises(ValueError, match="RLE 0: its counts and those of RLE 0 have different sums"):
        kernels.coco_rle_iou(*a, *b, np.zeros(1, np.uint8))


NUMBERS = [0.0, 1.0, 2.5, 3.0, -1.0, 1e308, -1e308, np.inf, -np.inf, np.nan, 5e-324]


@pytest.mark.parametrize(("m", "n"), [(0, 0), (0, 3), (3, 0), (1, 1), (33, 97)])
def test_box_iou(kernels: Any, rng: np.random.Generator, m: int, n: int) -> None:
    for numbers in ([0, 1, 2, 3, 4.5], NUMBERS):
        a, b = (rng.choice(numbers, (count, 4)).astype(np.float64) for count in (m, n))
        crowd = rng.integers(0, 2, n, dtype=np.uint8)
        iou = kernels.coco_rle_box_iou(a, b, crowd)
        assert iou.flags.f_contiguous
        with np.errstate(all="ignore"):
            expected = matrix(box_iou, a.tolist(), b.tolist(), crowd)
        np.testing.assert_array_equal(iou, expected)


# Well-formed masks, as pycocotools has them


@pytest.mark.parametrize("size", [size for size in ODD_SIZES if 0 not in size])
def test_as_pycocotools(kernels: Any, rng: np.random.Generator, size: tuple[int, int]) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    images = [*random_masks(rng, 9, *size), np.zeros(size, bool), np.ones(size, bool)]
    rles = coco.encode(np.asfortranarray(np.moveaxis(np.array(images, np.uint8), 0, 2)))
    counts, offsets, sizes = masks_of(images)
    parsed = kernels.coco_rle_parse(*strings_of(*(rle["counts"] for rle in rles)))
    np.testing.assert_array_equal(parsed[0], counts)
    np.testing.assert_array_equal(parsed[1], offsets)
    np.testing.assert_array_equal(kernels.coco_rle_area(counts, offsets), coco.area(rles))
    np.testing.assert_array_equal(kernels.coco_rle_bbox(counts, offsets, sizes), coco.toBbox(rles))
    out = np.empty(size[0] * size[1] * len(images), np.uint8)
    assert kernels.coco_rle_decode(counts, offsets, out)
    assert out.tobytes() == b"".join(image.tobytes(order="F") for image in images)
    crowd = rng.integers(0, 2, len(images), dtype=np.uint8)
    iou = kernels.coco_rle_iou(counts, offsets, sizes, counts, offsets, sizes, crowd)
    np.testing.assert_array_equal(iou, coco.iou(rles, rles, crowd.tolist()))
    for intersect in (False, True):
        got, *_ = kernels.coco_rle_merge(counts, offsets, sizes, intersect)
        assert code_of(got.tolist()) == coco.merge(rles, intersect)["counts"]


@properties
@given(st.data())
def test_zero_runs_of_one_side_change_no_iou(kernels: Any, data: st.DataObject) -> None:
    images = data.draw(images_of_one_size(3))
    if images[0].size == 0:
        return
    tight = masks_of(images)
    loose = with_zero_runs(tight, np.random.default_rng(data.draw(st.integers(0, 99))))
    crowd = np.zeros(3, np.uint8)
    expected = kernels.coco_rle_iou(*tight, *tight, crowd)
    np.testing.assert_array_equal(kernels.coco_rle_iou(*loose, *tight, crowd), expected)


# Checks


def test_dtypes_are_checked(kernels: Any) -> None:
    counts, offsets, sizes = masks_of_runs([[1, 3]], [(2, 2)])
    with pytest.raises(TypeError):
        kernels.coco_rle_area(counts.astype(np.int64), offsets)
    with pytest.raises(TypeError):
        kernels.coco_rle_bbox(counts, offsets, sizes.astype(np.int32))
    with pytest.raises(ValueError, match="offsets must rise"):
        kernels.coco_rle_area(counts, np.array([0, 3]))
    with pytest.raises(ValueError, match="sizes must have shape"):
        kernels.coco_rle_bbox(counts, offsets, np.zeros((2, 2), np.int64))
    with pytest.raises(ValueError, match="iscrowd must have one element"):
        kernels.coco_rle_iou(counts, offsets, sizes, counts, offsets, sizes, np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match="boxes must have shape"):
        kernels.coco_rle_box_iou(np.zeros((1, 5)), np.zeros((1, 4)), np.zeros(1, np.uint8))
