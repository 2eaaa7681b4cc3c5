"""Kernel polygons: rasterising by named rules, simplification."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from pycocotools import _mask
from scipy.spatial import Delaunay

from conftest import ODD_SIZES, Emulated
from maskmill import rle
from reference import Image, Polygon, assert_runs, assert_same, flat, images_of, properties

Ring: TypeAlias = NDArray[np.float64]
Size: TypeAlias = tuple[int, int]

COCO, EVEN_ODD, NON_ZERO = range(3)


def rasterize(kernels: Any, polygons: Sequence[Polygon], sizes: Sequence[Size], rule: int) -> Any:
    if isinstance(kernels, Emulated) and rule > NON_ZERO:
        pytest.skip("the rule has no twin on the GPU")
    return kernels.polygons_rasterize(*flat(polygons), np.array(sizes, np.int64).reshape(-1, 2), rule)


def strings(runs: Any) -> list[bytes]:
    """Every mask as COCO writes it."""
    return rle.to_strings(*runs)


def digest(counts: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(text + b"\n" for text in counts)).hexdigest()[:16]


# COCO's rule: the same bits as pycocotools


def coco_string(polygon: Polygon, size: Size) -> bytes:
    """What pycocotools makes of the rings of one mask."""
    rles = _mask.frPoly([np.asarray(ring, np.float64).ravel().tolist() for ring in polygon], *size)
    return bytes(_mask.merge(rles)["counts"] if len(rles) != 1 else rles[0]["counts"])


def assert_as_coco(kernels: Any, polygons: Sequence[Polygon], sizes: Sequence[Size]) -> None:
    got = strings(rasterize(kernels, polygons, sizes, COCO))
    for polygon, size, counts in zip(polygons, sizes, got, strict=True):
        assert counts == coco_string(polygon, size), (polygon, size)


def congruential(state: int) -> Iterator[int]:
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield state >> 33


@cache
def random_shapes() -> tuple[list[Polygon], list[Size], list[list[float]], list[Size]]:
    """20,000 polygons and 20,000 boxes, the same on every machine."""
    draw = congruential(12345).__next__
    polygons: list[Polygon] = []
    boxes = []
    sizes: list[Size] = []
    box_sizes: list[Size] = []
    for _ in range(20000):
        k = 3 + draw() % 12
        sizes.append((1 + draw() % 64, 1 + draw() % 64))
        polygons.append([np.array([(draw() % 9000 - 1500) / 100 for _ in range(2 * k)]).reshape(-1, 2)])
    for _ in range(20000):
        box_sizes.append((1 + draw() % 64, 1 + draw() % 64))
        boxes.append([(draw() % 9000 - 1500) / 100 for _ in range(4)])
    return polygons, sizes, boxes, box_sizes


def box_ring(box: Sequence[float]) -> Ring:
    """A box as COCO's own code turns it into a ring."""
    x, y, width, height = box
    return np.array([[x, y], [x, y + height], [x + width, y + height], [x + width, y]])


def test_coco_random_polygons(kernels: Any) -> None:
    polygons, sizes, _, _ = random_shapes()
    # The digest of what pycocotools 2.0.11 makes of them.
    assert digest(strings(rasterize(kernels, polygons, sizes, COCO))) == "87e692e87f60d54b"
    assert_as_coco(kernels, polygons[:2000], sizes[:2000])


def test_coco_random_boxes(kernels: Any) -> None:
    _, _, boxes, sizes = random_shapes()
    got = strings(rasterize(kernels, [[box_ring(box)] for box in boxes], sizes, COCO))
    assert digest(got) == "797ac3e8dd835895"
    for box, size, counts in zip(boxes[:2000], sizes, got, strict=False):
        assert counts == _mask.frBbox(np.array([box]), *size)[0]["counts"]


