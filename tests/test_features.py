"""Filter banks: the bits of scikit-image and SciPy, at any size, everywhere or where asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmill import features
from maskmill.io import doodler

SIZES = [(1, 1), (1, 9), (9, 1), (7, 5), (3, 300), (61, 129), (130, 65)]
"""Below and above the radius, the strips and the blocks of the kernel."""
SOFTWARE = ("sk016", "sk017", "modern")


def image_of(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return rng.random(shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype)


def assert_near(found: np.ndarray, expected: np.ndarray) -> None:
    """At most 1e-5 of each column's range apart."""
    assert found.shape == expected.shape
    columns = expected.reshape(-1, expected.shape[-1])
    assert (np.abs(found.reshape(columns.shape) - columns).max(0) <= 1e-5 * np.ptp(columns, 0)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "uint16", "int16", "int64"])
@pytest.mark.parametrize("shape", [(7, 5), (2, 2), (3, 300), (61, 129), (130, 65, 3), (2, 3, 2)])
def test_skimage(rng, backend, shape, dtype):
    reference = pytest.importorskip("skimage.feature").multiscale_basic_features
    image = image_of(rng, shape, dtype)
    expected = reference(image, channel_axis=-1 if image.ndim == 3 else None, workers=1)
    found = features.bank(image, features.sigmas(0.5, 16), backend=backend)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_skimage_beyond_a_tile(rng):
    """Columns enough for two tasks side by side."""
    reference = pytest.importorskip("skimage.feature").multiscale_basic_features
    image = image_of(rng, (70, 1100))
    np.testing.assert_array_equal(
        features.bank(image, [1, 16]), reference(image, sigma_min=1, sigma_max=16, num_sigma=2, workers=1)
    )


@pytest.mark.parametrize("border", ["nearest", "reflect", "mirror"])
@pytest.mark.parametrize("shape", [*SIZES, (5, 2100)])
def test_gaussian(rng, backend, shape, border):
    reference = pytest.importorskip("scipy.ndimage").gaussian_filter
    image = image_of(rng, shape)
    for sigma in (0.1, 0.8, 3, 21):
        found = features.gaussian(image, sigma, border=border, backend=backend)[..., 0]
        expected = reference(image, sigma, mode=border)
        np.testing.assert_array_equal(found, expected)
        at = np.array([[0, shape[1] - 1], [shape[0] - 1, shape[1] // 2]])
        found = features.gaussian(image, sigma, border=border, at=at, backend=backend)[..., 0]
        np.testing.assert_array_equal(found, expected[tuple(at.T)])


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 140), st.integers(1, 140)),
    st.floats(0.05, 60),
    st.sampled_from(["nearest", "reflect", "mirror"]),
    st.integers(0, 2**32 - 1),
)
def test_gaussian_of_anything(shape, sigma, border, seed):
    reference = pytest.importorskip("scipy.ndimage").gaussian_filter
    rng = np.random.default_rng(seed)
    image = np.exp(rng.normal(0, 10, shape)).astype(np.float32)
    expected = reference(image, sigma, mode=border)
    np.testing.assert_array_equal(features.gaussian(image, sigma, border=border)[..., 0], expected)
    at = rng.integers(0, shape, (5, 2))
    found = features.gaussian(image, sigma, border=border, at=at)[..., 0]
    np.testing.assert_array_equal(found, expected[tuple(at.T)])


@pytest.mark.parametrize("shape", SIZES)
def test_core(rng, backend, shape):
    gaussian = pytest.importorskip("scipy.ndimage").gaussian_filter
    rgb2lab = pytest.importorskip("skimage.color").rgb2lab
    image = image_of(rng, (*shape, 3), "uint8")
    lab = rgb2lab(image)
    np.testing.assert_allclose(features.lab(image), lab, atol=2e-5)
    np.testing.assert_allclose(features.lab(image / 255), lab, atol=2e-5)
    found = features.bank(image, [1, 2, 4, 8, 16], profile="core", backend=backend)
    means = [gaussian(lab, (s, s, 0)) for s in (1, 2, 4, 8, 16)]
    squares = [gaussian(lab * lab, (s, s, 0)) for s in (1, 2, 4, 8, 16)]
    deviations = [np.sqrt(np.maximum(b - a * a, 0)) for a, b in zip(means, squares, strict=True)]
    np.testing.assert_allclose(found, np.concatenate([lab, *means, *deviations], -1), atol=1e-3)
    assert len(features.names(3, [1, 2, 4, 8, 16], profile="core")) == found.shape[-1] == 33


