"""Measures of masks: against scikit-image, OpenCV and definitions, on both backends, with the same bits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from conftest import ODD_SIZES, random_masks
from maskmill import Masks, measures

SQUARE = np.pad(np.ones((20, 20), bool), 5)
ORACLE = (
    *("pixels", "convex_pixels", "eccentricity", "equivalent_diameter", "perimeter", "major", "minor"),
    *("circularity", "rectangle_long", "rectangle_short"),
)


def row(image, **options):
    found = measures.measure(Masks.encode(np.asarray(image, bool)), **options)
    return {name: column[0].item() for name, column in found.items()}


def ellipse(h, w, cy, cx, ry, rx):
    """As skimage.draw.ellipse has it."""
    y, x = np.mgrid[:h, :w]
    return ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1


def shapes(rng, n=160):
    """Noise, blobs, tilted ellipses and a few scattered pixels."""
    for i in range(n):
        h, w = rng.integers(1, 90, 2)
        if i % 4 == 0:
            image = rng.random((h, w)) < rng.random()
        elif i % 4 == 1:
            image = random_masks(rng, 1, h, w, rng.random())[0]
        elif i % 4 == 2:
            y, x = np.mgrid[:h, :w]
            t, cy, cx = rng.uniform(0, np.pi), rng.uniform(0, h), rng.uniform(0, w)
            u = (x - cx) * np.cos(t) + (y - cy) * np.sin(t)
            v = (y - cy) * np.cos(t) - (x - cx) * np.sin(t)
            image = (u / rng.uniform(0.6, 40)) ** 2 + (v / rng.uniform(0.6, 20)) ** 2 < 1
        else:
            image = np.zeros((h, w), bool)
            image[rng.integers(h, size=3), rng.integers(w, size=3)] = True
        if image.any():
            yield image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (SQUARE, (400, 400, 0, 22.567583, 76, 23.065125, 23.065125, 0.870247, 20, 20)),
        (
            ellipse(100, 100, 50, 50, 30, 12),
            (1117, 1141, 0.919859, 37.712181, 141.254834, 60.213170, 23.618575, 0.703488, 59, 23),
        ),
    ],
)
def test_published_values(backend, image, expected):
    found = row(image, backend=backend)
    assert [found[name] for name in ORACLE] == pytest.approx(expected, abs=1e-5)


def test_real_flakes(data, backend):
    """Values measured with scikit-image 0.26 and OpenCV 5.0, whose hulls and rectangles differ by up to a pixel."""
    cv2 = pytest.importorskip("cv2")
    expected = {
        ("GrapheneH", "17294f8a", 1):
            (1492, 1674, 0.9470, 43.5852, 196.1665, 79.2983, 25.4673, 0.4872, 76.7846, 26.6479),
        ("GrapheneH", "3659660c", 4): (10625, 11010, 0.9251, 116.3107, 479.0366, 192.0688, 72.9304, 0.5818, 192, 69),
        ("WSe2", "5e12dd38", 3):
            (7447, 8512, 0.9490, 97.3746, 469.0610, 179.1420, 56.4948, 0.4253, 190.2538, 62.8773),
    }  # fmt: skip
    for (material, name, value), numbers in expected.items():
        path = next((data / "flakes").glob(f"**/{material}/**/*{name}*.png"))
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        found = row(labels == value, backend=backend, largest=True)
        got = [found[key] for key in ORACLE]
        assert got[0] == numbers[0]
        assert got[2:8] == pytest.approx(numbers[2:8], abs=1e-4)
        assert [got[1], *got[8:]] == pytest.approx([numbers[1], *numbers[8:]], rel=5e-3, abs=1)


def test_against_scikit_image(backend, rng):
    measure = pytest.importorskip("skimage.measure")
    morphology = pytest.importorskip("skimage.morphology")
    images = list(shapes(rng))
    found = measures.measure(Masks.concatenate([Masks.encode(image) for image in images]), backend=backend)
    for i, image in enumerate(images):
        theirs = measure.regionprops(image.astype(int))[0]
        parts = measure.label(image, connectivity=2).max()
        exact = {
            "pixels": image.sum(),
            "convex_pixels": morphology.convex_hull_image(image).sum(),
            "components": parts,
            "holes": parts - measure.euler_number(image, 2),
        }
        close = {
            "perimeter": measure.perimeter(image),
            "perimeter_crofton": measure.perimeter_crofton(image, 4),
            "major": theirs.axis_major_length,
            "equivalent_diameter": theirs.equivalent_diameter_area,
            "centroid_x": theirs.centroid[1] + 0.5,
            "centroid_y": theirs.centroid[0] + 0.5,
        }
        assert {name: found[name][i] for name in exact} == exact
        assert {name: found[name][i] for name in close} == pytest.approx(close, rel=1e-9)
        # Near 0 it is the root of a difference that rounding alone decides.
        assert found["minor"][i] == pytest.approx(theirs.axis_minor_length, abs=1e-5)
        if found["eccentricity"][i] > 0.1:  # else there is no direction
            angle = np.pi / 2 - theirs.orientation - found["orientation"][i]
            assert abs((angle + np.pi / 2) % np.pi - np.pi / 2) < 1e-6


def test_rectangle_against_opencv(backend, rng):
    """Around the 0.5 contour of the convex hull's image."""
    cv2 = pytest.importorskip("cv2")
    measure = pytest.importorskip("skimage.measure")
    morphology = pytest.importorskip("skimage.morphology")
    images = list(shapes(rng))
    found = measures.measure(Masks.concatenate([Masks.encode(image) for image in images]), backend=backend)
    for i, image in enumerate(images):
        hull = np.pad(morphology.convex_hull_image(image), 1).astype(float)
        points = np.concatenate(measure.find_contours(hull, 0.5)).astype(np.float32)
        _, sides, _ = cv2.minAreaRect(points)
        ours = found["rectangle_long"][i], found["rectangle_short"][i]
        # Of several rectangles of the least area each may take another.
        assert math.prod(ours) == pytest.approx(math.prod(sides), rel=1e-4)
        if ours != pytest.approx((max(sides), min(sides)), rel=1e-3):
            assert max(abs(max(sides) - ours[0]), abs(min(sides) - ours[1])) < 0.05 * ours[0] + 0.5


