"""Kernel overlap: intersections, IoU, non-maximum suppression."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from conftest import ODD_SIZES, Emulated, random_masks
from reference import (
    Image,
    far_mask,
    images_of_one_size,
    masks_of,
    masks_of_runs,
    properties,
    with_zero_runs,
)


def intersections(a: list[Image], b: list[Image]) -> np.ndarray:
    return np.array([[(x & y).sum() for y in b] for x in a], np.uint64).reshape(len(a), len(b))


def ious(a: list[Image], b: list[Image], iscrowd: np.ndarray) -> np.ndarray:
    out = np.zeros((len(a), len(b)))
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            common, whole = (x & y).sum(), x.sum() if iscrowd[j] else (x | y).sum()
            out[i, j] = float(common) / float(whole) if common > 0 else 0.0
    return out


def some_of_one_size(rng: np.random.Generator, n: int, size: tuple[int, int]) -> list[Image]:
    """Noise, boxes and single pixels, nothing and everything."""
    images = list(random_masks(rng, n, *size))
    for image in images[::2]:
        y, x = (np.sort(rng.integers(0, side + 1, 2)) for side in size)
        image[: y[0]] = image[y[1] :] = image[:, : x[0]] = image[:, x[1] :] = False
    if n > 4:
        images[1][:] = True
        images[2][:] = False
        images[3][:] = False
        images[3][size[0] // 2 :, size[1] // 2 :][:1, :1] = True
    return images


# Intersections and IoU


@pytest.mark.parametrize("size", ODD_SIZES)
@pytest.mark.parametrize(("m", "n"), [(0, 0), (0, 3), (3, 0), (1, 1), (1, 9), (9, 1), (13, 11)])
def test_iou(kernels: Any, rng: np.random.Generator, size: tuple[int, int], m: int, n: int) -> None:
    a, b = some_of_one_size(rng, m, size), some_of_one_size(rng, n, size)
    iscrowd = rng.integers(0, 2, n, dtype=np.uint8)
    a_masks, b_masks = masks_of(a), masks_of(b)
    for ours in ((a_masks, b_masks), (with_zero_runs(a_masks, rng), with_zero_runs(b_masks, rng))):
        common = kernels.overlap_intersection(*ours[0], *ours[1])
        assert common.dtype == np.uint64
        np.testing.assert_array_equal(common, intersections(a, b))
        for crowd in (np.zeros(n, np.uint8), iscrowd):
            iou = kernels.overlap_iou(*ours[0], *ours[1], crowd)
            assert iou.dtype == np.float64
            np.testing.assert_array_equal(iou, ious(a, b, crowd))


def test_iou_of_many_large_masks(kernels: Any, rng: np.random.Generator) -> None:
    images = np.zeros((80, 300, 400), bool)
    for image in images:
        y, x = rng.integers(0, 250), rng.integers(0, 350)
        image[y : y + rng.integers(1, 200), x : x + rng.integers(1, 200)] = True
        image &= rng.random(image.shape) < rng.choice([0.5, 0.99, 1])
    a, b = list(images[:50]), list(images[50:])
    iscrowd = (rng.random(30) < 0.3).astype(np.uint8)
    masks = masks_of(a), masks_of(b)
    np.testing.assert_array_equal(kernels.overlap_intersection(*masks[0], *masks[1]), intersections(a, b))
    np.testing.assert_array_equal(kernels.overlap_iou(*masks[0], *masks[1], iscrowd), ious(a, b, iscrowd))


def test_iou_as_pycocotools(kernels: Any, rng: np.random.Generator) -> None:
    a, b = some_of_one_size(rng, 13, (97, 130)), some_of_one_size(rng, 11, (97, 130))
    iscrowd = rng.integers(0, 2, 11, dtype=np.uint8)
    theirs = coco.iou(
        *([coco.encode(np.asfortranarray(image, np.uint8)) for image in images] for images in (a, b)),
        iscrowd.tolist(),
    )
    np.testing.assert_array_equal(kernels.overlap_iou(*masks_of(a), *masks_of(b), iscrowd), theirs)


def test_any_crowd_but_0_counts(kernels: Any) -> None:
    a, b = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    a[1] = True
    masks = masks_of([b, b, b])
    iou = kernels.overlap_iou(*masks_of([a]), *masks, np.array([0, 1, 255], np.uint8))
    assert iou.tolist() == [[0.25, 1.0, 1.0]]


def test_far_positions(kernels: Any) -> None:
    masks = far_mask()
    inverse = (*kernels.setops_complement(*masks), masks[2])
    no_crowd = np.zeros(1, np.uint8)
    assert kernels.overlap_intersection(*masks, *masks).tolist() == [[4]]
    assert kernels.overlap_intersection(*masks, *inverse).tolist() == [[0]]
    assert kernels.overlap_intersection(*inverse, *inverse).tolist() == [[2**34 - 4]]
    assert kernels.overlap_iou(*inverse, *inverse, no_crowd).tolist() == [[1.0]]
    assert kernels.overlap_nms(*masks, 0.5).tolist() == [True]


def test_sizes_must_be_equal(kernels: Any) -> None:
    a = masks_of_runs([[6], [6]], [(2, 3), (3, 2)])
    b = masks_of_runs([[6], [6], [6]], [(2, 3), (2, 3), (6, 1)])
    crowd = np.zeros(3, np.uint8)

    def fails(text: str, x: Any, y: Any) -> None:
        for call in (
            lambda: kernels.overlap_intersection(*x, *y),
            lambda: kernels.overlap_iou(*x, *y, crowd[: len(y[2])]),
        ):
            with pytest.raises(ValueError) as error:
                call()
            assert str(error.value) == text

    fails("mask 0 of a: size (2, 3) differs from (6, 1) of mask 2 of b", a, b)
    fails("mask 0 of a: size (2, 3) differs from (3, 2) of mask 1 of b", a, a)
    same = masks_of_runs([[6], [6]], [(2, 3), (2, 3)])
    fails("mask 1 of a: size (3, 2) differs from (2, 3) of mask 0 of b", a, same)
    short = masks_of_runs([[6], [5]], [(2, 3), (2, 3)])
    fails("mask 1: runs sum to 5, image has 6 pixels", same, short)
    fails("mask 1: runs sum to 5, image has 6 pixels", short, same)
    # Where there is no pair, no sizes differ.
    nothing = masks_of([])
    assert kernels.overlap_intersection(*a, *nothing).shape == (2, 0)
    assert kernels.overlap_iou(*nothing, *a, crowd[:2]).shape == (0, 2)


def test_iscrowd_must_fit(kernels: Any) -> None:
    masks = masks_of_runs([[6], [6]], [(2, 3), (2, 3)])
    for n in (0, 1, 3):
        with pytest.raises(ValueError, match="^iscrowd must have one element per mask of b$"):
            kernels.overlap_iou(*masks, *masks, np.zeros(n, np.uint8))
    for dtype in (bool, np.int64):
        with pytest.raises(TypeError):
            kernels.overlap_iou(*masks, *masks, np.zeros(2, dtype))


@properties
@given(st.integers(1, 4).flatmap(images_of_one_size))
def test_iou_is_symmetric(kernels: Any, images: list[Image]) -> None:
    masks = masks_of(images)
    no_crowd = np.zeros(len(images), np.uint8)
    iou = kernels.overlap_iou(*masks, *masks, no_crowd)
    np.testing.assert_array_equal(iou, iou.T)
    np.testing.assert_array_equal(np.diag(iou), [float(image.any()) for image in images])
    common = kernels.overlap_intersection(*masks, *masks)
    np.testing.assert_array_equal(np.diag(common), kernels.rle_area(*masks[:2]))


@properties
@given(images_of_one_size(4))
def test_iou_of_any_masks(kernels: Any, images: list[Image]) -> None:
    a, b = images[:2], images[2:]
    iscrowd = np.array([0, 1], np.uint8)
    np.testing.assert_array_equal(
        kernels.overlap_iou(*masks_of(a), *masks_of(b), iscrowd), ious(a, b, iscrowd)
    )


# Non-maximum suppression


def kept(images: list[Image], threshold: float) -> list[bool]:
    keep: list[bool] = []
    for i, image in enumerate(images):
        before = [images[j] for j in range(i) if keep[j]]
        keep.append(not (ious(before, [image], np.zeros(1)) > threshold).any())
    return keep


@pytest.mark.parametrize("size", ODD_SIZES)
def test_nms(kernels: Any, rng: np.random.Generator, size: tuple[int, int]) -> None:
    images = some_of_one_size(rng, 20, size) * 2
    masks = masks_of(images)
    thresholds = (-1.0, 0.0, 0.05, 0.3, 0.5, 1.0, np.nan)
    for threshold in thresholds[::3] if isinstance(kernels, Emulated) else thresholds:
        expected = kept(images, threshold)
        for ours in (masks, with_zero_runs(masks, rng)):
            keep = kernels.overlap_nms(*ours, threshold)
            assert keep.dtype == np.bool_
            assert keep.tolist() == expected
    assert kernels.overlap_nms(*masks_of([]), 0.5).shape == (0,)


def test_nms_of_many(kernels: Any, rng: np.random.Generator) -> None:
    """More than a word of bits of them, of which many stay."""
    images = list(rng.random((70, 5, 7)) < 0.1)
    masks = masks_of(images)
    for threshold in (-1.0, 0.1):
        assert kernels.overlap_nms(*masks, threshold).tolist() == kept(images, threshold)


def test_nms_keeps_what_is_at_the_threshold(kernels: Any) -> None:
    a, b = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    a[:, :2] = True
    assert kernels.overlap_nms(*masks_of([a, b]), 0.5).tolist() == [True, True]
    assert kernels.overlap_nms(*masks_of([a, b]), np.nextafter(0.5, 0)).tolist() == [True, False]


def test_nms_of_a_chain(kernels: Any) -> None:
    """The second goes because of the first; the third overlaps the second only, and stays."""
    images = np.zeros((3, 1, 9), bool)
    for i, image in enumerate(images):
        image[0, 2 * i : 2 * i + 5] = True
    assert kernels.overlap_nms(*masks_of(images), 0.4).tolist() == [True, False, True]


def test_nms_refuses(kernels: Any) -> None:
    masks = masks_of_runs([[6], [6], [6], [7]], [(2, 3), (2, 3), (3, 2), (2, 3)])
    with pytest.raises(ValueError, match=r"^mask 2: size \(3, 2\) differs from \(2, 3\) of mask 0$"):
        kernels.overlap_nms(*masks, 0.5)
    masks = masks_of_runs([[6], [7]], [(2, 3), (2, 3)])
    with pytest.raises(ValueError, match="^mask 1: runs sum to 7, image has 6 pixels$"):
        kernels.overlap_nms(*masks, 0.5)


# What only the C++ kernel has


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_instruction_sets(rng: np.random.Generator, level: str) -> None:
    core = pytest.importorskip("maskmill._core")
    try:
        core.set_simd_level(level)
    except ValueError as error:
        pytest.skip(str(error))
    try:
        for size in [*ODD_SIZES, (300, 400), (700, 70)]:
            a, b = some_of_one_size(rng, 9, size), some_of_one_size(rng, 14, size)
            common = core.overlap_intersection(*masks_of(a), *masks_of(b))
            np.testing.assert_array_equal(common, intersections(a, b))
    finally:
        core.set_simd_level(core.best_simd_level())