def test_deviation(rng, backend):
    gaussian = pytest.importorskip("scipy.ndimage").gaussian_filter
    image = 1000 + image_of(rng, (40, 50)).astype(np.float64)
    expected = np.sqrt(
        gaussian(image.astype("f4").astype("f8") ** 2, 3) - gaussian(image.astype("f4").astype("f8"), 3) ** 2
    )
    np.testing.assert_allclose(features.deviation(image, 3, backend=backend)[..., 0], expected, atol=1e-6)


def ilastik_bank(band: np.ndarray, sigma: float) -> np.ndarray:
    """With SciPy, full kernels instead of halves, in float32 as ilastik."""
    correlate = pytest.importorskip("scipy.ndimage").correlate1d

    def kernel(s: float, order: int, window: float) -> np.ndarray:
        radius = max(int(window * s + 0.5), min(order, 1))
        x = np.arange(-radius, radius + 1)
        w = np.exp(-(x**2) / (2 * s * s)) * [1, x, x**2 / s**2 - 1][order]
        w -= w.mean() if order == 2 else 0
        return w / (w.sum(), (x * w).sum(), (x * x * w).sum() / 2)[order]

    def smooth(plane: np.ndarray, s: float, down: int = 0, along: int = 0, window: float = 2) -> np.ndarray:
        plane = correlate(plane, kernel(s, down, window), axis=0, mode="mirror")
        return correlate(plane, kernel(s, along, window), axis=1, mode="mirror")

    def eigenvalues(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> list[np.ndarray]:
        found = np.linalg.eigvalsh(np.stack([a, b, b, c], -1).reshape(*a.shape, 2, 2).astype(np.float64))
        return [found[..., 1], found[..., 0]]

    g = smooth(band, np.sqrt(sigma**2 - 1) if sigma > 1 else sigma, window=3.5)
    s = min(sigma, 1)
    d, a = smooth(g, s / 2, 1), smooth(g, s / 2, 0, 1)
    dd, da, aa = smooth(g, s, 2), smooth(g, s, 1, 1), smooth(g, s, 0, 2)
    maps = [
        smooth(g, s),
        dd + aa,
        np.hypot(smooth(g, s, 1), smooth(g, s, 0, 1)),
        smooth(g, s) - smooth(g, 0.66 * s),
    ]
    maps += eigenvalues(smooth(d * d, s), smooth(d * a, s), smooth(a * a, s)) + eigenvalues(dd, da, aa)
    return np.stack(maps, -1)


@pytest.mark.parametrize("shape", [(7, 5), (61, 129), (130, 65)])
def test_ilastik(rng, backend, shape):
    ramp = np.indices(shape).sum(0) * 3
    image = np.stack([ramp + rng.normal(0, 10, shape), rng.random(shape)], -1)
    scales = (0.3, 0.7, 1, 1.6, 3.5, 5, 10)
    found = features.bank(image, scales, profile="ilastik", backend=backend)
    assert found.shape[-1] == len(features.names(2, scales, profile="ilastik")) == 2 * 7 * 8
    as_float32 = np.moveaxis(image.astype(np.float32), -1, 0)
    assert_near(found, np.concatenate([ilastik_bank(band, s) for band in as_float32 for s in scales], -1))


# Doodler


def doodler_bank(image: np.ndarray, scales: list[float], software: str) -> np.ndarray:
    """With SciPy and NumPy, step by step; the location in pixels."""
    ndimage = pytest.importorskip("scipy.ndimage")
    offset = 0.0 if software == "modern" else 0.5
    maps = []
    for band in np.moveaxis(image.astype(np.float32), -1, 0):
        for sigma in scales:
            rows, columns = np.indices(band.shape) + offset
            y, x = (ndimage.gaussian_filter(grid, sigma, mode="nearest") for grid in (rows, columns))
            g = ndimage.gaussian_filter(band, sigma, mode="nearest")
            h = ndimage.convolve(g, np.outer([1, 0, -1], [1, 2, 1]) / 4)
            v = ndimage.convolve(g, np.outer([1, 2, 1], [1, 0, -1]) / 4)
            sobel = np.sqrt(h**2 + v**2) / np.sqrt(np.float32(2))
            if software == "sk016":
                sobel[[0, -1]] = sobel[:, [0, -1]] = 0
            rr, rc, cc = (np.gradient(np.gradient(g, axis=a), axis=b) for a, b in ((0, 0), (0, 1), (1, 1)))
            gap = np.sqrt(4 * rc**2 + (rr - cc) ** 2) / 2
            mean = (rr + cc) / 2
            maps += [np.sqrt(x**2 + y**2), g, sobel, mean + gap, mean - gap]
    return np.stack(maps, -1).astype(np.float64)


@pytest.mark.parametrize("software", SOFTWARE)
def test_doodler(rng, backend, software):
    image = image_of(rng, (65, 40, 3), "float64")
    found = features.bank(
        image, [1, 4, 16], profile="doodler", software=software, dtype=np.float64, backend=backend
    )
    expected = doodler_bank(image, [1, 4, 16], software)
    assert len(features.names(3, [1, 4, 16], profile="doodler")) == 45
    np.testing.assert_array_equal(found[..., 0::5], expected[..., 0::5])  # float64
    np.testing.assert_array_equal(found, expected)
    as_float32 = features.bank(image, [1, 4, 16], profile="doodler", software=software, backend=backend)
    np.testing.assert_array_equal(as_float32, expected.astype(np.float32))


MEANS = {
    "14-36": (
        *("sk017", 187.238, 0.137482, 0.0234078, 0.00542988, -0.00544412),
        *(186.838, 0.134753, 0.00361945, 8.44634e-5, -1.00542e-4),
    ),
    "14-15": (
        *("sk016", 249.55, 0.262265, 0.0264018, 0.00630702, -0.00640878),
        *(249.235, 0.250052, 0.0045174, 5.00234e-5, -1.13783e-4),
    ),
}
"""Of band 0 at the scales 1 and 16, from runs of the programs that made the labels."""


@pytest.mark.parametrize("time", MEANS)
def test_doodler_on_its_own_images(data, backend, time):
    path = next((data / "doodler").glob(f"*{time}*.npz"), None)
    if path is None:
        pytest.skip("without Doodler's results")
    image = doodler.read_trials(path)[0].array("image").astype(np.float64)
    image = (image - image.min()) / np.ptp(image)
    software, *expected = MEANS[time]
    found = features.bank(image, [1, 16], profile="doodler", software=software, dtype=float, backend=backend)
    np.testing.assert_allclose(found[..., :10].mean((0, 1)), expected, rtol=3e-6)
    assert_near(found, doodler_bank(image, [1, 16], software))
    if time == "14-36":
        pixel = [142.1285, 0.121259, 0.01214786, 0.006407409, -7.027905e-4]
        np.testing.assert_allclose(found[100, 100, :5], pixel, rtol=4e-6)


def test_on_a_core(data):
    reference = pytest.importorskip("skimage.feature").multiscale_basic_features
    path = next((data / "cores").glob("*.jpg"), None)
    if path is None:
        pytest.skip("without a photo of a core")
    image = pytest.importorskip("skimage.io").imread(path)[1000:1200]
    np.testing.assert_array_equal(
        features.bank(image, features.sigmas()), reference(image, channel_axis=-1, workers=1)
    )


# Everywhere or at requested pixels


@pytest.mark.parametrize("profile", ["skimage", "doodler", "ilastik", "core"])
@pytest.mark.parametrize("shape", [*SIZES, (70, 1100)])
def test_requested_pixels(rng, backend, shape, profile):
    if backend != "cpp" and shape[1] > 1000:
        pytest.skip("the twins compute everything anyway")
    image = image_of(rng, (*shape, 3), "uint8")
    whole = features.bank(image, [0.7, 16], profile=profile, backend=backend)
    mask = rng.random(shape) < 0.02
    mask[-1, 0] = True
    at = np.argwhere(mask)
    for requested in (mask, at, at.tolist()):
        found = features.bank(image, [0.7, 16], profile=profile, at=requested, backend=backend)
        np.testing.assert_array_equal(found, whole[mask])
    shuffled = rng.permutation(np.concatenate([at, at]))
    found = features.bank(image, [0.7, 16], profile=profile, at=shuffled, backend=backend)
    np.testing.assert_array_equal(found, whole[tuple(shuffled.T)])
    assert features.bank(image, [0.7], profile=profile, at=[], backend=backend).shape[0] == 0


@pytest.mark.parametrize("profile", ["skimage", "doodler", "ilastik", "core"])
@pytest.mark.parametrize("shape", [*SIZES, (0, 5), (5, 0), (70, 1100)])
def test_same_bits(rng, both, shape, profile):
    image = image_of(rng, (*shape, 3))
    for software in SOFTWARE if profile == "doodler" else ("modern",):
        a, b = (
            features.bank(image, [0.4, 2, 9], profile=profile, software=software, backend=name)
            for name in ("cpp", "numba")
        )
        np.testing.assert_array_equal(a, b)


def test_any_threads_and_instructions(rng):
    core = pytest.importorskip("maskmill._core")
    image = image_of(rng, (150, 90, 2))
    expected = features.bank(image, [1, 5], backend="cpp")
    threads, level = core.thread_count(), core.simd_level()
    try:
        for n in (1, 3, 8):
            core.set_thread_count(n)
            np.testing.assert_array_equal(features.bank(image, [1, 5], backend="cpp"), expected)
        for name in ("baseline", "avx2", "avx512"):
            if name in ("baseline", core.best_simd_level()) or core.best_simd_level() == "avx512":
                core.set_simd_level(name)
                np.testing.assert_array_equal(features.bank(image, [1, 5], backend="cpp"), expected)
    finally:
        core.set_thread_count(threads)
        core.set_simd_level(level)


# Odd input


def test_nan_spreads_as_far_as_a_filter_reaches(backend):
    image = np.ones((30, 30), np.float32)
    image[5, 5] = np.nan
    found = features.bank(image, [1], backend=backend)
    assert np.isnan(found[5, 5]).all()
    assert np.isnan(found[9, 9, 0])
    assert not np.isnan(found[10:, 12:]).any()


def test_constant_image(backend):
    found = features.bank(np.full((20, 20), 7, np.uint8), [1, 40], backend=backend)
    np.testing.assert_array_equal(found[..., [0, 4]], found[:1, :1, [0, 4]].repeat(20, 0).repeat(20, 1))
    np.testing.assert_array_equal(found[..., [1, 2, 3, 5, 6, 7]], 0)


def test_scales_below_any_pixel(backend):
    image = np.eye(5)
    for profile in ("skimage", "doodler", "ilastik"):
        found = features.bank(image, [5e-324], profile=profile, backend=backend)
        assert np.isfinite(found).all()
        np.testing.assert_array_equal(found, features.bank(image, [1e-9], profile=profile, backend=backend))
    np.testing.assert_array_equal(features.gaussian(image, 5e-324, backend=backend)[..., 0], image)


def test_any_memory(rng, backend):
    image = image_of(rng, (40, 60, 3))
    expected = features.bank(np.ascontiguousarray(image[::-2, 5::3]), [2], backend=backend)
    np.testing.assert_array_equal(features.bank(image[::-2, 5::3], [2], backend=backend), expected)
    np.testing.assert_array_equal(
        features.bank(image[::-2, 5::3].astype(">f4"), [2], backend=backend), expected
    )
    np.testing.assert_array_equal(
        features.bank(image.tolist(), [2], backend=backend)[::-1], features.bank(image, [2])[::-1]
    )
    out = np.full(expected.shape, np.nan)
    assert features.bank(image[::-2, 5::3], [2], out=out, backend=backend) is out
    np.testing.assert_array_equal(out, expected)


def test_sigmas():
    np.testing.assert_array_equal(features.sigmas(0.5, 16), [0.5, 1, 2, 4, 8, 16])
    assert features.sigmas(1, 16, 5).tolist() == [1, 2, 4, 8, 16]
    assert len(features.sigmas(1, 2, 0)) == 0


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0)])
def test_empty(shape, backend):
    assert features.bank(np.zeros((*shape, 3)), [1, 2], backend=backend).shape == (*shape, 24)
    assert features.bank(np.zeros((*shape, 3)), [], backend=backend).shape == (*shape, 0)