def test_feret_diameters_by_their_definition(backend, rng):
    for image in shapes(rng, 60):
        found = row(image, backend=backend)
        y, x = np.nonzero(image)
        corners = np.concatenate([np.stack([x + dx, y + dy], 1) for dx in (0, 1) for dy in (0, 1)])
        turns = np.linspace(0, np.pi, 1801)
        extents = np.ptp(corners @ np.array([np.cos(turns), np.sin(turns)]), axis=0)
        assert extents.max() <= found["feret_max"] + 1e-9
        assert found["feret_max"] == pytest.approx(extents.max(), rel=1e-5)
        assert found["feret_min"] <= extents.min() + 1e-9
        assert found["feret_min"] == pytest.approx(extents.min(), rel=5e-3, abs=0.1)
        t = found["feret_angle"]
        assert np.ptp(corners @ [np.cos(t), np.sin(t)]) == pytest.approx(found["feret_max"])
        assert np.ptp(corners @ [-np.sin(t), np.cos(t)]) == pytest.approx(found["feret_orthogonal"])


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("scale", [1.0, 0.43, (0.3, 0.7)])
def test_backends_give_the_same_bits(both, rng, largest, scale):
    images = [*shapes(rng), *random_masks(rng, 3, 150, 200)]
    masks = Masks.concatenate([Masks.encode(image) for image in images])
    cpp, numba = (measures.measure(masks, largest=largest, scale=scale, backend=b) for b in ("cpp", "numba"))
    for name, column in cpp.items():
        assert column.dtype == numba[name].dtype
        np.testing.assert_array_equal(column, numba[name], err_msg=name)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_small_masks_keep_the_rules(image):
    masks = Masks.encode(image)
    found, twin = (measures.measure(masks, backend=backend) for backend in (None, "numba"))
    for name, column in found.items():
        np.testing.assert_array_equal(column, twin[name], err_msg=name)
    turned, first = measures.measure(masks.transpose()), {k: v[0] for k, v in found.items()}
    for name in ("pixels", "convex_pixels", "components", "holes"):
        assert turned[name][0] == first[name]
    if not image.any():
        return
    for name in ("perimeter", "perimeter_crofton", "feret_max", "feret_min", "major"):
        assert turned[name][0] == pytest.approx(first[name], rel=1e-9)
    assert first["pixels"] <= first["convex_pixels"]
    assert first["feret_min"] <= first["feret_orthogonal"] + 1e-9
    assert first["feret_orthogonal"] <= first["feret_max"] + 1e-9
    assert first["rectangle_short"] <= first["rectangle_long"]
    # The least area may be that of several rectangles.
    area = first["rectangle_long"] * first["rectangle_short"]
    assert turned["rectangle_long"][0] * turned["rectangle_short"][0] == pytest.approx(area, rel=1e-9)