def test_coco_known_box(kernels: Any) -> None:
    counts, _ = rasterize(kernels, [[[[2, 2], [7, 2], [7, 6], [2, 6]]]], [(10, 10)], COCO)
    assert counts.tolist() == [22, 4, 6, 4, 6, 4, 6, 4, 6, 4, 34]


def ring_of_kind(kind: str, rng: np.random.Generator, points: int) -> Ring:
    """Points of a ring that something is special about."""
    ring = rng.uniform(-20, 60, (points, 2))
    if kind == "negative":
        ring = -np.abs(ring) + rng.choice([0, 5, 20])
    elif kind == "tenths":
        ring = np.round(ring * 10) / 10
    elif kind == "fifths":
        ring = np.round(ring * 5) / 5
    elif kind == "integers":
        ring = np.round(ring)
    elif kind == "repeated":
        ring = np.round(ring).repeat(rng.integers(1, 4, points), axis=0)
    elif kind == "collinear":
        ring = np.linspace(ring[0], ring[-1], points)[rng.permutation(points)]
    elif kind == "upright":
        ring[:, 0] = rng.uniform(0, 40) + rng.integers(-2, 3, points) / 5
    elif kind == "flat":
        ring[:, 1] = rng.uniform(0, 40) + rng.integers(-2, 3, points) / 5
    elif kind == "diagonal":
        ring[:, 1] = ring[:, 0] * rng.choice([-1, 1]) + rng.integers(-3, 4, points) / 5
    elif kind == "large":
        ring *= 100
    else:
        assert kind == "fractional"
    return ring


KINDS = ["negative", "tenths", "fifths", "integers", "repeated", "collinear", "upright", "flat", "diagonal"]
KINDS += ["large", "fractional"]


def ring_of_any_kind(rng: np.random.Generator, most_points: int) -> Ring:
    return ring_of_kind(str(rng.choice(KINDS)), rng, int(rng.integers(1, most_points)))


@pytest.mark.parametrize("kind", KINDS)
def test_coco_kinds(kernels: Any, rng: np.random.Generator, kind: str) -> None:
    sizes = [(int(rng.integers(1, 50)), int(rng.integers(1, 50))) for _ in range(400)]
    assert_as_coco(kernels, [[ring_of_kind(kind, rng, int(rng.integers(1, 10)))] for _ in sizes], sizes)


def test_coco_several_rings(kernels: Any, rng: np.random.Generator) -> None:
    sizes = [(int(rng.integers(1, 50)), int(rng.integers(1, 50))) for _ in range(400)]
    polygons = [[ring_of_any_kind(rng, 8) for _ in range(rng.integers(2, 5))] for _ in sizes]
    assert_as_coco(kernels, polygons, sizes)


def test_coco_odd_sizes(kernels: Any, rng: np.random.Generator) -> None:
    polygons = [[rng.uniform(-10, 140, (rng.integers(3, 9), 2))] for _ in range(20)]
    for size in ODD_SIZES:
        if 0 in size:
            got = rasterize(kernels, polygons, [size] * 20, COCO)
            assert_runs(got, [np.zeros(size, bool)] * 20)
        else:
            assert_as_coco(kernels, polygons, [size] * 20)


HUGE_RINGS = [
    [[-3e6, -2e6], [3e6, 1.5e6 + 0.3], [10, 50]],
    [[5.2, -3e6], [9.4, 3e6], [30, 10], [12.7, -3e6]],
    [[-3e6, 20.3], [3e6, 22.9], [3e6, 30], [-3e6, 25]],
]


@pytest.mark.parametrize("ring", HUGE_RINGS)
def test_coco_huge(kernels: Any, ring: list[list[float]]) -> None:
    assert_as_coco(kernels, [[np.array(ring)]], [(40, 50)])


def test_coco_long_steps(kernels: Any) -> None:
    # An edge of 322,122,546 fifths of a pixel, there and back. Where the products of its slope round
    # differently, one step goes over two columns of fifths; pycocotools sees the one or the other, depending
    # on the direction. It needs 5 GB for this; the runs are what it found.
    ring = np.array([[-53687089.8, -53687089.0], [10737419.0, 10737420.4]])
    counts, _ = rasterize(kernels, [[ring]], [(6, 8)], COCO)
    assert counts.tolist() == [9, 39]


