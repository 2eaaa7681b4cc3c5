"""Polygons of fewer points within limits, and what polygons have lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from shapely.geometry import LinearRing, Polygon

from conftest import random_masks
from maskmill import Masks, polygons, vectorize
from maskmill.io.images import read_image
from reference import properties, small_images


def shapes(rng: np.random.Generator, n: int = 60) -> Masks:
    """Ellipses with holes and islands, and noise of several parts."""
    at, radii = rng.uniform(20, 80, (n, 2)), rng.uniform(6, 30, (n, 2))
    outer, inner, core = (
        Masks(*polygons.ellipses(at, radii * scale, rng.uniform(0, 3), (100, 110))) for scale in (1, 0.6, 0.3)
    )
    noise = Masks.encode(random_masks(rng, 8, 100, 110)).erode(1).dilate(2)
    return Masks.concatenate([outer, outer - inner, (outer - inner) | core, noise, Masks.empty([(100, 110)])])


LIMITS: list[dict[str, float]] = [
    {"max_distance": 0.0},
    {"max_distance": 1.5},
    {"max_distance": 30.0},
    {"max_area_change": 0.01},
    {"min_iou": 0.97},
    {"min_iou": 1.0},
    {"max_distance": 3.0, "max_area_change": 0.02, "min_iou": 0.9},
]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("connectivity", [4, 8])
def test_limits_are_kept(backend: str, rng: np.random.Generator, limits: Any, connectivity: int) -> None:
    masks = shapes(rng, 60 if backend == "cpp" else 10)
    found = vectorize.trace(*masks._arrays, connectivity=connectivity, **limits)
    exact = masks.polygons(connectivity=connectivity)
    np.testing.assert_array_equal(found.polygons.masks, exact.masks)
    np.testing.assert_array_equal(found.polygons.parent, exact.parent)
    assert not polygons.tangles(found.polygons).any()
    # What it says is so.
    filled = Masks.from_polygons(found.polygons, masks.sizes, rule="even-odd")
    common, either = (masks & filled).area, (masks | filled).area
    np.testing.assert_array_equal(found.loss.iou[either > 0], (common / np.maximum(either, 1))[either > 0])
    areas = np.array([sum(signed(ring) for ring in rings) for rings in found.polygons])
    np.testing.assert_allclose(found.loss.area_change * masks.area, areas - masks.area, atol=1e-6)
    # And within the limits.
    assert (found.loss.iou >= limits.get("min_iou", 0)).all()
    assert (np.abs(found.loss.area_change) <= limits.get("max_area_change", np.inf)).all()
    assert (found.tolerance <= limits.get("max_distance", np.inf)).all()
    for one, other, tolerance in zip(exact, found.polygons, found.tolerance, strict=True):
        for ring, short in zip(one, other, strict=True):
            assert LinearRing(ring).hausdorff_distance(LinearRing(short)) <= tolerance + 1e-9
    if max(limits.values()) > 0 and limits != {"min_iou": 1.0}:
        assert len(found.polygons.points) < 0.7 * len(exact.points)


def signed(ring: Any) -> float:
    """Positive for outer rings, which go clockwise as seen."""
    return float(Polygon(ring).area) * (-1 if not LinearRing(ring).is_ccw else 1)


def test_without_limits_all_is_exact(backend: str, rng: np.random.Generator) -> None:
    masks = shapes(rng, 10)
    found = vectorize.trace(*masks._arrays)
    np.testing.assert_array_equal(found.polygons.points, masks.polygons().points)
    assert found.loss.iou.tolist() == [1] * len(masks)
    assert found.loss.area_change.tolist() == [0] * len(masks)
    assert found.tolerance.tolist() == [0] * len(masks)
    assert len(vectorize.trace(*masks[:0]._arrays, min_iou=0.5).polygons) == 0


@properties
@given(images=small_images, distance=st.floats(0, 9), connectivity=st.sampled_from([4, 8]))
def test_topology_is_kept(backend: str, images: Any, distance: float, connectivity: int) -> None:
    masks = Masks.concatenate([Masks.encode(image) for image in images])
    found = masks.polygons(connectivity=connectivity, max_distance=distance)
    assert not polygons.tangles(found).any()
    np.testing.assert_array_equal(found.masks, masks.polygons(connectivity=connectivity).masks)


def test_small_hole_in_a_bump_stays_inside() -> None:
    image = np.zeros((40, 60), bool)
    image[10:30, 5:55] = True
    image[4:10, 25:32] = True  # a bump that a coarse outline cuts off,
    image[6:8, 27:30] = False  # with a hole in it
    masks = Masks.encode(image)
    coarse = polygons.Polygons(
        *polygons.simplify(masks.polygons().points, masks.polygons().rings, 7.0),
        masks.polygons().masks,
        masks.polygons().parent,
    )
    assert polygons.tangles(coarse).tolist() != [0]
    found = vectorize.trace(*masks._arrays, max_distance=7.0)
    assert polygons.tangles(found.polygons).tolist() == [0]
    assert 0 < found.tolerance[0] < 7


def test_for_coco(backend: str, rng: np.random.Generator) -> None:
    masks = shapes(rng, 10)
    found = vectorize.trace(*masks._arrays, "coco", min_iou=0.9)
    again = Masks.from_polygons(found.polygons.to_coco(), masks.sizes)
    common, either = (masks & again).area, (masks | again).area
    assert (common >= 0.9 * either).all()
    with_holes = masks.fill_holes().area > masks.area
    assert (again[with_holes] ^ masks[with_holes]).area.max() == 0
    assert (found.tolerance[with_holes] == 0).all()
    assert (found.tolerance[:10] > 0).all()
    assert len(found.polygons.points) < len(masks.polygons("coco").points)
    assert masks.polygons("coco", min_iou=0.9).to_coco() == found.polygons.to_coco()


def test_losses() -> None:
    masks = Masks.encode(np.pad(np.ones((3, 8, 8), bool), ((0, 1), (2, 2), (2, 2))))
    outlines = masks.polygons()
    moved = replace(outlines, points=outlines.points + np.array([[0, 0]] * 4 + [[1, 0]] * 4 + [[0, 0.4]] * 4))
    loss = vectorize.losses(moved, *masks._arrays)
    np.testing.assert_allclose(loss.iou, [1, 7 / 9, 1, 1])
    np.testing.assert_allclose(loss.area_change, [0, 0, 0, 0], atol=1e-12)
    loss = vectorize.losses(moved, *masks._arrays, iou=False)
    assert np.isnan(loss.iou).all()
    drawn = polygons.Polygons.from_lists([[[0, 0, 4, 0, 4, 2]], []])
    nothing = vectorize.losses(drawn, *Masks.empty([(9, 9), (9, 9)])._arrays)
    assert nothing.area_change.tolist() == [np.inf, 0]
    assert nothing.iou.tolist() == [0, 1]


def test_bad_limits() -> None:
    masks = Masks.encode(np.ones((3, 3), bool))
    for limits, message in [
        ({"max_distance": -1}, "max_distance must be 0 or more, not -1"),
        ({"max_area_change": np.nan}, "max_area_change must be 0 or more, not nan"),
        ({"min_iou": 1.5}, "min_iou must be 0 to 1, not 1.5"),
        ({"max_distance": np.inf}, "max_distance must be 0 or more, not inf"),
    ]:
        with pytest.raises(ValueError, match=message):
            masks.polygons(**limits)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rule must be one of 'exact', 'coco', not 'even-odd'"):
        masks.polygons("even-odd", min_iou=1)


def test_flakes(data: Path) -> None:
    """The 63 real flakes: exact, and at an IoU of 0.95 with a fraction of the points."""
    files = sorted((data / "flakes").rglob("*.png"))
    found = [Masks.from_labels(np.asarray(read_image(file)))[0] for file in files]
    masks = Masks.concatenate(found)
    assert len(masks) == 63
    exact = vectorize.trace(*masks._arrays)
    assert exact.loss.iou.min() == 1
    assert np.abs(exact.loss.area_change).max() == 0
    close = vectorize.trace(*masks._arrays, min_iou=0.95)
    assert close.loss.iou.min() >= 0.95
    assert len(close.polygons.points) < len(exact.polygons.points) / 4
