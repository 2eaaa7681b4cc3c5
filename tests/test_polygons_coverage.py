"""The rule coverage, and ellipses."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from maskmill import Masks, polygons
from reference import Image, Polygon, assert_same, images_of, properties
from test_polygons import EVEN_ODD, KINDS, Size, rasterize, ring_of_kind

COVERAGE = 5


def fill(kernels: Any, shapes: Sequence[Polygon], sizes: Sequence[Size]) -> list[Image]:
    return images_of(rasterize(kernels, shapes, sizes, COVERAGE), sizes)


# Coverage


def covered(polygon: Polygon, size: Size) -> list[list[Fraction]]:
    """The area of every pixel inside by even-odd, of rings with integer coordinates; in fractions.

    Between all corners and crossings, and the rows' borders crossed, a column falls into trapezoids.
    """
    edges = []
    for ring in polygon:
        corners = [(Fraction(int(x)), Fraction(int(y))) for x, y in np.asarray(ring).tolist()]
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
            if a[0] != b[0]:
                edges.append((min(a, b), max(a, b)))

    def y_at(edge: Any, x: Fraction) -> Fraction:
        (ax, ay), (bx, by) = edge
        return ay + (x - ax) * (by - ay) / (bx - ax)

    cuts = {Fraction(x) for x in range(size[1] + 1)}
    for k, e in enumerate(edges):
        cuts |= {e[0][0], e[1][0]}
        for row in range(size[0] + 1):  # where it crosses the border of a row
            if e[0][1] != e[1][1]:
                cuts.add(e[0][0] + (row - e[0][1]) * (e[1][0] - e[0][0]) / (e[1][1] - e[0][1]))
        for f in edges[:k]:
            slopes = [(g[1][1] - g[0][1]) / (g[1][0] - g[0][0]) for g in (e, f)]
            if slopes[0] != slopes[1]:
                cuts.add((y_at(f, Fraction(0)) - y_at(e, Fraction(0))) / (slopes[0] - slopes[1]))
    xs = sorted(x for x in cuts if 0 <= x <= size[1])
    area = [[Fraction(0)] * size[1] for _ in range(size[0])]
    for u0, u1 in zip(xs, xs[1:], strict=False):
        middle = (u0 + u1) / 2
        ys = sorted(y_at(e, middle) for e in edges if e[0][0] <= u0 and e[1][0] >= u1)
        for y0, y1 in zip(ys[::2], ys[1::2], strict=True):
            for row in range(size[0]):
                height = min(y1, Fraction(row + 1)) - max(y0, Fraction(row))
                area[row][int(middle)] += max(height, Fraction(0)) * (u1 - u0)
    return area


@properties
@given(
    polygon=st.lists(
        st.lists(st.tuples(st.integers(-3, 9), st.integers(-3, 9)), min_size=1, max_size=6), max_size=3
    ),
    size=st.tuples(st.integers(0, 7), st.integers(0, 7)),
)
def test_coverage_by_fractions(kernels: Any, polygon: Any, size: Size) -> None:
    (image,) = fill(kernels, [[np.array(ring, float) for ring in polygon]], [size])
    expected = [[area >= Fraction(1, 2) for area in row] for row in covered(polygon, size)]
    np.testing.assert_array_equal(image, np.array(expected, bool).reshape(size))


@pytest.mark.parametrize("kind", KINDS)
def test_coverage_by_samples(kernels: Any, rng: np.random.Generator, kind: str) -> None:
    """Against even-odd at 64 x 64 times as many pixels, where not about half of a pixel is covered."""
    size, fine = (13, 15), 64
    shapes = [[ring_of_kind(kind, rng, int(rng.integers(3, 8))) * 0.3 for _ in range(2)] for _ in range(30)]
    samples = rasterize(
        kernels,
        [[ring * fine for ring in shape] for shape in shapes],
        [(size[0] * fine, size[1] * fine)] * 30,
        EVEN_ODD,
    )
    every = images_of(samples, [(size[0] * fine, size[1] * fine)] * 30)
    for image, sampled in zip(fill(kernels, shapes, [size] * 30), every, strict=True):
        share = sampled.reshape(size[0], fine, size[1], fine).mean(axis=(1, 3))
        sure = np.abs(share - 0.5) > 0.05
        np.testing.assert_array_equal(image[sure], (share > 0.5)[sure])


def test_coverage_of_known_shapes(kernels: Any) -> None:
    half = [[0.5, 0], [3.5, 0], [3.5, 2], [0.5, 2]]
    less = [[0.5001, 0], [3.4999, 0], [3.4999, 2], [0.5001, 2]]
    hole = [[[0, 0], [5, 0], [5, 5], [0, 5]], [[1.2, 1.25], [1.8, 1.25], [1.8, 3.75], [1.2, 3.75]]]
    thin = [[[0, 1.3], [5, 1.3], [5, 1.7], [0, 1.7]]]
    crossed = [[[0, 0], [4, 4], [4, 0], [0, 4]]]
    images = fill(kernels, [[half], [less], hole, thin, crossed], [(5, 5)] * 5)
    assert [image.sum(axis=0).tolist() for image in images] == [
        [2, 2, 2, 2, 0],
        [0, 2, 2, 0, 0],
        [5, 4, 5, 5, 5],
        [0] * 5,
        [4, 2, 2, 4, 0],
    ]


def test_coverage_backends_agree(both: Any, rng: np.random.Generator) -> None:
    shapes = [
        [
            rng.uniform(-1, 1, (int(rng.integers(0, 12)), 2)) * 10.0 ** rng.integers(0, 9)
            for _ in range(int(rng.integers(0, 4)))
        ]
        for _ in range(300)
    ]
    sizes = [(int(rng.integers(0, 40)), int(rng.integers(0, 40))) for _ in shapes]
    assert_same(*(rasterize(kernels, shapes, sizes, COVERAGE) for kernels in both))


def test_coverage_in_a_large_image(kernels: Any) -> None:
    square = np.array([[1000, 66000], [1003, 66000], [1003, 66002], [1000, 66002]], np.float64)
    counts, _ = rasterize(kernels, [[square]], [(70000, 61000)], COVERAGE)
    first = 1000 * 70000 + 66000
    assert counts.tolist() == [first, 2, 69998, 2, 69998, 2, 61000 * 70000 - first - 2 * 70000 - 2]


# Ellipses


def ellipses(kernels: Any, values: Any, sizes: Any) -> list[Image]:
    cx, cy, rx, ry, angle = np.asarray(values, float).reshape(-1, 5).T
    made = np.stack([cx, cy, rx, ry, np.cos(angle), np.sin(angle)], axis=1)
    runs = kernels.polygons_ellipses(made, np.array(sizes, np.int64).reshape(-1, 2))
    return images_of(runs, np.array(sizes).reshape(-1, 2).tolist())


def test_ellipses_by_pixels(kernels: Any, rng: np.random.Generator) -> None:
    n = 400
    values = np.concatenate(
        [rng.uniform(-10, 50, (n, 2)), 10.0 ** rng.uniform(-1, 2, (n, 2)), rng.uniform(-9, 9, (n, 1))], axis=1
    )
    sizes = rng.integers(0, 50, (n, 2))
    for image, (cx, cy, rx, ry, angle), (h, w) in zip(
        ellipses(kernels, values, sizes), values, sizes, strict=True
    ):
        dy, dx = np.mgrid[:h, :w] + 0.5 - np.array([cy, cx])[:, None, None]
        u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        f = (u / rx) ** 2 + (v / ry) ** 2
        sure = np.abs(f - 1) > 1e-9
        np.testing.assert_array_equal(image[sure], (f < 1)[sure])


@properties
@given(
    centre=st.tuples(st.integers(-20, 60), st.integers(-20, 60)),
    radii=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_ellipses_are_exact_on_halves(kernels: Any, centre: Any, radii: Any) -> None:
    """Centres and radii in halves, upright: exact, ellipses through pixel centres included."""
    (image,) = ellipses(kernels, [[*(c / 2 for c in centre), *(r / 2 for r in radii), 0]], [(25, 30)])
    y, x = np.mgrid[:25, :30]
    dx, dy = 2 * x + 1 - centre[0], 2 * y + 1 - centre[1]
    expected = dx**2 * radii[1] ** 2 + dy**2 * radii[0] ** 2 <= radii[0] ** 2 * radii[1] ** 2
    np.testing.assert_array_equal(image, expected)


def test_ellipses_extreme(both: Any, rng: np.random.Generator) -> None:
    n = 300
    values = np.concatenate(
        [
            rng.uniform(-1, 1, (n, 2)) * 10.0 ** rng.integers(0, 9, (n, 2)),
            10.0 ** rng.uniform(-300, 8, (n, 2)) * (rng.random((n, 2)) < 0.9),
            rng.choice([0, 0.3, np.pi / 2, np.pi, 1e-9, 400], (n, 1)),
        ],
        axis=1,
    )
    values[: n // 2, 2:4] = 10.0 ** rng.uniform(-2, 8, (n // 2, 2))
    cx, cy, rx, ry, angle = values.T
    made = np.stack([cx, cy, rx, ry, np.cos(angle), np.sin(angle)], axis=1)
    sizes = rng.integers(0, 60, (n, 2))
    assert_same(*(kernels.polygons_ellipses(made, sizes) for kernels in both))


def test_ellipses_face() -> None:
    counts, offsets, sizes = polygons.ellipses([[5, 5], [2, 3]], [4, 0], 0.0, (10, 12))
    masks = Masks(counts, offsets, sizes)
    assert masks.area.tolist() == [52, 0]
    for radii, angles, message in [
        ([-1, 2], 0, "mask 0: radii must be 0 or more, not -1"),
        ([1, np.nan], 0, "mask 1: an ellipse must be of finite numbers of at most 4e8, not nan"),
        ([1, 5e8], 0, "mask 1: an ellipse must be of finite numbers of at most 4e8, not 5e[+]08"),
        ([1, 5], [0, np.inf], "mask 1: an ellipse must be of finite numbers of at most 4e8, not -?nan"),
        ([[1, 2, 3]], 0, r"radii must have shape \(N, 2\), not \(1, 3\)"),
        ([[1, 2]], 0, "radii must be of 2 ellipses, not of 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            polygons.ellipses([[5, 5], [2, 3]], radii, angles, (10, 12))


def test_ellipses_errors(kernels: Any) -> None:
    bad = np.array([[1.0, 1, 2, 2, 1, 0], [1, -np.inf, 2, 2, 1, 0]])
    with pytest.raises(ValueError) as error:
        kernels.polygons_ellipses(bad, np.full((2, 2), 9))
    assert str(error.value) == "mask 1: an ellipse must be of finite numbers of at most 4e8, not -inf"
    bad[1, 1:4] = 3, 2, -0.5
    with pytest.raises(ValueError) as error:
        kernels.polygons_ellipses(bad, np.full((2, 2), 9))
    assert str(error.value) == "mask 1: radii must be 0 or more, not -0.5"
    with pytest.raises(ValueError, match=r"sizes must have shape \(N, 2\), N being the number of masks"):
        kernels.polygons_ellipses(bad, np.full((3, 2), 9))
