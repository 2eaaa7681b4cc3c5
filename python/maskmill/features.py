"""Features of pixels for classifiers: filter banks over several scales and bands, as other programs compute them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from maskmill import _check
from maskmill._backend import BackendError
from maskmill._device import as_array, as_output, is_on_gpu, library, on_host, to_host
from maskmill._feature_plans import Bank, Plan, gaussian_half, profile_of

__all__ = ["bank", "deviation", "gaussian", "lab", "names", "sigmas"]

LARGEST_SIGMA = 10_000.0


def bank(
    image: ArrayLike,
    sigmas: ArrayLike,
    *,
    profile: str = "skimage",
    software: str = "modern",
    at: ArrayLike | None = None,
    dtype: DTypeLike = np.float32,
    out: NDArray[Any] | None = None,
    backend: str | None = None,
) -> NDArray[Any]:
    """All features of a profile, for every pixel or for those requested.

    Parameters
    ----------
    image : (H, W) or (H, W, bands)
        Bool, integers or floats, bands last. Taken as float32; "skimage" and "doodler" scale integers to 0 .. 1 (or
        -1 .. 1 where there is a sign) as scikit-image does, the others take numbers as they are. "core" wants RGB,
        uint8 or floats of 0 .. 1. Images on a GPU are worked on there, but for "core".
    sigmas : (S,) of positive numbers
        Scales in pixels, at most 10,000.
    profile : {"skimage", "doodler", "ilastik", "core"}
        "skimage": `skimage.feature.multiscale_basic_features`: per band and scale the Gaussian, its Sobel magnitude and
        the two eigenvalues of its Hessian. "doodler": the same with the distance to the image's origin before them, as
        Doodler made the labels of Coast Train. "ilastik": ilastik's pixel features (its scales are 0.3, 0.7, 1, 1.6,
        3.5, 5 and 10): Gaussian, Laplacian, gradient magnitude, difference of Gaussians, eigenvalues of the structure
        tensor and of the Hessian. "core": LAB, Gaussian means of it, local standard deviations.
    software : {"sk016", "sk017", "modern"}
        Of "doodler": the scikit-image it ran with: up to 0.16.2, 0.17 to 0.19, later.
    at : (H, W) bool or (K, 2) integers, optional
        Pixels as a mask or as rows and columns. Only what they need is computed.
    dtype : float32 or float64
        Of the result. All features but the distance have the precision of float32 anyway.
    out : (H, W, F) or (K, F), C-contiguous, optional
        Where to write, instead of a new array.

    Returns
    -------
    (H, W, F), or (K, F) at K pixels
        In the order of `names`. What is computed at requested pixels has the same bits as all.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    Besides the result this takes the bands as float32 and, per thread, 64 rows of one plane per band and scale.

    NaN spreads as far as a filter reaches. Along an axis with one pixel all differences are 0. Gaussians
    have the bits of `scipy.ndimage.gaussian_filter` on float32, cut at 4 sigma, the border repeated ("core": mirrored
    with the border pixel, SciPy's "reflect"; "ilastik": mirrored without it).

    "ilastik" smooths whole planes before anything else, also where only some pixels are requested.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import features
    >>> image = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    >>> features.bank(image, [1, 2]).shape
    (3, 4, 8)
    >>> features.names(1, [1, 2])[:4]
    ('band0_sigma1_gaussian', 'band0_sigma1_sobel', 'band0_sigma1_hessian0', 'band0_sigma1_hessian1')
    >>> features.bank(image, [1, 2], at=[[0, 0], [2, 3]])[:, 0].round(3)
    array([0.141, 0.722], dtype=float32)
    """
    scales = _sigmas(sigmas)
    make = profile_of(profile, software)
    planes = _planes(image, "raw" if profile in ("ilastik", "core") else "unit")
    if profile == "core":
        planes = _lab_planes(planes, as_array(image).dtype)
    return _filled(make(scales, planes.shape), planes, at, dtype, out, backend)


def names(
    bands: int, sigmas: ArrayLike, *, profile: str = "skimage", software: str = "modern"
) -> tuple[str, ...]:
    """What the columns of `bank` are called, in order.

    Examples
    --------
    >>> from maskmill import features
    >>> features.names(1, [1], profile="doodler")[:2]
    ('band0_sigma1_location', 'band0_sigma1_gaussian')
    """
    return tuple(profile_of(profile, software)(_sigmas(sigmas), (int(bands), 1, 1)).names)


def sigmas(low: float = 0.5, high: float = 16.0, n: int | None = None) -> NDArray[np.float64]:
    """Scales from `low` to `high` by equal factors; n is log2(high / low) + 1 unless given.

    Source: `skimage.feature.multiscale_basic_features` (sigma_min, sigma_max, num_sigma).

    Examples
    --------
    >>> from maskmill import features
    >>> features.sigmas(1, 16, 3).tolist()
    [1.0, 4.0, 16.0]
    """
    _sigmas([low, high])
    steps = int(np.log2(high) - np.log2(low) + 1) if n is None else int(n)
    if steps < 0:
        raise ValueError(f"n must be 0 or more, not {n}")
    return np.logspace(np.log2(low), np.log2(high), num=steps, base=2, endpoint=True)


def gaussian(
    image: ArrayLike,
    sigma: float,
    *,
    border: str = "nearest",
    truncate: float = 4.0,
    at: ArrayLike | None = None,
    backend: str | None = None,
) -> NDArray[np.float32]:
    """Gaussian mean of every band, float32: the bits of `scipy.ndimage.gaussian_filter` of the image as float32.

    Parameters
    ----------
    image : (H, W) or (H, W, bands), numbers, taken as they are
    border : {"nearest", "reflect", "mirror"}
        As SciPy calls them.
    truncate : float
        Radius of the kernel in sigmas.
    at : as of `bank`

    Returns
    -------
    (H, W, bands), or (K, bands)

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import features
    >>> features.gaussian(np.eye(3), 0.5)[..., 0].round(2)[0]
    array([0.81, 0.18, 0.01], dtype=float32)
    """
    planes = _planes(image, "raw")
    plan = Plan(planes.shape, border)
    half = gaussian_half(_sigmas([sigma])[0], _truncated(truncate))
    for band in range(len(planes)):
        plan.add("value", plan.plane(band, half, half), names=[f"band{band}"])
    return _filled(plan, planes, at, np.float32, None, backend)


def deviation(
    image: ArrayLike,
    sigma: float,
    *,
    border: str = "reflect",
    truncate: float = 4.0,
    at: ArrayLike | None = None,
    backend: str | None = None,
) -> NDArray[np.float32]:
    """Local standard deviation of every band under a Gaussian window, √max(G(x²) - G(x)², 0), computed in float64.

    Parameters and result as of `gaussian`.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import features
    >>> features.deviation(np.indices((4, 4))[0] % 2, 8)[..., 0].round(3)[0]
    array([0.5, 0.5, 0.5, 0.5], dtype=float32)
    """
    planes = _planes(image, "raw")
    plan = Plan(planes.shape, border, precise=True)
    half = gaussian_half(_sigmas([sigma])[0], _truncated(truncate))
    for band in range(len(planes)):
        plan.add(
            "deviation",
            plan.plane(band, half, half),
            plan.plane(band, half, half, power=2),
            names=[f"band{band}"],
        )
    return _filled(plan, planes, at, np.float32, None, backend)


def lab(image: ArrayLike) -> NDArray[np.float32]:
    """CIE LAB (D65, 2°) of an sRGB image, L 0 .. 100, as `skimage.color.rgb2lab`.

    Parameters
    ----------
    image : (H, W, 3), uint8 or floats of 0 .. 1

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import features
    >>> features.lab(np.full((1, 1, 3), 255, np.uint8)).round(2)[0, 0, 0].item()
    100.0
    """
    planes = _lab_planes(_planes(image, "raw"), as_array(image).dtype)
    return np.ascontiguousarray(np.moveaxis(planes, 0, -1))


# Arguments and results


def _filled(
    bank: Bank,
    planes: NDArray[np.float32],
    at: ArrayLike | None,
    dtype: DTypeLike,
    out: NDArray[Any] | None,
    backend: str | None,
) -> NDArray[Any]:
    height, width = planes.shape[1:]
    pixels = _pixels(at, height, width)
    shape = (height, width) if pixels is None else (len(pixels),)
    result = _result(out, (*shape, len(bank.names)), dtype, library(planes))
    bank.run(planes, pixels, result, backend)
    return result


def _sigmas(values: ArrayLike) -> list[float]:
    array = on_host(values, "sigmas")
    if array.dtype.kind not in "uif":
        if array.size:
            raise TypeError(f"sigmas must be numbers, not {array.dtype}")
        array = array.astype(float)
    if array.ndim > 1:
        raise ValueError(f"sigmas must have shape (S,), not {array.shape}")
    found = [float(value) for value in np.atleast_1d(array)]
    for sigma in found:
        if not 0 < sigma <= LARGEST_SIGMA:
            raise ValueError(f"sigmas must be above 0 and at most {LARGEST_SIGMA:g}, not {sigma:g}")
    return found


def _truncated(truncate: float) -> float:
    if not 0 < float(truncate) <= 100:
        raise ValueError(f"truncate must be above 0 and at most 100, not {truncate}")
    return float(truncate)


def _planes(image: ArrayLike, scaling: str) -> NDArray[np.float32]:
    """(bands, H, W) float32; "unit": integers by skimage.util.img_as_float32, "raw": as they are."""
    array, there = as_array(image), library(image)
    if array.dtype.kind not in "buif":
        raise TypeError(f"image must be numbers, not {array.dtype}")
    if array.ndim not in (2, 3):
        raise ValueError(f"image must have shape (H, W) or (H, W, bands), not {array.shape}")
    turned = array[None] if array.ndim == 2 else there.moveaxis(array, -1, 0)
    if scaling == "unit" and array.dtype.kind in "ui":
        turned = _as_unit(turned, there)
    planes: NDArray[np.float32] = there.ascontiguousarray(turned, np.float32)
    return planes


def _as_unit(integers: Any, there: Any) -> Any:
    """To 0 .. 1, or -1 .. 1 where there is a sign."""
    kind = np.float64 if integers.dtype.itemsize > 4 else np.float32
    scale = 1.0 / np.iinfo(integers.dtype).max
    if there is np:
        scaled = np.multiply(integers, scale, dtype=kind, order="C")
    else:
        scaled = integers.astype(kind) * kind(scale)
    return there.maximum(scaled, kind(-1.0)) if integers.dtype.kind == "i" else scaled


def _lab_planes(rgb: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[np.float32]:
    if is_on_gpu(rgb):
        raise BackendError(
            "LAB has no twin on the GPU, whose powers differ in the last bit; bring the image to the host"
        )
    if len(rgb) != 3:
        raise ValueError(f"image must be RGB for LAB, not of {len(rgb)} bands")
    if dtype.kind != "f" and dtype != np.uint8:
        raise TypeError(f"image must be uint8 or floats of 0 .. 1 for LAB, not {dtype}")
    values = np.arange(256) / 255 if dtype == np.uint8 else rgb.astype(np.float64)
    with np.errstate(invalid="ignore"):
        linear = np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)
    if dtype == np.uint8:
        linear = linear[rgb.astype(np.uint8)]
    xyz = np.tensordot(_XYZ_OF_RGB, linear, 1) / _D65[:, None, None]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])]).astype(np.float32)


_XYZ_OF_RGB = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_D65 = np.array([0.95047, 1.0, 1.08883])


def _pixels(at: ArrayLike | None, height: int, width: int) -> NDArray[np.int64] | None:
    """(K, 2) rows and columns."""
    if at is None:
        return None
    array = to_host(at)
    if array.dtype == np.bool_:
        if array.shape != (height, width):
            raise ValueError(f"at must have the image's shape {(height, width)}, not {array.shape}")
        return np.ascontiguousarray(np.argwhere(array))
    found = _check.integers(array.reshape(-1, 2) if array.size == 0 else array, np.int64, "at")
    if found.ndim != 2 or found.shape[1] != 2:
        raise ValueError(f"at must be a mask or have shape (K, 2), not {found.shape}")
    outside = ((found < 0) | (found >= (height, width))).any(axis=1)
    if outside.any():
        i = int(outside.argmax())
        raise ValueError(f"at {i} must be inside of the image of {(height, width)}, not {found[i].tolist()}")
    return found


def _result(out: NDArray[Any] | None, shape: tuple[int, ...], dtype: DTypeLike, there: Any) -> NDArray[Any]:
    if out is None:
        kind = np.dtype(dtype)
        if kind not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, not {kind}")
        empty: NDArray[Any] = there.empty(shape, kind)
        return empty
    on_gpu, out = is_on_gpu(out), as_output(out)
    if not (on_gpu or isinstance(out, np.ndarray)) or out.dtype not in (np.float32, np.float64):
        raise TypeError("out must be an array of float32 or float64")
    if out.shape != shape or not out.flags.c_contiguous or not (on_gpu or out.flags.writeable):
        raise ValueError(
            f"out must be a C-contiguous, writeable array of shape {shape}, not of shape {out.shape}"
        )
    return out
