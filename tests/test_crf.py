"""Kernel crf: the permutohedral lattice, exact sums, mean field, energies, search."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskmill import crf
from reference import properties


def doodled(height: int = 24, width: int = 37) -> tuple[np.ndarray, np.ndarray]:
    """Labels 1 to 3, some wrong, some 0; an image within 0 and 1."""
    y, x = np.mgrid[:height, :width]
    labels = 1 + ((5 * x // width) + (2 * y // height)) % 3
    chance = (7919 * x + 104729 * y + 31 * x * y) % 100
    labels = np.where(chance < 20, 1 + labels % 3, labels)
    image = np.stack([3 * x + 5 * y, 7 * x + 2 * y, 11 * x + 13 * y], axis=-1) % 256 / 255
    return np.where(chance == 99, 0, labels), image


def places(height: int, width: int, sigma: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x.ravel(), y.ravel()], axis=1) / sigma


def energies(labels: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(1, 2, (labels, *shape)).astype(np.float32)


# Figures of pydensecrf2 1.1 and of sums over all pairs, for 24 x 37 pixels, confidence 0.7: counts of labels, Q at the
# first pixel and in the middle.
FIGURES = {
    ("gaussian", 1, "lattice"): ((256, 357, 275), (0.23952, 0.65844, 0.10204), (0.75019, 0.11170, 0.13811)),
    ("gaussian", 1, "exact"): ((256, 356, 276), (0.24520, 0.65342, 0.10138), (0.74963, 0.11281, 0.13756)),
    ("gaussian", 10, "lattice"): ((247, 368, 273), (0.42627, 0.49259, 0.08113), (0.75917, 0.09381, 0.14702)),
    ("gaussian", 10, "exact"): ((248, 368, 272), (0.44176, 0.47957, 0.07866), (0.75861, 0.09524, 0.14615)),
    ("bilateral", 1, "lattice"): ((254, 362, 272), (0.26505, 0.67581, 0.05915), (0.81670, 0.07676, 0.10653)),
    ("bilateral", 1, "exact"): ((253, 362, 273), (0.28868, 0.64243, 0.06889), (0.83145, 0.07010, 0.09845)),
    ("both", 10, "lattice"): ((201, 419, 268), (0.99284, 0.00592, 0.00124), (0.70108, 0.00738, 0.29154)),
    ("both", 10, "exact"): ((210, 409, 269), (0.98812, 0.00986, 0.00202), (0.80222, 0.00597, 0.19180)),
    ("swapped", 10, "lattice"): ((107, 610, 171), (0.97135, 0.02570, 0.00296), (0.00286, 0.99614, 0.00099)),
    ("swapped", 10, "exact"): ((110, 598, 180), (0.94428, 0.05025, 0.00547), (0.00268, 0.99647, 0.00085)),
}


@pytest.mark.parametrize("case", FIGURES, ids=lambda case: " ".join(map(str, case)))
def test_known_figures(case: tuple[str, int, str], backend: str) -> None:
    kind, iterations, method = case
    labels, image = doodled()
    unary = crf.unary_from_labels(labels, 3, 0.7).reshape(3, -1)
    rows = places(24, 37, 2)[:, ::-1]
    gaussian = (places(24, 37, 3), 3)
    bilateral = (np.concatenate((rows, image.reshape(-1, 3) / 0.5), axis=1), 5)
    swapped = (np.stack(np.divmod(np.arange(24 * 37), 24)[::-1], axis=1) / 3, 3)
    terms = {
        "gaussian": [gaussian],
        "bilateral": [bilateral],
        "both": [gaussian, bilateral],
        "swapped": [swapped, bilateral],
    }[kind]
    found = crf.mean_field(unary, terms, iterations, method=method, backend=backend)
    counts, first, middle = FIGURES[case]
    assert tuple(np.bincount(found.argmax(axis=0))) == counts
    np.testing.assert_allclose(found[:, 0], first, atol=1.1e-5)
    np.testing.assert_allclose(found[:, 12 * 37 + 18], middle, atol=1.1e-5)


def test_known_sums(backend: str) -> None:
    _, image = doodled()
    plain = places(24, 37, 3)
    coloured = np.concatenate((places(24, 37, 2)[:, ::-1], image.reshape(-1, 3) / 0.5), axis=1)
    at = [0, 12 * 37 + 18]
    gaussian, bilateral = crf.Lattice(plain, backend=backend), crf.Lattice(coloured, backend=backend)
    assert (gaussian.vertices, bilateral.vertices) == (142, 1232)
    np.testing.assert_allclose(gaussian.sums[at], (13.9316, 49.8267), rtol=1e-5)
    np.testing.assert_allclose(bilateral.sums[at], (6.05042, 12.4218), rtol=1e-5)
    np.testing.assert_allclose(crf.Pairs(plain, backend=backend).sums[at], (18.1471, 56.5445), rtol=1e-5)
    np.testing.assert_allclose(crf.Pairs(coloured, backend=backend).sums[at], (8.56203, 24.0321), rtol=1e-5)


# The same as pydensecrf, as far as bits: on x86-64 it is built for SSE2


def theirs(
    unary: np.ndarray, terms: list[Any], iterations: int, normalization: str = "symmetric"
) -> np.ndarray:
    densecrf = pytest.importorskip("pydensecrf.densecrf")
    kinds = {
        "symmetric": densecrf.NORMALIZE_SYMMETRIC,
        "before": densecrf.NORMALIZE_BEFORE,
        "after": densecrf.NORMALIZE_AFTER,
        "none": densecrf.NO_NORMALIZATION,
    }
    model = densecrf.DenseCRF(unary.shape[1], len(unary))
    model.setUnaryEnergy(unary)
    for features, weight in terms:
        planes = np.ascontiguousarray(features.T, np.float32)
        model.addPairwiseEnergy(planes, compat=weight, normalization=kinds[normalization])
    return np.array(model.inference(iterations))


@pytest.mark.parametrize("normalization", crf.NORMALIZATIONS)
@pytest.mark.parametrize("labels", [1, 2, 3, 4, 5, 8, 13, 16, 17, 21, 40])
def test_equals_pydensecrf(labels: int, normalization: str, backend: str) -> None:
    rng = np.random.default_rng(labels)
    for points in (1, 2, 30, 400, 777):
        scattered = rng.normal(size=(points, int(rng.integers(1, 8)))) * rng.uniform(0.1, 6) + rng.normal()
        square = places(20, points, 2.5)[:points]
        terms = [(scattered, 2.5), (square, 0.75)]
        unary = energies(labels, (points,), points)
        for iterations in (0, 1, 4):
            ours = crf.mean_field(unary, terms, iterations, normalization=normalization, backend=backend)
            np.testing.assert_allclose(ours, theirs(unary, terms, iterations, normalization), atol=2e-6)


# Backends


@properties
@given(st.integers(1, 20), st.integers(0, 90), st.integers(1, 9), st.integers(0, 2**32), st.booleans())
def test_backends_give_the_same_bits(
    compiled: Any, labels: int, points: int, dimensions: int, seed: int, potts: bool
) -> None:
    rng = np.random.default_rng(seed)
    features = (rng.normal(size=(points, dimensions)) * rng.choice([0, 0.3, 3, 300])).astype(np.float32)
    unary = energies(labels, (points,), seed)
    unary[rng.random(unary.shape) < 0.1] = np.inf
    unary[0] = 1
    weight = 3.5 if potts else rng.normal(size=(labels, labels))
    scaling = str(rng.choice(list(crf.NORMALIZATIONS)))
    found = []
    for backend in ("cpp", "numba"):
        lattice = crf.Lattice(features, backend=backend)
        q = crf.mean_field(unary, [(lattice, weight)], 3, normalization=scaling, backend=backend)
        found.append([*lattice.arrays, lattice.sums, q])
    for ours, twin in zip(*found, strict=True):
        assert ours.dtype == twin.dtype
        np.testing.assert_array_equal(ours, twin)
    assert (found[0][-1][np.isinf(unary)] == 0).all()
    np.testing.assert_allclose(found[0][-1].sum(axis=0), 1, rtol=1e-5)


def test_threads_and_instructions_do_not_matter() -> None:
    core = pytest.importorskip("maskmill._core")
    rng = np.random.default_rng(5)
    image, unary = rng.integers(0, 256, (151, 201, 3), np.uint8), energies(23, (151, 201))
    known = crf.refine(unary, image, iterations=2, backend="cpp")
    threads, level, best = core.thread_count(), core.simd_level(), core.best_simd_level()
    levels = ["baseline", "avx2", "avx512"]
    try:
        for name in levels[: levels.index(best) + 1]:
            for count in (1, 2, 7):
                core.set_simd_level(name)
                core.set_thread_count(count)
                np.testing.assert_array_equal(
                    crf.refine(unary, image, iterations=2, backend="cpp"), known, f"{name}, {count} threads"
                )
    finally:
        core.set_simd_level(level)
        core.set_thread_count(threads)


def test_points_in_any_order() -> None:
    """Every thread's points come to the vertices of all others."""
    core = pytest.importorskip("maskmill._core")
    rng = np.random.default_rng(6)
    features, unary = rng.normal(0, 3, (20001, 2)), energies(17, (20001,))
    threads, found = core.thread_count(), []
    try:
        for count in (1, 2, 7):
            core.set_thread_count(count)
            found.append(crf.mean_field(unary, [(features, 1.5)], 2, backend="cpp"))
    finally:
        core.set_thread_count(threads)
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


