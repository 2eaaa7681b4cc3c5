"""What is smoothed and what is made of it: the plans that `maskmill.features` gives to its kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill import _check
from maskmill._backend import kernels
from maskmill._device import library

Half: TypeAlias = NDArray[np.float64]
"""A kernel's weights at 0, 1 .. radius."""
Planes: TypeAlias = NDArray[np.float32]
"""(bands, H, W)"""

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


# The plan of a bank: what to smooth, and what to make of it. The tables are those of cpp/kernels/features.hpp.


class Plan:
    """Tables that grow line by line; what two maps need alike is in them once."""

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
        self, planes: Planes, pixels: NDArray[np.int64] | None, out: NDArray[Any], backend: str | None
    ) -> None:
        """Into out (H, W, F), or (K, F) at pixels (K, 2)."""
        height, width = planes.shape[1:]
        located = len(self._locations)
        halves = [np.frombuffer(text) for text, _ in self._halves]
        starts = np.zeros(len(halves) + 1, np.int64)
        np.cumsum([len(half) for half in halves], out=starts[1:])
        kernels(backend, planes, out).features_bank(
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
            out,
        )


class Bank(Protocol):
    """A profile for an image of known size: a plan, or several of them, one upon the results of another."""

    names: list[str]

    def run(
        self, planes: Planes, pixels: NDArray[np.int64] | None, out: NDArray[Any], backend: str | None
    ) -> None: ...


# Profiles


def _skimage(scales: Sequence[float], shape: tuple[int, ...]) -> Plan:
    plan = Plan(shape)
    for band in range(shape[0]):
        for sigma in scales:
            half = gaussian_half(sigma)
            _basic(plan, plan.plane(band, half, half), f"band{band}_sigma{sigma:g}_", "sobel", "hessian")
    return plan


def _basic(plan: Plan, plane: int, prefix: str, sobel: str, hessian: str) -> None:
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


def _doodler(software: _Software, scales: Sequence[float], shape: tuple[int, ...]) -> Plan:
    plan = Plan(shape)
    bands, height, width = shape
    halves = [gaussian_half(sigma) for sigma in scales]
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


def _core(scales: Sequence[float], shape: tuple[int, ...]) -> Plan:
    plan = Plan(shape, "reflect", precise=True)
    itself = np.ones(1)
    for band, name in enumerate("Lab"):
        plan.add("value", plan.plane(band, itself, itself), names=[name])
    for operation, word in (("value", "mean"), ("deviation", "deviation")):
        for sigma in scales:
            half = gaussian_half(sigma)
            for band, name in enumerate("Lab"):
                planes = [plan.plane(band, half, half)]
                if operation == "deviation":
                    planes.append(plan.plane(band, half, half, power=2))
                plan.add(operation, *planes, names=[f"{name}_sigma{sigma:g}_{word}"])
    return plan


class _Ilastik:
    """ilastik smooths first, down to what a filter of scale 1 still has to do, and then applies small kernels.

    That and the constants are those of its operator OpPixelFeaturesPresmoothed; kernels are fastfilters'. Of its
    structure tensor, scale and half of the scale reach fastfilters in the other order than meant: derivatives are
    taken at half of the scale, and their products smoothed at the scale.
    """

    def __init__(self, scales: Sequence[float], shape: tuple[int, ...]) -> None:
        self.scales = scales
        _, self.height, self.width = shape
        maps = ("gaussian", "laplacian", "gradient", "dog", "tensor0", "tensor1", "hessian0", "hessian1")
        self.names = [
            f"band{band}_sigma{sigma:g}_{name}"
            for band in range(shape[0])
            for sigma in scales
            for name in maps
        ]

    def run(
        self, planes: Planes, pixels: NDArray[np.int64] | None, out: NDArray[Any], backend: str | None
    ) -> None:
        column = 0
        for plane in planes:
            for sigma in self.scales:
                ahead = math.sqrt(sigma * sigma - 1) if sigma > 1 else sigma
                smooth = self._smoothed(plane[None], ahead, backend)
                four = library(planes).stack(
                    [smooth[..., 0], *self._products(smooth, min(sigma, 1), backend)]
                )
                self._plan(min(sigma, 1)).run(four, pixels, out[..., column : column + 8], backend)
                column += 8

    def _smoothed(self, plane: Planes, sigma: float, backend: str | None) -> Planes:
        plan, half = Plan(plane.shape, "mirror"), vigra_half(sigma, 0, 3.5)
        plan.add("value", plan.plane(0, half, half), names=["gaussian"])
        out: Planes = library(plane).empty((self.height, self.width, 1), np.float32)
        plan.run(plane, None, out, backend)
        return out

    def _products(self, smooth: Planes, sigma: float, backend: str | None) -> list[Planes]:
        """Of the derivatives down and along: dd, da, aa."""
        plan = Plan((1, self.height, self.width), "mirror")
        _, down, along, *_ = _derivatives(plan, sigma / 2)
        plan.add("value", down, names=["down"])
        plan.add("value", along, names=["along"])
        out = library(smooth).empty((self.height, self.width, 2), np.float32)
        plan.run(smooth.reshape(1, self.height, self.width), None, out, backend)
        d, a = out[..., 0], out[..., 1]
        return [d * d, d * a, a * a]

    def _plan(self, sigma: float) -> Plan:
        """Of the smoothed band and the three products."""
        plan = Plan((4, self.height, self.width), "mirror")
        mean, down, along, dd, da, aa = _derivatives(plan, sigma)
        half, narrow = vigra_half(sigma, 0, 2.0), vigra_half(0.66 * sigma, 0, 2.0)
        plan.add("value", mean, names=["gaussian"])
        plan.add("sum", dd, aa, names=["laplacian"])
        plan.add("magnitude", down, along, names=["gradient"])
        plan.add("difference", mean, plan.plane(0, narrow, narrow), names=["dog"])
        plan.add("eigenvalues", *(plan.plane(k, half, half) for k in (1, 2, 3)), names=["tensor0", "tensor1"])
        plan.add("eigenvalues", dd, da, aa, names=["hessian0", "hessian1"])
        return plan