coordinate = st.one_of(
    st.integers(-100, 300).map(lambda fifth: fifth / 5),
    st.integers(-200, 600).map(lambda tenth: tenth / 10),
    st.floats(-30, 60, allow_subnormal=False),
)
ring_strategy = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=7)
side = st.integers(1, 40)


@properties
@given(polygon=st.lists(ring_strategy, min_size=1, max_size=3), size=st.tuples(side, side))
def test_coco_property(kernels: Any, polygon: list[Any], size: Size) -> None:
    assert_as_coco(kernels, [[np.array(ring) for ring in polygon]], [size])


REAL = {
    "coco/val2014_100/instances_val2014_100.json": (830, 939, 8892095, "e1bccc23f6cc4c83"),
    "lvis/lvis_val_100.json": (977, 1135, 4937393, "89f0ecdfc7cc3792"),
    "coco/dense_3img/eval_all_coco.json": (3253, 3253, 1685736, "b96a04fa7c36eaee"),
    "taco/annotations.json": (4784, 5038, 719568164, "86578dc32e87b2fa"),
    "taco/annotations_unofficial.json": (8319, 8617, 1641533889, "dd7023389f82a8ab"),
}
"""Masks, rings, pixels and the digest of merge(frPyObjects(..)) by pycocotools 2.0.11."""


@cache
def real_polygons(file: Path) -> tuple[list[Polygon], list[Size]]:
    """The polygons of a file in COCO format, without empty ones."""
    content = json.loads(file.read_text())
    size = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    polygons: list[Polygon] = []
    sizes: list[Size] = []
    for annotation in content["annotations"]:
        rings = annotation["segmentation"]
        if isinstance(rings, list) and rings:
            polygons.append([np.array(ring, np.float64).reshape(-1, 2) for ring in rings])
            sizes.append(size[annotation["image_id"]])
    return polygons, sizes


@pytest.mark.parametrize("name", REAL)
def test_coco_real_files(kernels: Any, data: Path, name: str) -> None:
    polygons, sizes = real_polygons(data / name)
    runs = rasterize(kernels, polygons, sizes, COCO)
    area = int(rle.area(*runs).sum())
    assert (len(polygons), sum(map(len, polygons)), area, digest(strings(runs))) == REAL[name]


def test_backends_agree_on_anything(both: Any, rng: np.random.Generator) -> None:
    polygons = []
    for scale in (1, 1e2, 1e4, 1e6, 1e7, 4e8):
        for _ in range(150):
            ring = rng.uniform(-1, 1, (rng.integers(0, 8), 2)) * scale
            keep_near = rng.random(2) < 0.4
            polygons.append([np.where(keep_near, rng.uniform(-5, 45, ring.shape), ring)])
    sizes = [(int(rng.integers(0, 40)), int(rng.integers(0, 40))) for _ in polygons]
    for rule in (COCO, EVEN_ODD, NON_ZERO):
        assert_same(*(rasterize(kernels, polygons, sizes, rule) for kernels in both))


# Even-odd and non-zero: samples at pixel centres


def winding(polygon: Polygon, size: Size) -> tuple[NDArray[np.int64], Image]:
    """(H, W) how often the rings go around each pixel centre; and whether the centre is on an edge.

    Exact for coordinates that are multiples of 1/8. A centre on an edge counts as below, or right of it.
    """
    y, x = np.ogrid[: size[0], : size[1]]
    x, y = 8 * x + 4, 8 * y + 4
    turns = np.zeros(size, np.int64)
    on_edge = np.zeros(size, bool)
    for ring in polygon:
        corners = np.round(np.asarray(ring) * 8).astype(np.int64)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            turn = 1 if ax < bx else -1
            left, right = sorted([(ax, ay), (bx, by)])
            # Positive: the centre is below the edge.
            side = (y - left[1]) * (right[0] - left[0]) - (x - left[0]) * (right[1] - left[1])
            turns += turn * ((left[0] <= x) & (x < right[0]) & (side >= 0))
            between = (min(ax, bx) <= x) & (x <= max(ax, bx)) & (min(ay, by) <= y) & (y <= max(ay, by))
            on_edge |= (side == 0) & between
    return turns, on_edge