# Exact sums


@pytest.mark.parametrize("channels", [0, 1, 3])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (8, 1), (7, 13)])
def test_windows_are_sums_over_pairs(shape: tuple[int, int], channels: int, backend: str) -> None:
    guide = np.random.default_rng(2).random((*shape, channels)) * 2
    features = np.concatenate((places(*shape, 1.3), guide.reshape(shape[0] * shape[1], channels)), axis=1)
    values = np.random.default_rng(3).random((4, shape[0] * shape[1]))
    window = crf.Window(shape, 1.3, guide if channels else None, radius=20, backend=backend)
    pairs = crf.Pairs(features, backend=backend)
    np.testing.assert_allclose(window.filter(values), pairs.filter(values), rtol=1e-6)
    distance = ((features[:, None] - features) ** 2).sum(axis=2)
    np.testing.assert_allclose(pairs.filter(values), values @ np.exp(-0.5 * distance), rtol=1e-6)
    least = crf.Window(shape, 1.3, guide if channels else None, radius=0, backend=backend)
    np.testing.assert_array_equal(least.filter(values), values)


def test_exact_backends_agree(both: Any) -> None:
    unary, image = energies(3, (9, 14)), np.random.default_rng(1).random((9, 14, 3))
    found = [
        crf.refine(unary, image, bilateral=(2, 0.2, 4), method="exact", backend=name)
        for name in ("cpp", "numba")
    ]
    np.testing.assert_allclose(*found, atol=1e-6)


