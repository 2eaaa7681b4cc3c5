"""Kernel polygons: simplifying rings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from reference import assert_same, flat, properties
from test_polygons import EVEN_ODD, rasterize, real_polygons, ring_of_any_kind, ring_strategy

Ring: TypeAlias = NDArray[np.float64]

DOUGLAS_PEUCKER, AREA = range(2)
METHODS = [DOUGLAS_PEUCKER, AREA]


def simplify(kernels: Any, rings: Sequence[Ring], tolerance: float, method: int) -> list[Ring]:
    points, offsets, _ = flat([rings])
    points, offsets = kernels.polygons_simplify(
        points, offsets, np.broadcast_to(float(tolerance), len(rings)).copy(), method
    )
    assert points.dtype == np.float64
    assert offsets.dtype == np.int64
    assert offsets[0] == 0
    assert points.shape == (offsets[-1], 2)
    return np.split(points, offsets[1:-1])


def wavy_rings(rng: np.random.Generator, n: int) -> list[Ring]:
    """Rings that do not cross themselves, with details of all sizes."""
    rings = []
    for _ in range(n):
        angle = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(4, 120)))
        radius = 20 + 4 * np.sin(5 * angle) + rng.normal(0, 0.5, len(angle))
        rings.append(np.stack([25 + radius * np.cos(angle), 25 + radius * np.sin(angle)], axis=1))
    return rings


def distance_to_ring(points: Ring, ring: Ring) -> NDArray[np.float64]:
    """(K,) from each point to the nearest edge."""
    a, b = ring, np.roll(ring, -1, axis=0)
    along = ((points[:, None] - a) * (b - a)).sum(axis=2) / np.maximum(((b - a) ** 2).sum(axis=1), 1e-300)
    nearest = a + np.clip(along, 0, 1)[..., None] * (b - a)
    return np.sqrt(((points[:, None] - nearest) ** 2).sum(axis=2).min(axis=1))


def signed_area(ring: Ring) -> float:
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def assert_subset(got: Ring, ring: Ring) -> None:
    """The points of `got` are points of `ring`, in the same order."""
    rest = iter(map(tuple, ring))
    assert all(point in rest for point in map(tuple, got))
    assert len(got) >= min(len(ring), 3)


@pytest.mark.parametrize("tolerance", [0, 0.1, 0.5, 1, 3, 10, 1000, 1e300, np.inf])
@pytest.mark.parametrize("method", METHODS)
def test_simplify_bounds(kernels: Any, rng: np.random.Generator, method: int, tolerance: float) -> None:
    rings = wavy_rings(rng, 25)
    results = simplify(kernels, rings, tolerance, method)
    # Fine enough for the area between a ring and its result to be measured: 0.0025 square pixels are one
    # sample.
    fine = rasterize(kernels, [[ring * 20] for ring in rings], [(1200, 1200)] * 25, EVEN_ODD)
    fine_results = rasterize(kernels, [[ring * 20] for ring in results], [(1200, 1200)] * 25, EVEN_ODD)
    for ring, got in zip(rings, results, strict=True):
        assert_subset(got, ring)
        if method == DOUGLAS_PEUCKER:
            assert distance_to_ring(ring, got).max() <= tolerance + 1e-9
    if method == AREA:
        sizes = np.full((25, 2), 1200)
        difference = kernels.setops_pairs(*fine, sizes, *fine_results, sizes, 0b0110)
        # What samples are off by is up to one per sample's length of outline, to both sides.
        assert (kernels.rle_area(*difference) / 400 <= tolerance + 0.5).all()
    if tolerance > 1e5:
        assert all(len(got) == 3 for got in results)


def test_simplify_drops_more_with_more_tolerance(kernels: Any, rng: np.random.Generator) -> None:
    rings = wavy_rings(rng, 10)
    for method in METHODS:
        results = [simplify(kernels, rings, tolerance, method) for tolerance in (0, 0.3, 1, 3, 10, 30)]
        left = [sum(map(len, result)) for result in results]
        assert left == sorted(left, reverse=True)
        assert left[0] == sum(map(len, rings))
        assert left[-1] < left[0] / 2


@pytest.mark.parametrize("method", METHODS)
def test_simplify_without_tolerance(kernels: Any, rng: np.random.Generator, method: int) -> None:
    # Points between the corners of shapes on a grid: they are all that may go.
    for _ in range(50):
        corners = np.array([[0, 0], [8, 0], [8, 16], [16, 24], [0, 24], [4, 8]]) + rng.integers(-50, 50, 2)
        parts = [corners[k] + (corners[k - 5] - corners[k]) * np.arange(0, 8)[:, None] / 8 for k in range(6)]
        # Douglas and Peucker's method keeps the point it starts with.
        ring = np.concatenate(parts)
        (got,) = simplify(kernels, [ring], 0, method)
        np.testing.assert_array_equal(got, corners)
        (again,) = simplify(kernels, [got], 0, method)
        np.testing.assert_array_equal(again, got)


def test_simplify_known_rings(kernels: Any) -> None:
    # A square whose sides have a dent each, of depth 1, 2, 3, 4 and area 2, 4, 6, 8.
    top, right = [[0, 0], [8, 0], [10, 1], [12, 0]], [[20, 0], [20, 8], [18, 10], [20, 12]]
    bottom, left = [[20, 20], [12, 20], [10, 17], [8, 20]], [[0, 20], [0, 12], [4, 10], [0, 8]]
    ring = np.array([*top, *right, *bottom, *left], np.float64)
    square = [[0, 0], [20, 0], [20, 20], [0, 20]]
    for tolerance in (1, 2, 3, 3.99):
        (got,) = simplify(kernels, [ring], tolerance, DOUGLAS_PEUCKER)
        depth = np.array([min(x, y, 20 - x, 20 - y) for x, y in got])
        assert depth[depth > 0].tolist() == [d for d in (1, 2, 3, 4) if d > tolerance]
    (got,) = simplify(kernels, [ring], 4, DOUGLAS_PEUCKER)
    assert got.tolist() == square
    # Without dents, their feet are collinear: they go for nothing.
    for tolerance, dents in [(0, 4), (1.99, 4), (2, 3), (5.99, 3), (6, 2), (11.99, 2), (12, 1), (20, 0)]:
        (got,) = simplify(kernels, [ring], tolerance, AREA)
        assert len(got) == 4 + 3 * dents
        assert signed_area(got) == 400 - sum([2, 4, 6, 8][4 - dents :])


def test_simplify_ties(kernels: Any) -> None:
    # All points of a square's sides are alike: the lowest go first.
    octagon = np.array([[1, 0], [3, 0], [4, 1], [4, 3], [3, 4], [1, 4], [0, 3], [0, 1]], np.float64)
    (got,) = simplify(kernels, [octagon], 1, AREA)
    assert got.tolist() == octagon[1:].tolist()
    # As far from the first point, or from the chord: the first is kept.
    (got,) = simplify(kernels, [np.array([[0, 0], [3, 3], [4, 0], [3, -3.0], [0, -1]])], 100, DOUGLAS_PEUCKER)
    assert got.tolist() == [[0, 0], [3, 3], [3, -3]]


@pytest.mark.parametrize("method", METHODS)
def test_simplify_small_and_flat_rings(kernels: Any, method: int) -> None:
    same = np.ones((6, 2))
    line = np.array([[0, 0], [1, 0], [2, 0], [3, 0], [2, 0], [1, 0.0]])
    rings = [np.arange(2.0 * n).reshape(n, 2) for n in (0, 1, 2, 3)] + [same, line]
    for tolerance in (0, 1, 100):
        results = simplify(kernels, rings, tolerance, method)
        for ring, got in zip(rings, results, strict=True):
            assert_subset(got, ring)
            if len(ring) <= 3 or method == DOUGLAS_PEUCKER:
                assert len(got) == min(len(ring), 3)
    points, offsets = kernels.polygons_simplify(np.empty((0, 2)), np.zeros(1, np.int64), np.empty(0), method)
    assert points.shape == (0, 2)
    assert offsets.tolist() == [0]


@pytest.mark.parametrize("method", METHODS)
def test_simplify_backends_agree(both: Any, rng: np.random.Generator, method: int) -> None:
    rings = [ring_of_any_kind(rng, 60) for _ in range(300)] + wavy_rings(rng, 30)
    for tolerance in (0, 0.2, 1, 7.5, 60, 1e5):
        first, second, again = (simplify(kernels, rings, tolerance, method) for kernels in (*both, both[0]))
        assert_same(first, second)
        assert_same(first, again)


@properties
@given(ring=ring_strategy, tolerance=st.floats(0, 100), method=st.sampled_from(METHODS))
def test_simplify_property(kernels: Any, ring: list[Any], tolerance: float, method: int) -> None:
    points = np.array(ring, np.float64).reshape(-1, 2)
    (got,) = simplify(kernels, [points], tolerance, method)
    assert_subset(got, points)
    if method == DOUGLAS_PEUCKER:
        assert distance_to_ring(points, got).max() <= tolerance + 1e-9
    if method == AREA:
        assert abs(signed_area(points) - signed_area(got)) <= tolerance + 1e-9


def test_simplify_real_polygons(kernels: Any, data: Path) -> None:
    polygons, _ = real_polygons(data / "coco/val2014_100/instances_val2014_100.json")
    rings = [ring for polygon in polygons for ring in polygon]
    for ring, got in zip(rings, simplify(kernels, rings, 1, DOUGLAS_PEUCKER), strict=True):
        assert_subset(got, ring)
        assert distance_to_ring(ring, got).max() <= 1 + 1e-9
    for ring, got in zip(rings, simplify(kernels, rings, 20, AREA), strict=True):
        assert_subset(got, ring)
        assert abs(signed_area(ring) - signed_area(got)) <= 20 + 1e-6


def test_simplify_bad_arguments(kernels: Any) -> None:
    points, rings, _ = flat([[[[0, 0], [9, 0], [0, 9]]]])
    cases = [
        ((points, rings, np.array([-0.5]), 0), "tolerance must be 0 or more, not -0.5"),
        ((points, rings, np.array([np.nan]), 1), "tolerance must be 0 or more, not nan"),
        ((points, rings, np.array([-np.inf]), 1), "tolerance must be 0 or more, not -inf"),
        ((points, rings, np.array([1.0]), 2), "method must be 0 or 1, not 2"),
        ((points, rings, np.array([1.0]), -1), "method must be 0 or 1, not -1"),
        ((points, rings, np.array([-1.0]), 2), "method must be 0 or 1, not 2"),
        ((points.ravel(), rings, np.array([1.0]), 0), "points must have shape (K, 2)"),
        (
            (points, rings + 1, np.array([1.0]), 0),
            "offsets must rise from 0 or more to the number of values or less",
        ),
    ]
    cases.append(
        ((points, rings, np.ones(2), 0), "tolerances must have shape (R,), R being the number of rings")
    )
    for arguments, text in cases:
        with pytest.raises(ValueError) as error:
            kernels.polygons_simplify(*arguments)
        assert str(error.value) == text
    with pytest.raises(TypeError):
        kernels.polygons_simplify(points.astype(np.float32), rings, np.ones(1), 0)
