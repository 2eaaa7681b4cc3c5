"""Kernel morphology: components, holes, small parts, dilation, erosion, boundary."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from reference import (
    FAR_PIXELS,
    FAR_SIDE,
    Image,
    assert_runs,
    far_mask,
    masks_of,
    masks_of_runs,
    properties,
    small_images,
    some_images,
    with_zero_runs,
)

NEIGHBOURS = {
    4: np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool),
    8: np.ones((3, 3), bool),
}
RADII = [0, 0.5, 1, math.sqrt(2), 1.5, 2, math.sqrt(5), math.sqrt(13), 3.7, 5, 10, 17]


def structure_of(radius: float, disc: bool) -> Image:
    """All that is within the radius of the middle."""
    whole = math.floor(radius)
    dy, dx = np.ogrid[-whole : whole + 1, -whole : whole + 1]
    inside = dx * dx + dy * dy <= radius * radius
    return inside if disc else np.ones_like(inside)


def dilated(image: Image, radius: float, disc: bool) -> Image:
    if image.size == 0:
        return image
    return ndimage.binary_dilation(image, structure_of(radius, disc))


def eroded(image: Image, radius: float, disc: bool, border: bool) -> Image:
    if image.size == 0:
        return image
    return ndimage.binary_erosion(image, structure_of(radius, disc), border_value=not border)


def within(image: Image, radius: float, disc: bool) -> Image:
    """Dilation by the distance to every pixel of the foreground: for large radii and small images."""
    y, x = np.indices(image.shape).reshape(2, -1)
    dy, dx = np.subtract.outer(y, y[image.ravel()]), np.subtract.outer(x, x[image.ravel()])
    near = dx * dx + dy * dy <= radius * radius if disc else np.maximum(abs(dx), abs(dy)) <= radius
    return near.any(axis=1).reshape(image.shape)


def eroded_far(image: Image, radius: int) -> Image:
    """Erosion by a square, with border: of large squares, too."""
    if image.size == 0:
        return image
    return ndimage.minimum_filter(image, 2 * min(radius, 500) + 1, mode="constant", cval=False)


def labelled(image: Image, connectivity: int) -> tuple[np.ndarray, int]:
    """Components, numbered by their first pixels in column order, from 1 on."""
    if image.size == 0:
        return np.zeros(image.shape, int), 0
    labels, n = ndimage.label(image.T, NEIGHBOURS[connectivity])
    # Of ndimage it is not known in which order it numbers.
    _, first = np.unique(labels[labels > 0], return_index=True)
    rank = np.zeros(n + 1, int)
    rank[np.argsort(first) + 1] = np.arange(1, n + 1)
    return rank[labels].T, n


def spiral(side: int) -> Image:
    """One long component that turns around itself, so that its ends meet late."""
    image = np.zeros((side, side), bool)
    for i in range(0, side // 2, 2):
        image[i : side - i, i : side - i] = True
        image[i + 1 : side - i - 1, i + 1 : side - i - 1] = False
        image[i + 1, i] = i == 0
        if i > 0:
            image[i, i - 1] = True
    return image


def shapes(rng: np.random.Generator) -> list[Image]:
    """Images that components and holes find difficult, besides the usual ones."""
    comb = np.zeros((40, 41), bool)
    comb[:, ::2] = True
    comb[-1] = True
    chessboard = np.indices((17, 23)).sum(0) % 2 == 1
    rings = np.zeros((33, 33), bool)
    for i in range(0, 16, 2):
        rings[i : 33 - i, i : 33 - i] = True
        rings[i + 1 : 32 - i, i + 1 : 32 - i] = False
    diagonal = np.eye(19, 20, dtype=bool)
    sparse = rng.random((70, 61)) < 0.35
    made = [comb, chessboard, rings, diagonal, sparse, spiral(41), rng.random((64, 65)) < 0.6]
    turned = [np.rot90(image, k) for image in made for k in range(4)]
    return some_images(rng) + turned + [~image for image in turned]


# Components


@pytest.mark.parametrize("connectivity", [4, 8])
def test_components(kernels: Any, rng: np.random.Generator, connectivity: int) -> None:
    images = shapes(rng)
    expected, source = [], []
    for i, image in enumerate(images):
        labels, n = labelled(image, connectivity)
        expected += [labels == k for k in range(1, n + 1)]
        source += [i] * n
    for masks in (masks_of(images), with_zero_runs(masks_of(images), rng)):
        *runs, got = kernels.morphology_components(*masks, connectivity)
        assert got.dtype == np.int64
        np.testing.assert_array_equal(got, source)
        assert_runs(tuple(runs), expected)


def test_components_by_hand(kernels: Any) -> None:
    image = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 1]], bool)
    *_, source = kernels.morphology_components(*masks_of([image, ~image]), 4)
    assert source.tolist() == [0, 0, 0, 0, 0, 1]
    *_, source = kernels.morphology_components(*masks_of([image, ~image]), 8)
    assert source.tolist() == [0, 0, 0, 0, 1]


def test_columns_do_not_touch_around_the_border(kernels: Any) -> None:
    """The last pixel of a column and the first of the next are neighbours in a run only."""
    image = np.zeros((5, 2), bool)
    image[3:, 0] = image[:2, 1] = True
    for connectivity in (4, 8):
        *runs, source = kernels.morphology_components(*masks_of([image]), connectivity)
        assert runs[0].tolist() == [3, 2, 5, 5, 2, 3]
        assert source.tolist() == [0, 0]


def test_components_nothing(kernels: Any) -> None:
    for images in ([], [np.zeros((3, 4), bool)], [np.zeros((0, 4), bool)]):
        counts, offsets, source = kernels.morphology_components(*masks_of(images), 8)
        assert_runs((counts, offsets), [])
        assert source.shape == (0,)


# Holes and small parts


@pytest.mark.parametrize("connectivity", [4, 8])
def test_fill_holes(kernels: Any, rng: np.random.Generator, connectivity: int) -> None:
    images = shapes(rng)
    background = NEIGHBOURS[12 - connectivity]
    expected = [ndimage.binary_fill_holes(image, background) if image.size else image for image in images]
    for masks in (masks_of(images), with_zero_runs(masks_of(images), rng)):
        assert_runs(kernels.morphology_fill_holes(*masks, connectivity), expected)
    assert_runs(kernels.morphology_fill_holes(*masks_of([]), connectivity), [])


def test_fill_holes_by_hand(kernels: Any) -> None:
    """A diamond, whose corners only touch, has a hole for connectivity 8; for 4, they let the outside in."""
    diamond = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], bool)
    full = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    assert_runs(kernels.morphology_fill_holes(*masks_of([diamond]), 8), [full])
    assert_runs(kernels.morphology_fill_holes(*masks_of([diamond]), 4), [diamond])


@pytest.mark.parametrize("connectivity", [4, 8])
def test_remove_small(kernels: Any, rng: np.random.Generator, connectivity: int) -> None:
    images = shapes(rng)
    parts = [labelled(image, connectivity)[0] for image in images]
    for min_area in (-3, 0, 1, 2, 3, 10, 100, 2**62):
        expected = []
        for labels in parts:
            if labels.size > 0:
                area = np.bincount(labels.ravel())[labels]
                expected.append((labels > 0) & (area >= min_area))
        kept = [image for image in images if image.size]
        got = kernels.morphology_remove_small(*masks_of(kept), min_area, connectivity)
        assert_runs(got, expected)
    empty = [image for image in images if not image.size]
    assert_runs(kernels.morphology_remove_small(*masks_of(empty), 2, connectivity), empty)
    loose = with_zero_runs(masks_of(images), rng)
    assert_runs(kernels.morphology_remove_small(*loose, 0, connectivity), images)


def test_connectivity_must_be_4_or_8(kernels: Any) -> None:
    masks = masks_of([np.ones((2, 3), bool)])
    for connectivity in (0, 6, -8):
        text = f"^connectivity must be 4 or 8, not {connectivity}$"
        with pytest.raises(ValueError, match=text):
            kernels.morphology_components(*masks, connectivity)
        with pytest.raises(ValueError, match=text):
            kernels.morphology_fill_holes(*masks, connectivity)
        with pytest.raises(ValueError, match=text):
            kernels.morphology_remove_small(*masks, 5, connectivity)


# Dilation and erosion


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("disc", [False, True])
def test_dilate(kernels: Any, rng: np.random.Generator, radius: float, disc: bool) -> None:
    images = some_images(rng)
    images += [np.eye(40, 37, k, dtype=bool) & (rng.random((40, 37)) < 0.1) for k in (0, 7)]
    expected = [dilated(image, radius, disc) for image in images]
    for masks in (masks_of(images), with_zero_runs(masks_of(images), rng)):
        assert_runs(kernels.morphology_dilate(*masks, radius, disc), expected)
    assert_runs(kernels.morphology_dilate(*masks_of([]), radius, disc), [])


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("disc", [False, True])
@pytest.mark.parametrize("border", [False, True])
def test_erode(kernels: Any, rng: np.random.Generator, radius: float, disc: bool, border: bool) -> None:
    images = some_images(rng)
    images += [~(np.eye(40, 37, k, dtype=bool) & (rng.random((40, 37)) < 0.1)) for k in (0, 7)]
    expected = [eroded(image, radius, disc, border) for image in images]
    for masks in (masks_of(images), with_zero_runs(masks_of(images), rng)):
        assert_runs(kernels.morphology_erode(*masks, radius, disc, border), expected)
    assert_runs(kernels.morphology_erode(*masks_of([]), radius, disc, border), [])


@pytest.mark.parametrize("radius", [15, 21, 29.5, 40, 50, 131, 1000.5, 1e5, 1e18, 1e19, 1e200, math.inf])
@pytest.mark.parametrize("disc", [False, True])
def test_large_radius(kernels: Any, radius: float, disc: bool) -> None:
    point, hole = np.zeros((40, 30), bool), np.ones((40, 30), bool)
    point[3, 5] = True
    hole[37, 1] = False
    images = [point, hole, np.zeros((40, 30), bool), np.ones((40, 30), bool), np.ones((0, 5), bool)]
    masks = masks_of(images)
    expected = [within(image, radius, disc) for image in images]
    assert_runs(kernels.morphology_dilate(*masks, radius, disc), expected)
    for border in (False, True):
        # With a border, one pixel of background around the image is as near as any outside of it.
        expected = [~within(np.pad(~image, 1, constant_values=border), radius, disc) for image in images]
        expected = [image[1:-1, 1:-1] for image in expected]
        assert_runs(kernels.morphology_erode(*masks, radius, disc, border), expected)


@pytest.mark.parametrize("squared", [2, 3, 5, 8, 10, 13, 18, 25, 26, 50, 65])
def test_disc_at_the_edge(kernels: Any, squared: int) -> None:
    """Radii that just reach a pixel, and the next smaller and larger ones."""
    image = np.zeros((25, 25), bool)
    image[12, 12] = True
    root = math.sqrt(squared)
    for radius in (math.nextafter(root, 0), root, math.nextafter(root, 99)):
        expected = [dilated(image, radius, True)]
        assert_runs(kernels.morphology_dilate(*masks_of([image]), radius, True), expected)


def test_radius_refused(kernels: Any) -> None:
    masks = masks_of([np.ones((2, 3), bool)])
    for radius, text in [
        (-1, "-1"),
        (-0.5, "-0.5"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (-1e20, "-1e+20"),
    ]:
        for call in (
            lambda r: kernels.morphology_dilate(*masks, r, True),
            lambda r: kernels.morphology_erode(*masks, r, False, True),
        ):
            with pytest.raises(ValueError) as error:
                call(radius)
            assert str(error.value) == f"radius must be 0 or more, not {text}"


# Boundary


def test_boundary(kernels: Any, rng: np.random.Generator) -> None:
    images = shapes(rng)
    for _ in range(3):
        radius = rng.choice([0, 1, 2, 3, 7, 20], len(images))
        radius[-3:] = 500, 2**40, 2**63 - 1
        expected = [image & ~eroded_far(image, int(r)) for image, r in zip(images, radius, strict=True)]
        for masks in (masks_of(images), with_zero_runs(masks_of(images), rng)):
            assert_runs(kernels.morphology_boundary(*masks, radius), expected)
    assert_runs(kernels.morphology_boundary(*masks_of([]), np.empty(0, np.int64)), [])


def test_boundary_refuses(kernels: Any) -> None:
    masks = masks_of([np.ones((2, 3), bool)] * 3)
    with pytest.raises(ValueError, match="^mask 1: radius must be 0 or more, not -2$"):
        kernels.morphology_boundary(*masks, np.array([0, -2, -1]))
    for n in (0, 2, 4):
        with pytest.raises(ValueError, match="^radius must have one element per mask$"):
            kernels.morphology_boundary(*masks, np.zeros(n, np.int64))
    with pytest.raises(TypeError):
        kernels.morphology_boundary(*masks, np.zeros(3))


# All of them


def calls(kernels: Any) -> list[Any]:
    return [
        lambda m: kernels.morphology_components(*m, 8)[:2],
        lambda m: kernels.morphology_fill_holes(*m, 8),
        lambda m: kernels.morphology_remove_small(*m, 2, 8),
        lambda m: kernels.morphology_dilate(*m, 1, True),
        lambda m: kernels.morphology_erode(*m, 1, True, True),
        lambda m: kernels.morphology_boundary(*m, np.ones(len(m[2]), np.int64)),
    ]


def test_sums_are_checked(kernels: Any) -> None:
    masks = masks_of_runs([[96], [90], [97]], [(8, 12)] * 3)
    for call in calls(kernels):
        with pytest.raises(ValueError, match="^mask 1: runs sum to 90, image has 96 pixels$"):
            call(masks)


def test_far_positions(kernels: Any) -> None:
    masks = far_mask()
    too_long = r"^a run is longer than 2\^32 - 1 pixels$"
    with pytest.raises(ValueError, match=too_long):
        kernels.morphology_components(*masks, 8)
    with pytest.raises(ValueError, match=too_long):
        kernels.morphology_erode(*masks, 1, False, True)
    with pytest.raises(ValueError, match=too_long):
        kernels.morphology_remove_small(*masks, 2, 8)
    for runs in (kernels.morphology_remove_small(*masks, 1, 8), kernels.morphology_fill_holes(*masks, 8)):
        np.testing.assert_array_equal(runs[0], masks[0])
    np.testing.assert_array_equal(kernels.morphology_boundary(*masks, np.array([1]))[0], masks[0])
    # In the last row, the fourth in the last column, too.
    counts, offsets = kernels.morphology_dilate(*masks, 1, True)
    y, x = FAR_PIXELS[0]
    assert counts[:7].tolist() == [
        (x - 1) * FAR_SIDE + y,
        1,
        FAR_SIDE - 2,
        2,
        FAR_SIDE - 1,
        1,
        2**32 - 2 * FAR_SIDE - 1,
    ]
    assert kernels.rle_area(counts, offsets).tolist() == [3 * 4 + 3]


@properties
@given(small_images, st.sampled_from(RADII[:9]), st.booleans())
def test_erosion_is_dilation_of_the_complement(
    kernels: Any, images: list[Image], radius: float, disc: bool
) -> None:
    masks = masks_of(images)
    inverse = (*kernels.setops_complement(*masks), masks[2])
    grown = kernels.morphology_dilate(*inverse, radius, disc)
    both = kernels.setops_complement(*grown, masks[2])
    assert_runs(both, [eroded(image, radius, disc, False) for image in images])
    np.testing.assert_array_equal(kernels.morphology_erode(*masks, radius, disc, False)[0], both[0])


@properties
@given(small_images, st.integers(0, 4), st.integers(0, 4))
def test_squares_add_up(kernels: Any, images: list[Image], first: int, second: int) -> None:
    masks = masks_of(images)
    once = kernels.morphology_dilate(*masks, first + second, False)
    twice = kernels.morphology_dilate(
        *kernels.morphology_dilate(*masks, first, False), masks[2], second, False
    )
    np.testing.assert_array_equal(once[0], twice[0])
    once = kernels.morphology_erode(*masks, first + second, False, True)
    twice = kernels.morphology_erode(
        *kernels.morphology_erode(*masks, first, False, True), masks[2], second, False, True
    )
    np.testing.assert_array_equal(once[0], twice[0])


@properties
@given(small_images, st.sampled_from([4, 8]))
def test_components_make_the_mask(kernels: Any, images: list[Image], connectivity: int) -> None:
    masks = masks_of(images)
    counts, offsets, source = kernels.morphology_components(*masks, connectivity)
    groups = np.searchsorted(source, np.arange(len(images) + 1)).astype(np.int64)
    union = kernels.setops_merge(counts, offsets, masks[2][source], groups, masks[2], 0)
    assert_runs(union, images)
    again = kernels.morphology_components(counts, offsets, masks[2][source], connectivity)
    np.testing.assert_array_equal(again[2], np.arange(len(source)))


@properties
@given(small_images, st.sampled_from([4, 8]))
def test_no_hole_is_left(kernels: Any, images: list[Image], connectivity: int) -> None:
    masks = masks_of(images)
    filled = kernels.morphology_fill_holes(*masks, connectivity)
    again = kernels.morphology_fill_holes(*filled, masks[2], connectivity)
    np.testing.assert_array_equal(again[0], filled[0])
    lost = kernels.setops_pairs(*masks, *filled, masks[2], 0b0010)
    assert kernels.rle_area(*lost).sum() == 0