def test_lattice_is_near_the_exact_sums() -> None:
    labels, image = doodled()
    unary = crf.unary_from_labels(labels, 3, 0.7)
    found = [crf.refine(unary, image, bilateral=(2, 0.5, 5), method=method) for method in crf.METHODS]
    assert (found[0].argmax(axis=0) == found[1].argmax(axis=0)).mean() > 0.95


# Refinement of images


def test_axes() -> None:
    """A scene of known truth: stripes in a picture that is no square, a quarter of the labels wrong. Doodler's CRF is
    told width and height in each other's place: its Gaussian term sees other pixels side by side."""
    height, width = 101, 250
    truth = np.tile(1 + np.arange(width) // 70 % 2, (height, 1))
    rng = np.random.default_rng(0)
    noisy = np.where(rng.random(truth.shape) < 0.5, 1 + rng.integers(0, 2, truth.shape), truth)
    image = np.stack([truth / 2] * 3, axis=-1)
    unary = crf.unary_from_labels(noisy, 2, 0.6)
    scale = 1 + 5 * width / 3000
    right = crf.refine(unary, image, gaussian=(3, 3), bilateral=(1, scale, 1), iterations=10)

    pixel = np.arange(height * width)
    swapped = np.stack((pixel % height, pixel // height), axis=1) / 3
    coloured = np.concatenate((places(height, width, 1), image.reshape(-1, 3) / scale), axis=1)
    wrong = crf.mean_field(unary.reshape(2, -1), [(swapped, 3), (coloured, 1)], 10).reshape(right.shape)

    def score(labels: np.ndarray) -> float:
        return round(float((labels == truth).mean()), 2)

    assert score(noisy) == 0.75
    assert score(wrong.argmax(axis=0) + 1) == 0.63
    assert (right.argmax(axis=0) + 1 == truth).mean() > 0.99


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64, bool])
@pytest.mark.parametrize("channels", [None, 1, 2, 4, 7])
def test_any_image(channels: int | None, dtype: Any, backend: str) -> None:
    rng = np.random.default_rng(3)
    shape = (6, 8) if channels is None else (6, 8, channels)
    image = (rng.random(shape) * 2).astype(dtype)
    unary = energies(3, (6, 8))
    out = np.empty((3, 6, 8), np.float32)
    found = crf.refine(unary, image, bilateral=(2, 0.5, 3), out=out, backend=backend)
    assert found is out
    planes = image.reshape(48, -1).astype(np.float32) / np.float32(0.5)
    terms = [(places(6, 8, 3), 3), (np.concatenate((places(6, 8, 2), planes), axis=1), 3)]
    plain = crf.mean_field(unary.reshape(3, -1), terms, backend=backend)
    np.testing.assert_array_equal(found.reshape(3, -1), plain)


@pytest.mark.parametrize("method", crf.METHODS)
@pytest.mark.parametrize(
    ("labels", "shape"), [(1, (4, 5)), (3, (1, 1)), (2, (0, 5)), (2, (4, 0)), (300, (2, 3))]
)
def test_odd_sizes(labels: int, shape: tuple[int, int], method: str, backend: str) -> None:
    unary = energies(labels, shape)
    found = crf.refine(unary, np.zeros((*shape, 3)), method=method, backend=backend)
    assert found.shape == unary.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=0), 1, rtol=1e-5)