@pytest.mark.parametrize(
    ("error", "words", "arguments"),
    [
        (TypeError, "image must be numbers, not complex128", {"image": np.zeros((2, 2), complex)}),
        (TypeError, "image must be numbers, not <U1", {"image": "a"}),
        (ValueError, r"image must have shape .*, not \(2,\)", {"image": np.zeros(2)}),
        (ValueError, r"image must have shape .*, not \(1, 1, 1, 1\)", {"image": np.zeros((1, 1, 1, 1))}),
        (ValueError, "sigmas must be above 0 and at most 10000, not 0", {"sigmas": [1, 0]}),
        (ValueError, "sigmas must be above 0 .*, not -1", {"sigmas": -1}),
        (ValueError, "sigmas must be above 0 .*, not nan", {"sigmas": [np.nan]}),
        (ValueError, "sigmas must be above 0 .*, not 1e[+]09", {"sigmas": [1e9]}),
        (TypeError, "sigmas must be numbers, not <U1", {"sigmas": "a"}),
        (ValueError, r"sigmas must have shape \(S,\), not \(1, 1\)", {"sigmas": [[1]]}),
        (ValueError, "profile must be one of .*, not 'x'", {"profile": "x"}),
        (ValueError, "software must be one of .*, not 'x'", {"software": "x"}),
        (ValueError, r"at must have the image's shape \(4, 5\), not \(4, 4\)", {"at": np.ones((4, 4), bool)}),
        (ValueError, r"at 1 must be inside of the image of \(4, 5\), not \[0, 5\]", {"at": [[0, 0], [0, 5]]}),
        (ValueError, r"at must be a mask or have shape \(K, 2\), not \(3,\)", {"at": [1, 2, 3]}),
        (TypeError, "at must be integers, not float64", {"at": [[0.5, 1]]}),
        (ValueError, "dtype must be float32 or float64, not int64", {"dtype": np.int64}),
        (TypeError, "out must be an array of float32 or float64", {"out": np.zeros((4, 5, 4), int)}),
        (
            ValueError,
            r"out must be .* of shape \(4, 5, 4\), not of shape \(4, 5, 3\)",
            {"out": np.zeros((4, 5, 3))},
        ),
        (ValueError, "image must be RGB for LAB, not of 1 bands", {"profile": "core"}),
        (TypeError, "must be uint8 or floats", {"profile": "core", "image": np.zeros((1, 1, 3), np.int16)}),
    ],
)
def test_refuses(error, words, arguments, backend):
    arguments = {"image": np.zeros((4, 5)), "sigmas": [1.0], **arguments}
    with pytest.raises(error, match=words):
        features.bank(**arguments, backend=backend)


