"""Fully connected CRF: the Gaussian filter by the permutohedral lattice and exactly, mean field inference.

Arithmetic of the lattice is float32 throughout, in the order that is written here (see cpp/kernels/crf.hpp).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import Int64s, compiled

FARTHEST = 2.0**22
"""Beyond, neighbouring float32 are too far apart to say where in a simplex a point lies."""

F = np.float32
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ids = NDArray[np.uint32]
Keys = NDArray[np.int32]
"""A vertex a row: its first d coordinates."""
Lattice = tuple[Ids, Floats, Ids]
"""vertices, weights (N, d + 1), neighbours (d + 1, M, 2)."""
Term = tuple[Lattice, "Floats | None", "Floats | None", float, "Floats | None"]
"""Lattice, factors before and after the filter (N,), weight, compatibility (L, L)."""


# Lattice


def crf_lattice(features: Floats) -> Lattice:
    n, d = features.shape
    _check_reach(features)
    scale = np.array(
        [1 / math.sqrt((i + 2) * (i + 1)) * float(F(math.sqrt(2 / 3) * (d + 1))) for i in range(d)], F
    )
    # pydensecrf takes points as four at a time: the last four are filled up with the point 0.
    filled = features if n % 4 == 0 else np.concatenate((features, np.zeros((1, d), F)))
    vertices, weights = np.empty((len(filled), d + 1), np.uint32), np.empty((len(filled), d + 1), F)
    keys = _enter_all(filled, scale, vertices, weights)
    if len(keys) == 0 and n > 0:
        _refuse(d)
    return vertices[:n], weights[:n], _join(keys)


def _check_reach(features: Floats) -> None:
    n, d = features.shape
    for i, k in np.argwhere(~np.isfinite(features)):
        raise ValueError(f"point {i}: feature {k} must be finite, not {features[i, k]:g}")
    if n == 0:
        return
    low, high = features.min(axis=0).astype(float), features.max(axis=0).astype(float)
    if n % 4 != 0:
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    scale = [F(1 / math.sqrt((i + 2) * (i + 1)) * float(F(math.sqrt(2 / 3) * (d + 1)))) for i in range(d)]
    below, above = low * scale, high * scale  # each feature's part of the coordinates
    for j in range(d + 1):
        least = below[j:].sum() - (j * above[j - 1] if j else 0)
        most = above[j:].sum() - (j * below[j - 1] if j else 0)
        if least < -FARTHEST or most > FARTHEST:
            _refuse(d)


def _refuse(d: int) -> None:
    raise ValueError(
        f"features reach too far for float32: a point is more than {FARTHEST / (d + 1):g} standard deviations "
        "of the kernel away from 0"
    )


@compiled
def _place(feature: Floats, scale: Floats, nearest: Int64s, rank: Int64s, rest: Floats) -> bool:
    """The simplex of a point: the nearest vertex of colour 0, and the order of what is left of the coordinates.
    Returns whether float32 was fine enough to find it."""
    d = len(feature)
    elevated = np.empty(d + 1, F)
    total = F(0)
    for j in range(d, 0, -1):
        c = feature[j - 1] * scale[j - 1]
        elevated[j] = total - F(j) * c
        total += c
    elevated[0] = total

    down = F(1) / F(d + 1)
    shift = 0
    for i in range(d + 1):
        whole = int(np.rint(down * elevated[i]))
        nearest[i] = whole * (d + 1)
        rest[i] = elevated[i] - F(nearest[i])
        shift += whole
    for i in range(d + 1):
        rank[i] = 0
    for i in range(d + 1):
        for j in range(i + 1, d + 1):
            if rest[i] < rest[j]:
                rank[i] += 1
            else:
                rank[j] += 1
    if abs(shift) > d:
        return False
    for i in range(d + 1):  # back onto the plane where the roundings do not cancel
        rank[i] += shift
        if rank[i] < 0:
            rank[i] += d + 1
            nearest[i] += d + 1
        elif rank[i] > d:
            rank[i] -= d + 1
            nearest[i] -= d + 1
        rest[i] = (elevated[i] - F(nearest[i])) * down
    return True


@compiled
def _weigh(rank: Int64s, rest: Floats, weights: Floats) -> None:
    """Barycentric coordinates: differences of what is left, from the greatest down."""
    d = len(rank) - 1
    falling = np.empty(d + 1, F)
    for i in range(d + 1):
        falling[rank[i]] = rest[i]
    weights[0] = falling[d] + (F(1) - falling[0])
    for v in range(1, d + 1):
        weights[v] = falling[d - v] - falling[d - v + 1]


@compiled
def _slot(key: Keys, keys: Keys, slots: Int64s) -> np.int64:
    """Where a key is, or where it would go."""
    h = np.uint64(0)
    for k in key:
        h = (h ^ np.uint64(k & 0xFFFFFFFF)) * np.uint64(0x9E3779B97F4A7C15)
        h ^= h >> np.uint64(32)
    at = np.int64(h & np.uint64(len(slots) - 1))
    while slots[at] >= 0:
        same = True
        for i in range(len(key)):
            same &= keys[slots[at], i] == key[i]
        if same:
            break
        at = (at + 1) & (len(slots) - 1)
    return at


@compiled
def _table(keys: Keys, size: int) -> Int64s:
    """Slots for the first keys, at most half of them full."""
    room = 1024
    while room < 4 * size:
        room *= 2
    slots = np.full(room, -1, np.int64)
    for i in range(size):
        slots[_slot(keys[i], keys, slots)] = i
    return slots


@compiled
def _enter_all(features: Floats, scale: Floats, vertices: Ids, weights: Floats) -> Keys:
    """The vertices of all points, numbered as they come. Returns their keys: the first d coordinates; none where
    float32 was too coarse for a point."""
    n, d = features.shape
    nearest, rank, rest = np.empty(d + 1, np.int64), np.empty(d + 1, np.int64), np.empty(d + 1, F)
    key = np.empty(d, np.int32)
    keys, size = np.empty((n * (d + 1), d), np.int32), 0  # as many at most
    slots = _table(keys, 0)
    for p in range(n):
        if not _place(features[p], scale, nearest, rank, rest):
            return keys[:0]
        _weigh(rank, rest, weights[p])
        for v in range(d + 1):
            for i in range(d):
                key[i] = nearest[i] + (v if rank[i] <= d - v else v - (d + 1))
            at = _slot(key, keys, slots)
            if slots[at] < 0:
                for i in range(d):
                    keys[size, i] = key[i]
                slots[at] = size
                size += 1
            vertices[p, v] = slots[at]
            if 2 * size > len(slots):
                slots = _table(keys, size)
    return keys[:size]


@compiled
def _join(keys: Keys) -> Ids:
    """Along direction j a neighbour has one less in all coordinates, but d more in j; the other, the opposite."""
    m, d = keys.shape
    slots = _table(keys, m)
    neighbours = np.full((d + 1, m, 2), m, np.uint32)
    key = np.empty(d, np.int32)
    for j in range(d + 1):
        for v in range(m):
            for side in range(2):
                sign = 1 - 2 * side
                for i in range(d):
                    key[i] = keys[v, i] + (sign * d if i == j else -sign)
                at = _slot(key, keys, slots)
                if slots[at] >= 0:
                    neighbours[j, v, side] = slots[at]
    return neighbours


# Filter


def crf_filter(lattice: Lattice, values: Floats, out: Floats) -> None:
    """out = the sum of values under the kernel; (L, N)."""
    labels = len(values)
    rows = np.ascontiguousarray(values.T)
    ones = np.ones(rows.shape[0], F)
    out[:] = _filter(*lattice, rows, ones, ones, labels <= 2).T


@compiled
def _filter(
    vertices: Ids,
    weights: Floats,
    neighbours: Ids,
    rows: Floats,
    before: Floats,
    after: Floats,
    few: bool,
) -> Floats:
    n, labels = rows.shape
    m, d = neighbours.shape[1], vertices.shape[1] - 1
    values = np.zeros((m + 1, labels), F)  # row m: where there is no neighbour
    for p in range(n):  # splat
        for c in range(d + 1):
            for k in range(labels):
                values[vertices[p, c], k] += weights[p, c] * (rows[p, k] * before[p])
    for j in range(d + 1):  # blur
        blurred = np.zeros_like(values)
        for v in range(m):
            a, b = neighbours[j, v]
            for k in range(labels):
                blurred[v, k] = values[v, k] + F(0.5) * (values[a, k] + values[b, k])
        values = blurred
    alpha = F(1) / (F(1) + F(2.0**-d))  # undoes what the blur multiplies a constant by
    out = np.zeros((n, labels), F)
    for p in range(n):  # slice
        for c in range(d + 1):
            weight, v = weights[p, c], vertices[p, c]
            for k in range(labels):
                if few:
                    out[p, k] += weight * values[v, k] * alpha
                else:
                    out[p, k] += weight * alpha * values[v, k]
        for k in range(labels):
            out[p, k] *= after[p]
    return out


# Mean field


def crf_mean_field(unary: Floats, terms: Sequence[Term], iterations: int, out: Floats) -> None:
    """Q = softmax(-unary - the terms' energies under Q), all points at once; out (L, N)."""
    labels, n = unary.shape
    ones = np.ones(n, F)
    rows = _softmax(np.ascontiguousarray(-unary.T))
    for _ in range(iterations):
        logits = np.ascontiguousarray(-unary.T)
        for lattice, before, after, weight, compatibility in terms:
            found = _filter(
                *lattice,
                rows,
                ones if before is None else before,
                ones if after is None else after,
                labels <= 2,
            )
            if compatibility is None:
                logits += F(weight) * found
            else:
                for k in range(labels):  # in this order, as the core adds
                    logits -= compatibility[:, k] * found[:, k, None]
        rows = _softmax(logits)
    out[:] = rows.T


@compiled
def _softmax(logits: Floats) -> Floats:
    """Of every row. As pydensecrf built for SSE2, which takes labels as four at a time: they are summed as two running
    sums of fours, then the four of them, then the labels beyond; those have another exponential."""
    out = np.empty_like(logits)
    for p in range(len(logits)):
        row, most = out[p], logits[p].max()
        fours = len(row) // 4
        for k in range(len(row)):
            x = logits[p, k] - most
            row[k] = _exp(x) if k < 4 * fours else _exp_rounded(x)
        total = F(0)
        if fours > 0:
            part = np.empty(4, F)
            for k in range(4):
                even, odd = row[k], F(0)
                for f in range(1, fours // 2 * 2):
                    if f % 2 == 0:
                        even += row[4 * f + k]
                    else:
                        odd += row[4 * f + k]
                part[k] = even + odd
                if fours % 2 == 1 and fours > 1:
                    part[k] += row[4 * fours - 4 + k]
            total = (part[0] + part[2]) + (part[1] + part[3])
        for k in range(4 * fours, len(row)):
            total += row[k]
        for k in range(len(row)):
            row[k] /= total
    return out


@compiled
def _exp(x: np.float32) -> np.float32:
    """Cephes' exponential, in float32 throughout: within 2 units in the last place; 0 below -87.7."""
    x = max(x, F(-88.3762626647949))
    n = np.floor(x * F(1.44269504088896341) + F(0.5))
    x = x - n * F(0.693359375)
    x = x - n * F(-2.12194440e-4)
    square = x * x
    p = F(1.9875691500e-4)
    p = p * x + F(1.3981999507e-3)
    p = p * x + F(8.3334519073e-3)
    p = p * x + F(4.1665795894e-2)
    p = p * x + F(1.6666665459e-1)
    p = p * x + F(5.0000001201e-1)
    p = p * square + x
    p = p + F(1)
    return p * F(2.0**n) if n > -127 else F(0)


@compiled
def _exp_rounded(x: np.float32) -> np.float32:
    """The exponential in double precision, rounded once: within 0.51 units in the last place, as glibc's."""
    z = max(np.float64(x), -104.0) * (32 * 1.4426950408889634)
    n = np.rint(z)
    r = z - n
    p = (1.6938359250920212e-06 * r + 0.00023459809789509004) * (r * r) + (0.021660849396613134 * r + 1.0)
    whole = np.floor(n / 32)
    return F(p * (POWERS[int(n - 32 * whole)] * 2.0**whole))


POWERS = np.array([2 ** (i / 32) for i in range(32)])


# Exact sums


def crf_windows(values: Doubles, guide: Floats, sigma: float, radius: int, out: Doubles) -> None:
    """Over a window of an image: exp(-(dy^2 + dx^2) / (2 sigma^2) - |difference of guide|^2 / 2); (L, H, W)."""
    radius = min(radius, max(values.shape[1:]))
    steps = np.arange(radius + 1) / sigma
    weights = np.exp(-0.5 * (steps * steps))
    if guide.shape[2] == 0:
        out[:] = _blur_columns(_blur_columns(values, weights).swapaxes(1, 2).copy(), weights).swapaxes(1, 2)
    else:
        _windows(values, guide, weights, out)


@compiled
def _blur_columns(values: Doubles, weights: Doubles) -> Doubles:
    """Along the last axis, with zeros outside."""
    out = np.zeros_like(values)
    labels, height, width = values.shape
    radius = len(weights) - 1
    for k in range(labels):
        for y in range(height):
            for dx in range(-radius, radius + 1):
                for x in range(max(0, -dx), min(width, width - dx)):
                    out[k, y, x] += weights[abs(dx)] * values[k, y, x + dx]
    return out


@compiled
def _windows(values: Doubles, guide: Floats, weights: Doubles, out: Doubles) -> None:
    labels, height, width = values.shape
    radius = len(weights) - 1
    out[:] = 0
    for y in range(height):
        for x in range(width):
            for row in range(max(0, y - radius), min(height, y + radius + 1)):
                for column in range(max(0, x - radius), min(width, x + radius + 1)):
                    square = 0.0
                    for c in range(guide.shape[2]):
                        step = np.float64(guide[y, x, c]) - np.float64(guide[row, column, c])
                        square += step * step
                    weight = weights[abs(row - y)] * weights[abs(column - x)] * math.exp(-0.5 * square)
                    for k in range(labels):
                        out[k, y, x] += weight * values[k, row, column]


def crf_pairs(values: Doubles, features: Floats, out: Doubles) -> None:
    """Over all points; (L, N)."""
    _pairs(values, features, out)


@compiled
def _pairs(values: Doubles, features: Floats, out: Doubles) -> None:
    n, d = features.shape
    out[:] = 0
    for i in range(n):
        for j in range(n):
            square = 0.0
            for k in range(d):
                step = np.float64(features[i, k]) - np.float64(features[j, k])
                square += step * step
            weight = math.exp(-0.5 * square)
            for k in range(len(values)):
                out[k, i] += weight * values[k, j]
