"""The rules of scikit-image and labelme, and the shapes of labelme."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from PIL import Image as PillowImage
from PIL import ImageDraw
from skimage.draw import polygon2mask

from maskmill import Masks
from maskmill.io._labelme_raster import shape_mask
from reference import Image, assert_same, images_of, properties
from test_polygons import KINDS, Ring, Size, rasterize, ring_of_kind, ring_strategy, side

SKIMAGE, LABELME = 3, 4


def as_skimage(ring: Ring, size: Size) -> Image:
    return np.asarray(polygon2mask(size, np.asarray(ring)[:, ::-1]), bool)


def as_labelme(ring: Ring, size: Size) -> Image:
    image = PillowImage.new("L", size[::-1])
    ImageDraw.Draw(image).polygon([tuple(point) for point in np.asarray(ring).tolist()], outline=1, fill=1)
    return np.asarray(image) != 0


ORACLES = {SKIMAGE: as_skimage, LABELME: as_labelme}
BOTH_RULES = pytest.mark.parametrize("rule", ORACLES)


def assert_as_oracle(kernels: Any, rule: int, rings: Sequence[Ring], sizes: Sequence[Size]) -> None:
    got = images_of(rasterize(kernels, [[ring] for ring in rings], sizes, rule), sizes)
    for image, ring, size in zip(got, rings, sizes, strict=True):
        np.testing.assert_array_equal(image, ORACLES[rule](ring, size), err_msg=f"{np.asarray(ring)} {size}")


@BOTH_RULES
@pytest.mark.parametrize("kind", KINDS)
def test_as_oracle_on_kinds(kernels: Any, rng: np.random.Generator, rule: int, kind: str) -> None:
    sizes = [(int(rng.integers(1, 50)), int(rng.integers(1, 50))) for _ in range(300)]
    assert_as_oracle(kernels, rule, [ring_of_kind(kind, rng, int(rng.integers(2, 14))) for _ in sizes], sizes)


@BOTH_RULES
def test_as_oracle_on_many_points(kernels: Any, rng: np.random.Generator, rule: int) -> None:
    # Small integer coordinates: corners on corners and on edges, edges on edges, upright and flat pieces.
    rings = [rng.integers(-3, 13, (int(rng.integers(2, 60)), 2)).astype(float) for _ in range(400)]
    assert_as_oracle(kernels, rule, rings, [(11, 9)] * len(rings))


@BOTH_RULES
def test_as_oracle_far_away(kernels: Any, rng: np.random.Generator, rule: int) -> None:
    rings = [rng.uniform(-1, 1, (5, 2)) * 10.0 ** rng.integers(1, 9, (5, 2)) for _ in range(80)]
    assert_as_oracle(kernels, rule, rings, [(23, 31)] * len(rings))


@BOTH_RULES
@properties
@given(ring=ring_strategy.filter(lambda ring: len(ring) > 1), size=st.tuples(side, side))
def test_as_oracle_property(kernels: Any, rule: int, ring: list[Any], size: Size) -> None:
    assert_as_oracle(kernels, rule, [np.array(ring)], [size])


@BOTH_RULES
def test_backends_agree(both: Any, rng: np.random.Generator, rule: int) -> None:
    polygons = [
        [
            rng.uniform(-1, 1, (int(rng.integers(0, 9)), 2)) * 10.0 ** rng.integers(0, 9)
            for _ in range(int(rng.integers(0, 4)))
        ]
        for _ in range(200)
    ]
    sizes = [(int(rng.integers(0, 40)), int(rng.integers(0, 40))) for _ in polygons]
    assert_same(*(rasterize(kernels, polygons, sizes, rule) for kernels in both))


def test_skimage_holes_are_holes_with_their_edges(kernels: Any) -> None:
    outer = [[1, 1], [7, 1], [7, 7], [1, 7]]
    hole = [[3, 3], [5, 3], [5, 5], [3, 5]]
    (image,) = images_of(rasterize(kernels, [[outer, hole]], [(9, 9)], SKIMAGE), [(9, 9)])
    expected = np.zeros((9, 9), bool)
    expected[1:8, 1:8] = True
    expected[4, 4] = False
    np.testing.assert_array_equal(image, expected)


def test_labelme_unites_rings(kernels: Any, rng: np.random.Generator) -> None:
    rings = [rng.uniform(0, 30, (5, 2)) for _ in range(3)]
    (image,) = images_of(rasterize(kernels, [rings], [(30, 30)], LABELME), [(30, 30)])
    np.testing.assert_array_equal(image, np.any([as_labelme(ring, (30, 30)) for ring in rings], axis=0))


@BOTH_RULES
def test_in_a_large_image(kernels: Any, rule: int) -> None:
    square = np.array([[1000, 66000], [1003, 66000], [1003, 66002], [1000, 66002]], np.float64)
    counts, _ = rasterize(kernels, [[square]], [(70000, 61000)], rule)
    first = 1000 * 70000 + 66000
    assert counts.tolist() == [first, 3, *[69997, 3] * 3, 61000 * 70000 - first - 3 * 70000 - 3]


@BOTH_RULES
def test_nothing_and_next_to_nothing(kernels: Any, rule: int) -> None:
    polygons: list[Any] = [[], [np.empty((0, 2))], [np.empty((0, 2)), [[3.0, 3], [3, 3], [5, 3]]]]
    images = images_of(rasterize(kernels, polygons, [(9, 9)] * 3, rule), [(9, 9)] * 3)
    assert [int(image.sum()) for image in images] == [0, 0, 3 if rule == LABELME else 2]
    for size in ((0, 5), (5, 0), (0, 0)):
        assert rasterize(kernels, [[[[0, 0], [9, 0], [9, 9]]]], [size], rule)[0].tolist() == [0]


@BOTH_RULES
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 5e8])
def test_bad_point(kernels: Any, rule: int, bad: float) -> None:
    rings = [[[0, 0], [5, 0], [5, 5]], [[1, 1], [2, bad], [2, 2]]]
    with pytest.raises(ValueError) as error:
        rasterize(kernels, [[], rings], [(9, 9)] * 2, rule)
    assert str(error.value) == f"mask 1: point 1 of a ring is (2, {bad:g}), not finite and at most 4e8"


# labelme's shapes


def shapes_of(file: Path) -> list[tuple[str, Any]]:
    return [(shape["shape_type"], shape["points"]) for shape in json.loads(file.read_text())["shapes"]]


def test_shapes_of_labelme(data: Path) -> None:
    shapes = shapes_of(data / "labelme/primitives/primitives.json")
    areas = [int(shape_mask(kind, at, (450, 560)).area[0]) for kind, at in shapes if kind != "mask"]
    assert areas == [10201, 8144, 15656, 11085, 514, 97, 2358]


def test_polygons_of_labelme(data: Path) -> None:
    total = by_coco = 0
    for file in sorted((data / "labelme/instance_segmentation/data_annotated").glob("*.json")):
        size = PillowImage.open(file.with_suffix(".jpg")).size[::-1]
        for kind, points in shapes_of(file):
            assert kind == "polygon"
            mask = shape_mask(kind, points, size)
            np.testing.assert_array_equal(mask.decode()[0], as_labelme(np.array(points), size))
            total += int(mask.area[0])
            by_coco += int(Masks.from_polygons([[points]], size).area[0])
    assert (total, by_coco) == (263987, 261310)


def pillow_shape(kind: str, points: Any, size: Size) -> Image:
    """On the whole image."""
    image = PillowImage.new("L", size[::-1])
    draw = ImageDraw.Draw(image)
    xy = [tuple(point) for point in points]
    if kind in ("circle", "point"):
        (cx, cy), r = xy[0], 5.0
        if kind == "circle":
            r = float(np.sqrt((cx - xy[1][0]) ** 2 + (cy - xy[1][1]) ** 2))
        draw.ellipse([cx - r, cy - r, cx + r, cy + r], outline=1, fill=1)
    elif kind == "rectangle":
        (x0, y0), (x1, y1) = xy
        draw.rectangle([min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)], outline=1, fill=1)
    else:
        draw.line(xy, fill=1, width=10, joint="curve" if kind == "linestrip" else None)
    return np.asarray(image) != 0


@pytest.mark.parametrize("kind", ["rectangle", "circle", "point", "line", "linestrip"])
def test_shapes_anywhere(rng: np.random.Generator, kind: str) -> None:
    for _ in range(200):
        size = (int(rng.integers(1, 90)), int(rng.integers(1, 90)))
        n = {"point": 1, "linestrip": int(rng.integers(2, 7))}.get(kind, 2)
        points = rng.uniform(-30, 120, (n, 2))
        if rng.random() < 0.5:
            points = np.round(points)
        mask = shape_mask(kind, points, size)
        np.testing.assert_array_equal(
            mask.decode()[0] != 0,
            pillow_shape(kind, points.tolist(), size),
            err_msg=f"{points.tolist()} {size}",
        )


def test_shapes_that_are_none() -> None:
    for kind, points, message in [
        ("mask", [[0, 0]], "kind must be one of 'rectangle', .*, not 'mask'"),
        ("polygon", [[0, 0], [1, 1]], "a polygon must have 3 points or more, not 2"),
        ("circle", [[0, 0]] * 3, "a circle must have 2 points, not 3"),
        ("point", [0, 0], r"points must have shape \(K, 2\), not \(2,\)"),
        ("line", [[0, 0], [np.nan, 1]], r"point 1 is \(nan, 1\), not finite and at most 4e8"),
        ("circle", [[0, 0], [3e4, 0]], "a circle must be at most 50000 pixels across, not 60000"),
    ]:
        with pytest.raises(ValueError, match=message):
            shape_mask(kind, points, (9, 9))
    assert shape_mask("line", [[-4e8, -4e8], [-5, 4e8]], (9, 9)).area.tolist() == [0]
