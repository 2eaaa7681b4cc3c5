"""Which outlines are those of a region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from shapely.geometry import LineString, Polygon

from maskmill import polygons
from reference import flat, masks_of, properties, random_masks, small_images
from test_polygons import ring_of_any_kind


def tangles(kernels: Any, polygons: Sequence[Any]) -> list[int]:
    found = kernels.polygons_tangles(*flat(polygons))
    assert found.dtype == np.uint8
    return found.tolist()


OUTER = [[0, 0], [9, 0], [9, 9], [0, 9]]
HOLE = [[2, 2], [2, 4], [4, 4], [4, 2]]


def moved(ring: Any, x: float, y: float) -> Any:
    return (np.array(ring, float) + [x, y]).tolist()


def test_known(kernels: Any) -> None:
    cases: list[tuple[int, list[Any]]] = [
        (0, []),
        (0, [[]]),
        (0, [[[3, 3]]]),
        (1, [[[3, 3], [5, 5]]]),  # there and back
        (0, [OUTER]),
        (0, [[*OUTER, OUTER[0]]]),  # closed twice
        (0, [[OUTER[0], OUTER[0], *OUTER[1:], OUTER[-1]]]),
        (0, [OUTER, HOLE]),
        (0, [HOLE, OUTER]),
        (2, [OUTER, HOLE[::-1]]),
        (2, [OUTER[::-1]]),
        (2, [OUTER, moved(HOLE, 20, 0)]),
        (0, [OUTER, HOLE, moved(HOLE, 4, 0)]),
        (2, [OUTER, HOLE, (np.array(HOLE) / 4 + 2).tolist()]),
        (0, [OUTER, HOLE, (np.array(HOLE[::-1]) / 4 + 2).tolist()]),  # an island
        (1, [OUTER, moved(HOLE, -3, 0)]),
        (1, [OUTER, moved(HOLE, -2, 0)]),  # along the edge
        (0, [OUTER, moved(OUTER, 9, 9)]),  # corner at corner
        (1, [OUTER, moved(OUTER, 9, 3)]),
        (1, [OUTER, OUTER]),
        (1, [OUTER, OUTER[::-1]]),
        (1, [[[0, 0], [4, 4], [4, 0], [0, 4]]]),
        (1, [[[0, 0], [8, 0], [4, 0], [4, 4]]]),  # a spike
        (1, [[[0, 0], [4, 0], [8, 0], [8, 8], [4, 0], [0, 8]]][:1] + [[[4, -2], [5, 0], [4, 2]]]),
        # Two ways through (4, 4): side by side, and crosswise.
        (0, [[[4, 4], [8, 0], [8, 8]], [[4, 4], [0, 8], [0, 0]]]),
        (1, [[[0, 0], [4, 4], [8, 8], [0, 8], [4, 4], [8, 0]]]),
        # A corner on the inside of an edge.
        (1, [[[0, 0], [8, 0], [8, 8], [4, 0], [0, 8]]]),
    ]
    assert tangles(kernels, [polygon for _, polygon in cases]) == [expected for expected, _ in cases]


@pytest.mark.parametrize("connectivity", [4, 8])
@properties
@given(images=small_images)
def test_traced_outlines_are_sound(kernels: Any, images: Any, connectivity: int) -> None:
    points, rings, masks, _ = kernels.outlines_trace(*masks_of(images), connectivity, False)
    assert kernels.polygons_tangles(points, rings, masks).tolist() == [0] * len(images)


def test_traced_outlines_of_noise(kernels: Any, rng: np.random.Generator) -> None:
    images = list(random_masks(rng, 6, 40, 50))
    points, rings, masks, _ = kernels.outlines_trace(*masks_of(images), 8, False)
    assert kernels.polygons_tangles(points, rings, masks).tolist() == [0] * 6
    # One ring walked the other way is found out, one moved too.
    for k in (0, len(rings) // 2):
        turned = points.copy()
        turned[rings[k] : rings[k + 1]] = points[rings[k] : rings[k + 1]][::-1]
        assert kernels.polygons_tangles(turned, rings, masks).any()


@properties
@given(ring=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=3, max_size=9, unique=True))
def test_single_rings_as_shapely(kernels: Any, ring: Any) -> None:
    """No corner comes twice here: then a ring is simple, or tangled, and only its direction may be wrong."""
    simple = LineString([*ring, ring[0]]).is_simple and Polygon(ring).is_valid
    (found,) = tangles(kernels, [[ring]])
    assert (found != 1) == simple
    if simple:
        assert (found == 0) == (not Polygon(ring).exterior.is_ccw) == bool(Polygon(ring).area) or found == (
            0 if Polygon(ring).exterior.is_ccw else 2
        )


def test_backends_agree(both: Any, rng: np.random.Generator) -> None:
    polygons = [[ring_of_any_kind(rng, 7) for _ in range(rng.integers(0, 4))] for _ in range(300)]
    polygons += [[np.round(rng.uniform(0, 9, (4, 2))) for _ in range(2)] for _ in range(300)]
    polygons += [[rng.uniform(-4e8, 4e8, (3, 2))] for _ in range(50)]
    one, other = (tangles(kernels, polygons) for kernels in both)
    assert one == other
    assert set(one) == {0, 1, 2}


def test_fine_combs(compiled: Any) -> None:
    """Many edges beside each other, upright and lying: quickly, and one that crosses is found."""
    n = 20_000
    x, y = np.repeat(np.arange(n), 2), np.tile([0, 1000, 1000, 0], n // 2)
    comb = np.concatenate([np.stack([x, y], axis=1), [[n - 1, -5], [0, -5]]]).astype(float)
    crossed = comb.copy()
    crossed[n, 0] += 3.5
    for ring in (comb, comb[:, ::-1], crossed, crossed[:, ::-1]):
        assert (polygons.tangles([[ring]])[0] == 1) == bool((ring % 1).any())


def test_errors(kernels: Any) -> None:
    with pytest.raises(ValueError) as error:
        tangles(kernels, [[], [OUTER, [[0, 0], [1, np.nan]]]])
    assert str(error.value) == "mask 1: point 1 of a ring is (1, nan), not finite and at most 4e8"
    with pytest.raises(ValueError, match="offsets must rise"):
        kernels.polygons_tangles(np.zeros((3, 2)), np.array([0, 4]), np.array([0, 1]))