def test_no_terms_is_softmax(backend: str) -> None:
    unary = energies(5, (7, 9))
    powers = np.exp(-unary.astype(float))
    found = crf.refine(unary, None, gaussian=None, bilateral=None, backend=backend)
    np.testing.assert_allclose(found, powers / powers.sum(axis=0), atol=2e-7)


def test_constant_image_is_a_gaussian(backend: str) -> None:
    unary = energies(3, (9, 8))
    grey = crf.refine(
        unary, np.full((9, 8), 7), gaussian=None, bilateral=(2, 1, 3), method="exact", backend=backend
    )
    plain = crf.refine(unary, None, gaussian=(2, 3), bilateral=None, method="exact", backend=backend)
    np.testing.assert_allclose(grey, plain, atol=1e-6)


@pytest.mark.parametrize("method", crf.METHODS)
def test_forbidden_labels_stay_forbidden(method: str, backend: str) -> None:
    labels, image = doodled()
    unary = crf.unary_from_labels(labels, 3, 1)
    found = crf.refine(unary, image, bilateral=(2, 0.5, 5), method=method, backend=backend)
    pinned = labels > 0
    np.testing.assert_array_equal((found.argmax(axis=0) + 1)[pinned], labels[pinned])
    assert np.isfinite(found).all()


@pytest.mark.parametrize("method", crf.METHODS)
def test_compatibility_of_labels(method: str, backend: str) -> None:
    """-w where labels agree is Potts; only the symmetric part counts."""
    labels, image = doodled()
    unary = crf.unary_from_labels(labels, 3, 0.7)
    options: Any = {"bilateral": None, "iterations": 3, "method": method, "backend": backend}
    potts = crf.refine(unary, image, gaussian=(3, 2), **options)
    turned = np.array([[0, 5, 1], [-5, 0, -3], [-1, 3, 0]])
    np.testing.assert_allclose(
        crf.refine(unary, image, gaussian=(3, -2 * np.eye(3) + turned), **options), potts, atol=1e-5
    )
    apart = crf.refine(unary, image, gaussian=(3, np.array([[-2, 9, 0], [9, -2, 0], [0, 0, -2]])), **options)
    assert np.abs(apart - potts).max() > 0.01


