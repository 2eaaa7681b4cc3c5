"""Kernel crf: the permutohedral lattice, exact sums, mean field, energies, search."""

from __future__ import annotations

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
    labels: int, points: int, dimensions: int, seed: int, potts: bool
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
