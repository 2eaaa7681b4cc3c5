"""Kernel outlines: tracing masks along pixel edges."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from pycocotools import mask as coco
from scipy import ndimage

from conftest import ODD_SIZES, random_masks
from maskmill import _backend
from reference import (
    FAR_PIXELS,
    Arrays,
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

cv2 = pytest.importorskip("cv2")

COCO, EVEN_ODD, NON_ZERO = range(3)


class Outline(NamedTuple):
    """What is traced of one mask."""

    rings: list[NDArray[np.float64]]
    parent: list[int]


def outlines_of(traced: tuple[NDArray[Any], ...]) -> list[Outline]:
    """Mask by mask."""
    points, rings, masks, parent = traced
    assert [array.dtype for array in traced] == [np.float64, np.int64, np.int64, np.int64]
    assert points.shape == (rings[-1], 2)
    assert rings.shape == (masks[-1] + 1,)
    assert parent.shape == (masks[-1],)
    assert rings[0] == masks[0] == 0
    every_ring = [points[begin:end] for begin, end in pairwise(rings)]
    return [Outline(every_ring[begin:end], parent[begin:end].tolist()) for begin, end in pairwise(masks)]


def signed_area(ring: NDArray[np.float64]) -> float:
    """Positive where the ring runs clockwise as seen, y down."""
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def labels_of(image: Image, connectivity: int) -> tuple[NDArray[np.int32], int]:
    return ndimage.label(image, np.ones((3, 3)) if connectivity == 8 else None)


def refill(kernels: Any, traced: tuple[NDArray[Any], ...], sizes: NDArray[np.int64], rule: int) -> Any:
    points, rings, masks, _ = traced
    return kernels.polygons_rasterize(points, rings, masks, sizes, rule)


def assert_outline(outline: Outline, image: Image, connectivity: int) -> None:
    """All that the contract says of the rings of one mask."""
    foreground, components = labels_of(image, connectivity)
    # Where foreground is connected over corners, background is not, and the other way. Around the image all
    # is one.
    _, background = labels_of(np.pad(~image, 1, constant_values=True), 12 - connectivity)
    is_outer = [parent == -1 for parent in outline.parent]
    assert sum(is_outer) == components
    assert len(outline.rings) - sum(is_outer) == background - 1

    first = [ring[0].astype(int).tolist() for ring in outline.rings]
    assert first == sorted(first)
    for ring, outer, (x, y) in zip(outline.rings, is_outer, first, strict=True):
        assert ring.min() >= 0
        assert (ring[:, 0] <= image.shape[1]).all()
        assert (ring[:, 1] <= image.shape[0]).all()
        # The top of the leftmost column.
        assert [x, y] == min(ring.tolist())
        # At every point the outline turns: pieces along x and along y alternate, the first of an outer one is
        # along x.
        along_x = np.diff(ring, axis=0, append=ring[:1]) != 0
        assert along_x[0].tolist() == [outer, not outer]
        assert (along_x.sum(axis=1) == 1).all()
        assert (along_x[:, 0] != np.roll(along_x[:, 0], 1)).all()
        assert (signed_area(ring) > 0) == outer
        assert image[y, x] == outer
    assert sum(map(signed_area, outline.rings)) == image.sum()

    # Every component has one outer ring; a hole has that of the foreground above its first pixel.
    component = [foreground[y - (not outer), x] for outer, (x, y) in zip(is_outer, first, strict=True)]
    assert len({c for c, outer in zip(component, is_outer, strict=True) if outer}) == components
    for parent, c in zip(outline.parent, component, strict=True):
        if parent != -1:
            assert outline.parent[parent] == -1
            assert component[parent] == c


def assert_traced(kernels: Any, images: list[Image], connectivity: int) -> None:
    masks = masks_of(images)
    traced = kernels.outlines_trace(*masks, connectivity, False)
    for outline, image in zip(outlines_of(traced), images, strict=True):
        assert_outline(outline, image, connectivity)
    for rule in (EVEN_ODD, NON_ZERO):
        assert_runs(refill(kernels, traced, masks[2], rule), images)


def assert_bridged(kernels: Any, images: list[Image], connectivity: int) -> None:
    masks = masks_of(images)
    bridged = kernels.outlines_trace(*masks, connectivity, True)
    plain = kernels.outlines_trace(*masks, connectivity, False)
    assert_runs(refill(kernels, bridged, masks[2], COCO), images)
    for outline, unbridged, image in zip(outlines_of(bridged), outlines_of(plain), images, strict=True):
        outer = [ring for ring, parent in zip(*unbridged, strict=True) if parent == -1]
        assert outline.parent == [-1] * len(outer)
        assert [ring[0].tolist() for ring in outline.rings] == [ring[0].tolist() for ring in outer]
        if outline.rings:
            rles = coco.frPyObjects([ring.ravel().tolist() for ring in outline.rings], *image.shape)
            # Each ring alone is a part of the mask, and of no other ring's.
            assert sum(int(coco.area(rle)) for rle in rles) == image.sum()
            assert coco.merge(rles) == coco.encode(np.asfortranarray(image, np.uint8))


CONNECTIVITIES = pytest.mark.parametrize("connectivity", [4, 8])


@CONNECTIVITIES
def test_trace_noise(kernels: Any, rng: np.random.Generator, connectivity: int) -> None:
    images = some_images(rng)
    assert_traced(kernels, images, connectivity)
    assert_bridged(kernels, images, connectivity)


@CONNECTIVITIES
@pytest.mark.parametrize("size", ODD_SIZES)
def test_trace_odd_sizes(
    kernels: Any, rng: np.random.Generator, size: tuple[int, int], connectivity: int
) -> None:
    images = [*random_masks(rng, 5, *size, 0.7), *(rng.random((5, *size)) < 0.5)]
    assert_traced(kernels, images, connectivity)
    assert_bridged(kernels, images, connectivity)


@CONNECTIVITIES
def test_trace_every_small_image(kernels: Any, connectivity: int) -> None:
    # All 3 x 4 images, alone and with a frame around.
    bits = (np.arange(2**12)[:, None] >> np.arange(12)) & 1 == 1
    images = list(bits.reshape(-1, 3, 4))
    frames = [np.pad(image, 2, constant_values=False) for image in images]
    for frame in frames:
        frame[[0, -1]] = frame[:, [0, -1]] = True
    for part in (images, frames):
        masks = masks_of(part)
        for bridge, rules in [(False, (EVEN_ODD, NON_ZERO)), (True, (COCO,))]:
            traced = kernels.outlines_trace(*masks, connectivity, bridge)
            for rule in rules:
                assert_runs(refill(kernels, traced, masks[2], rule), part)
    assert_traced(kernels, frames[::40], connectivity)


@CONNECTIVITIES
@properties
@given(images=small_images)
def test_trace_property(kernels: Any, images: list[Image], connectivity: int) -> None:
    assert_traced(kernels, images, connectivity)
    assert_bridged(kernels, images, connectivity)


@CONNECTIVITIES
def test_trace_nested(kernels: Any, connectivity: int) -> None:
    # Rings within rings: every second one is a hole of the one before.
    image = np.zeros((21, 25), bool)
    for inset in range(10):
        image[inset : 21 - inset, inset : 25 - inset] = inset % 2 == 0
    assert_traced(kernels, [image], connectivity)
    assert_bridged(kernels, [image], connectivity)
    (outline,) = outlines_of(kernels.outlines_trace(*masks_of([image]), connectivity, False))
    assert outline.parent == [-1 if k % 2 == 0 else k - 1 for k in range(10)]


@CONNECTIVITIES
def test_trace_many_holes(kernels: Any, connectivity: int) -> None:
    # A sieve: holes above, beside and at the corners of each other.
    for step in (2, 3):
        image = np.ones((19, 22), bool)
        image[1:-1:step, 1:-1:2] = False
        image[5, 5:12] = False
        assert_traced(kernels, [image, ~image], connectivity)
        assert_bridged(kernels, [image, ~image], connectivity)


def test_trace_touching_corners(kernels: Any) -> None:
    falling = np.eye(2, dtype=bool)
    rising = falling[::-1]
    masks = masks_of([falling, rising])
    expected = {
        4: [
            [[[0, 0], [1, 0], [1, 1], [0, 1]], [[1, 1], [2, 1], [2, 2], [1, 2]]],
            [[[0, 1], [1, 1], [1, 2], [0, 2]], [[1, 0], [2, 0], [2, 1], [1, 1]]],
        ],
        8: [
            [[[0, 0], [1, 0], [1, 1], [2, 1], [2, 2], [1, 2], [1, 1], [0, 1]]],
            [[[0, 1], [1, 1], [1, 0], [2, 0], [2, 1], [1, 1], [1, 2], [0, 2]]],
        ],
    }
    for connectivity, rings in expected.items():
        outlines = outlines_of(kernels.outlines_trace(*masks, connectivity, False))
        assert [[ring.tolist() for ring in outline.rings] for outline in outlines] == rings


def test_trace_known_hole(kernels: Any) -> None:
    image = np.ones((4, 5), bool)
    image[2, 1:3] = False
    masks = masks_of([image])
    ((outer, hole), parent) = outlines_of(kernels.outlines_trace(*masks, 4, False))[0]
    assert parent == [-1, 0]
    assert outer.tolist() == [[0, 0], [5, 0], [5, 4], [0, 4]]
    assert hole.tolist() == [[1, 2], [1, 3], [3, 3], [3, 2]]
    # The cut goes from the first corner of the hole straight up to the outer ring.
    ((ring,), parent) = outlines_of(kernels.outlines_trace(*masks, 4, True))[0]
    assert parent == [-1]
    cut = [[1, 0], [1, 3], [3, 3], [3, 2], [1, 2], [1, 0]]
    assert ring.tolist() == [[0, 0], *cut, [5, 0], [5, 4], [0, 4]]


@CONNECTIVITIES
@pytest.mark.parametrize("bridge", [False, True])
def test_trace_empty_and_full(kernels: Any, connectivity: int, bridge: bool) -> None:
    traced = kernels.outlines_trace(*masks_of([]), connectivity, bridge)
    assert outlines_of(traced) == []
    sizes = [(0, 0), (0, 5), (5, 0), (1, 1), (7, 9)]
    images = [np.full(size, value) for size in sizes for value in (False, True)]
    outlines = outlines_of(kernels.outlines_trace(*masks_of(images), connectivity, bridge))
    for outline, image in zip(outlines, images, strict=True):
        height, width = image.shape
        full = [[[0, 0], [width, 0], [width, height], [0, height]]] if image.any() else []
        assert [ring.tolist() for ring in outline.rings] == full


@CONNECTIVITIES
@pytest.mark.parametrize("bridge", [False, True])
def test_trace_zero_runs(kernels: Any, rng: np.random.Generator, connectivity: int, bridge: bool) -> None:
    masks = masks_of(some_images(rng))
    expected = kernels.outlines_trace(*masks, connectivity, bridge)
    got = kernels.outlines_trace(*with_zero_runs(masks, rng), connectivity, bridge)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bridge", [False, True])
def test_trace_far_pixels(kernels: Any, bridge: bool) -> None:
    (outline,) = outlines_of(kernels.outlines_trace(*far_mask(), 8, bridge))
    expected = [[[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]] for y, x in FAR_PIXELS]
    assert [ring.tolist() for ring in outline.rings] == expected


@CONNECTIVITIES
@pytest.mark.parametrize("bridge", [False, True])
def test_trace_part_of_the_runs(
    kernels: Any, rng: np.random.Generator, connectivity: int, bridge: bool
) -> None:
    counts, offsets, sizes = masks_of(random_masks(rng, 9, 31, 33))
    every = outlines_of(kernels.outlines_trace(counts, offsets, sizes, connectivity, bridge))
    part = outlines_of(kernels.outlines_trace(counts, offsets[2:6], sizes[2:5], connectivity, bridge))
    for got, expected in zip(part, every[2:5], strict=True):
        assert got.parent == expected.parent
        np.testing.assert_array_equal(np.concatenate(got.rings), np.concatenate(expected.rings))


@CONNECTIVITIES
@pytest.mark.parametrize("bridge", [False, True])
def test_trace_backends_agree(rng: np.random.Generator, connectivity: int, bridge: bool) -> None:
    missing = [reason for reason in map(_backend.why_missing, ("cpp", "numba")) if reason]
    if missing:
        pytest.skip(missing[0])
    sizes = rng.integers(1, 40, (300, 2)).tolist()
    images = [rng.random(size) < rng.random() for size in sizes] + some_images(rng)
    cpp, numba = (
        _backend.kernels(name).outlines_trace(*masks_of(images), connectivity, bridge)
        for name in ("cpp", "numba")
    )
    for a, b in zip(cpp, numba, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, strict=True)


# Real data


def assert_round_trip(kernels: Any, masks: Arrays) -> None:
    counts, offsets, sizes = masks
    for connectivity in (4, 8):
        traced = kernels.outlines_trace(*masks, connectivity, False)
        bridged = kernels.outlines_trace(*masks, connectivity, True)
        assert (bridged[3] == -1).all()
        assert len(bridged[3]) == (traced[3] == -1).sum()
        for rings, rule in [(traced, EVEN_ODD), (traced, NON_ZERO), (bridged, COCO)]:
            again = refill(kernels, rings, sizes, rule)
            np.testing.assert_array_equal(again[0], counts)
            np.testing.assert_array_equal(again[1], offsets)


def test_trace_dsb2018(kernels: Any, data: Path) -> None:
    files = sorted((data / "dsb2018" / "labels").glob("*.png"))[::40]
    assert files
    for file in files:
        labels: Any = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        counts, offsets, values = kernels.rle_from_labels(labels)
        sizes = np.full((len(values), 2), labels.shape)
        assert_round_trip(kernels, (counts, offsets, sizes))
        # All nuclei of an image at once, and what is between them.
        nuclei = labels > 0
        assert_traced(kernels, [nuclei, ~nuclei], 8)
        assert_bridged(kernels, [nuclei, ~nuclei], 4)


def test_trace_coco(kernels: Any, data: Path) -> None:
    content = json.loads((data / "coco/val2014_100/instances_val2014_100.json").read_text())
    size = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    polygons = [a for a in content["annotations"] if not a["iscrowd"]]
    crowds = [a for a in content["annotations"] if a["iscrowd"]]
    rings = [np.array(ring).reshape(-1, 2) for a in polygons for ring in a["segmentation"]]
    sizes = np.array([size[a["image_id"]] for a in polygons], np.int64)
    counts, offsets = kernels.polygons_rasterize(
        np.concatenate(rings),
        np.cumsum([0, *map(len, rings)]),
        np.cumsum([0, *(len(a["segmentation"]) for a in polygons)]),
        sizes,
        COCO,
    )
    assert_round_trip(kernels, (counts, offsets, sizes))
    # Crowds are the ragged ones: with many parts, and holes.
    masks = masks_of_runs(
        [a["segmentation"]["counts"] for a in crowds], [a["segmentation"]["size"] for a in crowds]
    )
    assert_round_trip(kernels, (*kernels.rle_normalize(*masks), masks[2]))
    assert (kernels.outlines_trace(*masks, 8, False)[3] != -1).any()


# Errors


def test_trace_bad_arguments(kernels: Any) -> None:
    counts, offsets, sizes = masks_of([np.ones((3, 4), bool), np.zeros((2, 2), bool)])
    cases = [
        ((counts, offsets, sizes, 6, False), "connectivity must be 4 or 8, not 6"),
        ((counts, offsets, sizes, -4, True), "connectivity must be 4 or 8, not -4"),
        ((counts, offsets, sizes + [[0], [1]], 8, False), "mask 1: runs sum to 4, image has 9 pixels"),
        ((counts, offsets, -sizes, 8, False), "mask 0: size (-3, -4) must be within 0 and 2147483647"),
        ((counts, offsets, sizes[:1], 8, False), "sizes must have shape (N, 2), N being the number of masks"),
        (
            (counts, offsets + 1, sizes, 8, False),
            "offsets must rise from 0 or more to the number of values or less",
        ),
    ]
    for arguments, text in cases:
        with pytest.raises(ValueError) as error:
            kernels.outlines_trace(*arguments)
        assert str(error.value) == text
    with pytest.raises(TypeError):
        kernels.outlines_trace(counts.astype(np.int64), offsets, sizes, 8, False)