def _derivatives(plan: Plan, sigma: float) -> tuple[int, ...]:
    """Planes of band 0: smoothed; derived down, along; and again: down down, down along, along along."""
    none, first, second = (vigra_half(sigma, order, 2.0) for order in range(3))
    return (
        plan.plane(0, none, none),
        plan.plane(0, first, none, parity=(-1, 1)),
        plan.plane(0, none, first, parity=(1, -1)),
        plan.plane(0, second, none),
        plan.plane(0, first, first, parity=(-1, -1)),
        plan.plane(0, none, second),
    )


def profile_of(name: str, software: str) -> Callable[[Sequence[float], tuple[int, ...]], Bank]:
    """What makes a bank of scales and (bands, H, W)."""
    if software not in _SOFTWARE:
        _check.choice(software, "software", dict.fromkeys(_SOFTWARE, 0))
    found: dict[str, Callable[[Sequence[float], tuple[int, ...]], Bank]] = {
        "skimage": _skimage,
        "doodler": lambda scales, shape: _doodler(_SOFTWARE[software], scales, shape),
        "ilastik": _Ilastik,
        "core": _core,
    }
    if name not in found:
        _check.choice(name, "profile", dict.fromkeys(found, 0))
    return found[name]


# Kernels


def gaussian_half(sigma: float, truncate: float = 4.0) -> Half:
    """scipy.ndimage's kernel, in its order of operations."""
    return _gaussian_of_radius(float(sigma), int(truncate * float(sigma) + 0.5))


@cache
def _gaussian_of_radius(sigma: float, radius: int) -> Half:
    if radius == 0:
        return np.ones(1)  # whose square of sigma may be 0
    x = np.arange(-radius, radius + 1)
    phi: Half = np.exp(-0.5 / (sigma * sigma) * x**2)
    phi /= phi.sum()
    half = phi[radius:].copy()
    half.flags.writeable = False
    return half


def vigra_half(sigma: float, order: int, window: float) -> Half:
    """vigra's kernel of a Gaussian or its derivative, as fastfilters cuts it: at `window` sigmas, its moment corrected.

    To be added for the pixels behind and, with the sign of its parity, for those before.
    """
    radius = max(int(window * sigma + 0.5), min(order, 1))
    if radius == min(order, 1):  # whatever the sigma, which may be too small to compute with
        return np.array(([1.0], [0.0, 0.5], [-2.0, 1.0])[order])
    x = np.arange(radius + 1.0)
    g = np.exp(-0.5 * (x / sigma) ** 2)
    if order == 0:
        half: Half = g / (g[0] + 2 * g[1:].sum())
        return half
    if order == 1:
        return np.asarray(x * g / (2 * (x * x * g).sum()))
    g *= (x / sigma) ** 2 - 1
    g -= (g[0] + 2 * g[1:].sum()) / (2 * radius + 1)
    return np.asarray(g / (x * x * g).sum())
