"""Features of pixels for classifiers: filter banks over several scales and bands, as other programs compute them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from maskmill import _check
from maskmill._backend import kernels

__all__ = ["bank", "deviation", "gaussian", "lab", "names", "sigmas"]

Half = NDArray[np.float64]
"""A kernel's weights at 0, 1 .. radius."""

LARGEST_SIGMA = 10_000.0
_BORDERS = {"nearest": 0, "reflect": 1, "mirror": 2}
_OPERATIONS = (
    "value",
    "sobel",
    "sobel_inner",
    "hessian",
    "hessian_doubled",
    "magnitude",
    "sum",
    "difference",
    "eigenvalues",
    "deviation",
    "location",
)
"""As the kernel counts them."""


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
        uint8 or floats of 0 .. 1.
    sigmas : (S,) of positive numbers
        Scales in pixels, at most 10,000.
    profile : {"skimage", "doodler", "core"}
        "skimage": `skimage.feature.multiscale_basic_features`: per band and scale the Gaussian, its Sobel magnitude and
        the two eigenvalues of its Hessian. "doodler": the same with the distance to the image's origin before them, as
        Doodler made the labels of Coast Train. "core": LAB, Gaussian means of it, local standard deviations.
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
    with the border pixel, SciPy's "reflect").

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
    make = _profile(profile, software)
    planes = _planes(image, "raw" if profile in ("ilastik", "core") else "unit")
    if profile == "core":
        planes = _lab_planes(planes, np.asarray(image).dtype)
    return make(scales, planes.shape).run(planes, at, dtype, out, backend)


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
    return tuple(_profile(profile, software)(_sigmas(sigmas), (int(bands), 1, 1)).names)


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
    plan = _Plan(planes.shape, border)
    half = _gaussian_half(_sigmas([sigma])[0], _truncated(truncate))
    for band in range(len(planes)):
        plan.add("value", plan.plane(band, half, half), names=[f"band{band}"])
    return plan.run(planes, at, np.float32, None, backend)


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
    plan = _Plan(planes.shape, border, precise=True)
    half = _gaussian_half(_sigmas([sigma])[0], _truncated(truncate))
    for band in range(len(planes)):
        plan.add(
            "deviation",
            plan.plane(band, half, half),
            plan.plane(band, half, half, power=2),
            names=[f"band{band}"],
        )
    return plan.run(planes, at, np.float32, None, backend)


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
    planes = _lab_planes(_planes(image, "raw"), np.asarray(image).dtype)
    return np.ascontiguousarray(np.moveaxis(planes, 0, -1))


# The plan of a bank: what to smooth, and what to make of it. The tables are those of cpp/kernels/features.hpp.


class _Plan:
    def __init__(self, shape: tuple[int, ...], border: str = "nearest", *, precise: bool = False) -> None:
        self.shape = shape
        self.border = _check.choice(border, "border", _BORDERS)
        self.precise = precise
        self.names: list[str] = []
        self._halves: dict[tuple[bytes, int], int] = {}
        self._first: dict[tuple[int, int, int], int] = {}
        self._second: dict[tuple[int, int], int] = {}
        self._maps: list[list[int]] = []
        self._locations: list[tuple[Half, Half]] = []

    def plane(
        self, band: int, down: Half, along: Half, *, power: int = 1, parity: tuple[int, int] = (1, 1)
    ) -> int:
        """A band smoothed down the columns, then along the rows; parity -1: kernels of derivatives."""
        first = (band, power, self._kernel(down, parity[0]))
        q = self._first.setdefault(first, len(self._first))
        return self._second.setdefault((q, self._kernel(along, parity[1])), len(self._second))

    def _kernel(self, half: Half, parity: int) -> int:
        return self._halves.setdefault((half.tobytes(), parity), len(self._halves))

    def location(self, rows: Half, columns: Half) -> int:
        self._locations.append((rows, columns))
        return len(self._locations) - 1

    def add(self, operation: str, *planes: int, names: list[str]) -> None:
        self._maps.append([_OPERATIONS.index(operation), *planes, *[0] * (3 - len(planes))])
        self.names += names

    def run(
        self,
        planes: NDArray[np.float32],
        at: ArrayLike | None,
        dtype: DTypeLike,
        out: NDArray[Any] | None,
        backend: str | None,
    ) -> NDArray[Any]:
        height, width = planes.shape[1:]
        pixels = _pixels(at, height, width)
        shape = (height, width) if pixels is None else (len(pixels),)
        result = _result(out, (*shape, len(self.names)), dtype)
        located = len(self._locations)
        halves = [np.frombuffer(text) for text, _ in self._halves]
        starts = np.zeros(len(halves) + 1, np.int64)
        np.cumsum([len(half) for half in halves], out=starts[1:])
        kernels(backend).features_bank(
            planes,
            np.concatenate([*halves, np.empty(0)]),
            starts,
            np.array([parity for _, parity in self._halves], np.int64),
            np.array([*self._first], np.int64).reshape(-1, 3),
            np.array([*self._second], np.int64).reshape(-1, 2),
            np.array(self._maps, np.int64).reshape(-1, 4),
            np.array([rows for rows, _ in self._locations], float).reshape(located, height),
            np.array([columns for _, columns in self._locations], float).reshape(located, width),
            self.border,
            self.precise,
            pixels,
            result,
        )
        return result


# Profiles


def _skimage(scales: list[float], shape: tuple[int, ...]) -> _Plan:
    plan = _Plan(shape)
    for band in range(shape[0]):
        for sigma in scales:
            half = _gaussian_half(sigma)
            _basic(plan, plan.plane(band, half, half), f"band{band}_sigma{sigma:g}_", "sobel", "hessian")
    return plan