def inside(turns: NDArray[np.int64], rule: int) -> Image:
    return turns % 2 == 1 if rule == EVEN_ODD else turns != 0


def rasterize_one(kernels: Any, polygon: Polygon, size: Size, rule: int) -> Image:
    return images_of(rasterize(kernels, [polygon], [size], rule), [size])[0]


def star(points: int, step: int, center: tuple[float, float], radius: float) -> Ring:
    """A star {points / step} that crosses itself, on eighths of a pixel."""
    angle = np.arange(points) * step * 2 * np.pi / points
    return np.round((np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius + center) * 8) / 8


@pytest.mark.parametrize("rule", [EVEN_ODD, NON_ZERO])
def test_centres_of_stars(kernels: Any, rule: int) -> None:
    size = (61, 67)
    for points, step in [(5, 1), (5, 2), (7, 2), (7, 3), (9, 4), (24, 11)]:
        polygon = [star(points, step, (33.125, 30.25), 28.5)]
        turns, on_edge = winding(polygon, size)
        got = rasterize_one(kernels, polygon, size, rule)
        np.testing.assert_array_equal(got[~on_edge], inside(turns, rule)[~on_edge])
    # In the middle of {24 / 11}, the outline goes around 11 times; in that of {5 / 2}, twice.
    assert rasterize_one(kernels, [star(5, 2, (33, 30), 28)], size, rule)[30, 33] == (rule == NON_ZERO)


@pytest.mark.parametrize("rule", [EVEN_ODD, NON_ZERO])
def test_centres_of_random_rings(kernels: Any, rng: np.random.Generator, rule: int) -> None:
    polygons = []
    sizes: list[Size] = []
    for _ in range(300):
        rings = rng.integers(0, 4)
        grid = rng.choice([1, 4, 8])
        polygons.append([rng.integers(-100, 400, (rng.integers(0, 9), 2)) / grid for _ in range(rings)])
        sizes.append((int(rng.integers(0, 50)), int(rng.integers(0, 50))))
    images = images_of(rasterize(kernels, polygons, sizes, rule), sizes)
    for polygon, size, got in zip(polygons, sizes, images, strict=True):
        turns, on_edge = winding(polygon, size)
        np.testing.assert_array_equal(got[~on_edge], inside(turns, rule)[~on_edge])


@pytest.mark.parametrize("rule", [EVEN_ODD, NON_ZERO])
def test_centres_on_edges(kernels: Any, rng: np.random.Generator, rule: int) -> None:
    # Corners at pixel centres, slopes that are exact in binary: what is on an edge is inside if below or
    # right of it.
    steps = np.array([[4, 4], [4, -4], [8, 4], [0, 4], [4, 0], [8, -2], [16, 4]])
    for _ in range(100):
        path = np.cumsum(steps[rng.integers(0, len(steps), 6)], axis=0)
        # There and back by other ways, in mirror image, so that the closing edge is upright.
        ring = np.concatenate([path, (path * [1, -1])[::-1] + [0, 24]]) + [0.5, 16.5]
        turns, _ = winding([ring], (50, 60))
        np.testing.assert_array_equal(rasterize_one(kernels, [ring], (50, 60), rule), inside(turns, rule))