def test_scales(backend):
    image = ellipse(60, 80, 30, 40, 12, 30)
    plain, scaled = row(image, backend=backend), row(image, scale=0.25, backend=backend)
    for name in (
        "perimeter",
        "perimeter_crofton",
        "major",
        "minor",
        "rectangle_long",
        "feret_min",
        "feret_max",
    ):
        assert scaled[name] == 0.25 * plain[name]
    assert scaled["area"] == plain["area"] / 16
    assert scaled["convex_area"] == plain["convex_area"] / 16
    for name in ("circularity", "solidity", "eccentricity", "orientation", "centroid_x", "pixels", "holes"):
        assert scaled[name] == plain[name]
    masks = Masks.encode(np.stack([image, image, image]))
    several = measures.measure(masks, scale=[0.25, 1, np.nan], backend=backend)
    assert several["feret_max"][:2].tolist() == [scaled["feret_max"], plain["feret_max"]]
    assert np.isnan(several["feret_max"][2])
    assert np.isnan(several["area"][2])
    assert several["pixels"][2] == plain["pixels"]


def test_pixels_that_are_not_square(backend):
    """An image whose rows were doubled, with pixels half as high, is the same thing."""
    image = ellipse(60, 80, 30, 40, 12, 30)
    tall = row(image.repeat(2, axis=0), scale=(1.0, 0.5), backend=backend)
    whole = row(image, backend=backend)
    for name in ("area", "feret_max", "feret_min", "feret_orthogonal", "feret_angle"):
        assert tall[name] == pytest.approx(whole[name], rel=1e-12)
    for name in ("major", "minor", "rectangle_long", "rectangle_short", "perimeter_crofton"):
        assert tall[name] == pytest.approx(whole[name], rel=0.02)
    assert math.isnan(tall["perimeter"])
    circle = row(ellipse(240, 120, 120, 60, 100, 50), scale=(2.0, 1.0), backend=backend)
    assert circle["perimeter_crofton"] == pytest.approx(2 * math.pi * 100, rel=0.01)
    assert circle["eccentricity"] < 0.15


def test_crofton_is_nearer_to_the_truth(backend):
    disc = row(ellipse(300, 300, 150, 150, 120, 120), backend=backend)
    assert disc["perimeter_crofton"] == pytest.approx(2 * math.pi * 120, rel=0.005)


def test_holes_parts_edges(backend):
    image = np.zeros((12, 14), bool)
    image[0:7, 2:9] = True
    image[2, 4] = image[4:6, 6] = False  # two holes
    image[7, 9] = True  # joined at a corner
    image[10:12, 13] = True  # a part of its own, in the lower right corner
    whole, part = row(image, backend=backend), row(image, largest=True, backend=backend)
    assert (whole["components"], whole["holes"], whole["edges"]) == (2, 2, 2 + 4 + 8)
    assert (part["components"], part["holes"], part["edges"]) == (2, 2, 2)
    assert part["pixels"] == whole["pixels"] - 2
    assert [part[k] for k in ("x0", "y0", "x1", "y1")] == [2, 0, 10, 8]


def test_the_first_of_equal_parts(backend):
    image = np.zeros((9, 9), bool)
    image[6:8, 1], image[1:3, 4] = True, True
    assert row(image, largest=True, backend=backend)["x0"] == 1


@pytest.mark.parametrize("size", ODD_SIZES)
def test_nothing_to_measure(backend, size):
    found = row(np.zeros(size, bool), backend=backend)
    assert (found["pixels"], found["area"], found["components"], found["edges"]) == (0, 0, 0, 0)
    assert all(math.isnan(v) for k, v in found.items() if isinstance(v, float) and "area" not in k)


def test_thin_masks(backend):
    pixel = row([[1]], backend=backend)
    assert (pixel["major"], pixel["minor"], pixel["eccentricity"], pixel["perimeter"]) == (0, 0, 0, 0)
    assert math.isnan(pixel["circularity"])
    assert pixel["rectangle_long"] == pytest.approx(math.sqrt(0.5))
    line = row([[0, 0, 0, 0, 0], [1, 1, 1, 1, 0]], backend=backend)
    assert (line["minor"], line["eccentricity"], line["orientation"]) == (0, 1, 0)
    assert (line["rectangle_long"], line["rectangle_short"], line["feret_min"]) == (4, 1, 1)
    upright = row([[1]] * 4, backend=backend)
    assert (upright["orientation"], upright["rectangle_angle"]) == (math.pi / 2, math.pi / 2)
    diagonal = row(np.eye(6), backend=backend)
    assert diagonal["minor"] == pytest.approx(0, abs=1e-6)
    assert diagonal["rectangle_short"] == pytest.approx(math.sqrt(0.5))