def test_huge_and_tiny_widths(backend: str) -> None:
    unary = energies(2, (5, 6))
    wide = crf.refine(unary, None, gaussian=(1e9, 1), bilateral=None, iterations=1, backend=backend)
    assert np.isfinite(wide).all()
    narrow = crf.refine(unary, None, gaussian=(1e-3, 1), bilateral=None, iterations=1, backend=backend)
    assert np.isfinite(narrow).all()
    with pytest.raises(ValueError, match="reach too far"):
        crf.refine(unary, None, gaussian=(1e-7, 1), bilateral=None, backend=backend)


U, IMAGE = np.ones((2, 3, 4)), np.ones((3, 4, 3))
NAN, INF = math.nan, math.inf
BAD: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
    (U[0], IMAGE, {}, ValueError, r"unary must have shape \(L, H, W\) with one label or more, not \(3, 4\)"),
    (U[:0], IMAGE, {}, ValueError, r"not \(0, 3, 4\)"),
    (U * NAN, IMAGE, {}, ValueError, "unary must be energies"),
    (-U * INF, IMAGE, {}, ValueError, "unary must be energies"),
    (U * INF, IMAGE, {}, ValueError, "one has \\+inf for all"),
    (U * 1j, IMAGE, {}, TypeError, "unary must be real numbers, not complex128"),
    (U, IMAGE[:2], {}, ValueError, r"image must have shape \(3, 4\[, C\]\), not \(2, 4, 3\)"),
    (U, IMAGE[0, 0], {}, ValueError, "image must have shape"),
    (U, IMAGE * NAN, {}, ValueError, "image must be finite"),
    (U, IMAGE.astype("U1"), {}, TypeError, "image must be real numbers, not <U1"),
    (U, None, {}, TypeError, "image must be given for a bilateral term"),
    (U, IMAGE, {"gaussian": (0, 1)}, ValueError, "gaussian sxy must be positive, not 0"),
    (U, IMAGE, {"gaussian": (-1, 1)}, ValueError, "must be positive, not -1"),
    (U, IMAGE, {"gaussian": (NAN, 1)}, ValueError, "must be positive, not nan"),
    (U, IMAGE, {"gaussian": (3, NAN)}, ValueError, "a weight must be finite"),
    (U, IMAGE, {"gaussian": (3, [1, 2])}, ValueError, r"or have shape \(2, 2\), not \(2,\)"),
    (U, IMAGE, {"bilateral": (10, 0, 1)}, ValueError, "bilateral srgb must be positive, not 0"),
    (U, IMAGE, {"bilateral": (10, [1, 2], 1)}, ValueError, "one number or 3, not of shape"),
    (U, IMAGE, {"iterations": -1}, ValueError, "iterations must be an integer of 0 or more, not -1"),
    (U, IMAGE, {"iterations": 1.5}, ValueError, "not 1.5"),
    (U, IMAGE, {"iterations": INF}, ValueError, "not inf"),
    (U, IMAGE, {"gaussian": (3, 1e300)}, ValueError, "a weight must be finite"),
    (U, IMAGE, {"method": "fast"}, ValueError, "method must be one of 'lattice', 'exact', not 'fast'"),
    (U, IMAGE, {"normalization": "all"}, ValueError, "normalization must be one of"),
    (U, IMAGE, {"out": np.empty((2, 3, 4))}, TypeError, "out must be an array of float32, not float64"),
    (
        U,
        IMAGE,
        {"out": np.empty((2, 4, 3), "f4")},
        ValueError,
        r"out must be .* of shape \(2, 3, 4\), not \(2, 4, 3\)",
    ),
]


