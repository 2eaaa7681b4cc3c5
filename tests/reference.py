"""Plain NumPy definitions that the kernels for run-length masks are compared with, and images to try."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import hypothesis.extra.numpy
import hypothesis.strategies as st
import numpy as np
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from conftest import ODD_SIZES, random_masks

Image: TypeAlias = NDArray[np.bool_]
Arrays: TypeAlias = tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]

properties = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
"""For hypothesis: the `kernels` fixture is a module, so that examples may share it."""


def runs_of(image: Image) -> NDArray[np.uint32]:
    """Canonical runs of one image."""
    pixels = image.ravel(order="F")
    changes = np.flatnonzero(np.diff(pixels, prepend=False))
    return np.diff(changes, prepend=0, append=pixels.size).astype(np.uint32)


def masks_of(images: Iterable[Image]) -> Arrays:
    """Counts, offsets and sizes of images of any sizes."""
    images = list(images)
    return masks_of_runs([runs_of(image) for image in images], [image.shape for image in images])


def masks_of_runs(runs: Sequence[Any], sizes: Sequence[tuple[int, ...]]) -> Arrays:
    """The same of lists of runs, whatever they say."""
    counts = np.concatenate([np.empty(0, np.uint32), *(np.asarray(r, np.uint32) for r in runs)])
    offsets = np.cumsum([0, *(len(r) for r in runs)], dtype=np.int64)
    return counts, offsets, np.array(sizes, np.int64).reshape(-1, 2)


def images_of(
    runs: tuple[NDArray[np.uint32], NDArray[np.int64]], sizes: Iterable[Sequence[int]]
) -> list[Image]:
    """What the runs show."""
    counts, offsets = runs
    images = []
    for (begin, end), size in zip(pairwise(offsets), sizes, strict=True):
        color = np.arange(end - begin) % 2 == 1
        images.append(np.repeat(color, counts[begin:end]).reshape(tuple(size), order="F"))
    return images


def with_zero_runs(masks: Arrays, rng: np.random.Generator) -> Arrays:
    """The same pixels, with runs cut in two by runs of length 0."""
    counts, offsets, sizes = masks
    loose = []
    for begin, end in pairwise(offsets):
        runs: list[int] = []
        for run in counts[begin:end].tolist():
            cut = int(rng.integers(run + 1))
            runs += [cut, 0, run - cut] if rng.random() < 0.5 else [run]
        loose.append(runs)
    return masks_of_runs(loose, sizes.tolist())


def assert_runs(got: tuple[NDArray[Any], ...], expected: Iterable[Image]) -> None:
    """The first two of what was got are the canonical runs of these images."""
    counts, offsets, _ = masks_of(expected)
    assert got[0].dtype == np.uint32
    assert got[1].dtype == np.int64
    np.testing.assert_array_equal(got[1], offsets)
    np.testing.assert_array_equal(got[0], counts)


def some_images(rng: np.random.Generator) -> list[Image]:
    """Noise in every odd size, sparse and dense; nothing at all and everything."""
    images = []
    for height, width in ODD_SIZES:
        for density in (0.1, 0.5, 0.9):
            images += list(random_masks(rng, 1, height, width, density))
        images += [np.zeros((height, width), bool), np.ones((height, width), bool)]
    return images


def some_pairs(rng: np.random.Generator) -> tuple[list[Image], list[Image]]:
    """Two lists of images, of the same sizes: each image with five others of its size."""
    images = some_images(rng)
    a = [image for i in range(0, len(images), 5) for image in images[i : i + 5] for _ in range(5)]
    b = [image for i in range(0, len(images), 5) for _ in range(5) for image in images[i : i + 5]]
    return a, b


def image_of_size(height: int, width: int) -> st.SearchStrategy[Image]:
    return hypothesis.extra.numpy.arrays(np.bool_, (height, width))


sides = st.integers(0, 9)
small_image = st.tuples(sides, sides).flatmap(lambda size: image_of_size(*size))
small_images = st.lists(small_image, max_size=4)


def images_of_one_size(n: int) -> st.SearchStrategy[list[Image]]:
    return st.tuples(sides, sides).flatmap(
        lambda size: st.lists(image_of_size(*size), min_size=n, max_size=n)
    )


FAR_SIDE = 2**17
FAR_PIXELS = [(FAR_SIDE - 1, 2**15 * k - 1) for k in (1, 2, 3, 4)]
"""Foreground (y, x) of `far_mask`."""


def far_mask() -> Arrays:
    """Four pixels in an image whose positions need more than 32 bits."""
    return masks_of_runs([[2**32 - 1, 1] * 4], [(FAR_SIDE, FAR_SIDE)])


# Polygons

Polygon: TypeAlias = Sequence[Any]
"""Rings, each flat or (K, 2)."""


def flat(polygons: Sequence[Polygon]) -> tuple[NDArray[Any], ...]:
    """Points, rings and masks, as the kernels take them."""
    rings = [np.asarray(ring, np.float64).reshape(-1, 2) for polygon in polygons for ring in polygon]
    points = np.concatenate([np.empty((0, 2)), *rings])
    ring_ends = np.cumsum([0, *(len(ring) for ring in rings)], dtype=np.int64)
    mask_ends = np.cumsum([0, *(len(polygon) for polygon in polygons)], dtype=np.int64)
    return points, ring_ends, mask_ends


def assert_same(got: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]) -> None:
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, strict=True)