def test_centres_of_squares(kernels: Any) -> None:
    square = np.array([[0.5, 0.5], [2.5, 0.5], [2.5, 2.5], [0.5, 2.5]])
    expected = np.zeros((4, 4), bool)
    expected[:2, :2] = True
    for ring in (square, square[::-1]):
        for rule in (EVEN_ODD, NON_ZERO):
            np.testing.assert_array_equal(rasterize_one(kernels, [ring], (4, 4), rule), expected)
    # A hole for even-odd; for non-zero only if it goes the other way.
    rings = np.array([[0, 0], [9, 0], [9, 9], [0, 9]]), np.array([[3, 3], [6, 3], [6, 6], [3, 6]])
    same, opposite = [rings[0], rings[1]], [rings[0], rings[1][::-1]]
    areas = [
        int(rle.area(*rasterize(kernels, [polygon], [(9, 9)], rule))[0])
        for polygon, rule in [(same, EVEN_ODD), (opposite, EVEN_ODD), (same, NON_ZERO), (opposite, NON_ZERO)]
    ]
    assert areas == [72, 72, 81, 72]


@pytest.mark.parametrize("grid", [1, 2, 5, 8, None])
@pytest.mark.parametrize("rule", [EVEN_ODD, NON_ZERO])
def test_partition_covers_every_pixel_once(
    kernels: Any, rng: np.random.Generator, rule: int, grid: int | None
) -> None:
    size = (41, 53)
    corners = rng.uniform(-5, 60, (150, 2))
    if grid is not None:
        corners = np.unique(np.round(corners * grid) / grid, axis=0)
    corners = np.concatenate([corners, [[-500, -500], [500, -500], [-500, 500], [500, 500]]])
    triangles = [[corners[t]] for t in Delaunay(corners).simplices]
    images = images_of(rasterize(kernels, triangles, [size] * len(triangles), rule), [size] * len(triangles))
    np.testing.assert_array_equal(np.sum(images, axis=0), np.ones(size))


@properties
@given(
    polygon=st.lists(st.lists(st.tuples(st.integers(-40, 80), st.integers(-40, 80)), max_size=7), max_size=3),
    size=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    rule=st.sampled_from([EVEN_ODD, NON_ZERO]),
)
def test_centres_property(kernels: Any, polygon: list[Any], size: Size, rule: int) -> None:
    rings = [np.array(ring, np.float64).reshape(-1, 2) / 4 for ring in polygon]
    turns, on_edge = winding(rings, size)
    got = rasterize_one(kernels, rings, size, rule)
    np.testing.assert_array_equal(got[~on_edge], inside(turns, rule)[~on_edge])


# Empty input, layout, errors


@pytest.mark.parametrize("rule", [COCO, EVEN_ODD, NON_ZERO])
def test_rasterize_large_images(kernels: Any, rule: int) -> None:
    square = np.array([[1000, 66000], [1003, 66000], [1003, 66002], [1000, 66002]], np.float64)
    size = (70000, 61000)
    counts, _ = rasterize(kernels, [[square]], [size], rule)
    first = 1000 * 70000 + 66000
    assert counts.tolist() == [first, 2, 69998, 2, 69998, 2, 61000 * 70000 - first - 2 * 70000 - 2]
    with pytest.raises(ValueError) as error:
        rasterize(kernels, [[square]], [(70000, 70000)], rule)
    assert str(error.value) == "a run is longer than 2^32 - 1 pixels"


@pytest.mark.parametrize("rule", [COCO, EVEN_ODD, NON_ZERO])
def test_rasterize_nothing(kernels: Any, rule: int) -> None:
    assert_runs(rasterize(kernels, [], [], rule), [])
    triangle = np.array([[0, 0], [9, 0], [0, 9.0]])
    polygons = [[], [np.empty((0, 2))], [triangle], [], [np.empty((0, 2)), triangle]]
    images = images_of(rasterize(kernels, polygons, [(9, 9)] * 5, rule), [(9, 9)] * 5)
    assert [bool(image.any()) for image in images] == [False, False, True, False, True]
    np.testing.assert_array_equal(images[2], images[4])
    for ring in ([[3.0, 3.0]], [[3.0, 3.0], [7.0, 7.0]], [[3.0, 3.0]] * 4):
        assert_runs(rasterize(kernels, [[ring]], [(9, 9)], rule), [np.zeros((9, 9), bool)])