@pytest.mark.parametrize(("unary", "image", "options", "error", "message"), BAD, ids=lambda value: None)
def test_bad_input(
    unary: Any, image: Any, options: dict[str, Any], error: type[Exception], message: str, backend: str
) -> None:
    with pytest.raises(error, match=message):
        crf.refine(unary, image, backend=backend, **options)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((4, 0)), "d from 1 to 63, not"),
        (np.zeros((4, 64)), "d from 1 to 63, not"),
        (np.zeros(4), "features must have shape"),
        ([[0], [1], [NAN], [0]], "point 2: feature 0 must be finite, not nan"),
        ([[0, 1]] * 3 + [[0, 1e39]], "point 3: feature 1 must be finite, not inf"),
        ([[0.0], [1e9], [1], [2]], "reach too far for float32: a point is more than 2.09715e.06 standard"),
        (np.zeros((3, 1)), "features must be of 4 points, as unary, not of 3"),
    ],
)
def test_bad_features(features: Any, message: str, backend: str) -> None:
    with pytest.raises(ValueError, match=message):
        crf.mean_field(np.ones((2, 4)), [(features, 1)], backend=backend)


# Unary energies, search


def test_unary_from_labels() -> None:
    found = crf.unary_from_labels([[0, 1], [2, 3]], 3, 0.7)
    assert found.dtype == np.float32
    assert found.shape == (3, 2, 2)
    np.testing.assert_allclose(found[:, 0, 0], 1.098612, atol=1e-6)
    np.testing.assert_allclose(found[:, 1, 0], (1.897120, 0.356675, 1.897120), atol=1e-6)
    np.testing.assert_array_equal(crf.unary_from_labels([1, 0], 1, 0.5).shape, (1, 2))
    for labels, n, confidence in (([4], 3, 0.5), ([-1], 3, 0.5), ([1], 0, 0.5), ([1], 3, 0), ([1], 3, 1.1)):
        with pytest.raises(ValueError, match="must be"):
            crf.unary_from_labels(labels, n, confidence)
    with pytest.raises(TypeError, match="labels must be integers, not float64"):
        crf.unary_from_labels([0.5], 3, 0.5)


def test_unary_from_probabilities() -> None:
    found = crf.unary_from_probabilities(np.array([[0, 0.25], [1, 0.75]]))
    np.testing.assert_allclose(found, -np.log([[1e-5, 0.25], [1, 0.75]]), rtol=1e-6)
    for p in ([-0.1], [1.1], [NAN]):
        with pytest.raises(ValueError, match="probabilities must be within 0 and 1"):
            crf.unary_from_probabilities(p)


def test_energies_are_pydensecrfs() -> None:
    utils = pytest.importorskip("pydensecrf.utils")
    labels, _ = doodled()
    np.testing.assert_array_equal(
        crf.unary_from_labels(labels, 3, 0.7).reshape(3, -1), utils.unary_from_labels(labels, 3, 0.7)
    )
    p = np.random.default_rng(0).dirichlet([1, 0.01, 2], (4, 5)).transpose(2, 0, 1)
    np.testing.assert_array_equal(crf.unary_from_probabilities(p).reshape(3, -1), utils.unary_from_softmax(p))


def test_search(backend: str) -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.repeat([[1, 2], [2, 1]], 12, axis=0), 14, axis=1)
    noisy = np.where(rng.random(truth.shape) < 0.3, 3 - truth, truth)
    unary, image = crf.unary_from_labels(noisy, 2, 0.7), truth * 50 + rng.normal(0, 5, truth.shape)
    known = np.where(rng.random(truth.shape) < 0.3, truth, 0)
    options: Any = {"gaussian": [None, (1, 0), (2, 3)], "bilateral": [None, (6, 20, 4)], "backend": backend}
    trials = crf.search(unary, image, known, **options)
    assert len(trials) == 6
    assert [trial.score for trial in trials] == sorted((trial.score for trial in trials), reverse=True)
    assert trials[0].bilateral == (6, 20, 4)
    best = crf.refine(
        unary, image, gaussian=trials[0].gaussian, bilateral=trials[0].bilateral, backend=backend
    )
    assert (best.argmax(axis=0) + 1 == truth).mean() > 0.95
    right = best.argmax(axis=0) + 1 == known
    assert trials[0].score == pytest.approx(np.mean([right[known == k].mean() for k in (1, 2)]))
    with pytest.raises(ValueError, match="labels must be known somewhere"):
        crf.search(unary, image, known * 0, backend=backend)