TABLES = {
    "image": np.zeros((1, 4, 5), np.float32),
    "weights": np.ones(3),
    "starts": np.array([0, 1, 3]),
    "parity": np.array([1, 1]),
    "first": np.array([[0, 1, 0]]),
    "second": np.array([[0, 1]]),
    "maps": np.array([[0, 0, 0, 0], [10, 0, 0, 0]]),
    "rows": np.zeros((1, 4)),
    "columns": np.zeros((1, 5)),
    "border": 0,
    "precise": False,
    "at": None,
    "out": np.zeros((4, 5, 2), np.float32),
}


@pytest.mark.parametrize(
    ("words", "faults"),
    [
        ("kernel 1: must have a weight", {"starts": np.array([0, 1, 1])}),
        ("kernel 1: parity must be 1 or -1", {"parity": np.array([1, 0])}),
        ("first 0: no such band", {"first": np.array([[1, 1, 0]])}),
        ("first 0: power must be 1 or 2", {"first": np.array([[0, 3, 0]])}),
        ("first 0: no such kernel", {"first": np.array([[0, 1, -1]])}),
        ("second 0: no such plane of the first pass", {"second": np.array([[1, 0]])}),
        ("second 0: no such kernel", {"second": np.array([[0, 2]])}),
        ("map 1: no such operation", {"maps": np.array([[0, 0, 0, 0], [11, 0, 0, 0]])}),
        ("map 0: no such plane", {"maps": np.array([[0, 1, 0, 0], [10, 0, 0, 0]])}),
        ("map 1: no such location", {"maps": np.array([[0, 0, 0, 0], [10, 1, 0, 0]])}),
        ("pixel 1: is outside of the image", {"at": np.array([[0, 0], [4, 0]]), "out": np.zeros((2, 2))}),
        ("image must have shape", {"image": np.zeros((4, 5), np.float32)}),
        ("offsets must rise", {"starts": np.array([0, 4, 3])}),
        ("parity must have an element", {"parity": np.array([1])}),
        ("first must have shape", {"first": np.zeros((1, 2), int)}),
        ("rows and columns must have shapes", {"rows": np.zeros((1, 5))}),
        ("border must be 0, 1 or 2", {"border": 3}),
        ("out must have shape", {"out": np.zeros((5, 4, 2))}),
        ("out must have a column", {"out": np.zeros((4, 5, 3))}),
    ],
)
def test_kernel_refuses(kernels, words, faults):
    with pytest.raises(ValueError, match=words):
        kernels.features_bank(**{**TABLES, **faults})


def test_tables_are_good(kernels):
    kernels.features_bank(**TABLES)
