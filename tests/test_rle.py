"""Kernel rle: encode, decode, label images, strings, area, box, checks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from pycocotools import mask as coco

from conftest import ODD_SIZES, random_masks
from reference import (
    FAR_PIXELS,
    assert_runs,
    far_mask,
    images_of,
    masks_of,
    masks_of_runs,
    properties,
    runs_of,
    small_images,
    some_images,
    with_zero_runs,
)

INTEGERS = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
LAYOUTS = ["C", "F", "interleaved", "interleaved F", "backwards", "gaps", "gaps F"]


def array_in(layout: str, values: np.ndarray) -> np.ndarray:
    """The same (N, H, W) values, lying otherwise in memory."""
    n, h, w = values.shape
    if layout == "C":
        view = np.empty((n, h, w), values.dtype)
    elif layout == "F":
        view = np.empty((n, w, h), values.dtype).transpose(0, 2, 1)
    elif layout == "interleaved":
        view = np.empty((h, w, n), values.dtype).transpose(2, 0, 1)
    elif layout == "interleaved F":
        view = np.empty((w, h, n), values.dtype).transpose(2, 1, 0)
    elif layout == "backwards":
        view = np.empty((n, h, w), values.dtype)[::-1, ::-1, ::-1]
    elif layout == "gaps":
        view = np.empty((2 * n, 2 * h, 3 * w), values.dtype)[::2, ::2, 1::3]
    else:
        view = np.empty((2 * n, 3 * w, 2 * h), values.dtype)[::2, 1::3, ::2].transpose(0, 2, 1)
    view[...] = values
    return view


# Encode


@pytest.mark.parametrize("size", ODD_SIZES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_encode_sizes_and_layouts(
    kernels: Any, rng: np.random.Generator, size: tuple[int, int], layout: str
) -> None:
    for n in (0, 1, 3, 9, 65):
        images = random_masks(rng, n, *size)
        assert_runs(kernels.rle_encode(array_in(layout, images)), images)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_encode_dtypes(kernels: Any, rng: np.random.Generator, dtype: str, layout: str) -> None:
    images = random_masks(rng, 9, 65, 63)
    # Nonzero in the highest bits only, too: a test of the lowest byte alone would miss them.
    info = np.iinfo(dtype) if dtype != "bool" else None
    some = np.array([1, info.min or info.max, info.max] if info else [True], dtype)
    values = np.where(images, rng.choice(some, images.shape), np.zeros((), dtype))
    assert_runs(kernels.rle_encode(array_in(layout, values)), images)


def test_encode_one_image(kernels: Any, rng: np.random.Generator) -> None:
    image = random_masks(rng, 1, 33, 31)[0]
    assert_runs(kernels.rle_encode(image), [image])
    assert_runs(kernels.rle_encode(image.T), [image.T])


def test_encode_empty_and_full(kernels: Any) -> None:
    for size in ODD_SIZES:
        for value in (False, True):
            image = np.full(size, value)
            assert_runs(kernels.rle_encode(image), [image])
    one_pixel = np.broadcast_to(np.uint8(1), (300, 200))
    assert_runs(kernels.rle_encode(one_pixel), [np.ones((300, 200), bool)])


def test_encode_a_large_image(kernels: Any, rng: np.random.Generator) -> None:
    for density in (0.001, 0.5, 1):
        image = random_masks(rng, 1, 900, 1300, density)
        image[0, :, 400:700] = True
        assert_runs(kernels.rle_encode(image), image)
        assert_runs(kernels.rle_encode(array_in("F", image)), image)


def test_encode_as_pycocotools(kernels: Any, rng: np.random.Generator) -> None:
    images = random_masks(rng, 5, 97, 130)
    counts, offsets = kernels.rle_encode(images)
    chars, ends = kernels.rle_to_string(counts, offsets)
    theirs = coco.encode(np.asfortranarray(images.transpose(1, 2, 0).astype(np.uint8)))
    for i, rle in enumerate(theirs):
        assert chars[ends[i] : ends[i + 1]].tobytes() == rle["counts"]


def test_encode_refuses(kernels: Any) -> None:
    with pytest.raises(TypeError):
        kernels.rle_encode([[0, 1]])
    with pytest.raises(TypeError, match="^array must be bool or integer, not float64$"):
        kernels.rle_encode(np.zeros((2, 2)))
    for shape in [(), (3,), (1, 2, 3, 4)]:
        with pytest.raises(ValueError, match=r"^array must have shape \(N, H, W\) or \(H, W\)$"):
            kernels.rle_encode(np.zeros(shape, bool))
    with pytest.raises(ValueError, match="^image sides must be at most 2147483647$"):
        kernels.rle_encode(np.zeros((0, 2**31), bool))


# Decode


@pytest.mark.parametrize("size", ODD_SIZES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_decode_sizes_and_layouts(
    kernels: Any, rng: np.random.Generator, size: tuple[int, int], layout: str
) -> None:
    for n in (0, 1, 3, 9):
        images = random_masks(rng, n, *size)
        out = array_in(layout, np.full(images.shape, 7, np.uint8))
        assert kernels.rle_decode(*masks_of(images), out) is None
        np.testing.assert_array_equal(out, images)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8"])
def test_decode_values(kernels: Any, rng: np.random.Generator, dtype: str) -> None:
    images = random_masks(rng, 3, 65, 63)
    for value in (0, 1, 255):
        out = np.full(images.shape, True, dtype)
        kernels.rle_decode(*masks_of(images), out, value)
        np.testing.assert_array_equal(out.view(np.uint8), images * np.uint8(value))


def test_decode_leaves_gaps_alone(kernels: Any, rng: np.random.Generator) -> None:
    images = random_masks(rng, 2, 31, 33)
    whole = np.full((2, 62, 99), 7, np.uint8)
    kernels.rle_decode(*masks_of(images), whole[:, ::2, 1::3])
    expected = np.full((2, 62, 99), 7, np.uint8)
    expected[:, ::2, 1::3] = images
    np.testing.assert_array_equal(whole, expected)


def test_decode_zero_runs(kernels: Any, rng: np.random.Generator) -> None:
    images = random_masks(rng, 4, 65, 63)
    for layout in ("C", "F", "gaps"):
        out = array_in(layout, np.full(images.shape, 7, np.uint8))
        kernels.rle_decode(*with_zero_runs(masks_of(images), rng), out)
        np.testing.assert_array_equal(out, images)


def test_decode_one_image(kernels: Any, rng: np.random.Generator) -> None:
    image = random_masks(rng, 1, 33, 31)[0]
    out = np.empty((33, 31), bool)
    kernels.rle_decode(*masks_of([image]), out)
    np.testing.assert_array_equal(out, image)


def test_decode_as_pycocotools(kernels: Any, rng: np.random.Generator) -> None:
    images = random_masks(rng, 5, 97, 130)
    theirs = coco.decode(coco.encode(np.asfortranarray(images.transpose(1, 2, 0).astype(np.uint8))))
    out = np.empty((97, 130, 5), np.uint8, order="F")
    kernels.rle_decode(*masks_of(images), out.transpose(2, 0, 1))
    np.testing.assert_array_equal(out, theirs)


def test_decode_refuses(kernels: Any) -> None:
    masks = masks_of_runs([[20], [20], [20], [20]], [(4, 5)] * 4)
    with pytest.raises(ValueError, match=r"^mask 0: size \(4, 5\) differs from the output's \(4, 6\)$"):
        kernels.rle_decode(*masks, np.empty((4, 4, 6), np.uint8))
    with pytest.raises(ValueError, match="^out must have one image per mask$"):
        kernels.rle_decode(*masks, np.empty((3, 4, 5), np.uint8))
    with pytest.raises(ValueError, match="^out must have one byte per pixel$"):
        kernels.rle_decode(*masks, np.empty((4, 4, 5), np.uint16))
    with pytest.raises(ValueError, match=r"^array must have shape \(N, H, W\) or \(H, W\)$"):
        kernels.rle_decode(*masks, np.empty(4, np.uint8))
    with pytest.raises(TypeError, match="^array must be bool or integer, not float32$"):
        kernels.rle_decode(*masks, np.empty((4, 4, 5), np.float32))
    for value in (-1, 256):
        with pytest.raises(TypeError):
            kernels.rle_decode(*masks, np.empty((4, 4, 5), np.uint8), value)
    locked = np.empty((4, 4, 5), np.uint8)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="^out must be writeable$"):
        kernels.rle_decode(*masks, locked)
    wrong = masks_of_runs([[96], [90], [97]], [(8, 12)] * 3)
    for layout in ("C", "F", "gaps"):
        with pytest.raises(ValueError, match="^mask 1: runs sum to 90, image has 96 pixels$"):
            kernels.rle_decode(*wrong, array_in(layout, np.zeros((3, 8, 12), bool)))


def test_decode_checks_empty_images(kernels: Any) -> None:
    wrong = masks_of_runs([[0], [7]], [(0, 5), (0, 5)])
    with pytest.raises(ValueError, match="^mask 1: runs sum to 7, image has 0 pixels$"):
        kernels.rle_decode(*wrong, np.empty((2, 0, 5), bool))


@properties
@given(small_images)
def test_encode_and_decode(kernels: Any, images: list[np.ndarray]) -> None:
    for image in images:
        runs = kernels.rle_encode(image)
        out = np.empty((1, *image.shape), bool)
        kernels.rle_decode(*runs, np.array([image.shape]), out)
        np.testing.assert_array_equal(out[0], image)


# Label images


@pytest.mark.parametrize("size", ODD_SIZES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_from_labels_layouts(
    kernels: Any, rng: np.random.Generator, size: tuple[int, int], layout: str
) -> None:
    blocks = rng.integers(0, 6, (1, -(-size[0] // 5), -(-size[1] // 3))).repeat(5, 1).repeat(3, 2)
    labels = np.where(rng.random((1, *size)) < 0.1, 9, blocks[:, : size[0], : size[1]]).astype(np.int32)
    values = np.setdiff1d(labels, [0])
    *runs, got = kernels.rle_from_labels(array_in(layout, labels)[0])
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, values)
    assert_runs(tuple(runs), [labels[0] == value for value in values])


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("layout", ["C", "F", "gaps"])
def test_from_labels_dtypes(kernels: Any, rng: np.random.Generator, dtype: str, layout: str) -> None:
    if dtype == "bool":
        some = np.array([False, True])
    else:
        info = np.iinfo(dtype)
        some = np.array([0, 1, 2, info.max // 2, min(info.max, 2**63 - 1), info.min], dtype)
    labels = rng.choice(some, (1, 65, 63)).repeat(2, 1)
    values = np.unique(labels)
    values = values[values != 0]
    *runs, got = kernels.rle_from_labels(array_in(layout, labels))
    np.testing.assert_array_equal(got, values.astype(np.int64))
    assert_runs(tuple(runs), [labels[0] == value for value in values])


def test_from_labels_many_values(kernels: Any, rng: np.random.Generator) -> None:
    labels = rng.permutation(90 * 110).reshape(90, 110) * 1_000_003 - 7
    *runs, got = kernels.rle_from_labels(labels)
    values = np.unique(labels)
    np.testing.assert_array_equal(got, values)
    np.testing.assert_array_equal(kernels.rle_area(*runs), np.ones(len(values)))
    assert_runs(tuple(runs), [labels == value for value in values])


def test_from_labels_refuses(kernels: Any) -> None:
    with pytest.raises(ValueError, match="^labels must be one image$"):
        kernels.rle_from_labels(np.zeros((2, 3, 4), int))
    with pytest.raises(TypeError, match="^array must be bool or integer, not float64$"):
        kernels.rle_from_labels(np.zeros((3, 4)))
    labels = np.zeros((3, 4), np.uint64)
    labels[0, 2] = 2**63 + 1
    labels[2, 1] = 2**63  # the first in column order
    with pytest.raises(ValueError, match=r"^label 9223372036854775808 is larger than 2\^63 - 1$"):
        kernels.rle_from_labels(labels)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_to_labels(kernels: Any, rng: np.random.Generator, dtype: str, layout: str) -> None:
    images = random_masks(rng, 5, 65, 63, 0.3)
    values = np.array([3, -1, 0, 2**40 + 77, 250])
    out = array_in(layout, rng.integers(0, 2, (1, 65, 63)).astype(dtype))
    raw = out.view(f"u{out.itemsize}")  # what a bool array holds, too
    expected = raw.copy()
    for image, value in zip(images, values, strict=True):
        expected[0][image] = value.astype(raw.dtype)
    assert kernels.rle_to_labels(*with_zero_runs(masks_of(images), rng), values, out[0]) is None
    np.testing.assert_array_equal(raw, expected)


@pytest.mark.parametrize("size", ODD_SIZES)
def test_labels_there_and_back(kernels: Any, rng: np.random.Generator, size: tuple[int, int]) -> None:
    labels = rng.integers(-3, 4, size).astype(np.int16)
    *runs, values = kernels.rle_from_labels(labels)
    out = np.zeros(size, np.int16)
    kernels.rle_to_labels(*runs, np.array([size] * len(values), np.int64).reshape(-1, 2), values, out)
    np.testing.assert_array_equal(out, labels)


def test_to_labels_refuses(kernels: Any) -> None:
    masks = masks_of_runs([[20], [20], [19], [20]], [(4, 5), (4, 5), (4, 5), (5, 4)])
    values = np.arange(4)
    with pytest.raises(ValueError, match="^mask 2: runs sum to 19, image has 20 pixels$"):
        kernels.rle_to_labels(*masks, values, np.zeros((4, 5), int))
    with pytest.raises(ValueError, match=r"^mask 0: size \(4, 5\) differs from the output's \(5, 4\)$"):
        kernels.rle_to_labels(*masks, values, np.zeros((5, 4), int))
    with pytest.raises(ValueError, match="^out must be one image$"):
        kernels.rle_to_labels(*masks, values, np.zeros((2, 4, 5), int))
    with pytest.raises(ValueError, match="^values must have one element per mask$"):
        kernels.rle_to_labels(*masks, values[:3], np.zeros((4, 5), int))
    with pytest.raises(TypeError):
        kernels.rle_to_labels(*masks, values.astype(np.int32), np.zeros((4, 5), int))


# Strings


def string_arrays(strings: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    return np.frombuffer(b"".join(strings), np.uint8), np.cumsum([0, *map(len, strings)], dtype=np.int64)


def test_strings_as_pycocotools(kernels: Any, rng: np.random.Generator) -> None:
    runs = [rng.integers(1, 2 ** rng.integers(1, 24), rng.integers(1, 40)).tolist() for _ in range(200)]
    theirs = [coco.frPyObjects({"size": [sum(r), 1], "counts": r}, sum(r), 1)["counts"] for r in runs]
    counts, offsets, _ = masks_of_runs(runs, [(0, 0)] * 200)
    chars, ends = kernels.rle_to_string(counts, offsets)
    assert chars.dtype == np.uint8
    assert ends.dtype == np.int64
    assert [chars[a:b].tobytes() for a, b in pairwise(ends)] == theirs
    back = kernels.rle_from_string(*string_arrays(theirs))
    np.testing.assert_array_equal(back[0], counts)
    np.testing.assert_array_equal(back[1], offsets)


@properties
@given(st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=9), max_size=5))
def test_strings_there_and_back(kernels: Any, runs: list[list[int]]) -> None:
    counts, offsets, _ = masks_of_runs(runs, [(0, 0)] * len(runs))
    back = kernels.rle_from_string(*kernels.rle_to_string(counts, offsets))
    assert back[0].dtype == np.uint32
    np.testing.assert_array_equal(back[0], counts)
    np.testing.assert_array_equal(back[1], offsets)


def test_string_by_hand(kernels: Any) -> None:
    # 16 needs a second character, as its fifth bit alone would be a sign; the fourth run is written as 3 - 5.
    counts, offsets, _ = masks_of_runs([[16, 5, 31, 3]], [(5, 11)])
    chars, ends = kernels.rle_to_string(counts, offsets)
    assert chars.tobytes() == b"`05o0N"
    assert ends.tolist() == [0, 6]


@pytest.mark.parametrize(
    ("string", "text"),
    [
        (b"P", "its string ends in the middle of a count"),
        (b"15P", "its string ends in the middle of a count"),
        (b"0/", "character 1 of its string has code 47, not 48 to 111"),
        (b"p", "character 0 of its string has code 112, not 48 to 111"),
        (b"0P\xff", "character 2 of its string has code 255, not 48 to 111"),
        (b"\x00", "character 0 of its string has code 0, not 48 to 111"),
        (b"PPPPPPP0", "a count in its string is longer than 7 characters"),
        (b"PPPPPPP/", "character 7 of its string has code 47, not 48 to 111"),
        (b"PPPPPPP", "its string ends in the middle of a count"),
        (b"O", "count 0 of its string is -1, not 0 to 4294967295"),
        (b"PPPPPP4", "count 0 of its string is 4294967296, not 0 to 4294967295"),
        (b"010N", "count 3 of its string is -1, not 0 to 4294967295"),
    ],
)
def test_from_string_refuses(kernels: Any, string: bytes, text: str) -> None:
    with pytest.raises(ValueError) as error:
        kernels.rle_from_string(*string_arrays([b"", b"011", string, b"P"]))
    assert str(error.value) == "mask 2: " + text


# Area and box


def test_area(kernels: Any, rng: np.random.Generator) -> None:
    images = some_images(rng)
    expected = [image.sum() for image in images]
    for masks in (masks_of(images), with_zero_runs(masks_of(images), rng)):
        area = kernels.rle_area(*masks[:2])
        assert area.dtype == np.uint64
        np.testing.assert_array_equal(area, expected)
    assert kernels.rle_area(*masks_of([])[:2]).shape == (0,)


def test_bbox(kernels: Any, rng: np.random.Generator) -> None:
    images = some_images(rng)
    for height, width in ODD_SIZES:
        for _ in range(20):
            image = np.zeros((height, width), bool)
            y, x = rng.integers(0, height + 1, 2), rng.integers(0, width + 1, 2)
            image[min(y) : max(y), min(x) : max(x)] = True
            images.append(image)
    expected = np.zeros((len(images), 4))
    for box, image in zip(expected, images, strict=True):
        y, x = np.nonzero(image)
        if len(y) > 0:
            box[:] = x.min(), y.min(), x.max() + 1 - x.min(), y.max() + 1 - y.min()
    for masks in (masks_of(images), with_zero_runs(masks_of(images), rng)):
        boxes = kernels.rle_bbox(*masks)
        assert boxes.dtype == np.float64
        np.testing.assert_array_equal(boxes, expected)
    assert kernels.rle_bbox(*masks_of([])).shape == (0, 4)


def test_area_and_bbox_as_pycocotools(kernels: Any, rng: np.random.Generator) -> None:
    images = [image for image in some_images(rng) if image.size > 0]
    theirs = [coco.encode(np.asfortranarray(image.astype(np.uint8))) for image in images]
    masks = masks_of(images)
    np.testing.assert_array_equal(kernels.rle_area(*masks[:2]), coco.area(theirs))
    np.testing.assert_array_equal(kernels.rle_bbox(*masks), coco.toBbox(theirs))


def test_positions_beyond_32_bits(kernels: Any) -> None:
    masks = far_mask()
    kernels.rle_check(*masks)
    assert kernels.rle_area(*masks[:2]).tolist() == [4]
    y, x = zip(*FAR_PIXELS, strict=True)
    np.testing.assert_array_equal(kernels.rle_bbox(*masks), [[x[0], y[0], x[-1] + 1 - x[0], 1]])
    np.testing.assert_array_equal(kernels.rle_normalize(*masks)[0], masks[0])


# Checks


def test_check(kernels: Any, rng: np.random.Generator) -> None:
    assert kernels.rle_check(*masks_of(some_images(rng))) is None
    assert kernels.rle_check(*masks_of([])) is None


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        ([50, 46, 1], "runs sum to 97, image has 96 pixels"),
        ([], "runs sum to 0, image has 96 pixels"),
        ([2**32 - 1, 2**32 - 1, 97], "runs sum to 8589934687, image has 96 pixels"),
        ([50, 0, 46], "has a zero run behind the first"),
        ([0, 96, 0], "has a zero run behind the first"),
        ([0, 0, 96], "has a zero run behind the first"),
    ],
)
def test_check_refuses(kernels: Any, runs: list[int], text: str) -> None:
    masks = masks_of_runs([[96], [0, 96], runs, [7]], [(8, 12)] * 4)
    with pytest.raises(ValueError) as error:
        kernels.rle_check(*masks)
    assert str(error.value) == "mask 2: " + text


def test_check_refuses_no_runs(kernels: Any) -> None:
    with pytest.raises(ValueError, match="^mask 1: has no runs$"):
        kernels.rle_check(*masks_of_runs([[0], []], [(0, 5), (0, 5)]))


def test_normalize(kernels: Any, rng: np.random.Generator) -> None:
    images = some_images(rng)
    assert_runs(kernels.rle_normalize(*masks_of(images)), images)
    for _ in range(3):
        assert_runs(kernels.rle_normalize(*with_zero_runs(masks_of(images), rng)), images)
    by_hand = masks_of_runs(
        [[0, 0, 0, 0], [], [3, 0, 3], [0, 2, 0, 4], [6, 0]], [(0, 4), (4, 0)] + [(2, 3)] * 3
    )
    got = kernels.rle_normalize(*by_hand)
    assert got[0].tolist() == [0, 0, 6, 0, 6, 6]
    assert got[1].tolist() == [0, 1, 2, 3, 5, 6]


def test_normalize_refuses(kernels: Any) -> None:
    with pytest.raises(ValueError, match="^mask 1: runs sum to 5, image has 6 pixels$"):
        kernels.rle_normalize(*masks_of_runs([[6], [5]], [(2, 3), (2, 3)]))
    too_long = masks_of_runs([[2**32 - 1, 0, 5]], [(100, 42949673)])
    with pytest.raises(ValueError, match=r"^a run is longer than 2\^32 - 1 pixels$"):
        kernels.rle_normalize(*too_long)


NEED_SIZES = ["rle_bbox", "rle_check", "rle_normalize"]


@pytest.mark.parametrize("name", NEED_SIZES)
def test_bad_arrays(kernels: Any, name: str) -> None:
    call = getattr(kernels, name)
    counts, offsets, sizes = masks_of_runs([[6], [2, 4]], [(2, 3), (2, 3)])
    for masks in [
        (counts.astype(np.int64), offsets, sizes),
        (counts, offsets.astype(np.int32), sizes),
        (counts, offsets, sizes.astype(np.float64)),
        (counts.repeat(2)[::2], offsets, sizes),
        (counts, offsets, np.asfortranarray(sizes)),
        (counts.tolist(), offsets, sizes),
    ]:
        with pytest.raises(TypeError):
            call(*masks)
    text = "^offsets must be a vector of at least one element$"
    for bad in (np.empty(0, np.int64), np.zeros((1, 3), np.int64)):
        with pytest.raises(ValueError, match=text):
            call(counts, bad, sizes)
    for bad in ([-1, 1, 3], [0, 2, 1], [0, 1, 4]):
        text = "^offsets must rise from 0 or more to the number of values or less$"
        with pytest.raises(ValueError, match=text):
            call(counts, np.array(bad), sizes)
    for bad in (sizes[:1], sizes.ravel(), np.zeros((2, 3), np.int64)):
        text = r"^sizes must have shape \(N, 2\), N being the number of masks$"
        with pytest.raises(ValueError, match=text):
            call(counts, offsets, bad)
    for bad in ([2, -3], [2**31, 3]):
        text = rf"^mask 1: size \({bad[0]}, {bad[1]}\) must be within 0 and 2147483647$"
        with pytest.raises(ValueError, match=text):
            call(counts, offsets, np.array([[2, 3], bad]))


def test_runs_may_start_later(kernels: Any, rng: np.random.Generator) -> None:
    """A piece of many masks is counts, and offsets from somewhere in the middle."""
    images = some_images(rng)
    counts, offsets, sizes = masks_of(images)
    piece = counts, offsets[10:21], sizes[10:20]
    assert_runs(kernels.rle_normalize(*piece), images[10:20])
    np.testing.assert_array_equal(kernels.rle_area(*piece[:2]), [image.sum() for image in images[10:20]])
    chars, ends = kernels.rle_to_string(*piece[:2])
    assert_runs(kernels.rle_from_string(chars, ends), images[10:20])
    assert_runs(kernels.rle_from_string(chars, ends[3:]), images[13:20])


# What only the C++ kernel has


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_instruction_sets(rng: np.random.Generator, level: str) -> None:
    core = pytest.importorskip("maskmill._core")
    try:
        core.set_simd_level(level)
    except ValueError as error:
        pytest.skip(str(error))
    try:
        for size in ODD_SIZES:
            for layout in LAYOUTS:
                images = array_in(layout, random_masks(rng, 9, *size))
                assert_runs(core.rle_encode(images), images)
                out = array_in(layout, np.full(images.shape, 7, np.uint8))
                core.rle_decode(*masks_of(images), out)
                np.testing.assert_array_equal(out, images)
                for dtype in INTEGERS[1:]:
                    labels = array_in(layout, rng.integers(0, 3, (1, *size)).repeat(2, 1).astype(dtype))
                    assert_runs(core.rle_encode(labels), labels != 0)
                    *runs, values = core.rle_from_labels(labels)
                    assert_runs(tuple(runs), [labels[0] == value for value in values])
    finally:
        core.set_simd_level(core.best_simd_level())


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads(rng: np.random.Generator, threads: int) -> None:
    core = pytest.importorskip("maskmill._core")
    before = core.thread_count()
    core.set_thread_count(threads)
    try:
        many = random_masks(rng, 70, 97, 130)
        for images in (many, random_masks(rng, 2, 900, 700), array_in("interleaved", many)):
            masks = masks_of(images)
            assert_runs(core.rle_encode(images), images)
            out = np.empty(images.shape, bool)
            core.rle_decode(*masks, out)
            np.testing.assert_array_equal(out, images)
            assert_runs(core.rle_from_string(*core.rle_to_string(*masks[:2])), images)
        wrong = masks_of_runs([[5]] * 5000 + [[4]] + [[5]] * 5000 + [[3]], [(1, 5)] * 10002)
        with pytest.raises(ValueError, match="^mask 5000: runs sum to 4, image has 5 pixels$"):
            core.rle_check(*wrong)
    finally:
        core.set_thread_count(before)


def test_reference() -> None:
    """The definitions the others rest on, by hand."""
    image = np.array([[0, 0, 1], [1, 0, 1]], bool)
    assert runs_of(image).tolist() == [1, 1, 2, 2]
    assert runs_of(~image).tolist() == [0, 1, 1, 2, 2]
    assert runs_of(np.zeros((0, 3), bool)).tolist() == [0]
    np.testing.assert_array_equal(images_of(masks_of([image])[:2], [(2, 3)])[0], image)