def test_many_columns_and_rows_at_once(both):
    """Wider and taller than the strips that perimeters are counted in."""
    rng = np.random.default_rng(1)
    image = random_masks(rng, 1, 70, 20_000)[0] & (rng.random((1, 20_000)) < 0.95)
    for masks in (Masks.encode(image), Masks.encode(image).transpose()):
        found = [measures.measure(masks, backend=backend) for backend in ("cpp", "numba")]
        for name, column in found[0].items():
            np.testing.assert_array_equal(column, found[1][name], err_msg=name)


def test_large_images(compiled):
    """4e9 pixels, and corners 1e5 apart: sums and products that 32 bits, and some that 64 bits, do not hold."""
    side, width = 100_000, 42_949
    masks = Masks(np.array([0, side * width], np.uint32), [0, 2], (side, width))
    found = measures.measure(masks)
    assert found["pixels"][0] == found["convex_pixels"][0] == side * width
    assert found["major"][0] == pytest.approx(4 * math.sqrt((side**2 - 1) / 12), rel=1e-12)
    assert found["perimeter"][0] == 2 * (side + width) - 4
    assert found["rectangle_long"][0] == side
    rows = [1 + side] * (side - 1)  # the diagonal, but for its first pixel
    masks = Masks(
        np.array([0, 1, *np.ravel([[run - 1, 1] for run in rows])], np.uint32), [0, 2 * side], (side, side)
    )
    found = measures.measure(masks)
    assert (found["pixels"][0], found["components"][0], found["holes"][0]) == (side, 1, 0)
    assert found["convex_pixels"][0] == side
    assert found["feret_max"][0] == math.hypot(side, side)
    assert found["perimeter"][0] == pytest.approx((side - 2) * math.sqrt(2))


def test_boxes_beyond_what_is_exact(backend):
    for runs, size, box in (
        ([0, 2**25 + 1], (1, 2**25 + 1), r"\(1, 33554433\)"),
        ([2**31 - 5, 2**31 + 7, 2**31 - 5], (2**31 - 1, 3), r"\(2147483647, 3\)"),
        ([0, 2**32 - 2], (2, 2**31 - 1), r"\(2, 2147483647\)"),
    ):
        masks = Masks(np.array(runs, np.uint32), [0, len(runs)], size)
        with pytest.raises(ValueError, match=f"mask 0: its box of {box} is too large to be measured"):
            measures.measure(masks, backend=backend)


def test_runs_that_are_not_canonical(backend):
    """Zero runs within what belongs together."""
    image = random_masks(np.random.default_rng(5), 1, 9, 7)[0]
    counts, offsets, sizes = Masks.encode(image)._arrays
    split = np.concatenate([[c - c // 2, 0, c // 2] for c in counts]).astype(np.uint32)
    expected = measures.measure((counts, offsets, sizes), backend=backend)
    found = measures.measure((split, 3 * offsets, sizes), backend=backend)
    for name, column in expected.items():
        np.testing.assert_array_equal(column, found[name], err_msg=name)


def test_what_cannot_be_measured(backend):
    masks = Masks.encode(SQUARE)
    with pytest.raises(TypeError, match="masks must be Masks or"):
        measures.measure(3, backend=backend)
    with pytest.raises(TypeError, match="scale must be numbers"):
        measures.measure(masks, scale="a", backend=backend)
    for bad in (0, -1, np.inf, (1, 0)):
        with pytest.raises(ValueError, match="mask 0: scale must be above 0 and finite"):
            measures.measure(masks, scale=bad, backend=backend)
    with pytest.raises(ValueError, match=r"shape \(1,\) or \(1, 2\), not \(3,\)"):
        measures.measure(masks, scale=[1, 2, 3], backend=backend)
    with pytest.raises(ValueError, match="mask 1: runs sum to 3, image has 4 pixels"):
        measures.measure(([0, 4, 3], [0, 2, 3], (2, 2)), backend=backend)


def test_kernel_refuses_other_types(kernels):
    counts, offsets, sizes = Masks.encode(SQUARE)._arrays
    with pytest.raises(TypeError):
        kernels.measures_table(counts, offsets, sizes, False, np.ones((1, 2), np.float32))
    with pytest.raises(ValueError, match=r"pixels must have shape \(N, 2\)"):
        kernels.measures_table(counts, offsets, sizes, False, np.ones((2, 2)))


def test_masks_has_it():
    masks = Masks.encode(SQUARE)
    assert masks.measure(scale=2)["feret_min"] == measures.measure(masks, scale=2)["feret_min"] == [40]
    assert all(len(column) == 0 for column in Masks.empty().measure().values())
