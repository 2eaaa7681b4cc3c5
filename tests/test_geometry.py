"""Kernel geometry: window, flip, transpose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import (
    FAR_PIXELS,
    FAR_SIDE,
    Image,
    assert_runs,
    far_mask,
    masks_of,
    masks_of_runs,
    properties,
    small_image,
    small_images,
    some_images,
    with_zero_runs,
)

LARGEST = 2**31 - 1


def seen_through(image: Image, box: Any, fill: bool) -> Image:
    """One window, by its definition."""
    left, top, width, height = (int(value) for value in box)
    out = np.full((height, width), fill)
    y, x = np.arange(top, top + height), np.arange(left, left + width)
    rows, columns = (y >= 0) & (y < image.shape[0]), (x >= 0) & (x < image.shape[1])
    out[np.ix_(rows, columns)] = image[np.ix_(y[rows], x[columns])]
    return out


# Window


@pytest.mark.parametrize("fill", [False, True])
def test_window(kernels: Any, rng: np.random.Generator, fill: bool) -> None:
    images = some_images(rng)
    sizes = np.array([image.shape for image in images])
    for _ in range(6):
        # Boxes within, across every side, around, and beside the image; some of them empty.
        corner = rng.integers(-8, sizes[:, ::-1] + 8)
        size = rng.integers(0, sizes[:, ::-1] + 12)
        boxes = np.concatenate([corner, size], axis=1)
        expected = [seen_through(image, box, fill) for image, box in zip(images, boxes, strict=True)]
        for masks in (masks_of(images), with_zero_runs(masks_of(images), rng)):
            assert_runs(kernels.geometry_window(*masks, boxes, fill), expected)


@pytest.mark.parametrize("fill", [False, True])
def test_window_of_the_image_itself(kernels: Any, rng: np.random.Generator, fill: bool) -> None:
    images = some_images(rng)
    masks = masks_of(images)
    boxes = np.array([[0, 0, width, height] for height, width in masks[2]])
    assert_runs(kernels.geometry_window(*masks, boxes, fill), images)


@pytest.mark.parametrize("fill", [False, True])
def test_window_of_the_same_height(kernels: Any, rng: np.random.Generator, fill: bool) -> None:
    """Whole columns stay as they are; a full one continues in the next."""
    images = [image for image in some_images(rng) if image.shape[1] > 0]
    masks = masks_of(images)
    for left, more in [(0, 3), (-3, 3), (1, -1), (-2, 5)]:
        boxes = np.array([[left, 0, max(width + more, 0), height] for height, width in masks[2]])
        expected = [seen_through(image, box, fill) for image, box in zip(images, boxes, strict=True)]
        assert_runs(kernels.geometry_window(*masks, boxes, fill), expected)


@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize(
    "corner", [(LARGEST, 0), (-LARGEST, 0), (0, LARGEST), (0, -LARGEST), (-LARGEST, LARGEST)]
)
def test_window_far_away(kernels: Any, corner: tuple[int, int], fill: bool) -> None:
    masks = masks_of([np.ones((6, 7), bool)])
    got = kernels.geometry_window(*masks, np.array([[*corner, 5, 3]]), fill)
    assert_runs(got, [np.full((3, 5), fill)])


def test_window_fill_is_background_by_default(kernels: Any) -> None:
    masks = masks_of([np.ones((2, 2), bool)])
    got = kernels.geometry_window(*masks, np.array([[-1, -1, 4, 4]]))
    assert_runs(got, [np.pad(np.ones((2, 2), bool), 1)])


def test_window_nothing(kernels: Any) -> None:
    assert_runs(kernels.geometry_window(*masks_of([]), np.empty((0, 4), np.int64)), [])
    empty = np.zeros((0, 0), bool)
    got = kernels.geometry_window(*masks_of([empty, empty]), np.array([[0, 0, 2, 3], [-1, 4, 0, 5]]), True)
    assert_runs(got, [np.ones((3, 2), bool), np.ones((5, 0), bool)])


def test_window_refuses(kernels: Any) -> None:
    masks = masks_of_runs([[6], [6], [5]], [(2, 3)] * 3)
    boxes = np.array([[0, 0, 3, 2]] * 3)

    def fails(text: str, boxes: np.ndarray) -> None:
        with pytest.raises(ValueError) as error:
            kernels.geometry_window(*masks, boxes)
        assert str(error.value) == text

    fails("mask 2: runs sum to 5, image has 6 pixels", boxes)
    for shape in [(2, 4), (3, 3), (12,)]:
        fails("boxes must have shape (N, 4), N being the number of masks", np.zeros(shape, np.int64))
    for width, height in [(-1, 2), (3, -4), (-3, -4)]:
        boxes[1] = 0, 0, width, height
        fails(f"box 1: width and height must be 0 or more, not {width} and {height}", boxes)
    for column in range(4):
        for value in (2**31, -(2**31), 2**63 - 1, -(2**63)):
            boxes[1] = 1
            boxes[1, column] = value
            fails("box 1: values must be within -2147483647 and 2147483647", boxes)
    boxes[1] = 0, 0, LARGEST, LARGEST
    masks = masks_of_runs([[6]] * 3, [(2, 3)] * 3)
    fails("a run is longer than 2^32 - 1 pixels", boxes)
    with pytest.raises(TypeError):
        kernels.geometry_window(*masks, boxes.astype(np.float64))


# Flip and transpose


@pytest.mark.parametrize("horizontal", [False, True])
@pytest.mark.parametrize("vertical", [False, True])
def test_flip(kernels: Any, rng: np.random.Generator, horizontal: bool, vertical: bool) -> None:
    images = some_images(rng)
    expected = [image[:: -1 if vertical else 1, :: -1 if horizontal else 1] for image in images]
    for masks in (masks_of(images), with_zero_runs(masks_of(images), rng)):
        assert_runs(kernels.geometry_flip(*masks, horizontal, vertical), expected)
    assert_runs(kernels.geometry_flip(*masks_of([]), horizontal, vertical), [])


def test_transpose(kernels: Any, rng: np.random.Generator) -> None:
    images = some_images(rng)
    for masks in (masks_of(images), with_zero_runs(masks_of(images), rng)):
        assert_runs(kernels.geometry_transpose(*masks), [image.T for image in images])
    assert_runs(kernels.geometry_transpose(*masks_of([])), [])


def test_flip_and_transpose_refuse(kernels: Any) -> None:
    masks = masks_of_runs([[96], [90], [97]], [(8, 12)] * 3)
    text = "^mask 1: runs sum to 90, image has 96 pixels$"
    for horizontal in (False, True):
        for vertical in (False, True):
            with pytest.raises(ValueError, match=text):
                kernels.geometry_flip(*masks, horizontal, vertical)
    with pytest.raises(ValueError, match=text):
        kernels.geometry_transpose(*masks)


def test_far_positions(kernels: Any) -> None:
    masks = far_mask()
    flipped = kernels.geometry_flip(*masks, True, True)
    assert flipped[0].tolist() == [0, *masks[0].tolist()[::-1]]
    upside_down = kernels.geometry_flip(*masks, False, True)
    y, x = FAR_PIXELS[0]
    assert upside_down[0][0] == x * FAR_SIDE + FAR_SIDE - 1 - y
    assert kernels.rle_area(*upside_down).tolist() == [4]
    for y, x in FAR_PIXELS:
        seen = kernels.geometry_window(*masks, np.array([[x - 2, y - 1, 5, 4]]))
        expected = np.zeros((4, 5), bool)
        expected[1, 2] = True
        assert_runs(seen, [expected])
    # All four pixels lie in the last row, which is the last column then.
    with pytest.raises(ValueError, match=r"^a run is longer than 2\^32 - 1 pixels$"):
        kernels.geometry_transpose(*masks)


# Properties


@properties
@given(small_images, st.booleans(), st.booleans())
def test_flip_twice(kernels: Any, images: list[Image], horizontal: bool, vertical: bool) -> None:
    masks = masks_of(images)
    once = kernels.geometry_flip(*masks, horizontal, vertical)
    assert_runs(kernels.geometry_flip(*once, masks[2], horizontal, vertical), images)


@properties
@given(small_images)
def test_transpose_twice(kernels: Any, images: list[Image]) -> None:
    masks = masks_of(images)
    turned = np.ascontiguousarray(masks[2][:, ::-1])
    assert_runs(kernels.geometry_transpose(*kernels.geometry_transpose(*masks), turned), images)


@properties
@given(small_images)
def test_two_flips_are_two_transposes(kernels: Any, images: list[Image]) -> None:
    """A vertical flip is a horizontal one between two transpositions."""
    masks = masks_of(images)
    turned = np.ascontiguousarray(masks[2][:, ::-1])
    flipped = kernels.geometry_flip(*kernels.geometry_transpose(*masks), turned, True, False)
    back = kernels.geometry_transpose(*flipped, turned)
    np.testing.assert_array_equal(back[0], kernels.geometry_flip(*masks, False, True)[0])


@properties
@given(small_image, st.tuples(*[st.integers(0, 5)] * 4), st.booleans())
def test_pad_then_crop(kernels: Any, image: Image, margins: tuple[int, int, int, int], fill: bool) -> None:
    left, top, right, bottom = margins
    height, width = image.shape
    padded = np.array([[-left, -top, width + left + right, height + top + bottom]])
    wide = kernels.geometry_window(*masks_of([image]), padded, fill)
    assert_runs(wide, [np.pad(image, ((top, bottom), (left, right)), constant_values=fill)])
    back = np.array([[left, top, width, height]])
    size = np.array([[height + top + bottom, width + left + right]])
    assert_runs(kernels.geometry_window(*wide, size, back, not fill), [image])


@properties
@given(small_image, st.tuples(*[st.integers(-9, 9)] * 2), st.tuples(*[st.integers(0, 12)] * 2), st.booleans())
def test_any_window(kernels: Any, image: Image, corner: Any, size: Any, fill: bool) -> None:
    box = np.array([[*corner, *size]])
    got = kernels.geometry_window(*masks_of([image]), box, fill)
    assert_runs(got, [seen_through(image, box[0], fill)])
