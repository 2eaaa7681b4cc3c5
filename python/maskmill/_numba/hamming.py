"""Search by Hamming distance, item by item: the twin of cpp/kernels/hamming.hpp."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import Int64s, compiled

Codes = NDArray[np.uint64]
"""(N, words)"""


def hamming_pairs(codes: Codes, other: Codes, radius: int, limit: int) -> tuple[Int64s, Int64s, Int64s]:
    """(i, j, distance) of all pairs within the radius, by (i, j)."""
    _check_radius(radius)
    return _columns(_pairs(codes, other, radius, limit, False), radius, limit)


def hamming_self_pairs(codes: Codes, radius: int, limit: int) -> tuple[Int64s, Int64s, Int64s]:
    """The same with i < j among one set."""
    _check_radius(radius)
    return _columns(_pairs(codes, codes, radius, limit, True), radius, limit)


def _columns(found: Int64s, radius: int, limit: int) -> tuple[Int64s, Int64s, Int64s]:
    if len(found) > limit:
        raise ValueError(f"more than {limit} pairs are within {radius} bits")
    i, j, distance = np.ascontiguousarray(found.T)
    return i, j, distance


@compiled
def _pairs(codes: Codes, other: Codes, radius: int, limit: int, self: bool) -> Int64s:
    found = []
    for i in range(len(codes)):
        for j in range(i + 1 if self else 0, len(other)):
            distance = _distance(codes[i], other[j])
            if distance <= radius:
                found.append((i, j, distance))
        if len(found) > limit:
            break
    out = np.empty((len(found), 3), np.int64)
    for k in range(len(found)):
        out[k] = found[k]
    return out


@compiled
def hamming_nearest(queries: Codes, exemplars: Codes, radius: int) -> tuple[Int64s, Int64s]:
    """Per query the nearest exemplar, the first of several, and its distance; -1 and -1 beyond the radius."""
    _check_radius(radius)
    index = np.full(len(queries), -1, np.int64)
    distance = np.full(len(queries), -1, np.int64)
    for i in range(len(queries)):
        for j in range(len(exemplars)):
            d = _distance(queries[i], exemplars[j])
            if d <= radius and (index[i] < 0 or d < distance[i]):
                index[i], distance[i] = j, d
    return index, distance


@compiled
def hamming_greedy(codes: Codes, exemplars: Codes, radius: int) -> tuple[Int64s, Int64s, Int64s]:
    """Kept items, and per item the earliest that was kept within the radius and the distance to it.

    Exemplars were kept before all; exemplar e is called -1 - e.
    """
    _check_radius(radius)
    kept = np.empty(len(codes), np.int64)
    leader = np.empty(len(codes), np.int64)
    distance = np.zeros(len(codes), np.int64)
    n = 0
    for i in range(len(codes)):
        # An item that nobody is near to leads itself.
        leader[i] = i
        for e in range(len(exemplars)):
            d = _distance(codes[i], exemplars[e])
            if d <= radius:
                leader[i], distance[i] = -1 - e, d
                break
        if leader[i] != i:
            continue
        for k in range(n):
            d = _distance(codes[i], codes[kept[k]])
            if d <= radius:
                leader[i], distance[i] = kept[k], d
                break
        if leader[i] == i:
            kept[n] = i
            n += 1
    return kept[:n].copy(), leader, distance


@compiled
def _check_radius(radius: int) -> None:
    if radius < 0 or radius > 256:
        raise ValueError("radius must be within 0 and 256")


@compiled
def _distance(a: Codes, b: Codes) -> int:
    """Bits in which two codes differ."""
    bits = 0
    for w in range(len(a)):
        # Each step clears the lowest set bit.
        rest = a[w] ^ b[w]
        while rest:
            rest &= rest - np.uint64(1)
            bits += 1
    return bits