@pytest.mark.parametrize("rule", [COCO, EVEN_ODD, NON_ZERO])
def test_rasterize_offsets_may_leave_points_out(kernels: Any, rng: np.random.Generator, rule: int) -> None:
    points, rings, masks = flat([[rng.uniform(0, 20, (5, 2))] for _ in range(6)])
    sizes = np.full((6, 2), 20)
    counts, offsets = kernels.polygons_rasterize(points, rings, masks, sizes, rule)
    part = kernels.polygons_rasterize(points, rings[1:-1], masks[1:4], sizes[:2], rule)
    assert_same(part, (counts[offsets[2] : offsets[4]], offsets[2:5] - offsets[2]))


@pytest.mark.parametrize("rule", [COCO, EVEN_ODD, NON_ZERO])
@pytest.mark.parametrize(
    ("point", "text"),
    [
        ((np.nan, 3), "(nan, 3)"),
        ((2.5, np.inf), "(2.5, inf)"),
        ((-np.inf, 0), "(-inf, 0)"),
        ((5e8, 1), "(5e+08, 1)"),
        ((1, -5e8), "(1, -5e+08)"),
        ((np.nextafter(4e8, 5e8), 0.1), "(4e+08, 0.1)"),
    ],
)
def test_rasterize_bad_point(kernels: Any, rule: int, point: tuple[float, float], text: str) -> None:
    good = np.array([[0, 0], [4e8, -4e8], [0, 9.0]])
    bad = np.array([[0, 0], [9, 0], point, [0, 9.0], [np.nan, np.nan]])
    with pytest.raises(ValueError) as error:
        rasterize(kernels, [[good], [good, bad, bad], [bad]], [(9, 9)] * 3, rule)
    assert str(error.value) == f"mask 1: point 2 of a ring is {text}, not finite and at most 4e8"


def test_rasterize_bad_arguments(kernels: Any) -> None:
    points, rings, masks = flat([[[[0, 0], [9, 0], [0, 9]]]])
    sizes = np.array([[9, 9]])
    offsets = "offsets must rise from 0 or more to the number of values or less"
    shape = "sizes must have shape (N, 2), N being the number of masks"
    cases = [
        ((points, rings, masks, sizes, 6), "rule must be 0 to 5, not 6"),
        ((points, rings, masks, sizes, -1), "rule must be 0 to 5, not -1"),
        ((points.ravel(), rings, masks, sizes, 0), "points must have shape (K, 2)"),
        ((points.reshape(2, 3), rings, masks, sizes, 0), "points must have shape (K, 2)"),
        ((points, rings + 1, masks, sizes, 0), offsets),
        ((points, rings[::-1].copy(), masks, sizes, 0), offsets),
        ((points, rings, masks + 1, sizes, 0), offsets),
        ((points, rings, masks[:0], sizes, 0), "offsets must be a vector of at least one element"),
        ((points, rings, masks, sizes[:0], 0), shape),
        ((points, rings, masks, sizes.ravel(), 0), shape),
        ((points, rings, masks, -sizes, 0), "mask 0: size (-9, -9) must be within 0 and 2147483647"),
    ]
    for arguments, text in cases:
        with pytest.raises(ValueError) as error:
            kernels.polygons_rasterize(*arguments)
        assert str(error.value) == text
    for arguments in [
        (points.astype(np.float32), rings, masks, sizes, 0),
        (points[:, ::-1], rings, masks, sizes, 0),
        (points, rings.astype(np.int32), masks, sizes, 0),
        (points, rings, masks, sizes.astype(np.int32), 0),
    ]:
        with pytest.raises(TypeError):
            kernels.polygons_rasterize(*arguments)
