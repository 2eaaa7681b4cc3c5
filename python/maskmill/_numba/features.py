"""Filter banks, plane by plane: the twin of cpp/kernels/features.hpp."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import Float64s, Int64s, Offsets, compiled

Plane: TypeAlias = NDArray[Any]
"""(H, W) float32 or float64"""

NEAREST, REFLECT, MIRROR = range(3)
"""What lies beyond the border, as scipy.ndimage calls it: aaa|abcd, cba|abcd, dcb|abcd."""

(
    VALUE,
    SOBEL,
    SOBEL_INNER,
    HESSIAN,
    HESSIAN_DOUBLED,
    MAGNITUDE,
    SUM,
    DIFFERENCE,
    EIGENVALUES,
    DEVIATION,
    LOCATION,
) = range(11)
COLUMNS = (1, 1, 1, 2, 2, 1, 1, 1, 2, 1, 1)
PLANES = (1, 1, 1, 1, 1, 2, 2, 2, 3, 2, 0)


def features_bank(
    image: NDArray[np.float32],
    weights: Float64s,
    starts: Offsets,
    parity: Int64s,
    first: Int64s,
    second: Int64s,
    maps: Int64s,
    rows: Float64s,
    columns: Float64s,
    border: int,
    precise: bool,
    at: Int64s | None,
    out: Plane,
) -> None:
    """Every map of a plan, see the header, into out (H, W, F), or (K, F) at the pixels `at`."""
    _check(image, weights, starts, parity, first, second, maps, rows, columns, border, at, out)
    if out.size == 0:
        return
    kernels = [weights[i:j] for i, j in zip(starts[:-1], starts[1:], strict=True)]
    kind = np.float64 if precise else np.float32
    down = []
    for band, power, k in first:
        source = image[band].astype(np.float64) ** int(power)
        down.append(_correlated(source, kernels[k], parity[k], border, kind))
    planes = []
    for q, k in second:
        turned = np.ascontiguousarray(down[q].T, np.float64)
        planes.append(np.ascontiguousarray(_correlated(turned, kernels[k], parity[k], border, kind).T))
    f = 0
    for operation, a, b, c in maps:
        for result in _map(operation, a, b, c, planes, rows, columns):
            out[..., f] = result if at is None else result[at[:, 0], at[:, 1]]
            f += 1


def _map(
    operation: int, a: int, b: int, c: int, planes: list[Plane], rows: Float64s, columns: Float64s
) -> tuple[Plane, ...]:
    """The maps that one row of the table asks for."""
    if operation == VALUE:
        return (planes[a],)
    if operation in (SOBEL, SOBEL_INNER):
        return (_sobel(planes[a], operation == SOBEL_INNER),)
    if operation in (HESSIAN, HESSIAN_DOUBLED):
        return _eigenvalues(*_second_differences(planes[a]), operation == HESSIAN_DOUBLED)
    if operation == MAGNITUDE:
        return (np.sqrt(planes[a] * planes[a] + planes[b] * planes[b]),)
    if operation == SUM:
        return (planes[a] + planes[b],)
    if operation == DIFFERENCE:
        return (planes[a] - planes[b],)
    if operation == EIGENVALUES:
        # In double: the smaller one may be all that rounding leaves of two large numbers.
        double = [planes[p].astype(np.float64) for p in (a, b, c)]
        larger, smaller = _eigenvalues(double[0], double[1], double[2], False)
        return larger.astype(planes[a].dtype), smaller.astype(planes[a].dtype)
    if operation == DEVIATION:
        variance = planes[b] - planes[a] * planes[a]
        return (np.sqrt(np.maximum(variance, 0)),)
    return (np.sqrt(columns[a] ** 2 + rows[a][:, None] ** 2),)


def _correlated(source: Plane, half: Float64s, parity: int, border: int, kind: type) -> Plane:
    """Down the columns, rounded to `kind`."""
    out: Plane = np.empty(source.shape, kind)
    _correlate(source, half, parity, border, out)
    return out


@compiled
def _correlate(source: Plane, half: Float64s, parity: int, border: int, out: Plane) -> None:
    """Sums in double, from the farthest pair to the nearest: so scipy.ndimage.correlate1d does it."""
    n, width = source.shape
    radius = len(half) - 1
    for y in range(n):
        for x in range(width):
            total = source[y, x] * half[0]
            for j in range(radius, 0, -1):
                before = source[_within(y - j, n, border), x]
                after = source[_within(y + j, n, border), x]
                total += (after + parity * before) * half[j]
            out[y, x] = total


@compiled
def _within(i: int, n: int, border: int) -> int:
    """The pixel that is found at i, which may be beyond the border."""
    if 0 <= i < n:
        return i
    if border == NEAREST or n == 1:
        return 0 if i < 0 else n - 1
    if border == REFLECT:
        i = i % (2 * n)
        return i if i < n else 2 * n - 1 - i
    i = i % (2 * n - 2)
    return i if i < n else 2 * n - 2 - i


def _sobel(g: Plane, inner: bool) -> Plane:
    """Gradient magnitude; `inner`: 0 on the outermost pixels."""
    down, right = _slopes(g)
    out: Plane = np.sqrt(down * down + right * right) / g.dtype.type(math.sqrt(2))
    if inner:
        out[:1] = out[-1:] = 0
        out[:, :1] = out[:, -1:] = 0
    return out


@compiled
def _slopes(g: Plane) -> tuple[Plane, Plane]:
    """By [1, 2, 1] / 4 (x) [1, 0, -1], the border repeated, in the order of scipy.ndimage.convolve."""
    height, width = g.shape
    down, right = np.empty(g.shape, g.dtype), np.empty(g.shape, g.dtype)
    for y in range(height):
        for x in range(width):
            a, b = max(y - 1, 0), min(y + 1, height - 1)
            l, r = max(x - 1, 0), min(x + 1, width - 1)  # noqa: E741
            above = -np.float64(g[a, l]) - 2.0 * g[a, x] - np.float64(g[a, r])
            down[y, x] = 0.25 * (above + np.float64(g[b, l]) + 2.0 * g[b, x] + np.float64(g[b, r]))
            left = -np.float64(g[a, l]) + np.float64(g[a, r]) - 2.0 * g[y, l] + 2.0 * g[y, r]
            right[y, x] = 0.25 * (left - np.float64(g[b, l]) + np.float64(g[b, r]))
    return down, right


@compiled
def _difference(g: Plane, i: int, n: int) -> Any:
    """As numpy.gradient: half of next minus previous, but all of it where one of them is missing."""
    scale = 1.0 if i == 0 or i == n - 1 else 0.5
    return (g[min(i + 1, n - 1)] - g[max(i - 1, 0)]) * g.dtype.type(scale)


@compiled
def _differences(g: Plane) -> Plane:
    """Down the columns."""
    out = np.empty(g.shape, g.dtype)
    for y in range(g.shape[0]):
        for x in range(g.shape[1]):
            out[y, x] = _difference(g[:, x], y, g.shape[0])
    return out


def _second_differences(g: Plane) -> tuple[Plane, Plane, Plane]:
    """Down and down, down and across, across and across."""
    down, across = _differences(g), _differences(g.T).T
    return _differences(down), _differences(down.T).T, _differences(across.T).T


def _eigenvalues(a: Plane, b: Plane, c: Plane, doubled: bool) -> tuple[Plane, Plane]:
    """Of [[a, b], [b, c]]. `doubled` gives the same bits where no square is too small for its type."""
    mean = (a + c) / 2
    if doubled:
        gap = np.sqrt(4 * (b * b) + (a - c) * (a - c)) / 2
    else:
        half = (a - c) / 2
        gap = np.sqrt(b * b + half * half)
    return mean + gap, mean - gap


def _check(
    image: Plane,
    weights: Float64s,
    starts: Offsets,
    parity: Int64s,
    first: Int64s,
    second: Int64s,
    maps: Int64s,
    rows: Float64s,
    columns: Float64s,
    border: int,
    at: Int64s | None,
    out: Plane,
) -> None:
    """The checks of binding and kernel, in their order."""
    _require(image.ndim == 3, "image must have shape (bands, H, W)")
    n = len(starts) - 1
    _require(starts.ndim == 1 and n >= 0, "offsets must be a vector of at least one element")
    rising = bool((np.diff(starts) >= 0).all()) and starts[0] >= 0 and starts[-1] <= len(weights)
    _require(rising, "offsets must rise from 0 or more to the number of values or less")
    _require(parity.shape == (n,), "parity must have an element for each kernel")
    for table, name, shape in (
        (first, "first", "(Q, 3)"),
        (second, "second", "(P, 2)"),
        (maps, "maps", "(M, 4)"),
    ):
        _require(table.ndim == 2 and table.shape[1] == int(shape[-2]), f"{name} must have shape {shape}")
    bands, height, width = image.shape
    located = rows.ndim == columns.ndim == 2 and len(rows) == len(columns)
    located = located and (rows.shape[1], columns.shape[1]) == (height, width)
    _require(located, "rows and columns must have shapes (S, H) and (S, W)")
    _require(0 <= border <= 2, "border must be 0, 1 or 2")
    for m, (operation, *_) in enumerate(maps):
        _item(0 <= operation < len(COLUMNS), "map", m, "no such operation")
    f = sum(COLUMNS[operation] for operation in maps[:, 0])
    if at is None:
        _require(out.ndim == 3 and out.shape[:2] == (height, width), "out must have shape (H, W, columns)")
    else:
        _require(at.ndim == 2 and at.shape[1] == 2, "at must have shape (K, 2)")
        _require(out.ndim == 2 and len(out) == len(at), "out must have shape (K, columns)")
    _require(out.shape[-1] == f, "out must have a column for each of the maps")
    if out.size == 0:
        return
    for k in range(n):
        _item(starts[k + 1] > starts[k], "kernel", k, "must have a weight")
        _item(parity[k] in (1, -1), "kernel", k, "parity must be 1 or -1")
    for q, (band, power, k) in enumerate(first):
        _item(0 <= band < bands, "first", q, "no such band")
        _item(power in (1, 2), "first", q, "power must be 1 or 2")
        _item(0 <= k < n, "first", q, "no such kernel")
    for p, (q, k) in enumerate(second):
        _item(0 <= q < len(first), "second", p, "no such plane of the first pass")
        _item(0 <= k < n, "second", p, "no such kernel")
    for m, (operation, *planes) in enumerate(maps):
        if operation == LOCATION:
            _item(0 <= planes[0] < len(rows), "map", m, "no such location")
        for p in planes[: PLANES[operation]]:
            _item(0 <= p < len(second), "map", m, "no such plane")
    for i, (y, x) in enumerate(() if at is None else at):
        _item(0 <= y < height and 0 <= x < width, "pixel", i, "is outside of the image")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _item(good: bool, table: str, item: int, expected: str) -> None:
    _require(good, f"{table} {item}: {expected}")
