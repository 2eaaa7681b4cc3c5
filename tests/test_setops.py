"""Kernel setops: merge, pairs, complement."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from conftest import Emulated
from reference import (
    Arrays,
    Image,
    assert_runs,
    far_mask,
    images_of,
    images_of_one_size,
    masks_of,
    masks_of_runs,
    properties,
    small_images,
    some_images,
    some_pairs,
    with_zero_runs,
)

UNION, INTERSECTION, EXCLUSIVE, FIRST_ONLY = range(4)
OR, AND, XOR, MINUS = 0b1110, 0b1000, 0b0110, 0b0010

FOLDS = {
    UNION: np.logical_or,
    INTERSECTION: np.logical_and,
    EXCLUSIVE: np.logical_xor,
    FIRST_ONLY: np.greater,  # of booleans: the one without the other
}


def merged(kernels: Any, masks: Arrays, op: int) -> tuple[np.ndarray, np.ndarray]:
    """All masks, of one size, as one."""
    return kernels.setops_merge(*masks, np.array([0, len(masks[2])]), masks[2][:1].copy(), op)


# Merge


@pytest.mark.parametrize("op", [UNION, INTERSECTION, EXCLUSIVE, FIRST_ONLY])
def test_merge(kernels: Any, rng: np.random.Generator, op: int) -> None:
    images = some_images(rng)
    groups, sizes, expected = [0], [], []
    while groups[-1] < len(images):
        # Groups of all lengths, but of one size: five images at a time have it.
        begin = groups[-1]
        end = begin + int(rng.integers(0, 5 - begin % 5 + 1))
        size = images[begin].shape
        expected.append(reduce(FOLDS[op], images[begin:end]) if begin < end else np.zeros(size, bool))
        sizes.append(size)
        groups.append(end)
    for masks in (masks_of(images), with_zero_runs(masks_of(images), rng)):
        got = kernels.setops_merge(*masks, np.array(groups), np.array(sizes), op)
        assert_runs(got, expected)


@pytest.mark.parametrize("op", [UNION, INTERSECTION, EXCLUSIVE, FIRST_ONLY])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 33])
def test_merge_one_group(kernels: Any, rng: np.random.Generator, op: int, n: int) -> None:
    density = {INTERSECTION: 0.95, EXCLUSIVE: 0.5}.get(op, 0.05)
    images = list(rng.random((n, 31, 33)) < density)
    expected = reduce(FOLDS[op], images) if images else np.zeros((31, 33), bool)
    got = kernels.setops_merge(*masks_of(images), np.array([0, n]), np.array([[31, 33]]), op)
    assert_runs(got, [expected])


@pytest.mark.parametrize("op", [UNION, INTERSECTION, EXCLUSIVE, FIRST_ONLY])
@pytest.mark.parametrize("size", [(64, 1), (63, 5), (65, 64), (300, 401)])
def test_merge_noise(kernels: Any, rng: np.random.Generator, op: int, size: tuple[int, int]) -> None:
    """Where bits are quicker than runs."""
    if isinstance(kernels, Emulated) and size[0] > 100:
        pytest.skip("the twin has runs only, whatever the size")
    for n in (2, 3, 8):
        images = list(rng.random((n, *size)) < 0.5)
        for masks in (masks_of(images), with_zero_runs(masks_of(images), rng)):
            assert_runs(merged(kernels, masks, op), [reduce(FOLDS[op], images)])


@pytest.mark.parametrize("op", [UNION, INTERSECTION])
def test_merge_as_pycocotools(kernels: Any, rng: np.random.Generator, op: int) -> None:
    images = list(rng.random((5, 97, 130)) < (0.1 if op == UNION else 0.9))
    theirs = coco.merge([coco.encode(np.asfortranarray(image, np.uint8)) for image in images], op)
    runs = merged(kernels, masks_of(images), op)
    assert kernels.rle_to_string(*runs)[0].tobytes() == theirs["counts"]


def test_merge_nothing(kernels: Any) -> None:
    no_sizes = np.empty((0, 2), np.int64)
    assert_runs(kernels.setops_merge(*masks_of([]), np.array([0]), no_sizes, UNION), [])
    empty = kernels.setops_merge(*masks_of([]), np.array([0, 0, 0]), np.array([[3, 4], [0, 7]]), INTERSECTION)
    assert_runs(empty, [np.zeros((3, 4), bool), np.zeros((0, 7), bool)])


def test_merge_some(kernels: Any, rng: np.random.Generator) -> None:
    """Masks of no group may be anything."""
    images = list(rng.random((3, 6, 7)) < 0.5)
    counts, offsets, sizes = masks_of([np.ones((2, 2), bool), *images, np.ones((1, 9), bool)])
    counts[1] = 77
    got = kernels.setops_merge(counts, offsets, sizes, np.array([1, 3, 4]), np.array([[6, 7], [6, 7]]), UNION)
    assert_runs(got, [images[0] | images[1], images[2]])


def test_merge_refuses(kernels: Any) -> None:
    masks = masks_of_runs([[6], [6], [6], [5], [6]], [(2, 3), (2, 3), (3, 2), (2, 3), (6, 1)])
    size = np.array([[2, 3]])

    def fails(text: str, *arguments: Any) -> None:
        with pytest.raises(ValueError) as error:
            kernels.setops_merge(*arguments)
        assert str(error.value) == text

    fails("mask 2: size (3, 2) differs from its group's (2, 3)", *masks, np.array([0, 5]), size, UNION)
    fails("mask 3: runs sum to 5, image has 6 pixels", *masks, np.array([3, 5]), size, UNION)
    fails("mask 4: size (6, 1) differs from its group's (2, 3)", *masks, np.array([4, 5]), size, UNION)
    for op in (-1, 4):
        fails(f"op must be 0 to 3, not {op}", *masks, np.array([0, 2]), size, op)
    text = "offsets must rise from 0 or more to the number of values or less"
    for groups in ([-1, 2], [2, 1], [0, 6]):
        fails(text, *masks, np.array(groups), size, UNION)
    fails("offsets must be a vector of at least one element", *masks, np.empty(0, np.int64), size, UNION)
    text = "sizes must have shape (N, 2), N being the number of masks"
    for sizes in (size.repeat(2, 0), size[0], size[:0]):
        fails(text, *masks, np.array([0, 2]), sizes, UNION)
    text = "mask 0: size (2, -3) must be within 0 and 2147483647"
    fails(text, *masks, np.array([0, 0]), np.array([[2, -3]]), UNION)
    with pytest.raises(TypeError):
        kernels.setops_merge(*masks, np.array([0, 2], np.int32), size, UNION)
    with pytest.raises(TypeError):
        kernels.setops_merge(*masks, np.array([0, 2]), size.astype(np.int32), UNION)


# Pairs


@pytest.mark.parametrize("op", range(16))
def test_pairs(kernels: Any, rng: np.random.Generator, op: int) -> None:
    a, b = some_pairs(rng)
    table = np.array([op >> bit & 1 for bit in range(4)], bool)
    expected = [table[x + 2 * y] for x, y in zip(a, b, strict=True)]
    a_masks, b_masks = masks_of(a), masks_of(b)
    assert_runs(kernels.setops_pairs(*a_masks, *b_masks, op), expected)
    got = kernels.setops_pairs(*with_zero_runs(a_masks, rng), *with_zero_runs(b_masks, rng), op)
    assert_runs(got, expected)


def test_pairs_nothing(kernels: Any) -> None:
    assert_runs(kernels.setops_pairs(*masks_of([]), *masks_of([]), OR), [])


def test_pairs_refuses(kernels: Any) -> None:
    masks = masks_of_runs([[6], [6], [5]], [(2, 3)] * 3)
    others = masks_of_runs([[6], [6], [6]], [(2, 3), (3, 2), (2, 3)])
    good = masks_of_runs([[6], [6], [6]], [(2, 3)] * 3)

    def fails(text: str, *arguments: Any) -> None:
        with pytest.raises(ValueError) as error:
            kernels.setops_pairs(*arguments)
        assert str(error.value) == text

    fails("mask 1: sizes (2, 3) and (3, 2) differ", *masks, *others, OR)
    fails("mask 2: runs sum to 5, image has 6 pixels", *masks, *good, OR)
    fails("mask 2: runs sum to 5, image has 6 pixels", *good, *masks, OR)
    fails("there must be as many masks on both sides, not 3 and 0", *masks, *masks_of([]), OR)
    for op in (-1, 16):
        fails(f"op must be 0 to 15, not {op}", *masks, *masks, op)


# Complement


def test_complement(kernels: Any, rng: np.random.Generator) -> None:
    images = some_images(rng)
    for masks in (masks_of(images), with_zero_runs(masks_of(images), rng)):
        assert_runs(kernels.setops_complement(*masks), [~image for image in images])
    assert_runs(kernels.setops_complement(*masks_of([])), [])


def test_complement_refuses(kernels: Any) -> None:
    with pytest.raises(ValueError, match="^mask 1: runs sum to 90, image has 96 pixels$"):
        kernels.setops_complement(*masks_of_runs([[96], [90]], [(8, 12)] * 2))
    # Neither half of this is too long by itself.
    too_long = masks_of_runs([[2**31, 0, 2**31]], [(2**16, 2**16)])
    with pytest.raises(ValueError, match=r"^a run is longer than 2\^32 - 1 pixels$"):
        kernels.setops_complement(*too_long)


def test_far_positions(kernels: Any) -> None:
    masks = far_mask()
    counts, offsets = kernels.setops_complement(*masks)
    assert counts.tolist() == [0, *masks[0]]
    assert offsets.tolist() == [0, 9]
    union = kernels.setops_pairs(*masks, *masks, OR)
    np.testing.assert_array_equal(union[0], masks[0])
    with pytest.raises(ValueError, match=r"^a run is longer than 2\^32 - 1 pixels$"):
        kernels.setops_pairs(*masks, *masks, XOR)


# Algebra


@properties
@given(images_of_one_size(2))
def test_de_morgan(kernels: Any, images: list[Image]) -> None:
    def complement(runs: Any) -> Arrays:
        return *kernels.setops_complement(*runs, a[2]), a[2]

    a, b = (masks_of([image]) for image in images)
    not_or = complement(kernels.setops_pairs(*a, *b, OR))
    and_of_nots = kernels.setops_pairs(*complement(a[:2]), *complement(b[:2]), AND)
    np.testing.assert_array_equal(not_or[0], and_of_nots[0])
    np.testing.assert_array_equal(kernels.setops_pairs(*a, *b, 0b0001)[0], not_or[0])


@properties
@given(images_of_one_size(3))
def test_laws(kernels: Any, images: list[Image]) -> None:
    a, b, c = (masks_of([image]) for image in images)

    def op(x: Arrays, y: Arrays, table: int) -> Arrays:
        return *kernels.setops_pairs(*x, *y, table), a[2]

    def equal(x: Arrays, y: Arrays) -> bool:
        return x[0].tolist() == y[0].tolist()

    for table in (OR, AND, XOR):
        assert equal(op(a, b, table), op(b, a, table))
        assert equal(op(op(a, b, table), c, table), op(a, op(b, c, table), table))
    assert equal(op(a, op(b, c, OR), AND), op(op(a, b, AND), op(a, c, AND), OR))
    assert equal(op(a, b, XOR), op(op(a, b, OR), op(a, b, AND), MINUS))
    assert equal(op(op(a, b, XOR), b, XOR), a)
    assert equal(op(a, a, OR), a)


@properties
@given(small_images)
def test_complement_twice(kernels: Any, images: list[Image]) -> None:
    masks = masks_of(images)
    twice = kernels.setops_complement(*kernels.setops_complement(*masks), masks[2])
    assert_runs(twice, images)


@properties
@given(st.integers(1, 6).flatmap(images_of_one_size), st.sampled_from(list(FOLDS)))
def test_merge_is_a_fold(kernels: Any, images: list[Image], op: int) -> None:
    runs = merged(kernels, masks_of(images), op)
    np.testing.assert_array_equal(images_of(runs, [images[0].shape])[0], reduce(FOLDS[op], images))


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_sums_at_every_instruction_set(rng: np.random.Generator, level: str) -> None:
    core = pytest.importorskip("maskmill._core")
    try:
        core.set_simd_level(level)
    except ValueError as error:
        pytest.skip(str(error))
    try:
        for height in (1, 7, 31, 64, 65, 130):
            images = list(rng.random((5, height, 9)) < np.linspace(0, 1, 5)[:, None, None])
            masks = masks_of(images)
            zeros = with_zero_runs(masks, rng)
            for ours in (masks, zeros):
                assert core.rle_area(*ours[:2]).tolist() == [image.sum() for image in images]
                assert_runs(core.setops_complement(*ours), [~image for image in images])
            core.rle_check(*masks)
            short = (masks[0].copy(), *masks[1:])
            short[0][-1] += 1
            with pytest.raises(ValueError, match=f"mask 4: runs sum to {9 * height + 1}"):
                core.rle_check(*short)
            if any(np.any(run == 0) for run in np.split(zeros[0], zeros[1][1:-1]) for run in [run[1:]]):
                with pytest.raises(ValueError, match="has a zero run behind the first"):
                    core.rle_check(*zeros)
    finally:
        core.set_simd_level(core.best_simd_level())