def _basic(plan: _Plan, plane: int, prefix: str, sobel: str, hessian: str) -> None:
    plan.add("value", plane, names=[prefix + "gaussian"])
    plan.add(sobel, plane, names=[prefix + "sobel"])
    plan.add(hessian, plane, names=[prefix + "hessian0", prefix + "hessian1"])


class _Software(NamedTuple):
    """What made scikit-image's versions differ for Doodler."""

    offset: float  # of the coordinates of pixels
    sobel: str
    hessian: str


_SOFTWARE = {
    "sk016": _Software(0.5, "sobel_inner", "hessian_doubled"),
    "sk017": _Software(0.5, "sobel", "hessian_doubled"),
    "modern": _Software(0.0, "sobel", "hessian"),
}


def _doodler(software: _Software, scales: list[float], shape: tuple[int, ...]) -> _Plan:
    plan = _Plan(shape)
    bands, height, width = shape
    halves = [_gaussian_half(sigma) for sigma in scales]
    locations = [plan.location(*_coordinates(height, width, half, software.offset)) for half in halves]
    for band in range(bands):
        for sigma, half, place in zip(scales, halves, locations, strict=True):
            prefix = f"band{band}_sigma{sigma:g}_"
            plan.add("location", place, names=[prefix + "location"])
            _basic(plan, plan.plane(band, half, half), prefix, software.sobel, software.hessian)
    return plan


def _coordinates(height: int, width: int, half: Half, offset: float) -> tuple[Half, Half]:
    """Rows and columns, smoothed as the grids of them would be: first down the columns, then along the rows."""
    rows, columns = np.arange(0.0, height) + offset, np.arange(0.0, width) + offset
    return _smooth_line(_smooth_line(rows, half), half, constant=True), _smooth_line(
        _smooth_line(columns, half, constant=True), half
    )


def _smooth_line(line: Half, half: Half, constant: bool = False) -> Half:
    """In the kernel's order of summation; constant: across the line, where all neighbours are equal."""
    radius, n = (0 if constant else len(half) - 1), len(line)
    padded = np.pad(line, radius, mode="edge") if n else line
    out: Half = line * half[0]
    for j in range(len(half) - 1, 0, -1):
        k = 0 if constant else j
        out += (padded[radius + k : radius + k + n] + padded[radius - k : radius - k + n]) * half[j]
    return out


def _core(scales: list[float], shape: tuple[int, ...]) -> _Plan:
    plan = _Plan(shape, "reflect", precise=True)
    itself = np.ones(1)
    for band, name in enumerate("Lab"):
        plan.add("value", plan.plane(band, itself, itself), names=[name])
    for operation, word in (("value", "mean"), ("deviation", "deviation")):
        for sigma in scales:
            half = _gaussian_half(sigma)
            for band, name in enumerate("Lab"):
                planes = [plan.plane(band, half, half)]
                if operation == "deviation":
                    planes.append(plan.plane(band, half, half, power=2))
                plan.add(operation, *planes, names=[f"{name}_sigma{sigma:g}_{word}"])
    return plan


def _profile(profile: str, software: str) -> Callable[[list[float], tuple[int, ...]], _Plan]:
    if software not in _SOFTWARE:
        _check.choice(software, "software", dict.fromkeys(_SOFTWARE, 0))
    found = {
        "skimage": _skimage,
        "doodler": lambda scales, shape: _doodler(_SOFTWARE[software], scales, shape),
        "core": _core,
    }
    if profile not in found:
        _check.choice(profile, "profile", dict.fromkeys(found, 0))
    return found[profile]


# Arguments


def _gaussian_half(sigma: float, truncate: float = 4.0) -> Half:
    """scipy.ndimage's kernel, in its order of operations."""
    return _gaussian_of_radius(float(sigma), int(truncate * float(sigma) + 0.5))


@cache
def _gaussian_of_radius(sigma: float, radius: int) -> Half:
    x = np.arange(-radius, radius + 1)
    phi: Half = np.exp(-0.5 / (sigma * sigma) * x**2)
    phi /= phi.sum()
    half = phi[radius:].copy()
    half.flags.writeable = False
    return half


def _sigmas(values: ArrayLike) -> list[float]:
    array = np.asarray(values)
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
    array = np.asarray(image)
    if array.dtype.kind not in "buif":
        raise TypeError(f"image must be numbers, not {array.dtype}")
    if array.ndim not in (2, 3):
        raise ValueError(f"image must have shape (H, W) or (H, W, bands), not {array.shape}")
    turned = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    if scaling == "raw" or array.dtype.kind in "bf":
        return np.ascontiguousarray(turned, np.float32)
    kind = np.float64 if array.dtype.itemsize > 4 else np.float32
    scaled = np.multiply(turned, 1.0 / np.iinfo(array.dtype).max, dtype=kind, order="C")
    if array.dtype.kind == "i":
        np.maximum(scaled, -1.0, out=scaled)
    return np.ascontiguousarray(scaled, np.float32)


def _lab_planes(rgb: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[np.float32]:
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
    array = np.asarray(at)
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


def _result(out: NDArray[Any] | None, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    if out is None:
        kind = np.dtype(dtype)
        if kind not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, not {kind}")
        return np.empty(shape, kind)
    if not isinstance(out, np.ndarray) or out.dtype not in (np.float32, np.float64):
        raise TypeError("out must be an array of float32 or float64")
    if out.shape != shape or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(
            f"out must be a C-contiguous, writeable array of shape {shape}, not of shape {out.shape}"
        )
    return out
